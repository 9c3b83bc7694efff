// The seven emotions in the order of the scores, and their colours in the current colour scheme.

export const EMOTIONS = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"];

// The value of a colour variable of the style sheet.
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

// score: 0..1.
export function percent(score) {
  return `${Math.round(100 * score)} %`;
}
