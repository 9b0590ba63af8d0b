// The page: what is shown, and what keys and clicks do.

import { Outbox, get, listen } from "./client.js";
import { byId, element, fill } from "./elements.js";
import { Grid } from "./grid.js";
import { showHelp } from "./help.js";
import { RunMap } from "./run_map.js";
import { Viewer } from "./viewer.js";

const MOST = 10000; // frames of one correction
const state = { about: null, runs: [], version: -1, facets: {}, draft: new Map(), open: null, undo: [], connected: false, typed: null, searches: 0, held: [] };
let grid, viewer, map, outbox, tags;

async function start() {
  state.about = await get("api/about");
  tags = new Map(state.about.tags.map((tag) => [tag.name, tag]));
  byId("catalog").textContent = state.about.catalog.replace(/\/+$/, "").split("/").pop();
  byId("live-link").hidden = !state.about.live;
  byId("catalog").title = state.about.catalog;
  document.title = `xtag · ${byId("catalog").textContent}`;
  fill(byId("order"), ...orders());
  byId("person").value = recall("person") ?? state.about.person;
  const colours = Uint8Array.from(atob(state.about.colours), (letter) => letter.charCodeAt(0));
  viewer = new Viewer(colours);
  map = new RunMap((uid, position) => openFrame({ run: runOf(uid), position }), mainTag, (tag) => tags.get(tag)?.colour ?? "#7a828e");
  grid = new Grid(byId("grid"), byId("sizer"), { onOpen: (place) => openPlace(place), onChange: drawFooter, describe });
  byId("grid").addEventListener("gone", () => select());
  outbox = new Outbox(state.about.catalog, drawOutbox);
  drawOutbox(outbox);
  outbox.send();
  listen(onNews, (connected) => {
    state.connected = connected;
    drawFooter();
  });
  if (state.about.read_only) byId("keep").hidden = true;
  readAddress();
}

function orders() {
  const names = Object.entries(state.about.orders).map(([name, meaning]) => option(name, name, meaning));
  const scores = state.about.tags.map(({ name }) => option(name, `score of ${name}`, ""));
  return [...names, element("optgroup", { label: "highest score first" }, ...scores)];
}

const option = (value, textContent, title) => element("option", { value, textContent, title });
const runOf = (uid) => state.runs.find((run) => run.uid === uid)?.number ?? -1;
const count = (number, thing) => `${number.toLocaleString("en")} ${thing}${number === 1 ? "" : "s"}`;

// The address of the page holds what is shown, so that it can be kept, sent, and gone back to.

function readAddress() {
  const asked = new URLSearchParams(location.hash.slice(1));
  byId("query").value = asked.get("q") ?? "";
  setOrder(asked.get("order") ?? "newest");
  const frame = asked.get("frame");
  search().then(() => {
    if (frame) openFrame(null, frame);
    else if (state.open) closeFrame(false);
  });
}

function setOrder(order) {
  const choice = byId("order");
  for (const made of choice.querySelectorAll("[data-made]")) made.remove();
  if (![...choice.options].some((each) => each.value === order)) {
    const made = option(order, order.startsWith("like:") ? "like that frame" : order, "");
    made.dataset.made = "";
    choice.prepend(made);
  }
  choice.value = order;
}

function writeAddress(replace = false) {
  const asked = new URLSearchParams();
  if (byId("query").value) asked.set("q", byId("query").value);
  if (byId("order").value !== "newest") asked.set("order", byId("order").value);
  if (state.open) asked.set("frame", state.open);
  const shown = new URLSearchParams(location.hash.slice(1)); // a link may be escaped in another way than `asked`
  if (`${asked}` !== `${shown}`) history[replace ? "replaceState" : "pushState"](null, "", `#${asked}`);
}

// What people search for. The keys that follow are meant for what is found, see `waits`.
async function search() {
  clearTimeout(state.typed);
  state.typed = null;
  state.searches += 1;
  const found = await select();
  state.searches -= 1;
  if (!found) state.held.length = 0;
  while (!searching() && state.held.length) handle(state.held.shift());
}

