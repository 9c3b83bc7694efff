// A block of bars per face, kept by its track number.

import { classColour, classes, percent } from "./classes.js";

const HOLD_TIME = 1000; // ms that a face which is no longer detected stays, so that blocks do not flicker
const ROWS = 10; // of more classes, the most probable ones are shown
const ANNOUNCE_INTERVAL = 3000; // ms between announcements to screen readers

const list = document.getElementById("faces");
const empty = document.getElementById("no-face");
const announcement = document.getElementById("announcement");
const blocks = new Map();
let lastAnnouncement = 0;

function element(tag, classes = "", text = "") {
  const node = document.createElement(tag);
  node.className = classes;
  node.textContent = text;
  return node;
}

function addRow(root, name, emotion) {
  const row = element("div", "row");
  const bar = element("div", "bar");
  const fill = element("i");
  const value = element("output");
  bar.setAttribute("role", "meter");
  bar.setAttribute("aria-label", `${name}, ${emotion}`);
  bar.setAttribute("aria-valuemin", "0");
  bar.setAttribute("aria-valuemax", "100");
  fill.style.setProperty("--colour", classColour(emotion));
  value.setAttribute("aria-hidden", "true"); // a screen reader reads the meter
  bar.append(fill);
  row.append(element("span", "", emotion), bar, value);
  root.append(row);
  return { row, bar, fill, value };
}

function addBlock(name) {
  const root = element("article", "face");
  const title = element("h3");
  const emotion = element("b");
  title.append(emotion, element("span", "", name));
  root.append(title);
  const rows = classes().map((each) => addRow(root, name, each));
  list.append(root);
  return { root, emotion, rows, lastSeen: 0 };
}

function update(block, face) {
  block.emotion.textContent = face.emotion;
  const least = [...Object.values(face.scores)].sort((a, b) => b - a)[ROWS - 1] ?? 0;
  classes().forEach((name, index) => {
    const { row, bar, fill, value } = block.rows[index];
    const score = face.scores[name];
    row.classList.toggle("top", name === face.emotion);
    row.hidden = score < least;
    fill.style.transform = `scaleX(${score})`;
    value.textContent = percent(score);
    bar.setAttribute("aria-valuenow", Math.round(100 * score));
  });
}

function announce(faces, now, nobody) {
  const text = faces.map((face, index) => `face ${face.track ?? index + 1} ${face.emotion}`).join(", ") || nobody;
  if (text !== announcement.textContent && now - lastAnnouncement > ANNOUNCE_INTERVAL) {
    announcement.textContent = text;
    lastAnnouncement = now;
  }
}

// Removes the blocks, whose bars are of other classes than the model's now.
export function clearFaces() {
  blocks.forEach((block) => block.root.remove());
  blocks.clear();
}

// faces: as in /api/state; nobody: what it means that there are none.
export function showFaces(faces, nobody) {
  const now = performance.now();
  faces.forEach((face, index) => {
    const name = face.track === null ? `face ${index + 1}` : `face #${face.track}`;
    if (!blocks.has(name)) blocks.set(name, addBlock(name));
    const block = blocks.get(name);
    block.lastSeen = now;
    update(block, face);
  });
  for (const [name, block] of blocks) {
    block.root.classList.toggle("gone", block.lastSeen < now);
    if (now - block.lastSeen > HOLD_TIME) {
      block.root.remove();
      blocks.delete(name);
    }
  }
  empty.textContent = nobody;
  empty.hidden = blocks.size > 0;
  announce(faces, now, nobody);
}
