// The page's half of wslab.Browser: real WebSocket objects, driven from Python and by hand.
// One Runner for each Browser and page has the sockets; views only draw it. Its rule: what a socket
// does is written down in order, and goes to the kernel in numbered batches, never more than the
// kernel has answered for. To the kernel go custom messages only.

const STATES = ["CONNECTING", "OPEN", "CLOSING", "CLOSED"];
const BATCH_MS = 80;
const DRAW_MS = 80;
const WAITS_MS = 400;
const RETURN_MS = 250;  // a view that was taken away only to be drawn elsewhere is back by then
const PROBE_MS = 3000;
const IN_FLIGHT = 4;  // batches that the kernel has not answered yet
const BATCH_EVENTS = 500;
const BATCH_BYTES = 512 * 1024;
const MAX_OUTBOX = 10000;  // events that wait for the kernel, and at most so many bytes of them:
const MAX_OUTBOX_BYTES = 8 * 2 ** 20;
const MAX_WHOLE_BYTES = 2 ** 20;  // of one message; Jupyter's own limit is not far
const CUT = 65536;
const MAX_BUFFERED_BYTES = 8 * 2 ** 20;  // of one socket in the kernel; then it is full, and closed
const MESSAGE_BYTES = 100;  // what a message costs beside its data
const MAX_ORDER_BYTES = 4 * 2 ** 20;  // of one message through the kernel; Jupyter refuses 10 MiB
const MAX_ROWS = 200;
const MAX_SHOWN = 200;
const MAX_BYTES_SHOWN = 16;

const TELLS = [
  ["The handshake is on its way: an HTTP request, and no answer yet. send() throws InvalidStateError "
    + "here; wait for the open event.", "RFC 6455 §4.1"],
  ["Messages go both ways. That send() returned says only that the page took the message: "
    + "bufferedAmount counts what has not left it yet.", "RFC 6455 §6"],
  ["A close frame is on its way and the other side’s has not come. Messages may still arrive; "
    + "send() throws nothing and sends nothing: at most the console says so.", "RFC 6455 §7.1"],
  ["It never opens again: only new WebSocket makes another one. send() throws nothing and sends nothing; "
    + "close() does nothing.", "RFC 6455 §7.1.4"],
];
const TELLS_NONE = ["No socket yet. It is made by new WebSocket, which begins to connect at once.",
  "RFC 6455 §4.1"];
const ERROR_TELLS = "tells nothing, on purpose: a page must not find out what is in another network";
const UNSEEN = "passed unseen";
const ENCODER = new TextEncoder();

const wallClock = () => performance.timeOrigin + performance.now();

// --- what a line of JavaScript looks like ---------------------------------------------------------

function quote(text, limit = 80) {
  return quoted(text.length > limit ? `${text.slice(0, limit)}…` : text);
}

// In the quotes that need fewer escapes, so that JSON inside reads as it was sent.
function quoted(text) {
  const escaped = JSON.stringify(text);
  const doubles = text.split('"').length;
  const singles = text.split("'").length;
  if (doubles <= singles) return escaped;
  const inside = escaped.slice(1, -1).replace(/\\.|'/g, (one) => ({ '\\"': '"', "'": "\\'" })[one] ?? one);
  return `'${inside}'`;
}

function literal(data) {
  if (typeof data === "string") return quote(data);
  const shown = Array.from(data.subarray(0, MAX_BYTES_SHOWN), String).join(", ");
  return `new Uint8Array([${shown}${data.length > MAX_BYTES_SHOWN ? ", …" : ""}])`;
}

function connectLine(name, url, protocols) {
  const declared = name.includes("[") ? name : `const ${name}`;
  const offered = protocols.length ? `, [${protocols.map((one) => quote(one)).join(", ")}]` : "";
  return `${declared} = new WebSocket(${quote(url, 200)}${offered});`;
}

const sendLine = (name, data) => `${name}.send(${literal(data)});`;

function closeLine(name, code, reason) {
  const args = [];
  if (code !== undefined || reason !== undefined) {
    args.push(typeof code === "string" ? quote(code) : String(code));
  }
  if (reason !== undefined) args.push(quote(reason, 150));
  return `${name}.close(${args.join(", ")});`;
}

// --- a socket in the kernel, in a WebSocket's form ------------------------------------------------

class KernelSocket extends EventTarget {
  constructor(runner, url, protocols) {
    super();
    const fail = (text) => {
      throw new DOMException(`Failed to construct 'WebSocket': ${text}`, "SyntaxError");
    };
    let parsed;
    try {
      parsed = new URL(url);
    } catch {
      fail(`The URL '${url}' is invalid.`);
    }
    if (!["ws:", "wss:", "http:", "https:"].includes(parsed.protocol)) {
      fail("The URL's scheme must be either 'http', 'https', 'ws', or 'wss'. "
        + `'${parsed.protocol.slice(0, -1)}' is not allowed.`);
    }
    protocols.forEach((one, i) => {
      if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(one)) fail(`The subprotocol '${one}' is invalid.`);
      if (protocols.indexOf(one) < i) fail(`The subprotocol '${one}' is duplicated.`);
    });
    this.url = parsed.href.replace(/^http/, "ws");
    this.readyState = 0;
    this.bufferedAmount = 0;
    this._unsentCount = 0;
    this.protocol = "";
    this.extensions = "";
    this.binaryType = "blob";
    this._runner = runner;
    this._id = `${runner.page}.${++runner.kernelSocketCount}`;
    runner.kernelSockets.set(this._id, this);
    this._tell({ what: "open", protocols });
  }

  _tell(said) {
    this._runner.order({ id: this._id, ...said });
  }

  send(data) {
    if (this.readyState === 0) {
      throw new DOMException(
        "Failed to execute 'send' on 'WebSocket': Still in CONNECTING state.", "InvalidStateError");
    }
    const isText = typeof data === "string";
    const size = isText ? ENCODER.encode(data).length : data.byteLength;
    this.bufferedAmount += size;
    if (this.readyState !== 1) return;
    this._unsentCount += 1;
    if (size > MAX_ORDER_BYTES) {
      this._fail(`Not sent: ${bytesText(size)} in one message are more than the way through the `
        + "kernel carries. The socket is closed.");
    } else if (this.bufferedAmount + MESSAGE_BYTES * this._unsentCount > MAX_BUFFERED_BYTES) {
      this._fail(`Not sent: ${bytesText(this.bufferedAmount)} wait already. The socket is full, so it `
        + "is closed.");
    } else if (isText) this._tell({ what: "send", data });
    else this._tell({ what: "send", bytes: new Uint8Array(data).slice() });
  }

  _fail(why) {
    this._runner.note(this._runner.slotOf(this), why);
    this._runner.orders = this._runner.orders.filter(({ id }) => id !== this._id);
    this._tell({ what: "close", reason: "" });
    this._end({ code: 1006, reason: "", was_clean: false }, true);
  }

  close(code, reason) {
    if (code !== undefined) {
      code = Math.min(65535, Math.max(0, Math.round(Number(code) || 0)));
      if (code !== 1000 && !(code >= 3000 && code <= 4999)) {
        throw new DOMException("Failed to execute 'close' on 'WebSocket': The close code must be "
          + `either 1000, or between 3000 and 4999. ${code} is neither.`, "InvalidAccessError");
      }
    }
    if (reason !== undefined && ENCODER.encode(reason).length > 123) {
      throw new DOMException("Failed to execute 'close' on 'WebSocket': The close reason must not be "
        + "greater than 123 UTF-8 bytes.", "SyntaxError");
    }
    if (this.readyState >= 2) return;
    const wasConnecting = this.readyState === 0;
    this.readyState = 2;
    this._tell({ what: "close", code, reason: reason ?? "" });
    if (wasConnecting) setTimeout(() => this._end({ code: 1006, reason: "", was_clean: false }, true));
  }

  _end({ code, reason, was_clean }, isError = false) {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this._runner.kernelSockets.delete(this._id);
    if (isError) this.dispatchEvent(new Event("error"));
    this.dispatchEvent(new CloseEvent("close", { code, reason, wasClean: was_clean }));
  }

  _hear(said, buffers) {
    if (said.what === "sent") {
      this.bufferedAmount = Math.max(0, this.bufferedAmount - said.size);
      this._unsentCount = Math.max(0, this._unsentCount - said.count);
    } else if (said.what === "open" && this.readyState === 0) {
      this.readyState = 1;
      this.protocol = said.protocol;
      this.extensions = said.extensions;
      this.dispatchEvent(new Event("open"));
    } else if (said.what === "message" && this.readyState < 3) {
      let data = said.data;
      if ("buffer" in said) {
        const view = buffers[said.buffer];
        data = view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
        if (this.binaryType === "blob") data = new Blob([data]);
      }
      this.dispatchEvent(new MessageEvent("message", { data }));
    } else if (said.what === "error" && this.readyState < 3) {
      this._runner.note(this._runner.slotOf(this), `What the kernel knows and a page would not: ${said.text}`);
      this.dispatchEvent(new Event("error"));
    } else if (said.what === "close") {
      this._end(said);
    }
  }
}

