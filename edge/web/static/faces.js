// A block of seven bars for every face, kept by its track number.

import { EMOTIONS, percent } from "./emotions.js";

const GONE_AFTER = 1000; // ms; a face that is missed for a moment does not flicker
const SAID_EVERY = 3000; // ms between announcements to screen readers

const list = document.getElementById("faces");
const nobody = document.getElementById("nobody");
const said = document.getElementById("said");
const blocks = new Map();
let lastSaid = 0;

function element(name, classes = "", text = "") {
  const made = document.createElement(name);
  made.className = classes;
  made.textContent = text;
  return made;
}

function block(name) {
  const root = element("article", "face");
  const title = element("h3");
  const emotion = element("b");
  title.append(emotion, element("span", "", name));
  root.append(title);
  const rows = EMOTIONS.map((each) => {
    const row = element("div", "row");
    const bar = element("div", "bar");
    const fill = element("i");
    const value = element("output");
    bar.setAttribute("role", "meter");
    bar.setAttribute("aria-label", `${name}, ${each}`);
    bar.setAttribute("aria-valuemin", "0");
    bar.setAttribute("aria-valuemax", "100");
    fill.style.setProperty("--colour", `var(--${each})`);
    value.setAttribute("aria-hidden", "true"); // the meter says it
    bar.append(fill);
    row.append(element("span", "", each), bar, value);
    root.append(row);
    return { row, bar, fill, value };
  });
  list.append(root);
  return { root, emotion, rows, seen: 0 };
}

function fill(shown, face) {
  shown.emotion.textContent = face.emotion;
  EMOTIONS.forEach((name, index) => {
    const { row, bar, fill, value } = shown.rows[index];
    const share = face.scores[name];
    row.classList.toggle("top", name === face.emotion);
    fill.style.transform = `scaleX(${share})`;
    value.textContent = percent(share);
    bar.setAttribute("aria-valuenow", Math.round(100 * share));
  });
}

// faces: as in /api/state.
export function showFaces(faces) {
  const now = performance.now();
  faces.forEach((face, index) => {
    const name = face.track === null ? `face ${index + 1}` : `face #${face.track}`;
    if (!blocks.has(name)) blocks.set(name, block(name));
    const shown = blocks.get(name);
    shown.seen = now;
    fill(shown, face);
  });
  for (const [name, shown] of blocks) {
    shown.root.classList.toggle("gone", shown.seen < now);
    if (now - shown.seen > GONE_AFTER) {
      shown.root.remove();
      blocks.delete(name);
    }
  }
  nobody.hidden = blocks.size > 0;
  const words = faces.map((face, index) => `face ${face.track ?? index + 1} ${face.emotion}`).join(", ") || "no face";
  if (words !== said.textContent && now - lastSaid > SAID_EVERY) {
    said.textContent = words;
    lastSaid = now;
  }
}