const searching = () => state.searches > 0 || state.typed !== null;

// Show the frames of the search; return whether the newest search could be answered.
async function select(keepPlace = false) {
  const asked = new URLSearchParams({ q: byId("query").value, order: byId("order").value });
  const turn = (state.turn = (state.turn ?? 0) + 1);
  try {
    const [found, runs] = await Promise.all([get(`api/select?${asked}`), get("api/runs")]);
    if (turn !== state.turn) return true;
    if (keepPlace && !idle()) return offerNews();
    Object.assign(state, { runs, version: found.version, facets: found.facets, statuses: found.statuses });
    problem("");
    byId("news").hidden = true;
    // The same search again, such as after the last key of a word, moves nobody.
    grid.show(found, keepPlace || state.shown === String(asked));
    state.shown = String(asked);
    drawSide();
    return true;
  } catch (error) {
    if (turn === state.turn) problem(error.message);
    return turn !== state.turn;
  }
}

function problem(text) {
  byId("problem").textContent = text;
  byId("problem").hidden = !text;
}

// What is new

function onNews(news) {
  const before = state.news;
  state.news = news;
  drawFooter();
  if (news.version === state.version) return;
  if (idle() && (newFrames() > 0 || !before)) later(() => select(true));
  else offerNews();
}

// Whether nobody would miss what is shown.
const idle = () => !state.open && !state.draft.size && !grid.chosen.size && !searching() && byId("grid").scrollTop < 10;
const newFrames = () => state.news.frames - state.runs.reduce((sum, run) => sum + run.frames, 0);

function offerNews() {
  if (newFrames() > 0) {
    byId("news").textContent = `${count(newFrames(), "new frame")}: show`;
    byId("news").hidden = false;
  } else grid.reload();
  return true;
}

// While a catalogue is read, news come with each run: one look at the newest is enough.
function later(work) {
  if (state.later) return;
  state.later = setTimeout(() => {
    state.later = null;
    if (searching()) later(work);
    else work();
  }, 250);
}

// Words of a frame

function mainTag(held) {
  const ranked = held.map((name) => tags.get(name)).filter((tag) => tag?.rank);
  return ranked.length ? ranked.reduce((best, tag) => (tag.rank < best.rank ? tag : best)).name : "";
}

function describe(row) {
  const run = state.runs[row.run];
  const missing = row.status !== 0;
  const status = state.about.statuses[row.status] ?? "unknown";
  const main = mainTag(row.tags);
  const held = row.tags.join(", ") || "no tags";
  return {
    missing,
    colour: tags.get(main)?.colour ?? "#7a828e",
    words: missing ? `⚠ ${status}` : main || "no tag",
    label: `scan ${run?.scan_id ?? "?"}, frame ${row.position + 1}: ${missing ? status : held}${row.person ? `, corrected by ${row.person}` : ""}`,
    thumbnail: run ? `thumbnails/${run.uid}/${row.position}` : "",
  };
}

// Filters at the side: they write into the search field, where everybody can read what they mean.

function words() {
  return byId("query").value.split(/\s+/).filter(Boolean);
}

function setWords(list) {
  byId("query").value = list.join(" ");
  writeAddress();
  search();
}

function turn(word) {
  const list = words();
  if (list.includes(word)) setWords([...list.filter((each) => each !== word), `-${word}`]);
  else if (list.includes(`-${word}`)) setWords(list.filter((each) => each !== `-${word}`));
  else setWords([...list, word]);
}

function filter(word, name, number, colour, title) {
  const list = words();
  const button = element("button", { type: "button", title });
  if (colour) {
    const dot = element("span", { className: "dot" });
    dot.style.setProperty("--colour", colour);
    button.append(dot);
  }
  button.append(element("span", { className: "name", textContent: name }), element("span", { className: "number", textContent: number }));
  const without = list.includes(`-${word}`);
  button.setAttribute("aria-pressed", list.includes(word));
  if (without) {
    button.dataset.state = "without";
    button.setAttribute("aria-label", `without ${name}`);
  }
  button.onclick = () => turn(word);
  return element("li", {}, button);
}