// --- what has the sockets -------------------------------------------------------------------------

function absolute(url) {
  if (!url.startsWith("/")) return url;
  const whole = new URL(url, location.href);
  whole.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  return whole.href;
}

// What came in place of an answer; "" for one.
async function missing(url, options = {}) {
  try {
    const response = await fetchFromJupyter(url, {
      cache: "no-store", signal: AbortSignal.timeout(PROBE_MS), ...options,
    });
    return response.ok || response.type === "opaque" ? "" : String(response.status);
  } catch (error) {
    return error.name === "TimeoutError" ? `none within ${PROBE_MS / 1000} s` : "no connection";
  }
}

const triedText = (tried) => tried.filter(({ seen }) => seen)
  .map(({ label, seen }) => `No answer ${label}: ${seen}.`).join(" ");
const asHttp = (url) => absolute(url).replace(/^ws/, "http");
// Each asks for what tells no server of ours anything: jupyter-server-proxy would hand it the cookie.
const PROBES = {
  direct: (way) => (way.to_try ? missing(asHttp(way.url), { mode: "no-cors" }) : ""),
  tunnel: (way) => missing(`${baseUrl()}wslab/?server=${way.server}`),
  proxy: () => missing(`${baseUrl()}server-proxy/servers-info`),
  comm: () => "",
};

class Runner {
  constructor(key, count, protocols) {
    this.key = key;
    this.page = Math.random().toString(36).slice(2, 10);
    this.count = count;
    this.protocols = protocols;
    this.models = new Set();
    this.views = new Set();
    this.slots = Array.from({ length: count }, (_, index) => ({
      index,
      name: count === 1 ? "socket" : `sockets[${index}]`,
      socket: undefined,
      connection: 0,
      entered: [],  // when the present connection came into each state
      binaryType: "blob",
      sent: 0, received: 0,
      said: "",
      last: null,
      wasClean: null,
    }));
    this.status = "asking";  // asking, here, elsewhere, dead, ended
    this.way = null;
    this.wayKnown = null;
    this.question = null;  // a way that gives something away, and who waits for what is answered
    this.commands = [];
    this.kernelSockets = new Map();
    this.kernelSocketCount = 0;
    this.outbox = [];
    this.outboxBytes = 0;
    this.orders = [];  // for sockets in the kernel
    this.dropped = 0;
    this.droppedAll = 0;
    this.done = [];
    this.number = 0;
    this.answered = 0;
    this.heard = null;
    this.rows = [];
    this.rowCount = 0;
    this.earlier = 0;  // events of pages before this one that are not shown
    this.leaving = null;
    this.hide = () => this.leave(false);
    this.show = (event) => event.persisted && this.arrive();
    addEventListener("pagehide", this.hide);
    addEventListener("pageshow", this.show);
  }

  dispose() {
    clearTimeout(this.leaving);
    removeEventListener("pagehide", this.hide);
    removeEventListener("pageshow", this.show);
    this.closeAll();
  }

