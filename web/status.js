// The operator's view: what the server does now, from /v1/info, /v1/sessions, /v1/avatars, /v1/log
// and /metrics, asked for every two seconds while somebody looks.

import { histograms, parseMetrics, quantileEdge, total } from "./prometheus.js";
import { accessOf, headersOf, keptToken } from "./session.js";

const $ = (id) => document.getElementById(id);
const server = new URL(".", document.baseURI);
const EVERY_MS = 2000, SELDOM_MS = 10000;
const view = { token: keptToken.read(), timer: 0, pauseMs: EVERY_MS, frames: new Map() };

async function ask(path, method = "GET") {
  const answer = await fetch(new URL(path, server), {
    method, headers: headersOf(view.token), cache: "no-store",
  });
  if (answer.ok) return answer;
  const { message } = await answer.json().catch(() => ({ message: `HTTP ${answer.status}` }));
  throw Object.assign(new Error(message), { status: answer.status });
}

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function tell(text) {
  $("told").hidden = !text;
  $("told").textContent = text;
}

// ---- numbers as a person reads them

const number = (value) => Number(value).toLocaleString("en");
const megabytes = (bytes) => `${number(Math.round(Number(bytes) / 1e6))} MB`;
const milliseconds = (seconds) => (Number.isFinite(seconds)
  ? `${(seconds * 1000).toLocaleString("en", { maximumSignificantDigits: 3 })} ms` : "more than 30 s");

function span(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  const hours = Math.floor(whole / 3600);
  return hours < 48 ? `${hours} h ${Math.floor((whole % 3600) / 60)} min` : `${Math.floor(hours / 24)} days`;
}

function tiles(list, rows) {
  list.replaceChildren(...rows.map(([name, value, alarm]) => {
    const tile = element("div");
    tile.append(element("dt", name), element("dd", value, alarm ? "alarm" : ""));
    return tile;
  }));
}

// ---- what may be done

function action(label, about, act) {
  const button = element("button", label);
  button.type = "button";
  button.setAttribute("aria-label", `${label} ${about}`);
  button.dataset.key = `${label} ${about}`;
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await act();
      tell("");
    } catch (error) {
      tell(`${label} ${about}: ${error.message}`);
    }
    await refresh();
  });
  return button;
}

/** New rows take the place of the old ones; who stands on a button stays there. */
function fill(table, rows) {
  if (table.querySelector("button:active")) return; // a press in which the button went were lost
  const { key } = document.activeElement?.dataset ?? {};
  table.querySelector("tbody").replaceChildren(...rows.map((cells) => {
    const row = element("tr");
    row.append(...cells);
    return row;
  }));
  if (key) table.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
}

const cell = (text, className) => element("td", text, className);

function actions(...buttons) {
  const made = cell(undefined, "actions");
  made.append(...buttons);
  return made;
}

// ---- the parts

function showCapacity(info, metrics) {
  const { load, headroom, sessions, sessionLimit, generateMs } = info.capacity;
  const usable = load + headroom;
  Object.assign($("load"), { max: usable || 1, value: load, high: usable * 0.9, optimum: 0 });
  const percent = (share) => `${Math.round(share * 100)} %`;
  $("load-text").textContent =
    `${percent(load)} of the workers' time is promised to live sessions, ${percent(headroom)} is free.` +
    (sessionLimit ? ` At most ${sessionLimit} sessions.` : "");
  const seconds = Number.parseFloat(info.uptime);
  tiles($("tiles"), [
    ["Sessions", number(sessions)],
    ["Work for a frame", generateMs ? `${generateMs.toFixed(1)} ms` : "not measured"],
    ["Workers", number(info.workers)],
    ["Tasks waiting", number(total(metrics, "queue_depth", { queue: "workers" }))],
    ["Memory", megabytes(total(metrics, "resident_memory_bytes"))],
    ["Threads", number(total(metrics, "threads"))],
    ["Networks by", `${info.backend}, ${info.providers.join(", ")}`],
    ["H.264 by", info.h264Encoder || "none"],
    ["Up for", span(seconds)],
    ["Version", info.version],
  ]);
}

function showSessions(sessions) {
  $("no-sessions").hidden = sessions.length > 0;
  $("sessions").hidden = sessions.length === 0;
  const now = Date.now();
  const before = view.frames;
  view.frames = new Map(sessions.map(({ id, frames }) => [id, { frames, at: now }]));
  fill($("sessions"), sessions.map((one) => {
    const last = before.get(one.id);
    const rate = last ? ((one.frames - last.frames) * 1000) / (now - last.at) : null;
    return [
      cell(one.avatar), cell(one.state, one.state), cell(`${one.protocol}, ${one.peer}`),
      cell(`${one.output} ${one.width} × ${one.height}, ${one.pace} pace`),
      cell(number(one.frames), "number"),
      cell(rate === null ? "…" : `${rate.toFixed(1)} of ${+one.fps.toFixed(2)}`, "number"),
      cell(span((now - Date.parse(one.since)) / 1000)),
      actions(action("End", `the session of ${one.avatar} from ${one.peer}, ${one.id}`,
        () => ask(`v1/sessions/${encodeURIComponent(one.id)}`, "DELETE"))),
    ];
  }));
}