function drawSide() {
  const shown = state.about.tags.filter(({ name }) => state.facets[name] || words().some((word) => word.replace(/^-/, "") === name));
  fill(byId("tags"), ...shown.map(({ name, colour, definition }) => filter(name, name, state.facets[name] ?? 0, colour, definition)));
  fill(
    byId("outcomes"),
    ...Object.entries(state.statuses).map(([name, number]) => filter(`status:${name}`, name === "ok" ? "ok" : `⚠ ${name}`, number, "", `frames that are ${name}`)),
    filter("corrected", "corrected", state.facets.corrected ?? 0, "", "frames that somebody corrected"),
  );
  const runs = [...state.runs].sort((one, other) => other.time - one.time).slice(0, 200);
  fill(byId("runs"), ...runs.map((run) => filter(`run:${run.uid.slice(0, 8)}`, `${run.scan_id || "–"} ${run.plan}`, run.frames, "", `${new Date(1000 * run.time).toLocaleString()} ${run.sample} ${run.model}`)));
}

function drawFooter() {
  const { news } = state;
  let text = count(grid.total, "frame");
  if (news?.loading) text += ` of ${news.frames.toLocaleString("en")}, reading the catalogue …`;
  if (grid.chosen.size) text += ` · ${grid.chosen.size.toLocaleString("en")} chosen`;
  if (news?.trouble) text += ` · ⚠ ${news.trouble}`;
  if (!state.connected && news) text += " · ⚠ no connection to the server, trying again";
  byId("count").textContent = text;
  byId("nothing").hidden = grid.total > 0;
  byId("nothing").textContent = words().length
    ? "No frame meets this search."
    : news?.loading ? "Reading the catalogue …"
    : news?.without_tags ? `The ${count(news.without_tags, "run")} of this catalogue have no tags: xtag replay tags them.` : "This catalogue has no runs yet. New ones appear here by themselves.";
  drawDraft();
}

// Corrections: keys change a draft, Enter stores it.

function target() {
  if (state.open) return state.frame ? [{ run: state.frame.run.number, position: state.frame.position, tags: state.frame.tags }] : [];
  const places = grid.chosen.size ? [...grid.chosen] : [grid.current];
  return places.map((place) => grid.row(place)).filter(Boolean);
}

function press(name) {
  if (state.about.read_only) return;
  const rows = target();
  if (!rows.length) return;
  const held = rows.every((row) => row.tags.includes(name));
  const turns = rows.length === 1 || state.open ? [!held] : [!held, held];
  const next = turns[turns.indexOf(state.draft.get(name)) + 1];
  if (state.draft.has(name) && next === undefined) state.draft.delete(name);
  else state.draft.set(name, state.draft.has(name) ? next : turns[0]);
  drawFooter();
  drawScores();
}

function drawDraft() {
  const parts = [...state.draft].map(([name, holds]) => `${holds ? "+" : "−"} ${name}`);
  const frames = state.open ? "" : ` on ${count(grid.chosen.size || 1, "frame")}`;
  byId("draft").textContent = parts.length ? `${parts.join("  ")}${frames}: Enter stores, . clears` : "";
}

function clearDraft() {
  if (!state.draft.size) return false;
  state.draft.clear();
  drawFooter();
  drawScores();
  return true;
}