  // Who looks.

  addView(view) {
    this.views.add(view);
    clearTimeout(this.leaving);
    this.leaving = null;
    if (this.views.size === 1) this.arrive();
    view.draw();
  }

  removeView(view) {
    this.views.delete(view);
    this.lastModel = view.model;
    if (this.views.size) return;
    this.leave(true);
    clearTimeout(this.leaving);
    this.leaving = setTimeout(() => {
      this.closeAll("its last view was closed");
      if (this.status === "here") this.status = "asking";
    }, RETURN_MS);
  }

  arrive() {
    if (["dead", "ended"].includes(this.status)) return;
    const holds = this.slots.some(({ socket }) => socket && socket.readyState < 3);
    if (!holds) this.status = "asking";
    this.tell({ type: "ready", origin: location.origin, base: baseUrl(), holds });
  }

  leave(isForGood) {
    if (this.status !== "dead") this.tell({ type: "gone", for_good: isForGood });
  }

  // To and from the kernel.

  tell(said, buffers = []) {
    try {
      this.model?.send({ page: this.page, ...said }, undefined, buffers);
    } catch {
      // The notebook has been closed, and its kernel's connection with it.
    }
  }

  // The model that is spoken through: that of a view, for it is certainly alive.
  get model() {
    let model = null;
    for (const view of this.views) model = view.model;
    return model ?? this.lastModel;
  }

  hear(said, buffers) {
    if (said.to !== this.page) return;
    if (said.type === "own") {
      this.own(said);
    } else if (said.type === "do") {
      this.heard = [said.at, wallClock()];
      this.answered = Math.max(this.answered, said.ack);
      for (const one of said.comm) this.kernelSockets.get(one.id)?._hear(one, buffers);
      for (const command of said.commands) {
        const view = buffers[command.buffer];
        if (view) {
          command.data = new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice();
        }
        this.commands.push(command);
      }
      this.runCommands();
      this.flushSoon();
    } else if (said.type === "roll") {
      if (this.status === "here") this.tell({ type: "here" });
    } else if (said.type === "look on") {
      this.status = "elsewhere";
      this.remember(said.history);
    } else if (said.type === "let go") {
      this.closeAll("another page took over");
      this.status = "elsewhere";
    } else if (said.type === "ended") {
      this.status = "ended";
    }
    this.changed();
  }

  async own(said) {
    this.status = "here";
    this.answered = this.number;  // those before are of no use to anybody
    if (said.is_back) {
      this.flushSoon();
      return;
    }
    this.number = this.answered = 0;
    if (!this.rowCount) this.remember(said.history, said.seen);
    said.made.forEach((made, i) => {
      this.slots[i].connection = Math.max(this.slots[i].connection, made);
    });
    this.way = null;
    this.question = null;
    const known = (this.wayKnown = this.findWay(said.routes));
    const way = await known;
    if (known !== this.wayKnown) return;
    this.way = way;
    this.tell({ type: "route", ...way });
    for (const index of said.reopen) this.connect(this.slots[index], "page");
    this.runCommands();
    this.changed();
  }

  async findWay(ways) {
    const tried = [];
    for (const way of ways) {
      const isOnly = ways.length === 1;  // asked for by name
      const seen = isOnly ? "" : await PROBES[way.kind](way);
      if (!isOnly) tried.push({ kind: way.kind, label: way.label, seen });
      if (seen || (way.asks && !(await this.ask(way, tried)))) continue;
      return { ...way, url: absolute(way.url), shown: absolute(way.shown), tried };
    }
    return { kind: "none", label: "no way there", url: "", shown: "", changes: "", tried };
  }

  // Nothing is given away before somebody has said so.
  async ask(way, tried) {
    this.tell({ type: "asks", asks: way.asks, tried });
    const isYes = await new Promise((answer) => {
      this.question = { text: way.asks, tried: triedText(tried), answer };
      this.changed();
    });
    this.question = null;
    this.changed();
    return isYes;
  }

  remember(history, seen = 0) {
    this.rows = history.map((event, i) => ({ ...event, key: i, isOld: true }));
    this.rowCount = history.length;
    this.earlier = Math.max(0, seen - history.length);
  }

  runCommands() {
    if (!this.way) return;
    for (const command of this.commands.splice(0)) {
      const slot = this.slots[command.socket];
      this.done.push(command.number);
      if (command.what === "connect") this.connect(slot, "python");
      else if (command.what === "send") this.send(slot, command.data, "python", command);
      else if (command.what === "close") this.close(slot, command.code, command.reason, "python");
      else if (command.what === "binary_type") this.setBinaryType(slot, command.data, "python");
    }
  }

  // What is done with a socket.

  attempt(slot, by, js, action, more = {}) {
    const at = wallClock();
    const { socket } = slot;
    const before = slot.connection;
    let thrown = null;
    try {
      action();
    } catch (error) {
      thrown = error;
    }
    if (slot.socket && slot.socket === socket) this.look(slot);
    const call = { type: "call", by, js, at, ...more };
    if (js.includes(".send(")) call.buffered_amount = slot.socket?.bufferedAmount ?? 0;
    this.push(slot, call, slot.connection || before);
    if (thrown) {
      this.push(slot, {
        type: "exception", at: wallClock(), js, name: thrown.name, text: thrown.message,
      }, slot.connection);
    }
    return !thrown;
  }

  connect(slot, by) {
    const { socket } = slot;
    if (socket && socket.readyState < 2) {
      this.note(slot, `Nothing was done: it is still ${STATES[socket.readyState]}. A second new `
        + "WebSocket would be a second connection, and the first would live on without a name; "
        + "close() this one first.");
      return;
    }
    const { kind, url, shown } = this.way;
    if (kind === "none") {
      this.note(slot, `No way leads there. ${triedText(this.way.tried)}`);
      return;
    }
    const { protocols } = this;
    this.attempt(slot, by, connectLine(slot.name, shown || url, protocols), () => {
      const made = kind === "comm" ? new KernelSocket(this, url, protocols)
        : protocols.length ? new WebSocket(url, protocols) : new WebSocket(url);
      slot.socket = made;
      slot.connection += 1;
      slot.entered = [wallClock()];
      slot.wasClean = null;
      made.binaryType = slot.binaryType;
      this.listen(slot, made, slot.connection);
    });
  }

