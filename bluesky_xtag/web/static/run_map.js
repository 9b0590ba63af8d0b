// The map of a run: where its frames were taken, coloured by tag or by score. Two motors: a map; one: a line; none: a strip.

import { byId, element, fill } from "./elements.js";
import { get } from "./client.js";

// Viridis at nine places: its brightness grows evenly, so colour-blind people read it, too.
const SCALE = ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"];
const MARGIN = { left: 44, right: 8, top: 8, bottom: 30 };

export class RunMap {
  constructor(onOpen, mainTag, colourOf) {
    Object.assign(this, { onOpen, mainTag, colourOf });
    this.canvas = byId("map");
    this.run = null;
    this.canvas.addEventListener("click", (event) => {
      const place = this.nearest(event.offsetX, event.offsetY);
      if (place !== null) this.onOpen(this.run.uid, place);
    });
    byId("map-colour").onchange = () => this.load(true);
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  async show(uid, position, version) {
    this.position = position;
    const known = `${uid} ${version}`;
    if (this.known !== known) {
      this.known = known;
      this.uid = uid;
      await this.load(false);
    } else this.draw();
  }

  async load(keepChoice) {
    const choice = byId("map-colour");
    const wanted = choice.value;
    const uid = this.uid;
    try {
      const run = await get(`api/runs/${uid}?score=${encodeURIComponent(wanted === "" ? "" : wanted)}`);
      if (uid !== this.uid) return;
      this.run = run;
    } catch {
      return; // the frame is shown all the same
    }
    if (!keepChoice) {
      const names = ["", ...this.run.taxonomy];
      fill(choice, ...names.map((name) => element("option", { value: name, textContent: name || "tag that says most", selected: name === wanted })));
    }
    this.place();
    this.draw();
  }

  // Where each frame lies: by the two motors that moved fastest.
  place() {
    const { run } = this;
    const spread = run.motors.map((motor) => {
      const values = run.moved[motor].filter((value) => value !== null);
      return [motor, values.length ? Math.max(...bounds(values)) - Math.min(...bounds(values)) : 0];
    });
    const moving = spread.filter(([, width]) => width > 0).map(([motor]) => motor);
    const numbers = run.statuses.map((_, at) => at);
    if (moving.length >= 2) this.axes = moving.slice(-2).sort(); // x before y, horizontal before vertical
    else this.axes = [moving[0] ?? null, null];
    const [across, up] = this.axes;
    this.x = across === null ? numbers : run.moved[across];
    this.y = up === null ? numbers.map(() => 0) : run.moved[up];
  }

  draw() {
    const { canvas, run } = this;
    const ratio = window.devicePixelRatio || 1;
    const [wide, high] = [canvas.clientWidth, canvas.clientHeight];
    if (!wide || !run || !this.x) return;
    canvas.width = Math.round(wide * ratio);
    canvas.height = Math.round(high * ratio);
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const style = getComputedStyle(document.documentElement);
    const [ink, soft, line] = ["--ink", "--soft", "--line"].map((name) => style.getPropertyValue(name));
    const [left, right] = bounds(this.x);
    const [bottom, top] = bounds(this.y);
    const inner = [wide - MARGIN.left - MARGIN.right, high - MARGIN.top - MARGIN.bottom];
    const step = this.axes[1] === null ? [inner[0] / Math.max(run.statuses.length, 1), inner[1]] : pitch(this.x, this.y, inner);
    const size = [Math.max(2, Math.min(step[0], 46)), this.axes[1] === null ? inner[1] * 0.7 : Math.max(2, Math.min(step[1], 46))];
    const across = (value) => MARGIN.left + size[0] / 2 + (right > left ? (value - left) / (right - left) : 0.5) * (inner[0] - size[0]);
    const up = (value) => high - MARGIN.bottom - size[1] / 2 - (top > bottom ? (value - bottom) / (top - bottom) : 0.5) * (inner[1] - size[1]);
    this.points = [];
    const legend = new Map();
    run.statuses.forEach((status, at) => {
      if (this.x[at] === null || this.y[at] === null) return;
      const [x, y] = [across(this.x[at]), up(this.y[at])];
      this.points.push([x, y, at]);
      const [colour, name] = this.colour(at, status);
      if (name) legend.set(name, colour);
      context.fillStyle = colour;
      context.fillRect(x - size[0] / 2 + 0.5, y - size[1] / 2 + 0.5, Math.max(size[0] - 1, 1), Math.max(size[1] - 1, 1));
      if (status !== 0) this.cross(context, x, y, Math.min(...size) / 3, ink);
    });
    const here = this.points.find(([, , at]) => at === this.position);
    if (here) {
      context.lineWidth = 2.5;
      context.strokeStyle = ink;
      context.strokeRect(here[0] - size[0] / 2 - 1, here[1] - size[1] / 2 - 1, size[0] + 2, size[1] + 2);
    }
    this.label(context, soft, line, wide, high, [left, right], [bottom, top]);
    this.drawLegend(legend);
  }

  colour(at, status) {
    if (status !== 0) return ["#8a93a2", "no scores (×)"];
    if (byId("map-colour").value) {
      const score = this.run.scores[at];
      return score === null ? ["#8a93a2", "no score"] : [mix(score), ""];
    }
    const tag = this.mainTag(this.run.tags[at]);
    return [this.colourOf(tag), tag || "no tag"];
  }

  cross(context, x, y, size, colour) {
    context.strokeStyle = colour;
    context.lineWidth = 1.5;
    context.beginPath();
    context.moveTo(x - size, y - size);
    context.lineTo(x + size, y + size);
    context.moveTo(x + size, y - size);
    context.lineTo(x - size, y + size);
    context.stroke();
  }

  label(context, soft, line, wide, high, across, up) {
    context.fillStyle = soft;
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "left";
    const floor = high - MARGIN.bottom + 13;
    context.fillText(number(across[0]), MARGIN.left, floor);
    context.textAlign = "right";
    context.fillText(number(across[1]), wide - MARGIN.right, floor);
    context.textAlign = "center";
    context.fillText(this.axes[0] ?? "frame", (wide + MARGIN.left) / 2, floor);
    if (this.axes[1] === null) return;
    context.textAlign = "right";
    context.fillText(number(up[1]), MARGIN.left - 5, MARGIN.top + 9);
    context.fillText(number(up[0]), MARGIN.left - 5, high - MARGIN.bottom);
    context.fillText(this.axes[1], MARGIN.left - 5, (high - MARGIN.bottom + MARGIN.top) / 2);
  }

  drawLegend(legend) {
    if (byId("map-colour").value) {
      const parts = [0, 0.25, 0.5, 0.75, 1].map((score) => entry(mix(score), score.toFixed(2)));
      fill(byId("legend"), ...parts);
      return;
    }
    fill(byId("legend"), ...[...legend].sort().map(([name, colour]) => entry(colour, name)));
  }

  nearest(x, y) {
    let [found, least] = [null, 30 ** 2];
    for (const [px, py, at] of this.points ?? []) {
      const apart = (this.axes[1] === null ? 0 : (py - y) ** 2) + (px - x) ** 2;
      if (apart < least) [found, least] = [at, apart];
    }
    return found;
  }
}

export function entry(colour, name) {
  const dot = element("span", { className: "dot" });
  dot.style.setProperty("--colour", colour);
  return element("li", {}, dot, name);
}

export function bounds(values) {
  let [least, most] = [Infinity, -Infinity];
  for (const value of values) {
    if (value === null) continue;
    if (value < least) least = value;
    if (value > most) most = value;
  }
  return least <= most ? [least, most] : [0, 0];
}

// How large a place may be drawn: what fills the map if places are spread evenly.
export function pitch(x, y, inner) {
  const count = (values) => new Set(values.filter((value) => value !== null).map((value) => value.toPrecision(4))).size || 1;
  const [columns, rows, places] = [count(x), count(y), x.length];
  if (columns * rows <= 4 * places) return [inner[0] / columns, inner[1] / rows];
  const side = Math.sqrt((inner[0] * inner[1]) / places) * 0.6; // places without a raster
  return [side, side];
}

export function mix(score) {
  const at = Math.min(Math.max(score, 0), 1) * (SCALE.length - 1);
  const [low, part] = [Math.min(Math.floor(at), SCALE.length - 2), at - Math.min(Math.floor(at), SCALE.length - 2)];
  const parse = (colour) => [1, 3, 5].map((from) => parseInt(colour.slice(from, from + 2), 16));
  const [one, other] = [parse(SCALE[low]), parse(SCALE[low + 1])];
  return `rgb(${one.map((value, place) => Math.round(value + (other[place] - value) * part)).join(" ")})`;
}

export const number = (value) => (Number.isInteger(value) ? String(value) : Number(value.toPrecision(3)).toString());