async function store({ confirm, next }) {
  if (state.about.read_only) return;
  const by = byId("person").value.trim();
  if (!by) {
    byId("person").focus();
    problem("Say who you are: your initials are stored with each correction.");
    return;
  }
  const add = [...state.draft].filter(([, holds]) => holds).map(([name]) => name);
  const remove = [...state.draft].filter(([, holds]) => !holds).map(([name]) => name);
  if (!confirm && !add.length && !remove.length) return;
  let rows = target();
  if (!state.open && grid.chosen.size) {
    const places = [...grid.chosen].sort((one, other) => one - other);
    rows = [];
    for (const place of places) {
      if (!grid.row(place)) await grid.load(Math.floor(place / 200));
      if (grid.row(place)) rows.push(grid.row(place));
    }
  }
  if (!rows.length) return;
  const names = rows.map((row) => `${row.run}:${row.position}`);
  const frames = rows.map((row) => [state.runs[row.run].uid, row.position]);
  const change = (row) => {
    row.tags = [...row.tags.filter((name) => !remove.includes(name)), ...add.filter((name) => !row.tags.includes(name))];
    row.person = by;
  };
  for (const row of loaded(names)) change(row);
  for (const name of names) grid.pending.add(name);
  const entry = { frames };
  entry.id = outbox.put({ frames, add, remove, by, note: byId("note").value.trim(), confirm }, (trouble) => {
    for (const name of names) grid.pending.delete(name);
    if (trouble) {
      state.undo = state.undo.filter((each) => each !== entry);
      problem(`Not stored: ${trouble}`);
      showAgain();
    }
    grid.refresh();
  });
  state.undo.push(entry);
  state.draft.clear();
  grid.refresh();
  drawFooter();
  if (next) step(1);
  else if (state.open) drawScores();
}

// The rows of frames that are in the grid now.
function loaded(names) {
  const wanted = new Set(names);
  return [...grid.chunks.values()].flat().filter((row) => wanted.has(`${row.run}:${row.position}`));
}

function undo() {
  const entry = state.undo.pop();
  if (!entry) {
    problem("There is nothing to undo on this page.");
    return;
  }
  outbox.put({ retracts: entry.id, frames: entry.frames, by: byId("person").value.trim() }, (trouble) => {
    if (trouble) problem(`Not undone: ${trouble}`);
    showAgain();
  });
}

// What is shown, as it is now on the server.
function showAgain() {
  grid.reload();
  if (state.open) openFrame(null, state.open, true);
}

function drawOutbox(box) {
  const waits = box.waiting.length;
  byId("outbox").classList.toggle("failed", Boolean(waits && box.problem));
  byId("outbox").textContent = waits
    ? box.problem ? `${count(waits, "correction")} not stored yet (${box.problem}), trying again` : `storing ${waits} …`
    : box.stored ? `${count(box.stored, "correction")} stored` : "";
}

// One frame

async function openPlace(place) {
  grid.current = place;
  const [row] = await grid.rows(place, place);
  if (row) openFrame(row);
}

async function openFrame(row, name = null, again = false) {
  const open = name ?? `${state.runs[row.run]?.uid}/${row.position}`;
  const opening = !state.open;
  state.open = open;
  if (!again) state.draft.clear();
  byId("frame").hidden = false;
  byId("grid").inert = byId("side").inert = true;
  writeAddress(!opening);
  if (!again) viewer.show(open);
  if (opening) byId("canvas").focus({ preventScroll: true });
  try {
    const frame = await get(`api/frames/${open}`);
    if (state.open !== open) return;
    state.frame = frame;
    drawFrame();
    map.show(frame.run.uid, frame.position, state.news?.version);
    ahead();
  } catch (error) {
    problem(error.message);
  }
}

function closeFrame(write = true) {
  state.open = state.frame = null;
  state.draft.clear();
  byId("frame").hidden = true;
  byId("grid").inert = byId("side").inert = false;
  if (write) writeAddress();
  byId("grid").focus({ preventScroll: true });
  grid.reveal();
}

async function step(by) {
  if (!state.open) {
    if (!grid.chosen.size) grid.go(grid.current + by);
    return;
  }
  const place = grid.current + by;
  if (place < 0 || place >= grid.total) {
    problem(by > 0 ? "This was the last frame of the search." : "This was the first frame of the search.");
    openFrame(null, state.open, true);
    return;
  }
  grid.current = place;
  const [row] = await grid.rows(place, place);
  if (row && grid.current === place) openFrame(row);
}