  send(slot, data, by, command) {
    const { socket } = slot;
    const own = command ? { command: command.number } : this.carried(data);
    if (command?.when_open && socket?.readyState === 0) {
      const line = sendLine(slot.name, data).slice(0, -1);
      const js = `${slot.name}.addEventListener("open", () => ${line}, { once: true });`;
      const later = () => {
        if (slot.socket === socket) this.send(slot, data, by);
      };
      this.attempt(slot, by, js, () => socket.addEventListener("open", later, { once: true }));
      return;
    }
    const isSent = this.attempt(
      slot, by, sendLine(slot.name, data), () => slot.socket.send(data), own);
    if (isSent && socket.readyState === 1) slot.sent += 1;
  }

  close(slot, code, reason, by) {
    this.attempt(slot, by, closeLine(slot.name, code, reason), () => {
      if (reason !== undefined) slot.socket.close(code, reason);
      else if (code !== undefined) slot.socket.close(code);
      else slot.socket.close();
    });
  }

  setBinaryType(slot, kind, by) {
    slot.binaryType = kind;
    this.attempt(slot, by, `${slot.name}.binaryType = ${quote(kind)};`, () => {
      slot.socket.binaryType = kind;
    });
  }

  closeAll(why = "") {
    for (const slot of this.slots) {
      const { socket } = slot;
      if (!socket || socket.readyState > 1) continue;
      if (why) this.note(slot, `The widget closes the socket: ${why}.`);
      if (socket.readyState === 0) socket.close();
      else socket.close(1000, why);
      this.look(slot);
    }
    this.changed();
  }

  listen(slot, socket, connection) {
    const say = (more, at = wallClock()) => {
      if (slot.socket === socket) this.look(slot);
      this.push(slot, { at, ...more }, connection, socket.readyState);
    };
    socket.addEventListener("open", () => say({
      type: "open", protocol: socket.protocol, extensions: socket.extensions,
    }));
    socket.addEventListener("message", ({ data }) => {
      slot.received += 1;
      if (data instanceof Blob) {
        const kept = data.size > MAX_WHOLE_BYTES ? CUT : data.size;
        const event = { type: "message", binary_type: "blob", size_bytes: data.size, kept };
        // Its bytes come later; what is behind it waits, so that the order stays.
        event.pending = data.slice(0, kept).arrayBuffer()
          .then((buffer) => {
            event.bytes = new Uint8Array(buffer);
            event.is_cut = buffer.byteLength < event.size_bytes;
          })
          .catch(() => { event.is_cut = true; })
          .finally(() => {
            event.pending = null;
            event.row.hex = hex(event.bytes);
            this.flushSoon();
            this.changed();
          });
        this.push(slot, Object.assign(event, { at: wallClock() }), connection, socket.readyState);
        return;
      }
      const isText = typeof data === "string";
      say({
        type: "message",
        binary_type: isText ? "" : "arraybuffer",
        ...this.carried(isText ? data : new Uint8Array(data)),
      });
    });
    socket.addEventListener("error", () => say({ type: "error" }));
    socket.addEventListener("close", ({ code, reason, wasClean }) => {
      if (slot.socket === socket) slot.wasClean = wasClean;
      say({ type: "close", code, reason, was_clean: wasClean });
    });
  }

  carried(data) {
    if (typeof data === "string") {
      const size = data.length > MAX_WHOLE_BYTES ? data.length : ENCODER.encode(data).length;
      const isCut = size > MAX_WHOLE_BYTES;
      return { data: isCut ? data.slice(0, CUT) : data, size_bytes: size, is_cut: isCut };
    }
    const isCut = data.length > MAX_WHOLE_BYTES;
    return {
      bytes: isCut ? data.slice(0, CUT) : data, size_bytes: data.length, is_cut: isCut,
    };
  }

  note(slot, text) {
    this.push(slot, { type: "note", text, at: wallClock() }, slot.connection);
  }

  slotOf(socket) {
    return this.slots.find((slot) => slot.socket === socket) ?? this.slots[0];
  }

  // What the socket is now, and what it was.

  look(slot) {
    const state = slot.socket?.readyState;
    if (state !== undefined && slot.entered[state] === undefined) slot.entered[state] = wallClock();
  }

  push(slot, event, connection, readyState = slot.socket?.readyState ?? null) {
    Object.assign(event, { socket: slot.index, connection, ready_state: readyState });
    const row = { ...event, key: this.rowCount++, pending: undefined, bytes: undefined, kept: undefined };
    if (event.bytes) row.hex = hex(event.bytes);
    if (row.data?.length > MAX_SHOWN) row.data = row.data.slice(0, MAX_SHOWN);
    event.row = row;
    slot.last = row;
    this.rows.push(row);
    if (this.rows.length > 2 * MAX_ROWS) this.rows.splice(0, this.rows.length - MAX_ROWS);
    this.outbox.push(event);
    this.outboxBytes += sizeOf(event);
    if (this.outbox.length > MAX_OUTBOX || this.outboxBytes > MAX_OUTBOX_BYTES) this.shorten();
    this.flushSoon();
    this.changed();
  }

  // Too much for the kernel: messages go first, the oldest first, down to a quarter below the bound.
  shorten() {
    let count = this.outbox.length - 0.75 * MAX_OUTBOX;
    let bytes = this.outboxBytes - 0.75 * MAX_OUTBOX_BYTES;
    const isMessage = ({ type, size_bytes: size }) => type === "message" || (type === "call" && size);
    for (const isLess of [isMessage, () => true]) {
      this.outbox = this.outbox.filter((event) => {
        if ((count <= 0 && bytes <= 0) || !isLess(event)) return true;
        count -= 1;
        bytes -= sizeOf(event);
        this.outboxBytes -= sizeOf(event);
        this.dropped += 1;
        this.droppedAll += 1;
        return false;
      });
    }
  }

