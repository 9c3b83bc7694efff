// The page: listens to the run's events and updates its parts.

import { addHistory, historyEnd, showHistory, showLegend } from "./chart.js";
import { setClasses } from "./classes.js";
import { showEngine } from "./engine.js";
import { clearFaces, showFaces } from "./faces.js";
import { showPictures, wakePictures } from "./picture.js";

const LABELS = {
  running: "live",
  waiting: "waiting",
  disconnected: "disconnected",
  ended: "ended",
  lost: "connection lost",
  stopped: "stopped",
};
const NOBODY = {
  running: "No face in the picture.",
  waiting: "There is no picture.",
  disconnected: "The source is disconnected: there is no picture.",
  ended: "No face in the last picture.",
  lost: "The device does not answer.",
  stopped: "fer-edge has stopped.",
};
const BLACK = "The picture is black: is the camera covered, dark or switched off?";
const OFF = "Recognition is off: an operator has switched it off.";
const OUTDATED = ["disconnected", "lost", "stopped", "waiting"]; // the picture is dimmed
const RECONNECT_INTERVAL = 5000; // ms

const screen = document.getElementById("screen");
const picture = document.getElementById("picture");
const notice = document.getElementById("notice");
const badge = document.getElementById("status");
const privacy = document.getElementById("privacy");

let current = "starting";
let storage = null;

function showStatus(status, text = "") {
  if (badge.dataset.status !== status) {
    badge.dataset.status = status;
    badge.textContent = LABELS[status];
  }
  notice.textContent = text;
  notice.hidden = text === "";
  const outdated = OUTDATED.includes(status);
  screen.classList.toggle("outdated", outdated);
  picture.ariaLabel = outdated ? `Outdated picture: ${LABELS[status]}` : "Live picture; its faces are listed under Faces";
  current = status;
}

function showStorage(outputs) {
  if (outputs.join() === storage) return;
  storage = outputs.join();
  const summary = document.createElement("strong");
  summary.textContent = outputs.length ? `Stored on the device: ${outputs.join(", ")}.` : "Nothing is stored.";
  const audience = " Pictures are sent only to those who open this page, or its stream in a player or dashboard.";
  privacy.replaceChildren(summary, audience);
}

// How long something has lasted, and since when: "75 s, since 14:03:22".
function since(seconds) {
  const whole = Math.round(seconds);
  const minutes = Math.floor(whole / 60);
  const hours = Math.floor(minutes / 60);
  const span = hours ? `${hours} h ${minutes % 60} min` : minutes ? `${minutes} min` : `${whole} s`;
  const start = new Date(Date.now() - 1000 * seconds);
  const today = start.toDateString() === new Date().toDateString();
  const clock = today ? start.toLocaleTimeString() : start.toLocaleString();
  return `${span}, since ${clock}`;
}

// state: as in /api/state.
function showState(state) {
  const notices = {
    waiting: `No picture from ${state.source} for ${since(state.waiting)}.`,
    disconnected: `${state.source} has been disconnected for ${since(state.disconnected)}; reconnecting.\n${state.disconnect_reason ?? ""}`,
    ended: "The source has ended; this is its last picture.",
  };
  showStatus(state.status, notices[state.status]);
  document.getElementById("source").textContent = `${state.source} · ${state.model}`;
  document.getElementById("version").textContent = state.version === "unknown" ? "" : `fer-edge ${state.version}`;
  const title = OUTDATED.includes(state.status) ? LABELS[state.status] : state.faces[0]?.emotion;
  document.title = title ? `${title} · fer-edge` : "fer-edge";
  showStorage(state.stored);
  if (setClasses(state.classes)) {
    clearFaces();
    showLegend();
  }
  const reason = state.black ? BLACK : state.recognition ? NOBODY.running : OFF;
  showFaces(state.faces, state.status === "running" ? reason : NOBODY[state.status]);
  showEngine(state);
  showHistory(state.status === "ended" ? historyEnd() : state.uptime);
}

function listen() {
  const events = new EventSource("api/events");
  const on = (name, handle) => events.addEventListener(name, (event) => handle(JSON.parse(event.data)));
  on("history", addHistory);
  on("state", (state) => {
    const back = current === "lost" || current === "stopped";
    showState(state);
    if (back) wakePictures();
  });
  on("stopped", () => showStatus("stopped", "fer-edge has stopped; this page continues when it is started again."));
  events.addEventListener("error", () => {
    if (events.readyState !== EventSource.CLOSED) {
      if (current !== "stopped") showStatus("lost", "The device does not answer; reconnecting.");
      showFaces([], NOBODY[current]);
      return;
    }
    events.close(); // refused: by another program on that port, or because there is a new token
    showStatus("lost", "The device refuses this page. Open the link that fer-edge printed when it started.");
    showFaces([], NOBODY.lost);
    setTimeout(listen, RECONNECT_INTERVAL);
  });
}

listen();
showPictures(() => current !== "lost" && current !== "stopped");