// The pixels of the next frame come while a person looks at this one.
function ahead() {
  const row = grid.row(grid.current + 1);
  const run = row && state.runs[row.run];
  if (run && viewer.view === "pixels") fetch(`api/frames/${run.uid}/${row.position}/pixels`, { priority: "low" }).catch(() => {});
}

function drawFrame() {
  const { frame } = state;
  const { run } = frame;
  byId("title").textContent = `Scan ${run.scan_id || run.uid.slice(0, 8)} · point ${frame.seq_num}${frame.index ? `, image ${frame.index}` : ""}`;
  const row = grid.row(grid.current);
  const here = row && state.runs[row.run]?.uid === run.uid && row.position === frame.position;
  const where = here ? `${(grid.current + 1).toLocaleString("en")} of ${grid.total.toLocaleString("en")}` : "";
  const moved = Object.entries(frame.moved).filter(([, value]) => value !== null).map(([motor, value]) => `${motor} ${Number(value.toPrecision(6))}`);
  byId("about").textContent = [where, new Date(1000 * frame.time).toLocaleString(), ...moved, frame.key, run.sample, run.model, frame.status === "ok" ? "" : `⚠ ${frame.status}`].filter(Boolean).join(" · ");
  const said = frame.said.map((each) => {
    const what = [["+", each.added], ["−", each.removed]].filter(([, names]) => names.length).map(([sign, names]) => `${sign} ${names.join(" ")}`).join("  ");
    return element("li", { textContent: `${each.by}, ${new Date(1000 * each.time).toLocaleString()}: ${what || "took a correction back"}${each.note ? ` (${each.note})` : ""}` });
  });
  fill(byId("said"), ...said);
  byId("like").disabled = frame.status !== "ok";
  drawScores();
}

function drawScores() {
  const { frame } = state;
  if (!state.open || !frame) return;
  const names = [...new Set([...Object.keys(frame.scores), ...frame.tags])];
  fill(byId("scores"), ...names.map((name) => scoreLine(name, frame)));
}

function scoreLine(name, frame) {
  const drafted = state.draft.get(name);
  const holds = drafted ?? frame.tags.includes(name);
  const score = frame.scores[name];
  const bar = element("span", { className: "score" });
  if (score !== null && score !== undefined) {
    const [inner, threshold] = [element("i"), element("b")];
    inner.style.setProperty("--width", `${100 * score}%`);
    inner.style.setProperty("--colour", holds ? tags.get(name)?.colour ?? "#7a828e" : "var(--line-strong)");
    threshold.style.setProperty("--threshold", `${100 * frame.thresholds[name]}%`);
    bar.append(inner, threshold);
  }
  const button = element("button", { type: "button", title: tags.get(name)?.definition ?? "" },
    element("kbd", { textContent: tags.get(name)?.key ?? "" }),
    element("span", { textContent: holds ? "✓" : "·" }),
    element("span", { className: "name", textContent: name }),
    bar,
    element("span", { className: "number", textContent: score === null || score === undefined ? "" : score.toFixed(2) }));
  button.className = `${holds ? "holds" : ""} ${drafted === undefined ? "" : "changed"}`;
  button.setAttribute("aria-pressed", holds);
  button.setAttribute("aria-label", `${name}, ${holds ? "holds" : "does not hold"}${drafted === undefined ? "" : ", changed"}${score === null || score === undefined ? "" : `, score ${score.toFixed(2)}`}`);
  button.onclick = () => press(name);
  return element("li", {}, button);
}

// Keys

document.addEventListener("keydown", (event) => {
  if (!grid || byId("help").open) return;
  const typing = event.target.matches("input:not([type=range], [type=checkbox]), select, textarea");
  if (typing) {
    if (event.key === "Escape" || (event.key === "Enter" && event.target.closest("footer"))) place();
    return;
  }
  if (waits(event)) {
    if (!event.repeat) state.held.push(event);
    event.preventDefault();
  } else if (handle(event)) event.preventDefault();
});

