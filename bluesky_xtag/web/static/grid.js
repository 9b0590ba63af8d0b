// The grid of thumbnails. Only the tiles that are seen exist, so 100,000 frames scroll as fast as a hundred.

import { get } from "./client.js";
import { element } from "./elements.js";

const CHUNK = 200; // rows of one question
const KEPT = 60; // chunks that are kept
const SPARE = 2; // rows of tiles above and below what is seen

export class Grid {
  constructor(main, sizer, { onOpen, onChange, describe }) {
    Object.assign(this, { main, sizer, onOpen, onChange, describe });
    this.total = 0;
    this.selection = "";
    this.current = 0;
    this.chosen = new Set();
    this.anchor = 0;
    this.chunks = new Map();
    this.asked = new Set();
    this.tiles = new Map(); // place -> tile
    this.free = [];
    this.size = 124;
    this.pending = new Set(); // frames whose correction is on its way
    main.addEventListener("scroll", () => this.schedule(), { passive: true });
    main.addEventListener("click", (event) => this.click(event));
    main.addEventListener("dblclick", (event) => this.place(event) !== null && this.onOpen(this.place(event)));
    new ResizeObserver(() => this.layout()).observe(main);
  }

  show({ selection, total, start, tags, rows }, keepPlace = false) {
    const frame = keepPlace ? this.row(this.current) : null;
    this.selection = selection;
    this.total = total;
    this.chunks.clear();
    this.asked.clear();
    this.chosen.clear();
    this.keep(start / CHUNK, rows, tags);
    for (const tile of this.tiles.values()) this.release(tile);
    this.tiles.clear();
    this.current = 0;
    if (frame) {
      const at = rows.findIndex((row) => row[0] === frame.run && row[1] === frame.position);
      this.current = Math.max(at, 0);
    }
    this.layout();
    if (!keepPlace) this.main.scrollTop = 0;
    this.refresh();
    this.onChange();
    this.main.dispatchEvent(new CustomEvent("shown"));
  }

  keep(chunk, rows, tags) {
    const named = rows.map(([run, position, status, held, person, value]) => ({
      run, position, status, person, value, tags: held.map((at) => tags[at]),
    }));
    this.chunks.delete(chunk);
    this.chunks.set(chunk, named);
    for (const oldest of [...this.chunks.keys()].slice(0, -KEPT)) this.chunks.delete(oldest);
  }

  row(place) {
    return this.chunks.get(Math.floor(place / CHUNK))?.[place % CHUNK] ?? null;
  }

  // Rows from one place to another, asked for where they are not here.
  async rows(first, last) {
    const chunks = [];
    for (let chunk = Math.floor(first / CHUNK); chunk <= Math.floor(last / CHUNK); chunk += 1) chunks.push(chunk);
    await Promise.all(chunks.map((chunk) => this.load(chunk)));
    const found = [];
    for (let place = first; place <= last; place += 1) if (this.row(place)) found.push(this.row(place));
    return found;
  }

  async load(chunk, again = false) {
    if (!again && (this.chunks.has(chunk) || this.asked.has(chunk))) return;
    const selection = this.selection;
    this.asked.add(chunk);
    try {
      const part = await get(`api/rows?selection=${selection}&start=${chunk * CHUNK}&count=${CHUNK}`);
      if (selection === this.selection) {
        this.keep(chunk, part.rows, part.tags);
        this.refresh();
      }
    } catch (error) {
      if (error.status === 410) this.main.dispatchEvent(new CustomEvent("gone"));
    } finally {
      this.asked.delete(chunk);
    }
  }

  // The rows that are here, as they are now on the server: after corrections.
  async reload() {
    await Promise.all([...this.chunks.keys()].map((chunk) => this.load(chunk, true)));
  }

  layout() {
    const width = this.main.clientWidth - 12;
    if (width <= 0) return;
    const before = this.columns ? Math.floor(this.main.scrollTop / this.high) * this.columns : 0;
    this.columns = Math.max(1, Math.floor(width / (this.size + 6)));
    this.wide = Math.floor(width / this.columns);
    this.high = this.wide + 23;
    this.lines = Math.ceil(this.total / this.columns);
    this.sizer.style.height = `${this.lines * this.high + 12}px`;
    if (before) this.main.scrollTop = Math.floor(before / this.columns) * this.high;
    for (const tile of this.tiles.values()) this.release(tile);
    this.tiles.clear();
    this.schedule();
  }

  schedule() {
    if (this.waits) return;
    this.waits = true;
    requestAnimationFrame(() => {
      this.waits = false;
      this.draw();
    });
  }

  draw() {
    if (!this.columns || !this.total) return;
    const top = this.main.scrollTop;
    const first = Math.max(0, Math.floor(top / this.high) - SPARE) * this.columns;
    const last = Math.min(this.total, (Math.ceil((top + this.main.clientHeight) / this.high) + SPARE) * this.columns) - 1;
    for (const [place, tile] of this.tiles) {
      if (place < first || place > last) {
        this.release(tile);
        this.tiles.delete(place);
      }
    }
    for (let place = first; place <= last; place += 1) {
      if (!this.tiles.has(place)) this.tiles.set(place, this.take(place));
    }
    for (let chunk = Math.floor(first / CHUNK); chunk <= Math.floor(Math.max(last, 0) / CHUNK); chunk += 1) this.load(chunk);
  }

