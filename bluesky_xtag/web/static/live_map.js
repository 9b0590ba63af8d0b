// The map of a running scan: two motors: a map; one: a line; none: a strip in the order of time.

import { byId } from "./elements.js";
import { drawCross, drawMark, palette } from "./live_marks.js";
import { ID, KEY, SCORES, TAGS, WHERE } from "./live_state.js";
import { bounds, number, pitch } from "./run_map.js";

const MOST = 150; // pixels of a place on a raster
const FREE = 46; // of one that lies anywhere
const STRIP = 56; // pixels of the places of a line
const ROW = 46; // of the scores of a tag below it, at most

export class LiveMap {
  constructor(onChoose) {
    this.canvas = byId("scan-map");
    this.run = null;
    this.canvas.addEventListener("click", (event) => {
      const place = this.nearest(event.offsetX, event.offsetY);
      if (place) onChoose(place[ID]);
    });
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  // What is shown: a run, its axes (columns of motors, null for the order of time), and how places look.
  show(shown) {
    Object.assign(this, shown);
    this.draw();
  }

  // The places of the image that is shown, in the order in which they were taken.
  places() {
    return this.run ? [...this.run.places.values()].filter((place) => place[KEY] === this.image) : [];
  }

  at(place, axis) {
    if (axis === null) return place[ID] + 1;
    return place[WHERE][this.run.fields.indexOf(axis)] ?? null;
  }

  draw() {
    const { canvas, run } = this;
    const ratio = window.devicePixelRatio || 1;
    const [wide, high] = [canvas.clientWidth, canvas.clientHeight];
    if (!wide || !high) return;
    canvas.width = Math.round(wide * ratio);
    canvas.height = Math.round(high * ratio);
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.points = [];
    if (!run?.about) return;
    const colours = palette();
    const flat = this.axes[1] === null;
    const margin = (this.margin = { left: flat ? 140 : 64, right: 18, top: 18, bottom: 40 });
    const places = this.places();
    const xs = places.map((place) => this.at(place, this.axes[0]));
    const ys = places.map((place) => (flat ? 0 : this.at(place, this.axes[1])));
    const next = this.nextPlace();
    const [left, right] = this.range(0, next ? [...xs, next[0]] : xs);
    const [bottom, top] = flat ? [0, 0] : this.range(1, next ? [...ys, next[1]] : ys);
    const inner = [wide - margin.left - margin.right, high - margin.top - margin.bottom];
    const known = xs.filter((value, at) => value !== null && ys[at] !== null).length;
    const step = this.step(xs, ys, inner);
    const size = flat ? [Math.max(2, Math.min(step[0], 40)), Math.min(inner[1], STRIP)] : step.map((each) => Math.max(4, Math.min(each, MOST)));
    this.size = size;
    const across = (value) => margin.left + size[0] / 2 + (right > left ? (value - left) / (right - left) : 0.5) * (inner[0] - size[0]);
    const up = (value) => (flat ? margin.top + size[1] / 2 : high - margin.bottom - size[1] / 2 - (top > bottom ? (value - bottom) / (top - bottom) : 0.5) * (inner[1] - size[1]));
    const rows = flat ? this.rows(places, high - margin.bottom - margin.top - size[1] - 22) : [];
    const floor = flat ? margin.top + size[1] + (rows.length ? 22 + rows.length * rows.step : 6) : high - margin.bottom;
    if (known) this.frameOf(context, colours, wide, floor, [left, right], [bottom, top], flat);
    const gap = size[0] > 6 ? 1 : 0;
    places.forEach((place, at) => {
      if (xs[at] === null || ys[at] === null) return;
      const [x, y] = [across(xs[at]), up(ys[at])];
      this.points.push([x, y, place]);
      drawMark(context, this.look(place), x, y, size[0] - gap, size[1] - gap, colours);
    });
    const chosen = this.points.find(([, , place]) => place[ID] === this.chosen);
    if (chosen) {
      context.lineWidth = 3;
      context.strokeStyle = colours.ink;
      context.strokeRect(chosen[0] - size[0] / 2 - 1, chosen[1] - size[1] / 2 - 1, size[0] + 2, size[1] + 2);
    }
    if (flat) this.drawScores(context, colours, places, xs.map((value) => (value === null ? null : across(value))), size, rows);
    if (next) drawCross(context, across(next[0]), up(flat ? 0 : next[1]), 1, colours);
  }

  // Which tags have a row below a line: those that were accepted most often, and how high a row is.
  rows(places, room) {
    const counts = new Map();
    for (const place of places) for (const at of place[TAGS]) counts.set(at, (counts.get(at) ?? 0) + 1);
    const often = [...counts].sort(([, one], [, other]) => other - one).slice(0, Math.max(Math.floor(room / 24), 0));
    const shown = often.map(([at]) => at).sort((one, other) => one - other);
    return Object.assign(shown, { step: Math.min(room / Math.max(shown.length, 1), ROW) });
  }

  // Their scores as bars.
  drawScores(context, colours, places, xs, size, shown) {
    const { margin, run } = this;
    const top = margin.top + size[1] + 22;
    const { step } = shown;
    const full = step - 8;
    const wide = Math.max(size[0] - 2, 1);
    shown.forEach((at, line) => {
      const floor = top + line * step + full;
      const name = run.about.tags[at];
      context.fillStyle = colours.ink;
      context.font = '12px system-ui, "DejaVu Sans", sans-serif';
      context.textAlign = "right";
      context.fillText(name, margin.left - 10, floor - full / 2 + 4);
      places.forEach((place, each) => {
        const score = place[SCORES][at];
        if (xs[each] === null || typeof score !== "number") return;
        context.fillStyle = colours.tile;
        context.fillRect(xs[each] - wide / 2, floor - full, wide, full);
        context.fillStyle = place[TAGS].includes(at) ? this.colourOf(name) : colours["line-strong"];
        context.fillRect(xs[each] - wide / 2, floor - full * score, wide, full * score);
      });
    });
  }

  // From where to where an axis goes: as far as the plan said, and as far as places lie.
  range(at, values) {
    const { extents, points } = this.run.about;
    const axis = this.axes[at];
    if (axis === null) return bounds([...values, 1, Math.min(points ?? 1, 5000)]);
    const told = extents?.[this.run.fields.indexOf(axis)];
    return bounds(told ? [...values, ...told] : values);
  }

  // How large a place is: as large as it will be when the scan is full.
  step(xs, ys, inner) {
    const { shape, points } = this.run.about;
    const [across, up] = this.axes.map((axis) => shape?.[this.run.fields.indexOf(axis)]);
    if (this.axes[1] === null) return [inner[0] / Math.max(new Set(xs).size, across ?? points ?? 1), inner[1]];
    if (across && up) return [inner[0] / across, inner[1] / up];
    const raster = pitch(xs, ys, inner);
    const side = Math.min(FREE, 0.6 * Math.sqrt((inner[0] * inner[1]) / Math.max(xs.length, points ?? 60)));
    return [Math.min(raster[0], side), Math.min(raster[1], side)];
  }

  // Where a plan takes its next frame, if it said so and the frame has not come yet.
  nextPlace() {
    const { run } = this;
    if (!run.next) return null;
    const where = this.axes.map((axis) => (axis === null ? null : run.next[run.fields.indexOf(axis)] ?? null));
    return where[0] === null || (this.axes[1] !== null && where[1] === null) ? null : where;
  }

  frameOf(context, colours, wide, floor, across, up, flat) {
    const { margin } = this;
    const [x, y] = [margin.left, margin.top];
    context.strokeStyle = colours.line;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(x, floor + 4);
    context.lineTo(wide - margin.right, floor + 4);
    if (!flat) {
      context.moveTo(x - 4, y);
      context.lineTo(x - 4, floor);
    }
    context.stroke();
    context.fillStyle = colours.soft;
    context.font = '12px system-ui, "DejaVu Sans", sans-serif';
    const words = (text, align, tx, ty) => {
      context.textAlign = align;
      context.fillText(text, tx, ty);
    };
    words(number(across[0]), "left", x, floor + 20);
    words(number(across[1]), "right", wide - margin.right, floor + 20);
    words(this.axes[0] ?? "frame, in the order of time", "center", (x + wide - margin.right) / 2, floor + 20);
    if (flat) return;
    words(number(up[1]), "right", x - 9, y + 12);
    words(number(up[0]), "right", x - 9, floor);
    context.save();
    context.translate(16, (y + floor) / 2);
    context.rotate(-Math.PI / 2);
    words(this.axes[1], "center", 0, 0);
    context.restore();
  }

  // The place at a point; where frames lie on each other, the one that was taken last.
  nearest(x, y) {
    let [found, least] = [null, Math.max(40, Math.hypot(...(this.size ?? [0])) / 2) ** 2];
    for (const [px, py, place] of this.points ?? []) {
      const apart = (this.axes[1] === null ? 0 : (py - y) ** 2) + (px - x) ** 2;
      if (apart <= least) [found, least] = [place, apart];
    }
    return found;
  }
}
