// The page: listens to the run's events and tells its parts.

import { addHistory, historyEnd, showHistory } from "./chart.js";
import { showEngine } from "./engine.js";
import { showFaces } from "./faces.js";
import { resume, watch } from "./picture.js";

const STATUS = {
  running: "live",
  waiting: "waiting",
  away: "away",
  ended: "ended",
  lost: "connection lost",
  stopped: "stopped",
};

const screen = document.getElementById("screen");
const notice = document.getElementById("notice");
const badge = document.getElementById("status");
const privacy = document.getElementById("privacy");

let shown = "starting";
let stored = null;

function show(status, text = "") {
  if (badge.dataset.status !== status) {
    badge.dataset.status = status;
    badge.textContent = STATUS[status];
  }
  notice.textContent = text;
  notice.hidden = text === "";
  screen.classList.toggle("old", ["away", "lost", "stopped", "waiting"].includes(status));
  shown = status;
}

function tellStored(what) {
  if (what.join() === stored) return;
  stored = what.join();
  const head = document.createElement("strong");
  head.textContent = what.length ? `Stored on the device: ${what.join(", ")}.` : "Nothing is stored.";
  const who = " Pictures go to whoever opens this page, or its picture in a player or a dashboard, and to nobody else.";
  privacy.replaceChildren(head, who);
}

function told(state) {
  const late = `No picture from ${state.source} for ${Math.round(state.waiting)} s.`;
  const away = `${state.source} has been away for ${Math.round(state.away)} s; the page goes on when it is back.`;
  const notices = { waiting: late, away, ended: "The source has ended; this was its last picture." };
  show(state.status, notices[state.status]);
  document.getElementById("source").textContent = `${state.source} · ${state.model}`;
  document.getElementById("version").textContent = state.version === "unknown" ? "" : `fer-edge ${state.version}`;
  document.title = state.faces.length ? `${state.faces[0].emotion} · fer-edge` : "fer-edge";
  tellStored(state.stored);
  showFaces(state.faces);
  showEngine(state);
  showHistory(state.status === "ended" ? historyEnd() : state.uptime);
}

function listen() {
  const events = new EventSource("api/events");
  const hear = (name, heard) => events.addEventListener(name, (event) => heard(JSON.parse(event.data)));
  hear("history", addHistory);
  hear("state", (state) => {
    const back = shown === "lost" || shown === "stopped";
    told(state);
    if (back) resume();
  });
  hear("stopped", () => show("stopped", "fer-edge was ended; the page goes on when it is started again."));
  events.addEventListener("error", () => {
    showFaces([]);
    if (events.readyState !== EventSource.CLOSED) {
      if (shown !== "stopped") show("lost", "The device does not answer; trying again.");
      return;
    }
    events.close(); // refused: by another program on that port, or because there is a new token
    show("lost", "The device refuses this page. Open the link that fer-edge printed when it was started.");
    setTimeout(listen, 5000);
  });
}

listen();
watch(() => shown !== "lost" && shown !== "stopped");