// Keys that would act on frames wait while a search is under way. Escape forgets them.
function waits(event) {
  const { key } = event;
  if (key === "Escape") state.held.length = 0;
  if (!searching() || state.open || event.altKey || event.target.matches("button, a")) return false;
  if (event.ctrlKey || event.metaKey) return key === "a" || key === "z";
  return (key.length === 1 && key !== "/" && key !== "?") || /^(Enter|Backspace|Home|End|Page(Up|Down)|Arrow.*)$/.test(key);
}

function handle(event) {
  const { key } = event;
  if ((event.ctrlKey || event.metaKey) && key === "z") undo();
  else if ((event.ctrlKey || event.metaKey) && key === "a" && !state.open) grid.chooseAll(MOST);
  else if (event.ctrlKey || event.metaKey || event.altKey) return false;
  else if (key === "Backspace") undo();
  else if (key === "/") byId("query").focus();
  else if (key === "?") openHelp();
  else if (key === ".") clearDraft();
  else if (key === "Escape") {
    problem("");
    if (!clearDraft() && state.open) closeFrame();
    else if (!state.open) grid.clear();
  } else if (event.target.matches("button, a") && (key === "Enter" || key === " ")) return false;
  else if (key === "Enter") {
    if (state.open) store({ confirm: !event.shiftKey, next: true });
    else if (state.draft.size) store({ confirm: false, next: true });
    else openPlace(grid.current);
  } else if (state.open && (key === "ArrowRight" || key === "ArrowLeft")) step(key === "ArrowRight" ? 1 : -1);
  else if (state.open && viewer.key(event)) return true;
  else if (!state.open && !event.target.matches("button, a") && grid.key(event)) return true;
  else {
    const tag = state.about.tags.find((each) => each.key === key);
    if (!tag) return false;
    press(tag.name);
  }
  return true;
}

const place = () => byId(state.open ? "canvas" : "grid").focus({ preventScroll: true });

function openHelp() {
  showHelp(state.about);
}

// Everything else that can be clicked

byId("search").addEventListener("submit", (event) => event.preventDefault());
byId("query").addEventListener("input", () => {
  clearTimeout(state.typed);
  state.typed = setTimeout(searchTyped, 180);
});
byId("query").addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  if (state.typed !== null) searchTyped();
  place();
});

function searchTyped() {
  writeAddress(true);
  search();
}

byId("order").addEventListener("change", () => {
  writeAddress();
  search();
});
byId("size").addEventListener("input", () => {
  grid.size = Number(byId("size").value);
  keep("size", byId("size").value);
  grid.layout();
});
byId("theme").onclick = () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
byId("help-open").onclick = openHelp;
byId("news").onclick = search;
byId("back").onclick = () => closeFrame();
byId("previous").onclick = () => step(-1);
byId("next").onclick = () => step(1);
byId("keep").onclick = () => store({ confirm: true, next: true });
byId("like").onclick = () => {
  setOrder(`like:${state.frame.run.uid}:${state.frame.position}`);
  byId("query").value = "";
  closeFrame(false);
  writeAddress();
  search();
};
byId("person").addEventListener("change", () => keep("person", byId("person").value.trim()));
window.addEventListener("popstate", readAddress);

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  keep("theme", theme);
  map?.draw();
}

function recall(name) {
  try {
    return localStorage.getItem(`xtag-page:${name}`);
  } catch {
    return null;
  }
}

function keep(name, value) {
  try {
    localStorage.setItem(`xtag-page:${name}`, value);
  } catch { /* it is asked for again */ }
}

document.documentElement.dataset.theme = recall("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
start().then(
  () => {
    if (recall("size")) {
      byId("size").value = recall("size");
      grid.size = Number(byId("size").value);
      grid.layout();
    }
    place();
  },
  (error) => problem(error.message),
);