  take(place) {
    const tile = this.free.pop() ?? this.make();
    const [line, column] = [Math.floor(place / this.columns), place % this.columns];
    tile.style.transform = `translate(${6 + column * this.wide}px, ${6 + line * this.high}px)`;
    tile.style.width = `${this.wide}px`;
    tile.style.height = `${this.high}px`;
    tile.box.style.height = `${this.wide - 6}px`;
    tile.id = `tile-${place}`;
    tile.place = place;
    tile.setAttribute("aria-posinset", place + 1);
    tile.setAttribute("aria-setsize", this.total);
    tile.hidden = false;
    this.fill(tile);
    return tile;
  }

  make() {
    const image = element("img", { alt: "", decoding: "async", draggable: false });
    const text = element("span");
    const mark = element("span", { className: "mark" });
    const box = element("div", { className: "picture" }, image, text, mark);
    const dot = element("span", { className: "dot" });
    const name = element("span", { className: "main-tag" });
    const value = element("span", { className: "value" });
    const tile = element("div", { className: "tile" }, box, element("div", { className: "words" }, dot, name, value));
    tile.setAttribute("role", "option");
    Object.assign(tile, { box, image, text, mark, dot, name, value, shown: "" });
    image.onload = () => image.classList.remove("waiting");
    image.onerror = () => {
      if (!tile.shown) return;
      image.hidden = true;
      text.textContent = "cannot be read";
    };
    this.sizer.append(tile);
    return tile;
  }

  release(tile) {
    tile.hidden = true;
    tile.removeAttribute("id");
    tile.className = "tile";
    tile.shown = "";
    tile.image.removeAttribute("src"); // a picture that is still on its way is not wanted any more
    this.free.push(tile);
  }

  fill(tile) {
    const row = this.row(tile.place);
    tile.classList.toggle("current", tile.place === this.current);
    tile.classList.toggle("chosen", this.chosen.has(tile.place));
    tile.setAttribute("aria-selected", this.chosen.has(tile.place));
    if (!row) {
      tile.image.classList.add("waiting");
      tile.text.textContent = tile.name.textContent = tile.value.textContent = tile.mark.textContent = "";
      tile.dot.hidden = true;
      return;
    }
    const about = this.describe(row);
    tile.classList.toggle("pending", this.pending.has(`${row.run}:${row.position}`));
    tile.name.textContent = about.words;
    tile.name.classList.toggle("status", about.missing);
    tile.dot.hidden = about.missing;
    tile.dot.style.setProperty("--colour", about.colour);
    tile.value.textContent = row.value === null || row.value === 0 ? "" : row.value.toFixed(2);
    tile.mark.textContent = row.person ? `✓ ${row.person}` : "";
    tile.setAttribute("aria-label", about.label);
    tile.title = about.label;
    if (tile.shown !== about.thumbnail) {
      tile.shown = about.thumbnail;
      tile.text.textContent = "";
      tile.image.hidden = false;
      tile.image.classList.add("waiting");
      tile.image.src = about.thumbnail;
    }
  }

  refresh() {
    for (const tile of this.tiles.values()) this.fill(tile);
    this.main.setAttribute("aria-activedescendant", `tile-${this.current}`);
    this.schedule();
  }

  place(event) {
    const tile = event.target.closest(".tile");
    return tile ? tile.place : null;
  }

  click(event) {
    const place = this.place(event);
    if (place === null) return;
    this.main.focus({ preventScroll: true });
    if (event.shiftKey) this.extend(place);
    else if (event.ctrlKey || event.metaKey) this.toggle(place);
    else if (this.chosen.size) {
      this.chosen.clear();
      this.go(place);
    } else if (place === this.current) this.onOpen(place);
    else this.go(place);
  }

  // Make a frame the current one, and let it be seen.
  go(place) {
    if (!this.total) return;
    this.current = Math.min(Math.max(place, 0), this.total - 1);
    this.anchor = this.current;
    this.reveal();
  }

  reveal() {
    const top = Math.floor(this.current / this.columns) * this.high;
    const bottom = top + this.high + 12;
    if (top < this.main.scrollTop) this.main.scrollTop = top;
    else if (bottom > this.main.scrollTop + this.main.clientHeight) this.main.scrollTop = bottom - this.main.clientHeight;
    this.draw();
    this.refresh();
    this.onChange();
  }

  toggle(place) {
    if (!this.chosen.delete(place)) this.chosen.add(place);
    this.current = this.anchor = place;
    this.reveal();
  }

  extend(place) {
    this.current = Math.min(Math.max(place, 0), this.total - 1);
    const [first, last] = [Math.min(this.anchor, this.current), Math.max(this.anchor, this.current)];
    this.chosen = new Set(Array.from({ length: last - first + 1 }, (_, at) => first + at));
    this.reveal();
  }

  chooseAll(most) {
    this.chosen = new Set(Array.from({ length: Math.min(this.total, most) }, (_, at) => at));
    this.refresh();
    this.onChange();
  }

  clear() {
    this.chosen.clear();
    this.refresh();
    this.onChange();
  }

  // What an arrow key or another does; false if it does nothing here.
  key(event) {
    const page = Math.max(1, Math.floor(this.main.clientHeight / this.high)) * this.columns;
    const steps = {
      ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns, PageUp: -page, PageDown: page,
      Home: -this.total, End: this.total,
    };
    if (event.key === " ") this.toggle(this.current);
    else if (event.key in steps) {
      const place = this.current + steps[event.key];
      if (event.shiftKey) this.extend(place);
      else this.go(place);
    } else return false;
    return true;
  }
}
