// Rates, temperature and the times of a frame's stages.

const STAGES = {
  detect: "find faces", track: "follow", crop: "cut out", classify: "recognize", smooth: "steady", sinks: "hand on",
};

const rows = new Map();

function put(id, text) {
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

function row(stage) {
  const line = document.createElement("tr");
  const name = document.createElement("th");
  const middle = document.createElement("td");
  const bar = document.createElement("div");
  const fill = document.createElement("i");
  const value = document.createElement("td");
  name.scope = "row";
  name.textContent = STAGES[stage] ?? stage;
  bar.className = "bar";
  bar.append(fill);
  middle.append(bar);
  line.append(name, middle, value);
  document.getElementById("stages").append(line);
  return { fill, value };
}

// state: as in /api/state.
export function showEngine(state) {
  put("rate", state.rate.toFixed(1));
  put("celsius", state.celsius === null ? "–" : `${state.celsius.toFixed(0)} °C`);
  put("frames", state.frames.toLocaleString("en"));
  put("dropped", state.dropped.toLocaleString("en"));
  put("uptime", duration(state.uptime));
  put("viewers", state.viewers);
  const heat = [...state.throttling];
  if (state.heat_level) heat.push("hot: fewer looks and networks until it cools");
  put("heat", heat.join(", "));
  document.getElementById("heat").hidden = heat.length === 0;
  const total = Object.values(state.stages).reduce((sum, each) => sum + each, 0) || 1;
  for (const [stage, time] of Object.entries(state.stages)) {
    if (!rows.has(stage)) rows.set(stage, row(stage));
    rows.get(stage).fill.style.transform = `scaleX(${time / total})`;
    rows.get(stage).value.textContent = time.toFixed(2);
  }
}
