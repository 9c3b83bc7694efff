// The mean scores of all faces over the last minutes, stacked; a gap is a time without a face.

import { EMOTIONS, colour, percent } from "./emotions.js";

const SHORTEST = 60; // seconds that the axis shows at least
const HELD = 3; // seconds that a point stands for where a slow source gives no other
const BELOW = 22; // pixels for the axis

const canvas = document.getElementById("chart");
const moment = document.getElementById("moment");
const legend = document.getElementById("legend");
const pen = canvas.getContext("2d");

let points = new Map(); // second -> {faces, scores}
let length = 300;
let now = 0;
let chosen = null; // seconds ago

for (const name of EMOTIONS) {
  const item = document.createElement("li");
  const swatch = document.createElement("i");
  swatch.style.setProperty("--colour", `var(--${name})`);
  item.append(swatch, name);
  legend.append(item);
}

function span() {
  const first = points.size ? points.keys().next().value : now;
  return Math.min(length, Math.max(SHORTEST, now - first));
}

function clock(seconds) {
  const minutes = Math.floor(seconds / 60);
  return minutes ? `${minutes} min${seconds % 60 ? ` ${seconds % 60} s` : ""}` : `${seconds} s`;
}

function words(point) {
  if (!point) return "nothing was seen";
  if (!point.scores) return "no face";
  const shares = EMOTIONS.map((name, index) => [point.scores[index], name]).sort((a, b) => b[0] - a[0]);
  const told = shares.filter(([share]) => share >= 0.05).map(([share, name]) => `${name} ${percent(share)}`);
  const faces = Math.round(point.faces) || 1;
  return `${faces === 1 ? "one face" : `${faces} faces`}: ${told.join(", ")}`;
}

function axis(x, width, height) {
  const step = span() > 150 ? 60 : span() > 75 ? 30 : 15;
  pen.fillStyle = colour("soft");
  pen.strokeStyle = colour("line");
  pen.font = `12px ${getComputedStyle(canvas).fontFamily}`;
  pen.textBaseline = "bottom";
  for (let ago = 0; ago <= span(); ago += step) {
    const at = Math.min(width - 0.5, Math.round(x(now - ago)) + 0.5);
    pen.beginPath();
    pen.moveTo(at, 0);
    pen.lineTo(at, height + 4);
    pen.stroke();
    pen.textAlign = ago === 0 ? "right" : at < 24 ? "left" : "center";
    pen.fillText(ago === 0 ? "now" : `−${clock(ago)}`, ago === 0 ? width : at, height + BELOW);
  }
}

function draw() {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight - BELOW;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round((height + BELOW) * ratio);
  pen.scale(ratio, ratio);
  const x = (second) => Math.round(ratio * width * (1 - (now - second) / span())) / ratio; // whole pixels: no seams
  pen.fillStyle = colour("track");
  pen.fillRect(0, 0, width, height);
  const stroke = EMOTIONS.map(colour);
  const all = [...points];
  all.forEach(([second, point], index) => {
    const next = index + 1 < all.length ? all[index + 1][0] : second + 1;
    const left = x(second);
    const right = x(next - second <= HELD ? next : second + 1);
    if (!point.scores || right < 0) return;
    let base = height;
    point.scores.forEach((share, which) => {
      pen.fillStyle = stroke[which];
      pen.fillRect(left, base - share * height, right - left, share * height + 0.5);
      base -= share * height;
    });
  });
  axis(x, width, height);
  if (chosen !== null) {
    const at = Math.min(width - 1, Math.max(1, x(now - chosen + 0.5)));
    pen.strokeStyle = colour("text");
    pen.lineWidth = 2;
    pen.strokeRect(at, 0, 0, height);
  }
  tell();
}

function tell() {
  const ago = chosen ?? 1;
  const text = `${clock(ago)} ago: ${words(points.get(now - ago))}`;
  moment.textContent = chosen === null ? "Point at the chart, or use the arrow keys in it, to read a moment." : text;
  canvas.setAttribute("aria-valuemax", span());
  canvas.setAttribute("aria-valuenow", span() - ago);
  canvas.setAttribute("aria-valuetext", text);
}

function choose(ago) {
  chosen = ago === null ? null : Math.max(1, Math.min(span(), ago));
  draw();
}

canvas.addEventListener("pointermove", (event) => choose(Math.ceil(span() * (1 - event.offsetX / canvas.clientWidth))));
canvas.addEventListener("pointerleave", () => choose(null));
canvas.addEventListener("blur", () => choose(null));
canvas.addEventListener("keydown", (event) => {
  const steps = { ArrowLeft: 1, ArrowDown: 1, ArrowRight: -1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: 1e6, End: -1e6 };
  if (event.key === "Escape") choose(null);
  else if (event.key in steps) choose((chosen ?? 1) + steps[event.key]);
  else return;
  event.preventDefault();
});
new ResizeObserver(draw).observe(canvas);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

// told: {all, length, points}, as the event `history` has it.
export function addHistory(told) {
  if (told.all) points = new Map();
  length = told.length;
  for (const point of told.points) points.set(point.second, point);
}

// uptime: seconds since the program started, which the points' seconds count from.
export function showHistory(uptime) {
  if (Math.floor(uptime) === now) return;
  now = Math.floor(uptime);
  for (const second of points.keys()) if (second < now - length) points.delete(second);
  draw();
}

// The second after the newest point, where the history of a source that has ended stops.
export function historyEnd() {
  return points.size ? [...points.keys()].at(-1) + 1 : now;
}
