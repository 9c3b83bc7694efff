// The model's classes in the order of the scores, and their colours in the current colour scheme.

const USUAL = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]; // have colours of their own
const OTHERS = ["happy", "sad", "disgust", "fear", "surprise", "angry", "other", "neutral", "other-2", "other-3"];

let names = [];
let variables = new Map(); // class -> name of a variable of the style sheet

export const classes = () => names;

// Takes the classes of a state; returns whether they are others than before.
export function setClasses(given) {
  if (given.join("\n") === names.join("\n")) return false;
  names = given;
  const others = names.filter((name) => !USUAL.includes(name));
  const free = OTHERS.filter((name) => !names.includes(name));
  const palette = free.length ? free : OTHERS;
  variables = new Map(names.map((name) => [name, USUAL.includes(name) ? name : palette[others.indexOf(name) % palette.length]]));
  return true;
}

// The CSS of a class's colour.
export const classColour = (name) => `var(--${variables.get(name) ?? "neutral"})`;

// The value of a colour variable of the style sheet.
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

// The value of a class's colour.
export const classFill = (name) => colour(variables.get(name) ?? "neutral");

// score: 0..1.
export function percent(score) {
  return `${Math.round(100 * score)} %`;
}
