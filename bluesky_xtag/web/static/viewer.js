// One frame at its full resolution: zoom, pan, scales, mask, and what lies under the cursor.

import { byId } from "./elements.js";
import { pixels } from "./client.js";

const GAP_COLOUR = [0xc4, 0xc9, 0xd1];
const LEAST = 1.8; // of the logarithm from black to white, as on all pictures of this package

export class Viewer {
  constructor(colours) {
    this.colours = colours; // 256 × red, green, blue
    this.canvas = byId("canvas");
    this.image = null;
    this.source = document.createElement("canvas");
    this.zoom = 0; // 0: as large as fits
    this.log = true;
    this.view = "pixels";
    this.asked = null;
    this.painted = 0; // the block of what was painted
    new ResizeObserver(() => this.draw()).observe(byId("screen"));
    this.listen();
    this.drawColourbar();
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomBy(Math.exp(-event.deltaY / 300), event.offsetX, event.offsetY);
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.drag = [event.offsetX - this.left, event.offsetY - this.top];
    });
    canvas.addEventListener("pointermove", (event) => {
      if (this.drag) {
        this.freeze();
        [this.left, this.top] = [event.offsetX - this.drag[0], event.offsetY - this.drag[1]];
        this.draw();
      }
      this.read(event.offsetX, event.offsetY);
    });
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { this.drag = null; });
    canvas.addEventListener("pointerleave", () => { byId("cursor").textContent = ""; });
    canvas.addEventListener("dblclick", () => this.fit());
    byId("fit").onclick = () => this.fit();
    byId("scale-log").onclick = () => this.setLog(true);
    byId("scale-linear").onclick = () => this.setLog(false);
    byId("view-detector").onclick = () => this.setView("pixels");
    byId("view-polar").onclick = () => this.setView("polar");
    for (const id of ["low", "high", "masked"]) byId(id).onchange = () => this.paint();
    byId("centred").onchange = () => this.draw();
  }

  // Keys of the picture; letters belong to the tags. False if it is none.
  key(event) {
    const middle = [this.canvas.clientWidth / 2, this.canvas.clientHeight / 2];
    if (event.key === "=" || event.key === "+") this.zoomBy(1.5, ...middle);
    else if (event.key === "-") this.zoomBy(1 / 1.5, ...middle);
    else if (event.key === "`") this.setLog(!this.log);
    else if (event.key === ",") this.setView(this.view === "polar" ? "pixels" : "polar");
    else return false;
    return true;
  }

  setLog(log) {
    this.log = log;
    byId("scale-log").setAttribute("aria-pressed", log);
    byId("scale-linear").setAttribute("aria-pressed", !log);
    this.paint();
  }

  setView(view) {
    this.view = view;
    byId("view-detector").setAttribute("aria-pressed", view === "pixels");
    byId("view-polar").setAttribute("aria-pressed", view === "polar");
    this.zoom = 0;
    byId("cursor").textContent = "";
    if (this.frame) this.show(this.frame);
  }

  async show(frame) {
    this.frame = frame;
    this.asked?.abort();
    this.asked = new AbortController();
    const { signal } = this.asked;
    const waits = setTimeout(() => this.tell("Reading the pixels …"), 150);
    try {
      const image = await pixels(`api/frames/${frame}/${this.view}`, { signal });
      const same = this.image && image.rows === this.image.rows && image.columns === this.image.columns;
      if (!same) this.zoom = 0;
      this.image = image;
      this.painted = 0;
      this.tell("");
      this.draw();
    } catch (error) {
      if (error.name === "AbortError") return;
      this.image = null;
      this.draw();
      this.tell(error.message);
    } finally {
      clearTimeout(waits);
    }
  }

  tell(text) {
    byId("no-picture").textContent = text;
    byId("no-picture").hidden = !text;
  }

  // From which value on pixels are black, and white. The polar view holds logarithms already.
  limits() {
    const { percentiles } = this.image;
    const scale = this.scale();
    const low = scale(percentiles[byId("low").value]);
    const high = scale(percentiles[byId("high").value]);
    const least = this.view === "polar" ? 0.1 : this.log ? LEAST : 1;
    return [low, Math.max(high, low + least)];
  }

  scale() {
    return this.log && this.view !== "polar" ? Math.log1p : (value) => value;
  }

  // Where several pixels share one of the screen, the brightest is drawn, so that single photons and spots stay.
  paint() {
    const { image, colours } = this;
    if (!image) return;
    const block = this.block;
    const [columns, rows] = [Math.ceil(image.columns / block), Math.ceil(image.rows / block)];
    this.source.width = columns;
    this.source.height = rows;
    const context = this.source.getContext("2d");
    const painted = context.createImageData(columns, rows);
    const out = painted.data;
    const [low, high] = this.limits();
    const factor = 255 / (high - low);
    const scale = this.scale();
    const masked = byId("masked").checked;
    let to = 0;
    for (let row = 0; row < image.rows; row += block) {
      for (let column = 0; column < image.columns; column += block, to += 4) {
        const value = block === 1 ? this.value(row * image.columns + column, masked) : this.brightest(row, column, block, masked);
        if (value < 0) [out[to], out[to + 1], out[to + 2]] = GAP_COLOUR;
        else {
          const level = (scale(value) - low) * factor;
          const from = 3 * (level <= 0 ? 0 : level >= 255 ? 255 : level | 0);
          out[to] = colours[from];
          out[to + 1] = colours[from + 1];
          out[to + 2] = colours[from + 2];
        }
        out[to + 3] = 255;
      }
    }
    context.putImageData(painted, 0, 0);
    this.painted = block;
    const back = this.log && this.view !== "polar" ? Math.expm1 : (value) => value;
    byId("range").textContent = `${short(back(low))} … ${short(back(high))} ${this.view === "polar" ? "(log counts)" : "counts"}`;
    this.draw();
  }

  value(at, masked) {
    return masked && this.image.isInvalid(at) ? -1 : this.image.values[at];
  }

  brightest(top, left, block, masked) {
    const { rows, columns } = this.image;
    const [bottom, right] = [Math.min(top + block, rows), Math.min(left + block, columns)];
    let found = -1;
    for (let row = top; row < bottom; row += 1) {
      for (let at = row * columns + left; at < row * columns + right; at += 1) {
        const value = this.value(at, masked);
        if (value > found) found = value;
      }
    }
    return found;
  }

  // How many pixels a side share one of the screen.
  get block() {
    const ratio = window.devicePixelRatio || 1;
    return Math.max(1, Math.ceil(1 / ((this.shown || 1) * ratio) - 0.05));
  }

  draw() {
    const { canvas, image } = this;
    const ratio = window.devicePixelRatio || 1;
    const [wide, high] = [canvas.clientWidth, canvas.clientHeight];
    if (canvas.width !== Math.round(wide * ratio) || canvas.height !== Math.round(high * ratio)) {
      canvas.width = Math.round(wide * ratio);
      canvas.height = Math.round(high * ratio);
    }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, wide, high);
    if (!image) return;
    if (!this.zoom) {
      this.shown = Math.min(wide / image.columns, high / image.rows) * 0.98;
      this.left = (wide - image.columns * this.shown) / 2;
      this.top = (high - image.rows * this.shown) / 2;
    } else this.shown = this.zoom;
    if (this.block !== this.painted) {
      this.paint(); // which draws
      return;
    }
    context.imageSmoothingEnabled = false;
    const side = this.shown * this.painted;
    context.drawImage(this.source, this.left, this.top, this.source.width * side, this.source.height * side);
    if (image.centre && byId("centred").checked) this.drawCentre(context);
  }

  drawCentre(context) {
    const x = this.left + (this.image.centre[0] + 0.5) * this.shown;
    const y = this.top + (this.image.centre[1] + 0.5) * this.shown;
    for (const [colour, width] of [["#000", 4], ["#5fe3ff", 1.6]]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.beginPath();
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(x + 4 * dx, y + 4 * dy);
        context.lineTo(x + 13 * dx, y + 13 * dy);
      }
      context.stroke();
    }
  }

  freeze() {
    if (!this.zoom) this.zoom = this.shown;
  }

  zoomBy(factor, x, y) {
    if (!this.image) return;
    this.freeze();
    const zoom = Math.min(Math.max(this.zoom * factor, 0.02), 80);
    this.left = x - ((x - this.left) * zoom) / this.zoom;
    this.top = y - ((y - this.top) * zoom) / this.zoom;
    this.zoom = zoom;
    this.draw();
  }

  fit() {
    this.zoom = 0;
    this.draw();
  }

  read(x, y) {
    const { image } = this;
    if (!image) return;
    const [column, row] = [Math.floor((x - this.left) / this.shown), Math.floor((y - this.top) / this.shown)];
    if (column < 0 || row < 0 || column >= image.columns || row >= image.rows) {
      byId("cursor").textContent = "";
      return;
    }
    const at = row * image.columns + column;
    const value = image.isInvalid(at) ? "masked" : short(image.values[at]);
    const words = this.view === "polar" ? [`radius ${row}`, `azimuth ${Math.round((360 * column) / image.columns)}°`] : [`column ${column}`, `row ${row}`];
    if (image.centre) {
      const [dx, dy] = [column - image.centre[0], row - image.centre[1]];
      words.push(`r ${Math.hypot(dx, dy).toFixed(1)} px`, `φ ${((Math.atan2(dy, dx) * 180) / Math.PI).toFixed(1)}°`);
    }
    byId("cursor").textContent = [...words, value].join(" · ");
  }

  drawColourbar() {
    const context = byId("colourbar").getContext("2d");
    const bar = context.createImageData(256, 1);
    for (let at = 0; at < 256; at += 1) bar.data.set([...this.colours.slice(3 * at, 3 * at + 3), 255], 4 * at);
    context.putImageData(bar, 0, 0);
  }
}

export function short(value) {
  if (Number.isInteger(value)) return String(value);
  return Math.abs(value) >= 1000 ? value.toFixed(0) : value.toPrecision(3);
}