function showAvatars(avatars) {
  fill($("avatars"), avatars.map(({ name, title, loaded, problem, stats, provider }) => {
    const path = `v1/avatars/${encodeURIComponent(name)}`;
    const does = (verb) => () => ask(`${path}/${verb}`, "POST");
    const head = element("th", title && title !== name ? `${name}: ${title}` : name);
    head.scope = "row";
    const memory = Number(stats.modelBytes) + Number(stats.frameBytes);
    return [
      head,
      cell(problem || (loaded ? `loaded on ${provider}` : "on the disk"), problem ? "alarm" : ""),
      cell(number(stats.sessions), "number"), cell(number(stats.frames), "number"),
      cell(stats.meanGenerateMs ? stats.meanGenerateMs.toFixed(1) : "", "number"),
      cell(memory ? megabytes(memory) : "", "number"),
      actions(...(loaded ? [action("Replace", name, does("replace")), action("Unload", name, does("unload"))]
        : [action("Load", name, does("load"))])),
    ];
  }));
}

function bars({ buckets, count }) {
  const shown = buckets.filter(({ upTo }) => upTo <= 1);
  const most = Math.max(...shown.map((one) => one.count), 1);
  const drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  drawing.setAttribute("viewBox", `0 0 ${shown.length * 10} 24`);
  drawing.setAttribute("class", "bars");
  drawing.setAttribute("role", "img");
  drawing.setAttribute("aria-label", shown.filter((one) => one.count).map((one) =>
    `${Math.round((100 * one.count) / count)} % within ${milliseconds(one.upTo)}`).join(", "));
  shown.forEach((one, i) => {
    const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    const height = one.count ? Math.max(1.5, (22 * one.count) / most) : 0;
    for (const [key, value] of Object.entries({ x: i * 10 + 1, y: 23 - height, width: 8, height })) {
      bar.setAttribute(key, value);
    }
    drawing.append(bar);
  });
  return drawing;
}

function showStages(metrics) {
  const stages = histograms(metrics, "stage_seconds", "stage");
  $("no-stages").hidden = stages.length > 0;
  $("stages").hidden = stages.length === 0;
  stages.sort((a, b) => b.mean * b.count - a.mean * a.count);
  fill($("stages"), stages.map((stage) => {
    const head = element("th", stage.key.replaceAll("_", " "));
    head.scope = "row";
    const drawn = cell();
    drawn.append(bars(stage));
    return [
      head, cell(number(stage.count), "number"), cell(milliseconds(stage.mean), "number"),
      cell(milliseconds(quantileEdge(stage, 0.99)), "number"), drawn,
    ];
  }));
}

function showLosses(metrics) {
  const refused = (metrics.get("sessions_refused_total") ?? []).filter(({ value }) => value > 0);
  const count = (name, wanted) => total(metrics, name, wanted);
  const rows = [
    ["Frames sent", count("frames_total")],
    ["Late: the last picture again", count("frames_late_total"), true],
    ["Not sent", count("frames_dropped_total"), true],
    ["Not finite: the source shown", count("not_finite_frames_total"), true],
    ["Avatars that did not load", count("avatar_load_failures_total"), true],
    ["Wrong tokens", count("auth_failures_total"), true],
    ...refused.map(({ labels, value }) => [`Refused: ${labels.reason.replaceAll("_", " ")}`, value, true]),
  ];
  tiles($("losses"), rows.map(([name, value, bad]) => [name, number(value), bad && value > 0]));
}

function showLog(lines) {
  $("no-log").hidden = lines.length > 0;
  $("log").replaceChildren(...lines.map(({ time, level, event, fields }) => {
    const item = element("li", undefined, level);
    const when = element("time", new Date(time).toLocaleTimeString());
    when.dateTime = time;
    when.title = time;
    const rest = Object.entries(fields).map(([key, value]) => `${key}=${value}`).join(" ");
    item.append(when, " ", element("strong", event.replaceAll("_", " ")), " ", element("span", rest));
    return item;
  }));
}

// ---- asking

async function read() {
  const [info, sessions, avatars, log, metrics] = await Promise.all([
    ask("v1/info").then((answer) => answer.json()),
    ask("v1/sessions").then((answer) => answer.json()),
    ask("v1/avatars").then((answer) => answer.json()),
    ask("v1/log").then((answer) => answer.json()),
    ask("metrics").then((answer) => answer.text()),
  ]);
  const parsed = parseMetrics(metrics);
  showCapacity(info, parsed);
  showSessions(sessions.sessions);
  showAvatars(avatars.avatars);
  showStages(parsed);
  showLosses(parsed);
  showLog(log.lines);
  $("status").dataset.state = info.draining ? "failed" : "idle";
  $("status").textContent = info.draining ? "Shutting down" : "Ready";
}

function askForToken(why) {
  $("status").textContent = "A token is needed";
  if (view.token) tell(`The server does not take this token: ${why}.`);
  $("all").hidden = true;
  $("token-form").hidden = false;
  $("token").focus();
}

async function refresh() {
  clearTimeout(view.timer);
  const gone = "The server does not answer";
  const access = await accessOf(server, view.token);
  const trouble = access?.granted
    ? await read().then(() => "", (error) => (error.status ? error.message : gone))
    : access?.message ?? gone;
  // Each request to a server that is gone leaves a line in the console.
  view.pauseMs = trouble ? Math.min(2 * view.pauseMs, SELDOM_MS) : EVERY_MS;
  if (trouble) {
    $("status").dataset.state = "failed";
    $("status").textContent = trouble;
  } else {
    $("token-form").hidden = true;
    $("all").hidden = false;
  }
  if (access?.reason?.startsWith("TOKEN_")) askForToken(access.message);
  else if (!document.hidden) view.timer = setTimeout(refresh, view.pauseMs);
}

$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  view.token = $("token").value.trim();
  keptToken.keep(view.token);
  tell("");
  refresh();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refresh();
});
refresh();
