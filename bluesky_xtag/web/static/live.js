// The live page: the running scan, its newest frame, what waits, and what a plan decided.

import { get } from "./client.js";
import { byId, element, fill } from "./elements.js";
import { LiveMap } from "./live_map.js";
import { Looks, crossPicture, markPicture, palette, wordsOf } from "./live_marks.js";
import { ID, INDEX, KEY, LATENCY, LiveLine, LiveState, NUMBER, REASON, SCORES, STATE, STATES, TAGS, TIME, TIMES, WHERE } from "./live_state.js";
import { mix, number } from "./run_map.js";

export const state = new LiveState();
const choice = { run: "", place: null, by: "", axes: new Map(), image: new Map() }; // "" and null: the newest
let about, looks, map, spoken = 0;
export let line = null;

async function start() {
  about = await get("api/live/about");
  looks = new Looks(about.tags);
  byId("frames-link").hidden = !about.catalog;
  map = new LiveMap((id) => choose(id));
  const scores = about.tags.map(({ name }) => option(name, `score of ${name}`));
  fill(byId("colour-by"), option("", "tag that says most"), ...scores);
  byId("colour-by").onchange = () => {
    choice.by = byId("colour-by").value;
    drawAll();
  };
  byId("run").onchange = () => {
    const newest = [...state.runs.keys()].at(-1);
    choice.run = byId("run").value === newest ? "" : byId("run").value;
    choose(null);
  };
  for (const [id, at] of [["axis-x", 0], ["axis-y", 1]]) {
    byId(id).onchange = () => {
      const run = shownRun();
      const axes = [...axesOf(run)];
      axes[at] = byId(id).value || null;
      choice.axes.set(run.uid, axes);
      drawAll();
    };
  }
  byId("image").onchange = () => {
    choice.image.set(shownRun().uid, Number(byId("image").value));
    drawAll();
  };
  byId("follow").onclick = () => choose(null);
  byId("scan-map").addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.altKey && !event.metaKey && press(event.key)) event.preventDefault();
  });
  line = new LiveLine(state, draw, drawConnection);
}

const option = (value, textContent) => element("option", { value, textContent });

function shownRun() {
  return state.runs.get(choice.run) ?? [...state.runs.values()].at(-1) ?? null;
}

// Which motors are shown: those that the plan names, the last two of them; as bluesky has it, the last one is fastest.
function axesOf(run) {
  const chosen = choice.axes.get(run.uid);
  if (chosen?.every((axis) => axis === null || run.fields.includes(axis))) return chosen;
  const fields = [...run.fields];
  if (fields.length === 0) return [null, null];
  return fields.length === 1 ? [fields[0], null] : fields.slice(-2).sort();
}

const imageOf = (run) => choice.image.get(run.uid) ?? 0;

function shownPlace(run) {
  const chosen = choice.place === null ? null : run.places.get(choice.place);
  return chosen ?? run.places.get(run.latest) ?? null;
}

function choose(id) {
  choice.place = id;
  drawAll();
}

function press(key) {
  const run = shownRun();
  const places = map.places();
  if (!run || !places.length) return false;
  const here = places.findIndex((place) => place[ID] === shownPlace(run)?.[ID]);
  const last = places.length - 1;
  const to = { ArrowLeft: Math.max(here - 1, 0), ArrowRight: Math.min(here + 1, last), Home: 0, End: last }[key];
  if (key === "Escape") choose(null);
  else if (to === undefined) return false;
  else choose(places[to][ID]);
  say(describe(run, shownPlace(run)), true);
  return true;
}

// Drawing: everything is drawn from the state. What comes from the server is drawn some times a second, and takes a tenth
// of the time at most; what a person does is drawn at once.

const APART = 150, LONGEST = 600; // milliseconds
let waits = 0, cost = 0;
function draw() {
  waits ||= setTimeout(() => requestAnimationFrame(() => {
    waits = 0;
    const begin = performance.now();
    drawAll();
    cost = performance.now() - begin;
  }), Math.min(Math.max(9 * cost, APART), LONGEST));
}

function drawAll() {
  const run = shownRun();
  byId("no-run").hidden = Boolean(run);
  drawRuns(run);
  drawQueue(run);
  drawTools(run);
  if (run?.about) {
    drawFrame(run);
    drawDecisions(run);
    drawLegend(run);
  }
  document.dispatchEvent(new Event("drawn"));
}

