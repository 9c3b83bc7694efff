// The page: listens to the run's events and updates its parts.

import { addHistory, historyEnd, showHistory } from "./chart.js";
import { showEngine } from "./engine.js";
import { showFaces } from "./faces.js";
import { showPictures, wakePictures } from "./picture.js";

const LABELS = {
  running: "live",
  waiting: "waiting",
  disconnected: "disconnected",
  ended: "ended",
  lost: "connection lost",
  stopped: "stopped",
};
const OUTDATED = ["disconnected", "lost", "stopped", "waiting"]; // the picture is dimmed
const RECONNECT_INTERVAL = 5000; // ms

const screen = document.getElementById("screen");
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
  screen.classList.toggle("outdated", OUTDATED.includes(status));
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

function seconds(value) {
  return `${Math.round(value)} s`;
}

// state: as in /api/state.
function showState(state) {
  const notices = {
    waiting: `No picture from ${state.source} for ${seconds(state.waiting)}.`,
    disconnected: `${state.source} has been disconnected for ${seconds(state.disconnected)}; reconnecting.`,
    ended: "The source has ended; this is its last picture.",
  };
  showStatus(state.status, notices[state.status]);
  document.getElementById("source").textContent = `${state.source} · ${state.model}`;
  document.getElementById("version").textContent = state.version === "unknown" ? "" : `fer-edge ${state.version}`;
  document.title = state.faces.length ? `${state.faces[0].emotion} · fer-edge` : "fer-edge";
  showStorage(state.stored);
  showFaces(state.faces);
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
    showFaces([]);
    if (events.readyState !== EventSource.CLOSED) {
      if (current !== "stopped") showStatus("lost", "The device does not answer; reconnecting.");
      return;
    }
    events.close(); // refused: by another program on that port, or because there is a new token
    showStatus("lost", "The device refuses this page. Open the link that fer-edge printed when it started.");
    setTimeout(listen, RECONNECT_INTERVAL);
  });
}

listen();
showPictures(() => current !== "lost" && current !== "stopped");
