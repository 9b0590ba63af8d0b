// What the server told about running scans. Messages have numbers: if one is missing, the page asks for what it missed.

// What a place consists of; `live_run.py` has the same list.
export const [ID, STATE, TAGS, SCORES, WHERE, TIME, NUMBER, INDEX, KEY, TIMES, REASON, LATENCY] = Array(12).keys();
export const STATES = ["waiting", "ok", "late", "dropped", "unreadable", "failed"];

export class LiveState {
  constructor() {
    this.session = "";
    this.number = -1;
    this.runs = new Map();
    this.around = { waiting: 0, capacity: 0, left_out: 0, engine: "" };
    this.picture = null;
  }

  // Take a message; false if one before it is missing, and nothing was taken.
  take(message) {
    if (!message.whole) {
      if (message.session !== this.session || message.number > this.number + 1) return false;
      if (message.number <= this.number) return true; // known already
    } else this.runs = new Map();
    this.session = message.session;
    this.number = message.number;
    for (const told of message.runs) this.takeRun(told);
    for (const uid of [...this.runs.keys()]) if (!message.known.includes(uid)) this.runs.delete(uid);
    this.around = message.around;
    this.picture = message.picture;
    return true;
  }

  takeRun(told) {
    const run = this.runs.get(told.uid) ?? { uid: told.uid, about: null, places: new Map(), decisions: new Map() };
    const { places, decisions, ...rest } = told;
    Object.assign(run, rest);
    for (const place of places) run.places.set(place[ID], place);
    for (const id of run.places.keys()) {
      if (id >= run.first) break; // they are in their order
      run.places.delete(id);
    }
    for (const decision of decisions) run.decisions.set(decision.number, decision);
    while (run.decisions.size > 100) run.decisions.delete(run.decisions.keys().next().value);
    this.runs.set(run.uid, run);
  }
}

// Keeps a state as the server has it. The socket comes back by itself, and goes on after the last message.
export class LiveLine {
  constructor(state, onChange, onConnection) {
    Object.assign(this, { state, onChange, onConnection, pause: 300 });
    this.open();
  }

  open() {
    const place = new URL("api/live/changes", location.href);
    place.protocol = place.protocol.replace("http", "ws");
    place.searchParams.set("session", this.state.session);
    place.searchParams.set("after", Math.max(this.state.number, 0));
    const socket = (this.socket = new WebSocket(place));
    socket.binaryType = "arraybuffer";
    socket.onmessage = (event) => {
      this.pause = 300;
      this.onConnection(true);
      if (this.state.take(JSON.parse(new TextDecoder().decode(event.data)))) this.onChange();
      else socket.close();
    };
    socket.onclose = () => {
      this.onConnection(false);
      setTimeout(() => this.open(), this.pause);
      this.pause = Math.min(2 * this.pause, 5000);
    };
  }
}