  // In the batches, too: single messages may overtake each other on the kernel's threads.
  order(said) {
    this.orders.push(said);
    this.flushSoon();
  }

  flushSoon() {
    this.timer ??= setTimeout(() => {
      this.timer = null;
      this.flush();
    }, BATCH_MS);
  }

  says() {
    const all = [];
    for (const slot of this.slots) {
      const { socket } = slot;
      if (!socket) continue;
      this.look(slot);
      const says = {
        socket: slot.index, ready_state: socket.readyState, url: socket.url,
        protocol: socket.protocol, extensions: socket.extensions,
        buffered_amount: socket.bufferedAmount, binary_type: socket.binaryType,
      };
      const text = JSON.stringify(says);
      if (text === slot.said) continue;
      slot.said = text;
      all.push(says);
    }
    return all;
  }

  flush() {
    if (this.status !== "here" && this.status !== "elsewhere") return;
    if (this.number - this.answered >= IN_FLIGHT) return;  // the answer brings us back here
    const events = [];
    const buffers = [];
    let size = 0;
    while (this.outbox.length > events.length && events.length < BATCH_EVENTS && size < BATCH_BYTES) {
      const event = this.outbox[events.length];
      if (event.pending) break;
      size += sizeOf(event);
      const { bytes, row, pending, kept, ...said } = event;
      if (bytes) {
        said.buffer = buffers.length;
        buffers.push(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
      }
      events.push(said);
    }
    this.outbox.splice(0, events.length);
    this.outboxBytes = this.outbox.length ? this.outboxBytes - size : 0;
    size = 0;
    const orders = [];
    while (this.orders.length && orders.length < BATCH_EVENTS && size < BATCH_BYTES) {
      const { bytes, ...said } = this.orders.shift();
      size += MESSAGE_BYTES + (bytes?.length ?? 3 * (said.data?.length ?? 0));
      if (bytes) {
        said.buffer = buffers.length;
        buffers.push(bytes.buffer);
      }
      orders.push(said);
    }
    const says = this.says();
    const isBuffering = this.slots.some(({ socket }) => socket?.readyState === 1 && socket.bufferedAmount);
    if (events.length || orders.length || says.length || this.done.length || this.dropped) {
      this.number += 1;
      this.tell({
        type: "batch", number: this.number, at: wallClock(), heard: this.heard,
        events, orders, says, done: this.done.splice(0), dropped: this.dropped,
      }, buffers);
      this.dropped = 0;
      this.heard = null;
    }
    const isMore = this.orders.length || (this.outbox.length && !this.outbox[0].pending);
    if (isMore || isBuffering) this.flushSoon();
  }

  // The kernel is gone, and nobody is left to drive the sockets.

  mourn() {
    if (this.status === "dead") return;
    const hadSocket = this.slots.some(({ socket }) => socket && socket.readyState < 2);
    this.status = "dead";
    this.closeAll(hadSocket ? "the kernel is gone" : "");
    this.changed();
  }

  end(why) {
    this.closeAll(why);
    this.status = "ended";
    this.changed();
  }

  changed() {
    this.drawing ??= setTimeout(() => {
      this.drawing = null;
      for (const view of this.views) view.draw();
    }, DRAW_MS);
  }
}

const isBroken = (slot) => slot.wasClean === false;
// In bytes: a text's size is known where it is whole, and else its beginning is short.
const sizeOf = (event) => 150 + (event.js?.length ?? 0) + (event.text?.length ?? 0)
  + (event.kept ?? event.bytes?.length ?? (event.is_cut || event.data === undefined
    ? 3 * (event.data?.length ?? 0) : event.size_bytes));

function hex(bytes) {
  if (!bytes) return "";
  return Array.from(bytes.subarray(0, MAX_BYTES_SHOWN), (one) => one.toString(16).padStart(2, "0"))
    .join(" ");
}

// Of the page, not of this module: each model loads its own, and a console may have a second one.
const runners = (globalThis[Symbol.for("wslab.browser.runners")] ??= new Map());

function initialize({ model }) {
  const key = model.get("key");
  let runner = runners.get(key);
  if (!runner) {
    runner = new Runner(key, model.get("count"), model.get("protocols"));
    runners.set(key, runner);
  }
  runner.models.add(model);
  if (model.get("ended")) runner.status = "ended";
  model.on("msg:custom", (said, buffers) => {
    // With two models of one Browser in a page (a console's, say) each message comes twice. Each
    // has a manager of its own; anywidget hands out a new face of the same model every time.
    if (runner.model?.widget_manager === model.widget_manager) runner.hear(said, buffers ?? []);
  });
  model.on("change:ended", () => model.get("ended") && runner.end(model.get("ended")));
  const rest = mourn(model, () => runner.mourn());
  return () => {
    rest();
    runner.models.delete(model);
    if (runner.models.size) return;
    runner.dispose();
    runners.delete(key);
  };
}

// --- what there is to see -------------------------------------------------------------------------

function sinceText(ms) {
  if (ms < 1) return "< 1 ms";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.floor(ms / 60000)} min ${Math.round((ms % 60000) / 1000)} s`;
}

function clock(at) {
  const date = new Date(at);
  return date.toLocaleTimeString([], { hourCycle: "h23" })
    + `.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

function bytesText(count) {
  return `${count.toLocaleString("en")} ${count === 1 ? "byte" : "bytes"}`;
}

function shownData(row) {
  if (typeof row.data === "string") {
    const isCut = row.size_bytes > row.data.length && row.data.length >= MAX_SHOWN;
    return quoted(row.data) + (isCut ? ` … ${bytesText(row.size_bytes)}` : "");
  }
  const name = { blob: "Blob", arraybuffer: "ArrayBuffer" }[row.binary_type] ?? "";
  const more = row.size_bytes > MAX_BYTES_SHOWN ? " …" : "";
  return `${name} of ${bytesText(row.size_bytes)}: ${row.hex ?? "…"}${more}`;
}

const LABELS = { call: "call", exception: "throws", note: "note" };
const BY = { python: "by Python", hand: "by hand", page: "by the page" };

// What a row says: [the word or words in bold, the code, what explains it].
function words(row, meanings) {
  switch (row.type) {
    case "call": return ["", row.js, BY[row.by] ?? ""];
    case "exception": return [row.name, row.text, ""];
    case "note": return ["", "", row.text];
    case "open": return [
      "open", `protocol ${quote(row.protocol ?? "")}, extensions ${quote(row.extensions ?? "")}`, ""];
    case "message": return ["message", `data ${shownData(row)}`, ""];
    case "error": return ["error", "", ERROR_TELLS];
    default: return [
      "close",
      `code ${row.code}, reason ${quote(row.reason ?? "", 130)}, wasClean ${row.was_clean}`,
      meanings[row.code] ?? "",
    ];
  }
}

let viewCount = 0;

function render({ model, el }) {
  const runner = runners.get(model.get("key"));
  const isMany = runner.count > 1;
  const id = `ws-browser-${++viewCount}-${runner.key}`;
  let chosen = runner.slots[0];
  const drawnAt = { rows: -1 };

  const root = h("section", {
    class: "wslab ws-browser", "data-lm-suppress-shortcuts": "true",
    "aria-label": `WebSocket of this page, ${model.get("name")}`,
  });
  const state = h("span", { class: "ws-state" }, h("i", { class: "ws-mark", "aria-hidden": "true" }));
  const word = h("span", { role: "status" });
  state.append(h("b", { class: "ws-name ws-cut" }, model.get("name")), word);
  const said = h("span", { class: "ws-said ws-soft", role: "status" });
  const take = h("button", { type: "button", hidden: "", title: "Close it there, open it here" }, "Take it over");
  const clear = h("button", { type: "button", title: "Empty this log; Python keeps its events" }, "Clear log");
  root.append(h("div", { class: "ws-head" }, state, said, h("span", { class: "ws-buttons" }, take, clear)));

  const url = h("code", { class: "ws-mono ws-url" });
  const wayLabel = h("b");
  const changes = h("span", { class: "ws-soft" });
  const way = h("span", {}, h("span", { class: "ws-soft" }, "way: "), wayLabel);
  const where = h("div", { class: "ws-where" }, h("span", { class: "ws-soft" }, "to"), url, way);
  const changed = h("p", { class: "ws-changes" }, changes);
  const trouble = h("div");
  const asks = h("p", { class: "ws-asks-text" });
  const asksYes = h("button", { type: "button" }, "Go there, and hand Jupyter’s cookies over");
  const asksNo = h("button", { type: "button" }, "Go by the kernel, without them");
  const question = h("div", { class: "ws-asks", role: "group", "aria-label": "Which way?", hidden: "" },
    asks, h("span", { class: "ws-buttons" }, asksYes, asksNo));
  root.append(where, changed, question, trouble);
  asksYes.addEventListener("click", () => runner.question?.answer(true));
  asksNo.addEventListener("click", () => runner.question?.answer(false));

  // Several sockets: a row for each; the one that is chosen is the one below.
  const socketRows = runner.slots.map((slot) => {
    const choice = h("input", { type: "radio", name: `${id}-socket`, id: `${id}-socket-${slot.index}` });
    choice.checked = slot === chosen;
    choice.addEventListener("change", () => {
      chosen = slot;
      draw();
      preview();
    });
    const mark_ = h("i", { class: "ws-mark", "aria-hidden": "true" });
    const name = h("span");
    const cell = h("span", { class: "ws-state" }, mark_, name);
    const protocol = h("td", { class: "ws-mono" });
    const counts = h("td");
    const last = h("td", { class: "ws-cut" });
    const label = h("label", { for: choice.id, class: "ws-mono" }, slot.name);
    const element = h("tr", {}, h("th", { scope: "row" }, choice, label), h("td", {}, cell),
      protocol, counts, last);
    return { slot, element, choice, cell, name, protocol, counts, last };
  });
  if (isMany) {
    const head = ["socket", "readyState", "protocol", "messages", "latest"].map(
      (text) => h("th", { scope: "col" }, text));
    root.append(h("table", {},
      h("caption", { class: "ws-only-read" }, "The sockets; choose the one that is shown below"),
      h("thead", {}, h("tr", {}, ...head)),
      h("tbody", {}, ...socketRows.map(({ element }) => element))));
  }

  // The state machine.
  const arrows = ["open event", "close() or close frame", "close event"];
  const machine = h("ol", { class: "ws-machine", "aria-label": "readyState" });
  const stations = STATES.map((name, i) => {
    const when = h("span", { class: "ws-when ws-soft" });
    const element = h("li", {},
      h("span", { class: "ws-station" }, h("i", { class: "ws-dot", "aria-hidden": "true" }),
        h("span", {}, h("span", { class: "ws-called" }, h("b", {}, name), h("span", { class: "ws-soft" }, ` ${i}`)),
          when)));
    if (i < 3) element.append(h("span", { class: "ws-arrow ws-soft", "aria-hidden": "true" }, arrows[i]));
    machine.append(element);
    return { element, when };
  });
  const tells = h("span");
  const rfc = h("span", { class: "ws-soft" });
  root.append(machine, h("p", { class: "ws-tells" }, tells, " ", rfc));

  // What can be done with it.
  const code = (text = "") => h("code", { class: "ws-mono ws-js", "aria-live": "off" }, text);
  const button = (text) => h("button", { type: "button", class: "ws-do" }, text);
  const suppress = { "data-lm-suppress-shortcuts": "true", autocomplete: "off", spellcheck: "false" };
  const connect = button("Connect");
  const connectJs = code();
  const send = button("Send");
  const text = h("input", { type: "text", "aria-label": "Message to send", placeholder: "message", ...suppress });
  const kind = h("select", { "aria-label": "Kind of message", "data-lm-suppress-shortcuts": "true" },
    h("option", { value: "text" }, "text"), h("option", { value: "binary" }, "binary (hex)"));
  const sendJs = code();
  const close = button("Close");
  const closeCode = h("input", { type: "text", inputmode: "numeric", class: "ws-code", "aria-label": "Close code",
    placeholder: "code", ...suppress });
  const reason = h("input", { type: "text", "aria-label": "Close reason", placeholder: "reason", ...suppress });
  const closeJs = code();
  const binaryType = h("select", { "aria-label": "binaryType", "data-lm-suppress-shortcuts": "true" },
    h("option", { value: "blob" }, "blob"), h("option", { value: "arraybuffer" }, "arraybuffer"));
  const acts = h("div", { class: "ws-acts", role: "group", "aria-label": "What a page can do with it" },
    connect, h("span", { class: "ws-inputs ws-soft" }, "makes a socket, which connects at once"), connectJs,
    send, h("span", { class: "ws-inputs" }, text, kind), sendJs,
    close, h("span", { class: "ws-inputs" }, closeCode, reason), closeJs);
  root.append(acts);

  function toSend() {
    if (kind.value === "text") return text.value;
    const digits = text.value.replace(/0x|[\s,]/gi, "");
    if (!/^([0-9a-f]{2})*$/i.test(digits)) return null;
    return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  }

  function closing() {
    const typed = closeCode.value.trim();
    const number = Number(typed);
    const value = typed === "" ? undefined : Number.isNaN(number) ? typed : number;
    return [value, reason.value === "" ? undefined : reason.value];
  }

  function preview() {
    write(connectJs, connectLine(chosen.name, runner.way?.shown || runner.way?.url || model.get("target"),
      runner.protocols));
    const data = toSend();
    write(sendJs, data === null ? "two hexadecimal digits a byte, such as 89 50 4e 47"
      : sendLine(chosen.name, data));
    mark(sendJs, "data-wrong", String(data === null));
    write(closeJs, closeLine(chosen.name, ...closing()));
  }

  const act = (element, how) => {
    element.addEventListener("click", () => {
      if (element.getAttribute("aria-disabled") !== "true") how();
    });
  };
  // JupyterLab swallows what would make Enter submit a form.
  const onEnter = (input, press) => input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.isComposing) press.click();
  });
  act(connect, () => runner.connect(chosen, "hand"));
  act(send, () => {
    const data = toSend();
    if (data === null) return;
    runner.send(chosen, data, "hand");
    text.select();
  });
  act(close, () => runner.close(chosen, ...closing(), "hand"));
  act(take, () => runner.tell({ type: "take" }));
  onEnter(text, send);
  onEnter(closeCode, close);
  onEnter(reason, close);
  for (const input of [text, kind, closeCode, reason]) input.addEventListener("input", preview);
  binaryType.addEventListener("change", () => {
    if (runner.status === "here" && chosen.socket) runner.setBinaryType(chosen, binaryType.value, "hand");
    else chosen.binaryType = binaryType.value;
  });

  // What happened.
  const earlier = h("p", { class: "ws-empty ws-soft" });
  const log = h("ol", { class: "ws-log", role: "log", "aria-live": "off", tabindex: "0",
    "aria-label": "What happened", "data-lm-suppress-shortcuts": "true" });
  root.append(h("div", { class: "ws-body" }, earlier, log));
  let follows = true;  // the newest row, unless somebody has scrolled back
  let clearedAt = 0;
  log.addEventListener("scroll", () => {
    if (log.clientHeight) follows = log.scrollHeight - log.scrollTop - log.clientHeight < 8;
  });
  clear.addEventListener("click", () => {
    clearedAt = runner.rowCount;
    runner.changed();
  });

  function makeRow(row) {
    const [bold, mono, soft] = words(row, model.get("meanings"));
    const label = LABELS[row.type] ?? "event";
    const what = h("span", { class: "ws-what" });
    if (bold) what.append(h("b", {}, bold), " ");
    if (mono) what.append(h("span", { class: "ws-mono" }, mono));
    if (soft) what.append(" ", h("span", { class: "ws-soft" }, soft));
    const parts = [h("span", { class: "ws-soft ws-at" }, clock(row.at)),
      h("span", { class: "ws-label ws-soft" }, label)];
    if (isMany) parts.splice(1, 0, h("span", { class: "ws-soft ws-which" }, `[${row.socket}]`));
    return h("li", { "data-type": row.type, "data-key": row.key, "data-hex": row.hex ?? "" }, ...parts, what);
  }

  function drawLog() {
    const rows = runner.rows.slice(-MAX_ROWS).filter(({ key }) => key >= clearedAt);
    const first = rows[0]?.key ?? Infinity;
    while (log.firstChild && Number(log.firstChild.dataset.key) < first) log.firstChild.remove();
    // A log that was written anew (another page's) begins from nothing.
    if (log.firstChild && drawnAt.first !== runner.rows[0]?.at && runner.rows[0]?.key === 0
      && drawnAt.first !== undefined) log.replaceChildren();
    drawnAt.first = runner.rows[0]?.key === 0 ? runner.rows[0].at : undefined;
    const done = log.lastChild ? Number(log.lastChild.dataset.key) : -1;
    const fresh = rows.filter(({ key }) => key > done);
    if (fresh.length) log.append(...fresh.map(makeRow));
    for (const row of rows) {  // bytes of a Blob, which came after it
      if (row.binary_type !== "blob" || !row.hex) continue;
      const element = log.children[row.key - first];
      if (element && element.dataset.hex !== row.hex) element.replaceWith(makeRow(row));
    }
    const hidden = runner.rowCount + runner.earlier - rows.length;
    write(earlier, !rows.length && !hidden ? "Nothing has happened yet."
      : hidden ? `${hidden.toLocaleString("en")} earlier, no longer shown here; Python has the latest in .events`
        : "");
    earlier.hidden = !earlier.textContent;
    log.hidden = !rows.length;
    if (follows && fresh.length) log.scrollTop = log.scrollHeight;
  }

  // The foot: what the attributes are.
  const foot = h("div", { class: "ws-foot" });
  const facts = {};
  for (const name of ["readyState", "protocol", "extensions", "bufferedAmount"]) {
    facts[name] = h("span", { class: "ws-mono" });
    foot.append(h("span", {}, `${name} `, facts[name]));
  }
  foot.append(h("span", {}, h("label", {}, "binaryType ", binaryType)));
  facts.sums = h("span");
  foot.append(facts.sums);
  root.append(foot);

  function drawState() {
    const { socket } = chosen;
    const now = socket?.readyState;
    if (now !== undefined) runner.look(chosen);
    mark(state, "data-state", now === undefined ? "none" : stateForm(chosen));
    write(word, now === undefined ? "no socket yet" : isMany ? "" : STATES[now]);
    stations.forEach(({ element, when }, i) => {
      const entered = chosen.entered[i];
      const isPassed = now !== undefined && i < now;
      // An orderly close goes through CLOSING, if only within the browser; a broken one does not.
      const isUnseen = i === 2 && chosen.entered[1] !== undefined && !isBroken(chosen);
      mark(element, "data-now", String(i === now));
      mark(element, "data-seen", String(entered !== undefined));
      mark(element, "data-next",
        String(entered !== undefined && chosen.entered[i + 1] !== undefined));
      if (i === now) mark(element, "aria-current", "step");
      else element.removeAttribute("aria-current");
      write(when, i === 0 && entered !== undefined ? "0 ms"
        : entered !== undefined ? `after ${sinceText(entered - chosen.entered[0])}`
          : isPassed ? (isUnseen ? UNSEEN : "never") : "");
    });
    const [sentence, section] = now === undefined ? TELLS_NONE : TELLS[now];
    write(tells, sentence);
    write(rfc, section);
    write(facts.readyState, now === undefined ? "undefined" : String(now));
    write(facts.protocol, quote(socket?.protocol ?? ""));
    write(facts.extensions, quote(socket?.extensions ?? ""));
    write(facts.bufferedAmount, String(socket?.bufferedAmount ?? 0));
    const type = socket?.binaryType ?? chosen.binaryType;
    if (binaryType.value !== type && document.activeElement !== binaryType) binaryType.value = type;
    const dropped = runner.droppedAll
      ? `${runner.droppedAll.toLocaleString("en")} too fast for the kernel, so Python lacks them`
      : "nothing dropped";
    write(facts.sums, `sent ${chosen.sent.toLocaleString("en")}, received `
      + `${chosen.received.toLocaleString("en")}, ${dropped}`);
  }

  function stateForm(slot) {
    const now = slot.socket?.readyState;
    if (now === undefined) return "none";
    if (now === 3 && isBroken(slot)) return "broken";
    return STATES[now].toLowerCase();
  }

  function drawSockets() {
    if (!isMany) return;
    for (const { slot, element, cell, name, protocol, counts, last } of socketRows) {
      const now = slot.socket?.readyState;
      mark(element, "data-chosen", String(slot === chosen));
      mark(cell, "data-state", stateForm(slot));
      write(name, now === undefined ? "no socket yet" : STATES[now]);
      write(protocol, quote(slot.socket?.protocol ?? ""));
      write(counts, `${slot.sent.toLocaleString("en")} out, ${slot.received.toLocaleString("en")} in`);
      const [bold, mono] = slot.last ? words(slot.last, {}) : ["", ""];
      write(last, `${bold} ${mono}`.trim());
      mark(last, "title", last.textContent);
    }
  }

  let isLate = false;
  const lateTimer = setTimeout(() => {
    isLate = true;
    draw();
  }, WAITS_MS);

  function drawStatus() {
    const { status } = runner;
    const waiting = model.get("waiting");
    const hints = {
      asking: isLate ? "waits for the kernel (a running cell goes first)" : "",
      here: runner.way ? "" : runner.question ? "waits for your answer" : "looks for a way there",
      elsewhere: "Another page of this notebook has the socket; this one looks on.",
      dead: "The kernel is gone, and the socket was closed with it.",
      ended: `Over: ${model.get("ended")}.`,
    };
    write(said, model.get("failure") || hints[status]
      || (waiting ? `${waiting} waiting` : ""));
    take.hidden = status !== "elsewhere";
    const isOn = status === "here" && Boolean(runner.way);
    for (const element of [connect, send, close]) mark(element, "aria-disabled", String(!isOn));
    write(url, runner.way?.shown || runner.way?.url || model.get("target"));
    way.hidden = !runner.way;
    write(wayLabel, runner.way?.label ?? "");
    mark(way, "data-kind", runner.way?.kind ?? "");
    write(changes, (runner.way?.changes ?? "").replace(/[^.]$/, "$&."));
    changed.hidden = !changes.textContent;
    question.hidden = !runner.question || status !== "here";
    if (runner.question) write(asks, `${runner.question.tried} ${runner.question.text}`.trim());
  }

  function drawTrouble() {
    const list = model.get("trouble");
    const more = model.get("troubles") - list.length;
    trouble.replaceChildren(...list.map(({ at, text: what, traceback }) => h("div", { class: "ws-trouble" },
      h("b", {}, "A callback raised"), h("span", { class: "ws-soft" }, ` at ${clock(at * 1000)}: `), what,
      h("details", {}, h("summary", {}, "traceback"), h("pre", { tabindex: "0" }, traceback)))));
    if (more > 0) trouble.append(h("p", { class: "ws-soft" }, `and ${more} before`));
  }

  function draw() {
    drawStatus();
    drawSockets();
    drawState();
    drawLog();
    if (!connectJs.textContent.includes(url.textContent)) preview();
  }

  const view = { draw, model };
  drawTrouble();
  preview();
  el.append(root);
  model.on("change:trouble", drawTrouble);
  model.on("change:waiting", draw);
  model.on("change:failure", draw);
  runner.addView(view);
  return () => {
    clearTimeout(lateTimer);
    runner.removeView(view);
  };
}

export default { initialize, render };