function drawRuns(run) {
  const runs = [...state.runs.values()].filter((each) => each.about).reverse();
  const goesOn = state.around.engine === "paused" ? "paused" : "running";
  const made = runs.map((each) => option(each.uid, `${each.about.scan_id || "–"} ${each.about.plan || "run"}${each.about.ended ? "" : ` · ${goesOn}`}`));
  refill("run", made);
  byId("run").disabled = !runs.length;
  if (!run?.about) return;
  byId("run").value = run.uid;
  const { points, ended, sample, time } = run.about;
  const parts = [`${run.total}${points ? ` of ${points}` : ""} frame${run.total === 1 && !points ? "" : "s"}`];
  if (sample) parts.push(sample);
  parts.push(`since ${new Date(1000 * time).toLocaleTimeString()}`);
  if (!ended && goesOn === "paused") parts.push("paused");
  if (ended) parts.push(ended.status === "success" ? "ended" : `ended: ${ended.status}${ended.reason ? `, ${ended.reason}` : ""}`);
  byId("run-about").textContent = parts.join(" · ");
  byId("run-about").title = byId("run-about").textContent;
  document.title = `xtag · live · scan ${run.about.scan_id || "–"}`;
}

function drawTools(run) {
  if (!run?.about) {
    map.show({ run: null });
    return;
  }
  const axes = axesOf(run);
  refill("axis-x", [option("", "time"), ...run.fields.map((field) => option(field, field))]);
  refill("axis-y", [option("", "–"), ...run.fields.map((field) => option(field, field))]);
  byId("axis-x").value = axes[0] ?? "";
  byId("axis-y").value = axes[1] ?? "";
  byId("axis-y-label").hidden = run.fields.length < 2;
  refill("image", run.keys.map((key, at) => option(String(at), key)));
  byId("image").value = String(imageOf(run));
  byId("image-label").hidden = run.keys.length < 2;
  byId("follow").setAttribute("aria-pressed", choice.place === null);
  const look = (place) => looks.of(run, place, choice.by);
  const colourOf = (name) => looks.byName.get(name)?.colour ?? "#7a828e";
  map.show({ run, axes, image: imageOf(run), chosen: shownPlace(run)?.[ID], look, colourOf });
}

// Choices are made anew only when they change: a list that is open stays so.
function refill(id, options) {
  const words = options.map((each) => `${each.value}\n${each.textContent}`).join("\n\n");
  const list = byId(id);
  if (list.dataset.words === words) return;
  list.dataset.words = words;
  fill(list, ...options);
}

function placeOf(run, place) {
  const at = run.fields.map((field, each) => [field, place[WHERE][each]]).filter(([, value]) => value !== null && value !== undefined);
  const where = at.map(([field, value]) => `${field} ${number(value)}`).join(", ");
  return `Frame ${place[ID] + 1}${where ? ` at ${where}` : ""}`;
}

function describe(run, place) {
  if (!place) return "no frame yet";
  const status = STATES[place[STATE]];
  const tags = place[TAGS].map((each) => run.about.tags[each]).join(", ") || "no tags";
  return `${placeOf(run, place)}: ${status === "ok" ? tags : status}`;
}

function drawFrame(run) {
  const place = shownPlace(run);
  const newest = !place || place[ID] === run.latest;
  byId("frame-title").textContent = newest ? "Newest frame" : `Frame ${place[ID] + 1}`;
  const words = describe(run, place);
  byId("scan-map").setAttribute("aria-label", `Map of scan ${run.about.scan_id || ""}, ${run.total} frames. ${words}`);
  if (!place) {
    byId("frame-about").textContent = run.total ? `${run.total} taken, none tagged yet` : "No frame yet.";
    byId("frame-trouble").hidden = true;
    fill(byId("frame-scores"));
    drawPicture(run, null);
    return;
  }
  const parts = [placeOf(run, place), `point ${place[NUMBER]}${place[INDEX] ? `, image ${place[INDEX] + 1}` : ""}`];
  if (place[LATENCY] !== null && STATES[place[STATE]] === "ok") parts.push(`${Math.round(1000 * place[LATENCY])} ms`);
  if (place[TIMES] > 1) parts.push(`taken ${place[TIMES]} times`);
  byId("frame-about").textContent = parts.join(" · ");
  byId("frame-about").title = new Date(1000 * place[TIME]).toLocaleTimeString();
  const trouble = place[STATE] > 1;
  byId("frame-trouble").hidden = !trouble;
  byId("frame-trouble").textContent = trouble ? `⚠ ${wordsOf(STATES[place[STATE]])}. ${place[REASON]}` : "";
  drawPicture(run, place);
  drawScores(run, place);
  if (newest) say(words);
}

function drawPicture(run, place) {
  const image = byId("frame-picture");
  const { picture } = state;
  const shown = picture && picture.run === run.uid && (choice.place === null || picture.place === place?.[ID]);
  image.hidden = !shown;
  byId("frame-words").textContent = shown ? "" : place ? (choice.place === null ? "No picture yet." : "Only the newest frames have a picture here.") : "";
  if (!shown) return;
  const source = `api/live/pictures/${state.session}/${picture.number}`;
  if (image.getAttribute("src") !== source) image.src = source;
  image.alt = `Frame ${picture.place + 1}, counts on a logarithmic scale`;
}

