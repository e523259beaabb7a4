/**
 * A page's end of a Hub: events, answers, bytes, and coming back by itself.
 *
 *     import { connect } from "./wslab/hub.js";     // every server of a Hub hands it out
 *     const hub = connect();
 *     hub.on("chat", (text) => console.log(text));
 *     hub.emit("chat", "hello");
 *     console.log(await hub.call("pick", { card: 7 }));
 *
 * It speaks the packets of wslab/hub/protocol/packets.py over one WebSocket after another. Its rule:
 * with a Hub that keeps history nothing is lost, nothing handled twice and the order held, wherever
 * a connection breaks off; or the page is told, by the `gap` of a "welcome" or by "dropped".
 *
 * @typedef {"connecting" | "open" | "waiting" | "closed"} State
 * @typedef {{state: State, why: string, code: number, attempt: number, delayMs: number}} Change
 * @typedef {(data: any, more?: any) => any} Handler
 * @typedef {{head: string, binary: Uint8Array[], id: number, n: number, size: number}} Packet
 * @typedef {{resolve: (data: any) => void, reject: (error: Error) => void, timer: any, packet: Packet}} Call
 */

/** Where the hub's WebSocket is, seen from here; whoever hands this file out writes it in. */
const SOCKET = "..";
const DEFAULTS = {
  /** A page that is loaded again goes on with its session from here: sessionStorage, say. */
  store: /** @type {Storage | undefined} */ (undefined),
  /** Shows who this is: said first on each connection, not in the URL. A function is asked for
   * each; then one that has expired (4401) is followed by another. See `call("authenticate")`. */
  token: /** @type {string | (() => string | Promise<string>) | undefined} */ (undefined),
  /** Of what waits for the hub; a packet more is refused as "full". */
  maxBytes: 4 * 2 ** 20,
  /** Upper bound of the first delay before it connects again; each further one is doubled. */
  firstDelayMs: 100,
  /** Upper bound of every delay. */
  maxDelayMs: 30_000,
  /** For a connection to open and to be welcomed. */
  openMs: 20_000,
  /** On which nothing has come for so long, although there is something to confirm, is given up. */
  silenceMs: 30_000,
};
const PASSING = new Set([1001, 1006, 1011, 1012, 1013, 1014]); // codes of what may be over soon
const COME_BACK = /\bcome back in ([0-9]{1,6}(?:\.[0-9]{1,3})?) s\b/; // as hub/protocol/come_back.py
const EXPIRED = 4401; // who this page is, has ended
const STABLE_MS = 5000; // a connection that lived so long starts the delays afresh
const OVERHEAD = 64; // bytes that a packet counts beside its data
const MAX_BINARY = 64; // binary frames of one packet
const NEVER_COME = ["connect", "connect_error", "disconnect", "reconnect"];
const OUR_OWN = ["connection", "message", "welcome", "error", "dropped"];

/** What went wrong; `code` is a word: the hub's, or "timeout", "closed", "lost", "full". */
export class HubError extends Error {
  /** @param {string} code @param {string} message */
  constructor(code, message) {
    super(message);
    this.name = "HubError";
    this.code = code;
  }
}

/**
 * Connect to a hub, and stay connected until `close()`.
 *
 * @param {string | URL} [url] http: or ws:, or relative to the page; by default the server that has
 *     handed out this file
 * @param {Partial<typeof DEFAULTS>} [options]
 */
export function connect(url, options) {
  return new Hub(url, options);
}

/** What a page has of a hub; made by `connect()`. */
export class Hub {
  /** @type {State} */
  state = "connecting";
  /** By which the hub knows this connection. */
  id = "";
  #options;
  #url;
  #token = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, "0")).join("");
  /** @type {number | null} of the latest event that came */
  #offset = null;
  #seen = -1; // the offset up to which all came over earlier connections
  /** @type {boolean | undefined} whether the hub keeps one; undefined until it has said so */
  #hasSession;
  /** @type {Map<string, Set<Handler>>} */
  #handlers = new Map();
  /** @type {Map<number, Call>} */
  #calls = new Map();
  /** @type {Set<Packet>} */
  #unsent = new Set();
  /** @type {Set<Packet>} numbered, and kept until the hub has them */
  #sent = new Set();
  #size = 0; // bytes of both
  #n = 0; // of the latest packet
  #received = 0; // up to which the hub has them
  #lastId = 0;
  /** @type {WebSocket | null} */
  #socket = null;
  #asked = /** @type {object | null} */ (null); // stands for the token that was asked for last
  /** @type {any} a packet whose binary frames are still to come */
  #partial = null;
  #attempt = 0;
  #openedMs = Infinity;
  #heardMs = 0;
  /** @type {any} of the next attempt, or of the one under way */
  #timer;
  /** @type {any} */
  #watch;

