// Frame rate, temperature and stage times.

const STAGE_LABELS = { sinks: "output" }; // the others are labelled by their names

const rows = new Map();

function setText(id, text) {
  document.getElementById(id).textContent = text;
}

function duration(seconds) {
  const whole = Math.floor(seconds);
  const pad = (number) => String(number).padStart(2, "0");
  const days = Math.floor(whole / 86400);
  const hours = Math.floor(whole / 3600) % 24;
  const clock = `${pad(Math.floor(whole / 60) % 60)}:${pad(whole % 60)}`;
  return days ? `${days} d ${hours} h` : hours ? `${hours}:${clock}` : clock;
}

function addRow(stage) {
  const row = document.createElement("tr");
  const name = document.createElement("th");
  const middle = document.createElement("td");
  const bar = document.createElement("div");
  const fill = document.createElement("i");
  const value = document.createElement("td");
  name.scope = "row";
  name.textContent = STAGE_LABELS[stage] ?? stage;
  bar.className = "bar";
  bar.append(fill);
  middle.append(bar);
  row.append(name, middle, value);
  document.getElementById("stages").append(row);
  return { fill, value };
}

function showThrottling(state) {
  const reasons = [...state.throttling];
  if (state.load_level) reasons.push("hot: fewer detections and fewer models per face until it cools down");
  setText("throttling", reasons.join(", "));
  document.getElementById("throttling").hidden = reasons.length === 0;
}

function showStages(stages) {
  const total = Object.values(stages).reduce((sum, time) => sum + time, 0) || 1;
  for (const [stage, time] of Object.entries(stages)) {
    if (!rows.has(stage)) rows.set(stage, addRow(stage));
    rows.get(stage).fill.style.transform = `scaleX(${time / total})`;
    rows.get(stage).value.textContent = time.toFixed(2);
  }
}

// state: as in /api/state.
export function showEngine(state) {
  setText("rate", state.rate.toFixed(1));
  setText("celsius", state.celsius === null ? "–" : `${state.celsius.toFixed(0)} °C`);
  setText("frames", state.frames.toLocaleString("en"));
  setText("dropped", state.dropped.toLocaleString("en"));
  setText("uptime", duration(state.uptime));
  setText("viewers", state.viewers);
  showThrottling(state);
  showStages(state.stages);
}