function drawScores(run, place) {
  const held = new Set(place[TAGS]);
  const order = run.about.tags.map((_, at) => at).filter((at) => typeof place[SCORES][at] === "number");
  order.sort((one, other) => held.has(other) - held.has(one) || place[SCORES][other] - place[SCORES][one]);
  const lines = order.slice(0, 12).map((at) => {
    const name = run.about.tags[at];
    const tag = looks.byName.get(name);
    const score = place[SCORES][at];
    const bar = element("span", { className: "score" }, element("i"), element("b"));
    bar.style.setProperty("--width", `${100 * score}%`);
    bar.style.setProperty("--threshold", `${100 * run.about.thresholds[at]}%`);
    bar.style.setProperty("--colour", held.has(at) ? tag?.colour ?? "#7a828e" : "var(--line-strong)");
    const line = element("li", { className: held.has(at) ? "holds" : "" },
      element("span", { className: "sign", textContent: held.has(at) ? "✓" : "" }), element("span", { className: "name", textContent: name }),
      bar, element("span", { className: "number", textContent: score.toFixed(2) }));
    line.setAttribute("aria-label", `${name}, ${held.has(at) ? "holds" : "does not hold"}, score ${score.toFixed(2)}, threshold ${run.about.thresholds[at].toFixed(2)}`);
    return line;
  });
  fill(byId("frame-scores"), ...lines);
}

function drawQueue(run) {
  const { waiting, capacity, left_out: leftOut } = state.around;
  Object.assign(byId("queue-meter"), { max: capacity || 1, high: 0.75 * capacity, low: 0.5 * capacity, optimum: 0, value: waiting });
  byId("queue-words").textContent = `${waiting} of ${capacity} documents wait${leftOut ? ` · ⚠ this page left out ${leftOut} messages` : ""}`;
  if (!run) return;
  const colours = palette();
  const shown = STATES.filter((name) => run.counts[name] || name === "ok");
  fill(byId("outcomes"), ...shown.map((name) => {
    const trouble = !["ok", "waiting"].includes(name);
    const words = element("span", { textContent: `${run.counts[name]} ${name}` });
    return element("li", { className: trouble ? "trouble" : "", title: wordsOf(name) }, ...(name === "ok" ? [] : [markPicture(looks.of(run, [0, STATES.indexOf(name), [], []], ""), colours, 16)]), words);
  }));
}

function drawDecisions(run) {
  const made = [...run.decisions.values()].sort((one, other) => other.number - one.number);
  byId("decisions-side").hidden = !made.length;
  const where = (to) => Object.entries(to).filter(([, value]) => value !== null).map(([name, value]) => `${name} ${number(value)}`).join(", ");
  byId("next-words").textContent = run.next && made.length ? `Next: ${where(made[0].to)}` : "";
  fill(byId("decisions"), ...made.slice(0, 30).map((each) => {
    const to = where(each.to);
    return element("li", {}, element("b", { textContent: each.action }), each.reason, ...(to ? [element("span", { className: "where", textContent: ` → ${to}` })] : []));
  }));
}

function drawLegend(run) {
  const colours = palette();
  if (choice.by) {
    const steps = [0, 0.25, 0.5, 0.75, 1].map((score) => [{ state: "ok", fill: mix(score), sign: "" }, score.toFixed(2), ""]);
    fill(byId("scan-legend"), ...steps.map((each) => entry(...each, colours)));
    return;
  }
  const found = new Map();
  for (const place of run.places.values()) {
    if (place[KEY] !== imageOf(run)) continue;
    const look = looks.of(run, place, "");
    const known = found.get(look.name);
    if (known) known[1] += 1;
    else found.set(look.name, [look, 1]);
  }
  const sorted = [...found.values()].sort(([, one], [, other]) => other - one);
  const marks = sorted.map(([look, count]) => entry(look, look.state === "ok" ? look.name : wordsOf(look.state), count, colours));
  if (run.next) marks.push(element("li", {}, crossPicture(colours), "next point"));
  fill(byId("scan-legend"), ...marks);
}

function entry(look, words, count, colours) {
  return element("li", {}, markPicture(look, colours), words, element("span", { className: "number", textContent: count }));
}

function drawConnection(connected) {
  byId("connection").classList.toggle("lost", !connected);
  const words = connected ? "live" : "no connection, trying again";
  if (byId("connection").textContent !== words) byId("connection").textContent = words;
}

// For screen readers: not each frame of a fast scan, but what a person moves to at once.
function say(words, atOnce = false) {
  const now = performance.now();
  if (!atOnce && now - spoken < 5000) return;
  spoken = now;
  if (byId("said").textContent !== words) byId("said").textContent = words;
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("xtag-page:theme", theme);
  } catch { /* it is asked for again */ }
  if (map) drawAll();
}

function theme() {
  try {
    return localStorage.getItem("xtag-page:theme");
  } catch {
    return null;
  }
}

document.documentElement.dataset.theme = theme() ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
byId("theme").onclick = () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
start().catch((error) => {
  byId("problem").textContent = error.message;
  byId("problem").hidden = false;
});
