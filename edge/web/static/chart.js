// The mean scores of all faces over the last minutes, stacked; a gap is a time without a face.

import { classColour, classFill, classes, colour, percent } from "./classes.js";

const MIN_SPAN = 60; // seconds on the time axis, at least
const MAX_GAP = 3; // seconds that a point fills when a slow source gives no other
const AXIS_HEIGHT = 22; // pixels below the chart

const canvas = document.getElementById("chart");
const moment = document.getElementById("moment");
const legend = document.getElementById("legend");
const context = canvas.getContext("2d");

let points = new Map(); // second -> {faces, scores}
let length = 300;
let now = 0;
let selection = null; // seconds ago

function span() {
  const first = points.size ? points.keys().next().value : now;
  return Math.min(length, Math.max(MIN_SPAN, now - first));
}

function duration(seconds) {
  const minutes = Math.floor(seconds / 60);
  return minutes ? `${minutes} min${seconds % 60 ? ` ${seconds % 60} s` : ""}` : `${seconds} s`;
}

function describe(point) {
  if (!point) return "no data";
  if (!point.scores) return "no face";
  const shares = classes().map((name, index) => [point.scores[index], name]).sort((a, b) => b[0] - a[0]);
  const parts = shares.filter(([share]) => share >= 0.05).map(([share, name]) => `${name} ${percent(share)}`);
  const faces = Math.round(point.faces) || 1;
  return `${faces === 1 ? "one face" : `${faces} faces`}: ${parts.join(", ")}`;
}

function drawAxis(x, width, height) {
  const step = span() > 150 ? 60 : span() > 75 ? 30 : 15;
  context.fillStyle = colour("soft");
  context.strokeStyle = colour("line");
  context.font = `12px ${getComputedStyle(canvas).fontFamily}`;
  context.textBaseline = "bottom";
  for (let ago = 0; ago <= span(); ago += step) {
    const at = Math.min(width - 0.5, Math.round(x(now - ago)) + 0.5);
    context.beginPath();
    context.moveTo(at, 0);
    context.lineTo(at, height + 4);
    context.stroke();
    context.textAlign = ago === 0 ? "right" : at < 24 ? "left" : "center";
    context.fillText(ago === 0 ? "now" : `−${duration(ago)}`, ago === 0 ? width : at, height + AXIS_HEIGHT);
  }
}

function drawBars(x, height) {
  const fills = classes().map(classFill);
  const all = [...points];
  all.forEach(([second, point], index) => {
    const next = index + 1 < all.length ? all[index + 1][0] : second + 1;
    const left = x(second);
    const right = x(next - second <= MAX_GAP ? next : second + 1);
    if (!point.scores || right < 0) return;
    let base = height;
    point.scores.forEach((share, emotion) => {
      context.fillStyle = fills[emotion];
      context.fillRect(left, base - share * height, right - left, share * height + 0.5);
      base -= share * height;
    });
  });
}

function draw() {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight - AXIS_HEIGHT;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round((height + AXIS_HEIGHT) * ratio);
  context.scale(ratio, ratio);
  const x = (second) => Math.round(ratio * width * (1 - (now - second) / span())) / ratio; // whole pixels: no seams
  context.fillStyle = colour("track");
  context.fillRect(0, 0, width, height);
  drawBars(x, height);
  drawAxis(x, width, height);
  if (selection !== null) {
    const at = Math.min(width - 1, Math.max(1, x(now - selection + 0.5)));
    context.strokeStyle = colour("text");
    context.lineWidth = 2;
    context.strokeRect(at, 0, 0, height);
  }
  showSelection();
}

function showSelection() {
  const ago = selection ?? 1;
  const text = `${duration(ago)} ago: ${describe(points.get(now - ago))}`;
  moment.textContent = selection === null ? "Point at the chart or tap it, or use the arrow keys, to read a moment." : text;
  canvas.setAttribute("aria-valuemax", span());
  canvas.setAttribute("aria-valuenow", span() - ago);
  canvas.setAttribute("aria-valuetext", text);
}

function select(ago) {
  selection = ago === null ? null : Math.max(1, Math.min(span(), ago));
  draw();
}

canvas.addEventListener("pointermove", (event) => select(Math.ceil(span() * (1 - event.offsetX / canvas.clientWidth))));
canvas.addEventListener("pointerleave", () => select(null));
canvas.addEventListener("blur", () => select(null));
canvas.addEventListener("keydown", (event) => {
  const steps = { ArrowLeft: 1, ArrowDown: 1, ArrowRight: -1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: 1e6, End: -1e6 };
  if (event.key === "Escape") select(null);
  else if (event.key in steps) select((selection ?? 1) + steps[event.key]);
  else return;
  event.preventDefault();
});
new ResizeObserver(draw).observe(canvas);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

// Lists the model's classes below the chart; what was drawn before is of other ones.
export function showLegend() {
  legend.replaceChildren(...classes().map((name) => {
    const item = document.createElement("li");
    const swatch = document.createElement("i");
    swatch.style.setProperty("--colour", classColour(name));
    item.append(swatch, name);
    return item;
  }));
  draw();
}

// history: {all, length, points}, as in the event `history`.
export function addHistory(history) {
  if (history.all) points = new Map();
  length = history.length;
  for (const point of history.points) points.set(point.second, point);
}

// uptime: seconds since the program started, from which the points' seconds count.
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