  /** @param {string | URL} [url] @param {Partial<typeof DEFAULTS>} [options] */
  constructor(url, options) {
    this.#options = { ...DEFAULTS, ...options };
    const base = url === undefined ? import.meta.url : globalThis.document?.baseURI;
    this.#url = new URL(url ?? SOCKET, base);
    this.#url.protocol = this.#url.protocol.replace("http", "ws");
    this.#url.hash = "";
    if (this.#options.store) this.#goOnFrom(this.#options.store);
    globalThis.addEventListener?.("online", this.#retry);
    this.#timer = setTimeout(() => this.#open()); // when the page has said what it handles
  }

  /** Bytes that wait for the hub: to be written, or to be confirmed. */
  get buffered() {
    return this.#size + (this.#hasSession ? 0 : this.#socket?.bufferedAmount ?? 0);
  }

  /**
   * Call a function with the data of each such event; where the hub asks for an answer, it is what
   * the first one returns. "*" is for events that nothing else handles (name, data), "message" for
   * raw messages, "connection" for each `Change`; "welcome", "error", "dropped" are the hub's own.
   *
   * @param {string} event @param {Handler} handler
   */
  on(event, handler) {
    if (NEVER_COME.includes(event)) {
      throw new TypeError(`expected an event that comes, got "${event}": here "connection" tells `
        + 'each change of state, and "welcome" each opening');
    }
    if (!this.#handlers.has(event)) this.#handlers.set(event, new Set());
    this.#handlers.get(event)?.add(handler);
    return this;
  }

  /** Take a handler of an event out, or all. @param {string} event @param {Handler} [handler] */
  off(event, handler) {
    if (handler) this.#handlers.get(event)?.delete(handler);
    if (!handler || !this.#handlers.get(event)?.size) this.#handlers.delete(event);
    return this;
  }

  /**
   * Send an event, or keep it until there is a connection. Data is what JSON can hold, with
   * ArrayBuffers and typed arrays anywhere in it. Throws a HubError that is "closed" or "full".
   *
   * @param {string} event @param {any} [data]
   */
  emit(event, data) {
    this.#say(event, data, 0);
  }

  /**
   * Send an event, and return a promise of the answer; it fails with a HubError.
   *
   * @param {string} event @param {any} [data] @param {{timeoutMs?: number}} [options]
   * @returns {Promise<any>}
   */
  call(event, data, { timeoutMs = 30_000 } = {}) {
    return new Promise((resolve, reject) => {
      const id = this.#lastId + 1;
      const packet = this.#say(event, data, id);
      const late = () => {
        const why = this.#unsent.has(packet) ? "; it was not sent, and has been taken back" : "";
        if (why || packet.n <= this.#received) this.#forget(packet);
        const told = `no answer to "${event}" within ${timeoutMs} ms${why}`;
        this.#settle(id, new HubError("timeout", told));
      };
      const timer = timeoutMs < 2 ** 31 ? setTimeout(late, timeoutMs) : 0; // a timer's longest
      this.#calls.set(id, { resolve, reject, timer, packet });
    });
  }

  /** Say goodbye: the hub forgets the session; what still waits for a connection is not sent. */
  close() {
    const socket = this.#socket;
    if (this.state !== "closed") this.#end("closed by this page", 1000);
    socket?.close(1000);
  }

  // What leaves.

  #say(event, data, id) {
    if (this.state === "closed") throw new HubError("closed", "the connection to the hub is over");
    if (typeof event !== "string" || !event || event.length > 128) {
      throw new TypeError(`expected an event's name of 1 to 128 characters, got ${event}`);
    }
    const packet = encode(`{"event":${JSON.stringify(event)}`, data, id);
    const held = this.buffered;
    if (held && held + packet.size > this.#options.maxBytes) {
      throw new HubError("full", `expected at most ${this.#options.maxBytes} bytes that wait for `
        + `the hub, got ${held} and ${packet.size} more: go on when hub.buffered is less`);
    }
    this.#lastId += id && 1;
    this.#unsent.add(packet);
    this.#size += packet.size;
    this.#flush();
    return packet;
  }

  #flush() {
    if (this.state !== "open" || this.#socket?.readyState !== 1) return;
    if (this.#n === this.#received) this.#heardMs = performance.now();
    for (const packet of this.#unsent) {
      packet.n = this.#hasSession ? ++this.#n : 0;
      if (this.#hasSession) this.#sent.add(packet);
      else this.#size -= packet.size;
      this.#unsent.delete(packet);
      this.#write(packet);
    }
  }

  #write({ head, binary, id, n }) {
    const rest = (id ? `,"id":${id}` : "") + (n ? `,"n":${n}` : "")
      + (binary.length ? `,"binary":${binary.length}` : "");
    for (const frame of [`${head}${rest}}`, ...binary]) this.#socket?.send(frame);
  }

  #forget(packet) {
    if (this.#unsent.delete(packet) || this.#sent.delete(packet)) this.#size -= packet.size;
  }

  /** Keep no longer what the hub has; a call is kept until it is answered. */
  #confirmed(n) {
    this.#received = Math.max(n, this.#received);
    for (const packet of this.#sent) {
      if (packet.n > this.#received) break;
      if (!this.#calls.has(packet.id)) this.#forget(packet);
    }
  }

  #settle(id, error, data) {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    clearTimeout(call?.timer);
    if (error) call?.reject(error);
    else call?.resolve(data);
    return call?.packet;
  }

  // Connections.

  #open() {
    const { openMs, token } = this.#options;
    this.#timer = setTimeout(() => this.#abandon(`no welcome within ${openMs} ms`), openMs);
    this.#become("connecting", "");
    if (this.state !== "connecting") return; // the page has closed it
    if (typeof token !== "function") return this.#connect(token);
    const mine = (this.#asked = {});
    called(token, []).then((token) => this.#asked === mine && this.#connect(token), (error) => {
      report(error);
      if (this.#asked === mine) this.#lost(1006, "there is no token");
    });
  }

  #connect(token) {
    const url = new URL(this.#url);
    url.searchParams.set("session", this.#token);
    if (this.#offset !== null) url.searchParams.set("offset", `${this.#offset}`);
    if (token !== undefined) url.searchParams.set("auth", "packet");
    const socket = (this.#socket = new WebSocket(url));
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => this.#socket === socket && this.#hear(data);
    socket.onclose = ({ code, reason }) => this.#socket === socket && this.#lost(code, reason);
    const proof = token === undefined ? null : encode('{"event":"authenticate"', { token }, 0);
    socket.onopen = () => proof && this.#write(proof);
  }

  #welcomed(data) {
    clearTimeout(this.#timer);
    const { silenceMs } = this.#options;
    const had = this.#hasSession;
    this.#hasSession = data.session !== null;
    this.id = data.id;
    if (typeof data.session === "string") this.#token = data.session;
    if (!this.#hasSession) {
      if (had) data.gap ??= "session unknown"; // it keeps none any more
      this.#unsent = new Set([...this.#sent, ...this.#unsent]);
      this.#sent.clear();
      this.#offset = null;
    } else if (data.resumed && data.received < this.#received) {
      data.gap ??= "packets lost"; // the hub's last process could not tell this one of them
      this.#received = data.received;
    } else if (!data.resumed) {
      this.#n = this.#received = 0;
      for (const packet of this.#sent) packet.n = ++this.#n; // it counts from 1 again
      this.#offset = data.offset;
    }
    if (!data.resumed) this.#seen = -1;
    if (data.resumed && data.gap) this.#offset = data.offset; // where the gap ends
    this.#offset ??= data.offset; // it came back without having read its first welcome
    this.#confirmed(data.received ?? 0);
    if (!this.#sent.size) this.#n = this.#received;
    this.#heardMs = this.#openedMs = performance.now();
    this.#watch = setInterval(() => {
      const isOwed = this.#n > this.#received; // it confirms within 0.1 s what it takes up
      if (isOwed && performance.now() - this.#heardMs >= silenceMs) this.#abandon("silence");
    }, silenceMs / 2);
    this.state = "open";
    for (const packet of this.#sent) this.#write(packet);
    this.#flush();
    this.#become("open", "");
    this.#tell("welcome", data);
  }

  /** Part with a connection that says nothing; any code but 1000 leaves the session as it is. */
  #abandon(why) {
    const socket = this.#socket;
    this.#lost(1006, why);
    socket?.close(4408, why);
  }

  #lost(code, reason) {
    const why = reason || `the connection has ended with ${code}`;
    // One that was never welcome has brought a token that is not taken.
    const mayRenew = typeof this.#options.token === "function" && this.#openedMs < Infinity;
    if (!PASSING.has(code) && !(mayRenew && code === EXPIRED)) return this.#end(why, code);
    this.#stop();
    this.#seen = this.#offset ?? -1;
    if (!this.#hasSession) {
      const error = new HubError("lost", `${why}; what was asked had been sent, and nobody knows `
        + "whether it was handled, since this hub keeps no session");
      for (const [id, { packet }] of this.#calls) {
        if (!this.#unsent.has(packet)) this.#settle(id, error);
      }
    }
    if (performance.now() - this.#openedMs >= STABLE_MS) this.#attempt = 0;
    this.#openedMs = Infinity;
    const { firstDelayMs, maxDelayMs } = this.#options;
    // Full jitter: after a restart of the server, the pages do not all come at the same instant.
    const told = COME_BACK.exec(reason); // a hub that is emptied spreads them by itself
    const ownMs = Math.random() * Math.min(maxDelayMs, firstDelayMs * 2 ** this.#attempt++);
    const delayMs = Math.min(maxDelayMs, ownMs + (told ? 1000 * Number(told[1]) : 0));
    this.#timer = setTimeout(() => this.#open(), delayMs);
    this.#become("waiting", why, code, delayMs);
  }

  #retry = () => {
    if (this.state !== "waiting") return;
    clearTimeout(this.#timer);
    this.#open();
  };

  #end(why, code) {
    this.#stop();
    globalThis.removeEventListener?.("online", this.#retry);
    this.#unsent.clear();
    this.#sent.clear();
    this.#size = 0;
    this.#become("closed", why, code);
    for (const id of this.#calls.keys()) this.#settle(id, new HubError("closed", why));
  }

  #stop() {
    this.#socket = this.#asked = null;
    clearTimeout(this.#timer);
    clearInterval(this.#watch);
  }

  #become(state, why, code = 0, delayMs = 0) {
    this.state = state;
    this.#tell("connection", { state, why, code, attempt: this.#attempt, delayMs });
  }

  /** Take up the session of the page before this one, and leave ours to the next. */
  #goOnFrom(store) {
    const key = `wslab-hub ${this.#url}`;
    const [token, offset] = JSON.parse(store.getItem(key) ?? "[]");
    if (token) [this.#token, this.#offset] = [token, offset];
    this.#seen = offset ?? -1;
    store.removeItem(key); // so that a tab that is duplicated does not have it, too
    addEventListener("pagehide", () => {
      const kept = JSON.stringify([this.#token, this.#offset]);
      if (this.#hasSession && this.state !== "closed") store.setItem(key, kept);
    });
    addEventListener("pageshow", ({ persisted }) => persisted && store.removeItem(key));
  }

  // What comes.

  #hear(message) {
    this.#heardMs = performance.now();
    const isText = typeof message === "string";
    const packet = isText ? decode(message) : this.#partial;
    if (!isText) packet?.frames.push(new Uint8Array(message));
    this.#partial = packet && packet.frames.length < (packet.binary ?? 0) ? packet : null;
    if (this.#partial) return;
    if (!packet) {
      if (this.state === "open") this.#tell("message", isText ? message : new Uint8Array(message));
    } else {
      this.#take(packet, packet.frames.length ? put(packet.data, packet.frames) : packet.data);
    }
    if (this.state === "connecting" && packet?.event !== "error") {
      this.#socket?.close(4400, "no hub");
      this.#end(`expected a hub, which says welcome first, got ${message}`.slice(0, 120), 4400);
    }
  }

  #take({ event, offset, id, answer, error, received }, data) {
    if (event === "welcome" && this.state === "connecting") {
      this.#welcomed(data);
    } else if (answer !== undefined) {
      const packet = this.#settle(answer, error && new HubError(error.code, error.message), data);
      this.#forget(packet);
      if (packet && !error) this.#confirmed(packet.n); // else it may not have been taken up
    } else if (event === undefined) {
      this.#confirmed(received);
    } else if (offset === undefined || offset > this.#seen) {
      this.#offset = offset ?? this.#offset;
      this.#tell(event, data, id);
    }
  }

  #tell(event, data, id) {
    let handlers = [...(this.#handlers.get(event) ?? [])];
    let args = [data];
    if (!handlers.length && !OUR_OWN.includes(event)) {
      [handlers, args] = [[...(this.#handlers.get("*") ?? [])], [event, data]];
    }
    if (!handlers.length && event === "error") console.warn("a hub says:", data);
    const results = handlers.map((handler) => called(handler, args));
    for (const result of results) result.catch(report);
    if (id !== undefined) this.#answer(id, event, results[0]);
  }

  async #answer(id, event, result) {
    const socket = this.#socket; // the hub asks a connection: on another one the number is not its
    let packet;
    try {
      if (!result) throw new HubError("unknown-event", `nobody handles "${event}" here`);
      packet = encode(`{"answer":${id}`, (await result) ?? null, 0);
    } catch (error) {
      const code = error instanceof HubError ? error.code : "failed";
      const told = { code, message: String(error?.message ?? error) };
      packet = encode(`{"answer":${id},"error":${JSON.stringify(told)}`, undefined, 0);
    }
    if (socket === this.#socket && socket?.readyState === 1) this.#write(packet);
  }
}

async function called(handler, args) {
  return handler(...args);
}

/** Let a handler's error be seen as any of the page's; a HubError is meant for the hub. */
function report(error) {
  if (!(error instanceof HubError)) (globalThis.reportError ?? console.error)(error);
}

/** Return a packet, with the bytes in its data as frames that follow. @returns {Packet} */
function encode(head, data, id) {
  /** @type {Uint8Array[]} */
  const binary = [];
  let isAmbiguous = false;
  const text = JSON.stringify(data, function (key, value) {
    const own = this[key]; // as it was before any toJSON()
    const isView = ArrayBuffer.isView(own);
    if (isView || own instanceof ArrayBuffer) {
      const bytes = isView ? [own.buffer, own.byteOffset, own.byteLength] : [own];
      return { $binary: binary.push(new Uint8Array(...bytes).slice()) - 1 };
    }
    if (typeof value === "function" || (typeof value === "number" && !Number.isFinite(value))) {
      throw new TypeError(`expected data that JSON can hold, or bytes, got ${value}`);
    }
    isAmbiguous ||= typeof value === "object" && Object.hasOwn(value ?? {}, "$binary");
    return value;
  });
  if (binary.length > MAX_BINARY || (binary.length && isAmbiguous)) {
    throw new TypeError(`expected at most ${MAX_BINARY} values of bytes in one event, and beside `
      + 'them no key "$binary", which stands for bytes');
  }
  if (text !== undefined) head += `,"data":${text}`;
  const size = binary.reduce((sum, bytes) => sum + bytes.length, head.length + OVERHEAD);
  return { head, binary, id, n: 0, size };
}

/** Return the packet that a text is, or null where it is none. */
function decode(text) {
  try {
    const packet = JSON.parse(text);
    const { event, answer, received } = packet ?? {};
    const isPacket = typeof event === "string" || answer >= 0 || received >= 0;
    return isPacket ? Object.assign(packet, { frames: [] }) : null;
  } catch {
    return null;
  }
}

/** Put bytes where {"$binary": i} stands for them. */
function put(data, frames) {
  if (data === null || typeof data !== "object") return data;
  const keys = Object.keys(data);
  if (keys.length === 1 && keys[0] === "$binary") return frames[data.$binary];
  for (const key of keys) data[key] = put(data[key], frames);
  return data;
}
