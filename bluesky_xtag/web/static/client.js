// What the page asks its server: answers, news over a websocket, and corrections, which are sent until they are stored.

export class Problem extends Error {
  constructor(text, status) {
    super(text);
    this.status = status;
  }
}

export async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("the server of this page does not answer", 0);
  }
  if (!answer.ok) {
    let text = answer.statusText;
    try {
      text = (await answer.json()).problem;
    } catch { /* not an answer of ours */ }
    throw new Problem(text, answer.status);
  }
  return answer;
}

export const get = async (path, options) => (await ask(path, options)).json();

// Pixels with their header, see `pixel_message` on the server.
export async function pixels(path, options) {
  const buffer = await (await ask(path, options)).arrayBuffer();
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const size = header.rows * header.columns;
  const kinds = { Uint8Array, Uint16Array, Uint32Array, Float32Array, Float64Array };
  const values = new kinds[header.type](buffer, 4 + length, size);
  const invalid = new Uint8Array(buffer, 4 + length + values.byteLength);
  return { ...header, values, isInvalid: (at) => (invalid[at >> 3] >> (7 - (at & 7))) & 1 };
}

// News: the newest state of the catalogue. The socket comes back by itself; the state then says what was missed.
export function listen(onState, onConnection) {
  let pause = 500;
  const open = () => {
    const place = new URL("api/news", location.href);
    place.protocol = place.protocol.replace("http", "ws");
    const socket = new WebSocket(place);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      pause = 500;
      onConnection(true);
    };
    socket.onmessage = (event) => onState(JSON.parse(new TextDecoder().decode(event.data)));
    socket.onclose = () => {
      onConnection(false);
      setTimeout(open, pause);
      pause = Math.min(2 * pause, 10000);
    };
  };
  open();
}

// Corrections on their way. Each is kept in the browser until it is stored, so a page that is closed or that lost its
// server sends it again later. Each has an id, so it is stored once, whoever sends it how often.
export class Outbox {
  constructor(catalog, onChange) {
    this.prefix = `xtag:${catalog}:`;
    this.onChange = onChange;
    this.stored = 0;
    this.problem = "";
    this.busy = false;
    this.pause = 500;
    this.done = new Map(); // what comes after an item was stored, by its id
    this.waiting = this.kept();
  }

  kept() {
    const found = [];
    try {
      for (const name of Object.keys(localStorage)) {
        if (name.startsWith(this.prefix)) found.push(JSON.parse(localStorage.getItem(name)));
      }
    } catch { /* a browser that keeps nothing */ }
    return found.sort((one, other) => one.at - other.at);
  }

  // Send a correction; return its id. `done` hears of a problem, or of "" once it is stored.
  put(body, done = () => {}) {
    const item = { at: Date.now(), body: { ...body, id: newId() } };
    this.done.set(item.body.id, done);
    this.waiting.push(item);
    try {
      localStorage.setItem(this.prefix + item.body.id, JSON.stringify(item));
    } catch { /* it is still sent */ }
    this.onChange(this);
    this.send();
    return item.body.id;
  }

  async send() {
    if (this.busy) return;
    this.busy = true;
    while (this.waiting.length) {
      const part = this.part();
      try {
        const body = JSON.stringify({ corrections: part.map((item) => item.body) });
        const options = { method: "POST", headers: { "Content-Type": "application/json" }, body };
        const { stored } = await (await ask("api/corrections", options)).json();
        this.pause = 500;
        this.problem = "";
        for (const { id, problem } of stored) this.finish(id, problem);
      } catch (error) {
        if ([400, 403, 413].includes(error.status)) {
          for (const item of part) this.finish(item.body.id, error.message);
          continue;
        }
        this.problem = error.message;
        this.onChange(this);
        await new Promise((resolve) => setTimeout(resolve, this.pause));
        this.pause = Math.min(2 * this.pause, 10000);
      }
    }
    this.busy = false;
  }

  // What is sent together: all that waits, as far as one request holds it.
  part() {
    let frames = 0;
    const last = this.waiting.findIndex((item) => (frames += item.body.frames.length) > 10000);
    return this.waiting.slice(0, Math.min(last < 0 ? this.waiting.length : Math.max(last, 1), 500));
  }

  finish(id, problem) {
    this.waiting = this.waiting.filter((item) => item.body.id !== id);
    try {
      localStorage.removeItem(this.prefix + id);
    } catch { /* nothing was kept */ }
    if (!problem) this.stored += 1;
    const done = this.done.get(id);
    this.done.delete(id);
    if (done) done(problem);
    this.onChange(this);
  }
}

// Not `crypto.randomUUID`, which browsers only have where the address is secure.
function newId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
