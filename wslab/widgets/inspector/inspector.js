// The Inspector: a timeline of the wire, a microscope for frames, a reader for handshakes.
// It draws what `inspector_view.py` says. Each row brings the first bytes of its frame, so bits, masks
// and text are laid out here, also while the kernel is busy. To the kernel go custom messages only.
// Only the rows that can be seen are in the page; all others are plain objects, and bounded.

const SVG = "http://www.w3.org/2000/svg";
const SILENCE_S = 1;
const TIME_WIDTH = 74;
const MAX_UNMASKED = 32;

// ---------------------------------------------------------------------------------------- words

const KINDS = [
  ["http", "HTTP"],
  ["text", "text"],
  ["binary", "binary"],
  ["ping", "ping, pong"],
  ["close", "close"],
];

// What is said of each field: two sentences and where it is written.
const EXPLAIN = {
  FIN: () => [
    "1 says that the message ends with this frame, 0 that more of it follows. Control frames always carry 1: they may not be cut.",
    "RFC 6455 §5.2, §5.4",
  ],
  RSV1: (f) => [
    f.row.compressed
      ? "Set on the first frame of a message that is compressed with permessage-deflate, as agreed in the handshake. Without that agreement it has to be 0."
      : "Left free for extensions; permessage-deflate sets it to say that a message is compressed. Here it says: not compressed.",
    "RFC 6455 §5.2, RFC 7692 §6",
  ],
  RSV2: () => [
    "Left free for extensions, and 0 because none was agreed that uses it. A receiver that finds 1 here fails the connection.",
    "RFC 6455 §5.2",
  ],
  RSV3: (f) => EXPLAIN.RSV2(f),
  opcode: () => [
    "What the frame is: 0 continuation, 1 text, 2 binary, 8 close, 9 ping, 10 pong. From 8 on they are control frames: short, in one piece, and allowed between the fragments of a message.",
    "RFC 6455 §5.2, §5.5",
  ],
  MASK: (f) => [
    f.masked
      ? "Every frame from a client is masked with a fresh key, so that no page can choose the bytes on the wire and slip a proxy what looks like HTTP. It hides nothing: the key travels with the frame."
      : "A server sends unmasked: masks guard proxies against pages, and no page writes a server's frames. A client that gets a masked frame fails the connection.",
    "RFC 6455 §5.1, §5.3, §10.3",
  ],
  length: (f) => [
    f.short < 126
      ? "Up to 125 the length of the payload stands here itself. 126 and 127 would not be lengths: they say that it follows in 16 or in 64 bits."
      : `${f.short} is not a length: it says that the length follows in the next ${f.short === 126 ? 16 : 64} bits. Seven bits cannot count beyond 127, and two of those values are spent on this.`,
    "RFC 6455 §5.2",
  ],
  extended: (f) => [
    `The length of the payload as a ${f.short === 126 ? 16 : 64}-bit number, most significant byte first. The shortest form that fits must be used: this one is for ${f.short === 126 ? "126 to 65,535" : "65,536 and more"}.`,
    "RFC 6455 §5.2",
  ],
  key: () => [
    "Four random bytes, new for every frame. Byte i of the payload was XORed with byte i modulo 4 of the key, and the same again gives it back.",
    "RFC 6455 §5.3",
  ],
  payload: (f) => [
    f.masked
      ? "The payload as it travels: masked. Below, the key takes the mask off again, byte by byte."
      : "The payload as it travels: a server's is not masked, so these are the application's own bytes. TCP may deliver them in any number of pieces; the length says where they end.",
    "RFC 6455 §5.2",
  ],
};

const PURPOSE = {
  text: "text: UTF-8, for people and JSON",
  binary: "binary: bytes of any meaning",
  continuation: "continuation: the next fragment of a message",
  ping: "ping: are you there?",
  pong: "pong: the same bytes back",
  close: "close: the last frame of this side",
};

// -------------------------------------------------------------------------------------- helpers

const count = (n) => n.toLocaleString("en-US");
const plural = (n, word) => `${count(n)} ${word}${n === 1 ? "" : "s"}`;
const hex = (byte) => byte.toString(16).padStart(2, "0");
const bits = (byte) => byte.toString(2).padStart(8, "0");

function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  let amount = bytes;
  for (const unit of ["kB", "MB", "GB", "TB"]) {
    amount /= 1000;
    if (amount < 999.95) return `${amount.toFixed(1)} ${unit}`;
  }
  return `${amount.toFixed(1)} TB`;
}

function moment(at) {
  if (at < 0.9995) return `${Math.round(at * 1000)} ms`;
  if (at < 59.9995) return `${at.toFixed(3)} s`;
  const whole = Math.floor(at / 60);
  if (whole < 60) return `${whole}:${(at - 60 * whole).toFixed(3).padStart(6, "0")}`;
  const two = (n) => String(Math.floor(n)).padStart(2, "0");
  return `${Math.floor(whole / 60)}:${two(whole % 60)}:${two(at % 60)}`;
}

function lapse(seconds) {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

// "8 pings and 8 pongs, 20 s apart": what a library sends by itself, to hear whether anybody is there.
function keepaliveWords(row) {
  const pongs = row.frames - row.pings;
  const said = [[row.pings, "ping"], [pongs, "pong"]].filter(([n]) => n).map(([n, word]) => plural(n, word)).join(" and ");
  return row.every ? `${said}, ${Number(row.every.toPrecision(3))} s apart` : `keepalive: ${said}`;
}

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const half = sorted.length / 2;
  return sorted.length ? (sorted[Math.floor(half)] + sorted[Math.ceil(half - 1)]) / 2 : 0;
}

function trip(seconds) {
  if (seconds >= 1) return `${seconds.toFixed(2)} s`;
  return seconds < 0.01 ? `${(seconds * 1e3).toFixed(2)} ms` : `${Math.round(seconds * 1e3)} ms`;
}

// ---------------------------------------------------------------------------------------- store

// One for each widget and page: the rows that came, however many views show them.
class Store {
  constructor(model) {
    this.model = model;
    this.page = Math.random().toString(36).slice(2);
    this.views = new Set();
    this.reset();
    model.on("msg:custom", (content, buffers) => this.hear(content, buffers));
    model.on("change:early", () => this.takeEarly());
    for (const name of ["state", "failure", "paused", "title"])
      model.on(`change:${name}`, () => this.changed());
    addEventListener("pagehide", () => this.views.size && this.send({ type: "gone" }));
  }

  reset() {
    this.rows = [];
    this.lanes = new Map();
    this.texts = [];
    this.numbers = null;
    this.base = null;
    this.folds = new Map(); // id of a run's first row -> the row that stands for the run
    this.chosen = null; // the row that the kernel asked to open on
  }

  send(content) {
    try {
      this.model.send({ ...content, page: this.page });
    } catch {
      // no kernel: what is here can still be read
    }
  }

  attach(view) {
    this.views.add(view);
    if (this.views.size === 1) this.send({ type: "ready" });
    this.takeEarly();
  }

  detach(view) {
    this.views.delete(view);
    if (this.views.size === 0) {
      this.send({ type: "gone" });
      this.reset();
    }
  }

  takeEarly() {
    const early = this.model.get("early");
    if (early?.rows) this.take(early, early.data);
  }

  hear(content, buffers) {
    if (content.type === "rows") this.take(content, buffers[0]);
  }

  take(batch, buffer) {
    if (batch.reset) this.reset();
    if (batch.base && Object.keys(batch.base).length) this.base = batch.base;
    if (batch.texts) batch.texts[1].forEach((text, i) => (this.texts[batch.texts[0] + i] = text));
    for (const [id, lane] of Object.entries(batch.lanes ?? {})) this.lanes.set(Number(id), lane);
    if (batch.numbers) this.numbers = batch.numbers;
    const data = buffer
      ? new Uint8Array(buffer.buffer ?? buffer, buffer.byteOffset ?? 0, buffer.byteLength)
      : new Uint8Array();
    let pos = 0;
    for (const row of batch.rows) {
      if (row.bytes) {
        const [head, payload, content] = row.bytes;
        // Copies: a slice of the batch would keep all of it in memory.
        row.head = data.slice(pos, pos + head);
        row.payload = data.slice(pos + head, pos + head + payload);
        row.inflated = data.slice(pos + head + payload, pos + head + payload + content);
        pos += head + payload + content;
      }
      row.group = groupOf(row);
      if (row.chosen) this.chosen = row;
      this.rows.push(row);
    }
    const excess = this.rows.length - this.model.get("max_rows");
    if (excess > 0) this.rows.splice(0, excess);
    const oldest = this.rows[0]?.id ?? Infinity;
    for (const id of this.folds.keys()) if (id < oldest) this.folds.delete(id);
    if (this.lanes.size > 3000) {
      const used = new Set(this.rows.map((row) => row.lane));
      for (const [id, lane] of this.lanes) if (lane.side === "client" && !used.has(id)) this.lanes.delete(id);
    }
    this.changed();
  }

  clear() {
    const last = this.rows.at(-1);
    this.base = this.numbers;
    this.rows = [];
    this.chosen = null;
    this.send({ type: "clear", at: last ? last.at : 0, base: this.base ?? {} });
    this.changed();
  }

  changed() {
    for (const view of this.views) view.changed();
  }

  // Numbers since the last "Clear".
  get figures() {
    const { numbers, base } = this;
    if (!numbers || !base) return numbers;
    const less = (sender) =>
      Object.fromEntries(
        Object.entries(numbers[sender]).map(([key, n]) => [key, n - (base[sender]?.[key] ?? 0)]),
      );
    return {
      ...numbers,
      client: less("client"),
      server: less("server"),
      header: Math.max(0, numbers.header - base.header),
      bytes: Math.max(0, numbers.bytes - base.bytes),
    };
  }
}

function groupOf(row) {
  if (row.what === "frame") {
    if (row.kind === "pong") return "ping";
    if (row.kind === "continuation") return row.message ?? "text";
    return row.kind;
  }
  return ["request", "response", "body"].includes(row.what) ? "http" : "note";
}

// --------------------------------------------------------------------------- what a frame's bytes say

// The layout of RFC 6455 §5.2, read from the header's own bytes.
function layout(row) {
  const [first, second] = row.head;
  const short = second & 0x7f;
  const masked = second > 127;
  const fields = [
    { name: "FIN", from: 0, width: 1, title: "FIN", says: first >> 7 ? "ends its message" : "more follows" },
    { name: "RSV1", from: 1, width: 1, title: "RSV1", says: (first >> 6) & 1 ? "set" : "not set" },
    { name: "RSV2", from: 2, width: 1, title: "RSV2", says: (first >> 5) & 1 ? "set" : "not set" },
    { name: "RSV3", from: 3, width: 1, title: "RSV3", says: (first >> 4) & 1 ? "set" : "not set" },
    { name: "opcode", from: 4, width: 4, title: `opcode: ${row.kind}`, says: `${first & 15}: ${row.kind}` },
    { name: "MASK", from: 8, width: 1, title: "MASK", says: masked ? "masked" : "not masked" },
    {
      name: "length",
      from: 9,
      width: 7,
      title: short < 126 ? `length: ${short}` : `length: ${short}, see below`,
      says: short < 126 ? plural(short, "byte") : `${short}: it follows in ${short === 126 ? 16 : 64} bits`,
    },
  ];
  let at = 16;
  if (short > 125) {
    const width = short === 126 ? 16 : 64;
    fields.push({ name: "extended", from: at, width, title: `length: ${count(row.size)}`, says: plural(row.size, "byte") });
    at += width;
  }
  if (masked) {
    fields.push({ name: "key", from: at, width: 32, title: "masking key", says: [...row.head.slice(-4)].map(hex).join(" ") });
    at += 32;
  }
  return { row, fields, short, masked, key: masked ? row.head.slice(-4) : null };
}

function unmask(row) {
  const key = row.head[1] > 127 ? row.head.slice(-4) : null;
  return key ? row.payload.map((byte, i) => byte ^ key[i & 3]) : row.payload;
}

const CONTROLS = { 9: "⇥", 10: "↵", 13: "␍", 32: "␣", 127: "␡" };

// UTF-8, cut into characters: [text, bytes it takes]. What is no character is a dot for each byte.
function characters(bytes, isText) {
  const found = [];
  for (let i = 0; i < bytes.length; ) {
    const byte = bytes[i];
    let width = 1;
    if (isText) width = byte < 0x80 ? 1 : byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    let text = "·";
    if (byte < 0x80) text = CONTROLS[byte] ?? (byte < 32 ? "·" : String.fromCharCode(byte));
    else if (isText) {
      try {
        text = new TextDecoder("utf-8", { fatal: true }).decode(bytes.slice(i, i + width));
      } catch {
        width = 1;
      }
    }
    width = Math.min(width, bytes.length - i);
    found.push([text, width]);
    i += width;
  }
  return found;
}

// ----------------------------------------------------------------------------------------- view

class View {
  constructor(store, el) {
    this.store = store;
    this.kinds = new Set(KINDS.map(([kind]) => kind));
    this.lane = "";
    this.query = "";
    this.follow = true;
    this.held = null; // the rows that are shown while it is paused
    this.selected = null;
    this.opened = null; // the row that it was opened on, for the kernel asked for it
    this.isCentred = false; // that row stays in the middle until somebody scrolls or chooses
    this.unfolded = new Set(); // runs of keepalive that show their rows
    this.field = "opcode";
    this.lines = [];
    this.pool = new Map();
    this.isDue = false;
    this.top = this.scrolledTo = 0; // where it should be scrolled to, and where it is
    this.viewWidth = this.viewHeight = 0;
    this.build(el);
    store.attach(this);
    this.changed();
  }

  // The parts that stay.

  build(el) {
    const button = (text, attributes) => h("button", { type: "button", ...attributes }, text);
    this.pause = button("Pause", { "aria-pressed": "false", onclick: () => this.setPaused(!this.held) });
    this.following = button("Follow", { onclick: () => this.setFollow(!this.follow), title: "Keep the latest row in sight" });
    this.clearing = button("Clear", { onclick: () => this.clear(), title: "Take all rows away and count from here on" });
    this.chips = KINDS.map(([kind, name]) => {
      const number = h("span", { class: "wi-number" });
      const chip = button([sample(kind), h("span", {}, name), number], {
        class: "wi-chip",
        "data-kind": kind,
        onclick: () => this.toggle(kind),
      });
      return { kind, name, chip, number };
    });
    this.choice = h("select", { "aria-label": "Connection", onchange: () => { this.lane = this.choice.value; this.changed(); } });
    this.search = h("input", {
      type: "search",
      placeholder: "Search text",
      "aria-label": "Search in paths, reasons and the first 256 bytes of each payload",
      oninput: () => { this.query = this.search.value.toLowerCase(); this.changed(); },
      onkeydown: (event) => {
        if (event.key === "ArrowDown" || event.key === "Enter") { event.preventDefault(); this.list.focus(); }
      },
    });
    this.state = h("span", { class: "wi-state" });
    this.url = h("span", { class: "wi-url ws-mono ws-cut" });
    this.holder = h("span", { class: "wi-live" }, h("span", { class: "ws-mark", "aria-hidden": "true" }), h("b", {}, "Inspector"), this.state);
    const header = h("div", { class: "wi-head" },
      h("div", { class: "wi-bar" }, this.holder, this.url, this.pause, this.following, this.clearing),
      h("div", { class: "wi-bar", role: "group", "aria-label": "Filter" }, this.chips.map(({ chip }) => chip), h("span", { class: "wi-space" }), this.choice, this.search));
    this.heads = h("div", { class: "wi-lanes", "aria-hidden": "true" });
    this.canvas = h("div", { class: "wi-canvas" });
    this.list = h("div", {
      class: "wi-list",
      role: "listbox",
      tabindex: "0",
      "aria-label": "Timeline: what crossed the wire, oldest first. Up and down choose, Enter reads.",
      onkeydown: (event) => this.key(event),
      onscroll: () => this.scrolled(),
      onwheel: () => { this.isCentred = false; },
      onpointerdown: () => { this.isCentred = false; },
      ontouchstart: () => { this.isCentred = false; },
      onclick: (event) => this.clicked(event),
    }, this.canvas);
    this.empty = h("div", { class: "wi-empty" });
    this.detail = h("div", {
      class: "wi-detail",
      tabindex: "-1",
      role: "region",
      "aria-label": "What was chosen",
      onkeydown: (event) => {
        if (event.key === "Escape") { event.stopPropagation(); this.list.focus(); }
      },
    });
    this.left = h("div", { class: "wi-left" }, this.heads, this.list, this.empty);
    this.body = h("div", { class: "wi-body" }, this.left, this.detail);
    this.foot = h("div", { class: "wi-foot" });
    this.status = h("div", { class: "ws-only-read", role: "status" });
    this.failure = h("p", { class: "wi-failure", role: "alert", hidden: true });
    // JupyterLab's own shortcuts must not take our arrow keys.
    this.root = h("div", { class: "wslab wi", "data-lm-suppress-shortcuts": "true" },
      h("div", { class: "wi-frame" }, header, this.body, this.foot, this.failure, this.status));
    this.root.style.setProperty("--wi-height", `${this.store.model.get("height")}px`);
    this.showLegend();
    el.append(this.root);
    this.isSeen = true;
    this.seen = new IntersectionObserver(([entry]) => {
      this.isSeen = entry.isIntersecting;
      if (this.isSeen) this.changed();
    });
    this.seen.observe(this.root);
    this.resized = new ResizeObserver(([{ contentRect }]) => {
      this.viewWidth = Math.round(contentRect.width);
      this.viewHeight = contentRect.height;
      this.changed();
    });
    this.resized.observe(this.list);
    this.onPaused = () => this.setPaused(this.store.model.get("paused"));
    this.store.model.on("change:paused", this.onPaused);
    if (this.store.model.get("paused")) this.setPaused(true);
  }

  close() {
    this.seen.disconnect();
    this.resized.disconnect();
    this.store.model.off("change:paused", this.onPaused);
    this.store.detach(this);
  }

  // Drawing: at most once a frame, and not out of sight.

  changed() {
    if (this.isDue || !this.isSeen) return;
    this.isDue = true;
    requestAnimationFrame(() => {
      this.isDue = false;
      if (this.root.isConnected) this.draw();
    });
  }

  // Nothing is measured here (what is known comes from the observer and from scrolling), and the
  // scrolling comes last: so each drawing costs one layout.
  draw() {
    if (this.viewWidth === 0 && this.rows.length) this.list.hidden = false; // to be measured
    this.drawControls();
    this.drawFoot();
    const anchor = this.follow ? null : this.topLine();
    this.openOnChosen();
    this.choose();
    this.arrange();
    const whole = this.lines.length * this.height;
    const middle = this.isCentred ? this.lines.findIndex((line) => line.row === this.selected) : -1;
    if (middle >= 0) this.top = (middle + 0.5) * this.height - this.viewHeight / 2;
    else if (this.follow) this.top = whole - this.viewHeight;
    else if (anchor) {
      const now = this.lines.findIndex((line) => line.id >= anchor.id);
      this.top = Math.max(0, now) * this.height + anchor.offset;
    }
    this.top = Math.max(0, Math.min(this.top, whole - this.viewHeight));
    if (this.whole !== whole) this.canvas.style.height = `${whole}px`;
    this.whole = whole;
    this.drawEmpty();
    this.drawRows();
    this.scrollTo(this.top);
  }

  scrollTo(top) {
    this.top = top;
    if (Math.abs(top - this.scrolledTo) < 1) return;
    this.list.scrollTop = top;
    this.scrolledTo = top;
  }

  topLine() {
    const index = Math.floor(this.top / (this.height || 1));
    const line = this.lines[index];
    return line ? { id: line.id, offset: this.top - index * this.height } : null;
  }

  get rows() {
    return this.held ?? this.store.rows;
  }

  // The kernel asked for a row; not again where somebody has chosen another one since.
  openOnChosen() {
    const { chosen } = this.store;
    if (!chosen || this.opened === chosen || !this.rows.includes(chosen)) return;
    const isLeft = this.opened !== null && this.selected !== this.opened;
    this.opened = chosen; // another object, though the same row, once all rows have been sent anew
    if (isLeft) return;
    this.isCentred = true;
    this.select(chosen);
  }

  // Keepalive is folded, unless it is what somebody looks for.
  get folds() {
    const isSubject = this.query || (this.kinds.size === 1 && this.kinds.has("ping"));
    return this.store.model.get("folds_keepalive") && !isSubject;
  }

  foldOf(run) {
    const { folds } = this.store;
    const [first] = run;
    if (!folds.has(first.id)) folds.set(first.id, { what: "keepalive", id: first.id - 0.25, first, group: "ping" });
    const fold = folds.get(first.id);
    const before = new Map();
    const gaps = [];
    fold.pings = 0;
    for (const row of run) {
      if (row.kind !== "ping") continue;
      fold.pings += 1;
      const who = `${row.lane} ${row.by}`;
      if (before.has(who)) gaps.push(row.at - before.get(who));
      before.set(who, row.at);
    }
    return Object.assign(fold, { at: run.at(-1).at, from: first.at, frames: run.length, every: median(gaps) });
  }

  // Which rows are shown, and where silence and keepalive are folded.
  choose() {
    const { query, folds } = this;
    const all = this.kinds.size === KINDS.length && !this.lane && !query;
    const lines = [];
    let before = null;
    let run = [];
    const fold = () => {
      if (!run.length) return;
      const row = this.foldOf(run);
      lines.push((row.line ??= { id: row.id, row }));
      if (this.unfolded.has(run[0].id)) for (const each of run) lines.push((each.line ??= { id: each.id, row: each }));
      before = run.at(-1);
      run = [];
    };
    for (const row of this.rows) {
      if (!all) {
        if (row.group !== "note" && !this.kinds.has(row.group) && !(row.group === "reserved")) continue;
        if (this.lane && row.lane !== undefined && String(row.lane) !== this.lane) continue;
        if (query && !this.textOf(row).includes(query)) continue;
      }
      if (folds && row.keepalive) {
        run.push(row);
        continue;
      }
      fold();
      if (before !== null && row.at - before.at > SILENCE_S) lines.push({ id: row.id - 0.5, gap: row.at - before.at });
      lines.push((row.line ??= { id: row.id, row })); // made once: this runs for every row at each drawing
      before = row;
    }
    fold();
    this.lines = lines;
  }

  textOf(row) {
    if (row.find === undefined) {
      const parts = [row.label ?? "", row.reason ?? "", row.kind ?? "", row.code ?? "", row.body ?? ""];
      if (row.payload && row.message === "text")
        parts.push(new TextDecoder().decode(row.content === undefined ? unmask(row) : row.inflated));
      for (const fault of row.faults ?? []) parts.push(fault[0]);
      row.find = parts.join(" ").toLowerCase();
    }
    return row.find;
  }

  // Where the lanes are, and whether labels fit on the arrows or stand beside them.
  arrange() {
    const lanes = this.store.lanes;
    const used = new Map(); // lane -> last row
    const spans = new Map();
    for (const row of this.rows) {
      if (row.lane === undefined) continue;
      if (!spans.has(row.lane)) spans.set(row.lane, { from: row.what === "request" ? row.id : -1, to: Infinity });
      if (row.what === "ended") spans.get(row.lane).to = row.id;
    }
    for (const { row } of this.lines) if (row?.lane !== undefined) used.set(row.lane, row.id);
    const width = this.viewWidth;
    const room = width - TIME_WIDTH;
    const most = Math.max(2, Math.floor((room * 0.55) / 26) - 1);
    const recent = [...used].sort((a, b) => b[1] - a[1]).slice(0, used.size === most + 1 ? used.size : most).map(([lane]) => lane);
    const kept = new Set(recent);
    const order = [];
    const servers = new Set([...used.keys()].map((lane) => lanes.get(lane)?.server).filter((s) => s !== undefined));
    for (const server of servers) {
      const mine = [...kept].filter((lane) => lanes.get(lane)?.server === server).sort((a, b) => a - b);
      const half = Math.ceil(mine.length / 2);
      order.push(...mine.slice(0, half), server, ...mine.slice(half));
    }
    const others = used.size - kept.size;
    if (others) order.push("others");
    const isOn = order.length <= 3 && room / order.length >= 118;
    this.isOn = isOn;
    this.height = isOn ? 36 : 26;
    const side = isOn ? Math.min(124, room * 0.21) : 0;
    const pad = isOn ? Math.min(50, room * 0.08) : 16;
    const step = order.length < 2 ? 0 : isOn
      ? (room - side - 2 * pad) / (order.length - 1)
      : Math.max(22, Math.min(52, (room * 0.44) / (order.length - 1)));
    this.x = new Map(order.map((lane, i) => [lane, Math.round(TIME_WIDTH + pad + i * step) + 0.5]));
    this.lastX = TIME_WIDTH + pad + step * (order.length - 1);
    this.spans = spans;
    this.width = width;
    this.drawHeads(order, step, others);
  }

  xOf(row) {
    return this.x.get(row.lane) ?? this.x.get("others");
  }

  drawHeads(order, step, others) {
    const slanted = !this.isOn && step < 84;
    const key = JSON.stringify([order.map((lane) => [lane, this.store.lanes.get(lane)?.name, this.x.get(lane)]), this.width, others]);
    if (key === this.headsKey) return;
    this.headsKey = key;
    this.heads.classList.toggle("wi-slanted", slanted);
    this.heads.hidden = order.length === 0;
    this.heads.replaceChildren(
      ...order.map((lane) => {
        const about = this.store.lanes.get(lane) ?? { name: `${others} others`, sub: "" };
        const head = h("div", { class: "wi-lane", "data-side": about.side, title: `${about.name} ${about.sub}` },
          h("b", { class: "ws-cut" }, about.name), slanted ? null : h("span", { class: "ws-cut ws-mono" }, about.sub));
        head.style.left = `${this.x.get(lane)}px`;
        if (!slanted) head.style.maxWidth = `${Math.max(60, step - 12)}px`;
        return head;
      }),
    );
  }

  drawRows() {
    const { height } = this;
    const first = Math.max(0, Math.floor(this.top / height) - 2);
    const last = Math.min(this.lines.length, first + Math.ceil(this.viewHeight / height) + 5);
    const wanted = new Map();
    for (let i = first; i < last; i++) wanted.set(this.lines[i].id, i);
    const free = [];
    for (const [id, element] of this.pool) {
      if (!wanted.has(id)) {
        free.push(element);
        this.pool.delete(id);
      }
    }
    const geometry = `${this.headsKey}${height}`;
    for (const [id, i] of wanted) {
      let element = this.pool.get(id);
      if (!element) {
        element = free.pop() ?? makeRow();
        element.drawn = null;
        this.pool.set(id, element);
        if (!element.isConnected) this.canvas.append(element);
      }
      const line = this.lines[i];
      if (element.y !== i * height) element.style.transform = `translateY(${i * height}px)`;
      element.y = i * height;
      mark(element, "aria-selected", line.row !== undefined && line.row === this.selected);
      const span = line.row && this.spans.get(line.row.lane);
      const isFold = line.row?.what === "keepalive";
      const state = `${geometry}${span?.to}${isFold ? `${line.row.frames} ${this.unfolded.has(line.row.first.id)}` : ""}`;
      if (element.drawn !== line.id || element.geometry !== state) {
        element.drawn = line.id;
        element.geometry = state;
        this.drawRow(element, line);
      }
    }
    for (const element of free) element.remove();
    const active = this.selected && this.pool.get(this.selected.id);
    mark(this.list, "aria-activedescendant", active ? active.id : null);
  }

  drawRow(element, line) {
    const { row } = line;
    element.id = `${this.store.page}-${line.id}`;
    element.line = line;
    const { at, art, label, meta } = element.parts;
    element.style.height = `${this.height}px`;
    art.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    art.setAttribute("width", this.width);
    art.setAttribute("height", this.height);
    mark(element, "aria-expanded", row?.what === "keepalive" ? this.unfolded.has(row.first.id) : null);
    mark(element, "title", row?.by ? this.names(row).join(" to ") : null);
    mark(element, "data-what", row ? row.what : "gap");
    mark(element, "data-kind", row ? row.group : "gap");
    mark(element, "data-fault", row?.faults || (row?.what === "ended" && !row.clean) ? "1" : "0");
    write(at, row ? moment(row.at) : "");
    at.style.top = `${this.isOn && row?.what !== "ended" ? this.height - 20 : this.height / 2 - 9}px`;
    mark(element, "aria-label", this.spoken(line));
    label.className = "wi-label";
    let lines = "";
    for (const [lane, x] of this.x) {
      const span = this.spans.get(lane);
      if (span && (line.id < span.from || line.id > span.to)) continue;
      const top = span && line.id === span.from ? this.height / 2 : 0;
      const bottom = span && line.id === span.to ? this.height / 2 : this.height;
      lines += `<path class="wi-life" d="M${x} ${top}V${bottom}"/>`;
    }
    if (!row || row.lane === undefined) this.drawNote(element, lines, line);
    else if (["ended", "fault", "dropped"].includes(row.what)) this.drawMark(element, lines, row);
    else this.drawArrow(element, lines, row);
    label.hidden = !label.textContent;
    meta.hidden = !meta.textContent;
  }

  drawNote(element, lines, line) {
    const { art, label, meta } = element.parts;
    const y = this.height / 2;
    art.innerHTML = `${lines}<path class="wi-fold" d="M${TIME_WIDTH} ${y}H${this.width - 12}"/>`;
    const { row } = line;
    const isOpen = row && row.what === "keepalive" && this.unfolded.has(row.first.id);
    write(label, line.gap ? `${lapse(line.gap)} of silence`
      : row.what === "keepalive" ? `${isOpen ? "▾" : "▸"} ${keepaliveWords(row)}`
      : `${plural(row.frames, "frame")} not drawn, all counted`);
    place(label, (TIME_WIDTH + this.width) / 2, this.width - TIME_WIDTH - 20, "middle", y - 10);
    write(meta, "");
  }

  drawMark(element, lines, row) {
    const { art, label, meta } = element.parts;
    const x = this.xOf(row);
    const y = this.height / 2;
    const shape = row.what === "ended" && row.clean
      ? `<circle class="wi-end" cx="${x}" cy="${y}" r="5"/>`
      : `<path class="wi-end" d="M${x - 5} ${y - 5}l10 10m0-10l-10 10"/>`;
    art.innerHTML = lines + shape;
    write(label, row.what === "fault" ? `fault: ${row.label}, ${row.faults[0][1]}` : row.label);
    write(meta, "");
    const toRight = !this.isOn || x < (TIME_WIDTH + this.width) / 2;
    const start = this.isOn ? x + 12 : this.lastX + 20;
    if (toRight) place(label, start, this.width - start - 8, "start", y - 10);
    else place(label, x - 12, x - TIME_WIDTH - 12, "end", y - 10);
  }

  drawArrow(element, lines, row) {
    const { art, label, meta } = element.parts;
    const lane = this.store.lanes.get(row.lane);
    const client = this.xOf(row);
    const server = this.x.get(lane?.server) ?? client;
    const [from, to] = row.by === "client" ? [client, server] : [server, client];
    const y = this.isOn ? this.height - 11 : this.height / 2;
    art.innerHTML = lines + arrow(row, from, to, y);
    write(label, this.isOn ? labelOf(row) : `${this.saidBy(row)}${labelOf(row)}`);
    label.classList.toggle("wi-box", row.what === "request" || row.what === "response");
    label.classList.toggle("ws-mono", row.what === "frame" && row.kind !== "close");
    write(meta, metaOf(row));
    if (this.isOn) {
      place(label, (from + to) / 2, Math.abs(from - to) - 16, "middle", y - 21);
      const start = Math.max(from, to) + 10;
      // A server between two clients: the note may run over the other's lane.
      place(meta, start, this.width - start - 6, "start", y - 9);
    } else {
      const start = this.lastX + 20;
      const room = this.width - start - 8;
      const aside = Math.min(room * 0.5, 5.7 * meta.textContent.length + 16);
      place(label, start, room - aside, "start", y - 10);
      place(meta, this.width - 8, aside - 6, "end", y - 10);
    }
  }

  // Whose an arrow is, where it stands beside it.
  saidBy(row) {
    const name = this.store.lanes.get(row.lane)?.name;
    return name ? (row.by === "client" ? `${name}: ` : `to ${name}: `) : "";
  }

  // The same in words, for those who listen.
  spoken({ row, gap }) {
    if (gap) return `${lapse(gap)} of silence`;
    if (row.what === "keepalive") return `${moment(row.at)}, ${keepaliveWords(row)}`;
    if (row.what === "passed") return `${plural(row.frames, "frame")} not drawn, all counted`;
    const lane = this.store.lanes.get(row.lane);
    const client = lane?.name ?? "client";
    const server = this.store.lanes.get(lane?.server)?.name ?? "server";
    if (["ended", "fault", "dropped"].includes(row.what)) return `${moment(row.at)}, ${client}: ${row.label}`;
    const way = row.by === "client" ? `${client} to ${server}` : `${server} to ${client}`;
    return [moment(row.at), way, row.what === "frame" ? row.kind : row.what, labelOf(row), metaOf(row)].filter(Boolean).join(", ");
  }

  drawEmpty() {
    const isEmpty = this.lines.length === 0;
    this.empty.hidden = !isEmpty;
    this.list.hidden = isEmpty;
    if (!isEmpty) return;
    const isFiltered = this.rows.length > 0;
    if (this.emptyShown === isFiltered && this.empty.childElementCount) return;
    this.emptyShown = isFiltered;
    this.empty.replaceChildren(
      ...(isFiltered
        ? [h("p", {}, "No row fits the filter."), h("button", { type: "button", onclick: () => this.showAll() }, "Show all")]
        : [h("p", {}, "Nothing has happened yet."), h("p", { class: "ws-soft" }, "Connect a client, and every byte shows here: ", h("code", {}, "wslab.connect(server)"))]),
    );
  }

  showAll() {
    this.kinds = new Set(KINDS.map(([kind]) => kind));
    this.lane = this.query = this.search.value = "";
    this.changed();
    this.list.hidden = false;
    this.list.focus();
  }

  drawControls() {
    const { model } = this.store;
    const figures = this.store.figures;
    const state = model.get("state");
    write(this.url, model.get("title"));
    mark(this.url, "title", model.get("title"));
    const waiting = this.held ? this.store.rows.filter((row) => row.id > (this.held.at(-1)?.id ?? 0)).length : 0;
    write(this.state, this.held ? `paused${waiting ? `, ${count(waiting)} new` : ""}` : state);
    mark(this.holder, "data-state", this.held ? "closing" : state === "closed" ? "stopped" : state);
    write(this.pause, this.held ? "Resume" : "Pause");
    mark(this.pause, "aria-pressed", this.held !== null);
    mark(this.following, "aria-pressed", this.follow);
    write(this.failure, model.get("failure"));
    this.failure.hidden = !model.get("failure");
    const sum = (name) => (figures ? figures.client[name] + figures.server[name] : 0);
    const heads = this.rows.reduce((n, row) => n + (row.group === "http"), 0);
    const counts = { http: heads, text: sum("text"), binary: sum("binary"), ping: sum("ping") + sum("pong"), close: sum("close") };
    for (const { kind, chip, number } of this.chips) {
      mark(chip, "aria-pressed", this.kinds.has(kind));
      write(number, count(counts[kind]));
    }
    const names = [["", "All connections"]];
    const seen = new Set();
    for (const row of this.rows) if (row.lane !== undefined && !seen.has(row.lane)) seen.add(row.lane);
    for (const lane of seen) names.push([String(lane), this.store.lanes.get(lane)?.name ?? "?"]);
    const key = JSON.stringify(names);
    if (key !== this.namesKey && document.activeElement !== this.choice) {
      this.namesKey = key;
      this.choice.replaceChildren(...names.map(([value, name]) => h("option", { value }, name)));
      this.choice.value = seen.has(Number(this.lane)) ? this.lane : (this.lane = "");
    }
  }

  drawFoot() {
    const figures = this.store.figures;
    if (!figures) return;
    const pair = (label, value, title) => h("span", { title }, `${label} `, h("b", {}, value));
    const parts = [];
    for (const [label, sender] of [["to the server", "client"], ["from the server", "server"]])
      parts.push([label, `${plural(figures[sender].frames, "frame")}, ${size(figures[sender].size)}`]);
    if (figures.bytes > 0)
      parts.push(["headers", `${figures.about ? "about " : ""}${((100 * figures.header) / figures.bytes).toFixed(1)} %`, "Bytes of frame headers, of all bytes of frames"]);
    const [before, after] = figures.inflated;
    if (after) parts.push(["compressed to", `${((100 * before) / after).toFixed(0)} %`, `${size(after)} of messages travelled as ${size(before)}`]);
    if (figures.ping !== null) parts.push(["last ping", trip(figures.ping)]);
    const [frames, bytes] = figures.dropped;
    parts.push(bytes ? ["dropped", `${plural(frames, "frame")}, ${size(bytes)}`, "The tape was full: the oldest bytes were dropped"] : ["nothing dropped", ""]);
    const total = figures.client.frames + figures.server.frames;
    if (figures.passed && total > 0) {
      const drawn = Math.max(1, total - figures.passed);
      const share = total / drawn < 2 ? `${count(drawn)} of ${count(total)}` : `1 of ${count(Math.round(total / drawn))}`;
      parts.push(["drew", share, `${plural(figures.passed, "frame")} came too fast to be drawn; all are counted`], ["all are counted", ""]);
    }
    const key = JSON.stringify(parts);
    if (key === this.footKey) return;
    this.footKey = key;
    this.foot.replaceChildren(...parts.map((part) => pair(...part)));
  }

  // What people do.

  toggle(kind) {
    if (!this.kinds.delete(kind)) this.kinds.add(kind);
    this.changed();
  }

  setPaused(isPaused) {
    if (isPaused === (this.held !== null)) return;
    this.held = isPaused ? [...this.store.rows] : null;
    write(this.status, isPaused ? "Paused" : "Live again");
    this.changed();
  }

  setFollow(isOn) {
    this.follow = isOn;
    this.isCentred = false;
    this.changed();
  }

  clear() {
    if (this.held) this.setPaused(false);
    this.follow = true;
    this.showLegend();
    this.store.clear();
    write(this.status, "Cleared");
  }

  scrolled() {
    const now = this.list.scrollTop;
    const isMine = Math.abs(now - this.top) < 2;
    this.scrolledTo = now;
    if (isMine) return;
    if (this.isCentred) return this.changed(); // the list has become another size: nobody scrolled
    this.top = now;
    this.follow = now + this.viewHeight >= this.whole - 4;
    mark(this.following, "aria-pressed", this.follow);
    this.drawRows();
  }

  clicked(event) {
    const row = event.target.closest(".wi-row")?.line.row;
    if (!row) return;
    this.isCentred = false;
    if (row.what === "keepalive") this.unfold(row);
    this.select(row);
  }

  unfold(fold) {
    if (!this.unfolded.delete(fold.first.id)) this.unfolded.add(fold.first.id);
    this.follow = false;
    this.changed();
  }

  key(event) {
    if (event.key === "Escape" && this.selected) {
      event.stopPropagation();
      this.unselect();
    }
    const page = Math.max(1, Math.floor(this.viewHeight / this.height) - 1);
    const moves = { ArrowUp: -1, ArrowDown: 1, PageUp: -page, PageDown: page, Home: -Infinity, End: Infinity };
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      if (this.selected?.what === "keepalive") this.unfold(this.selected);
      else if (this.selected) (this.detail.querySelector("[tabindex='0'], summary") ?? this.detail).focus();
      return;
    }
    const move = moves[event.key];
    if (move === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    this.step(move);
  }

  step(move) {
    const at = this.lines.findIndex((line) => line.row && line.row === this.selected);
    const last = this.lines.length - 1;
    let to = at < 0 ? (move > 0 && this.topLine() ? Math.floor(this.top / this.height) : last) : at + move;
    to = Math.max(0, Math.min(last, to));
    const way = move < 0 ? -1 : 1;
    while (this.lines[to] && !this.lines[to].row && this.lines[to + way]) to += way;
    const line = this.lines[to];
    if (!line?.row) return;
    this.follow = to === last;
    this.isCentred = false;
    this.select(line.row);
    const top = to * this.height;
    if (top < this.top) this.scrollTo(top);
    else if (top + this.height > this.top + this.viewHeight) this.scrollTo(top + this.height - this.viewHeight);
    this.drawRows();
  }

  select(row) {
    this.selected = row;
    if (row !== this.lines.at(-1)?.row) this.follow = false;
    mark(this.following, "aria-pressed", this.follow);
    this.drawRows();
    this.body.classList.add("wi-chosen");
    this.detail.scrollTop = 0;
    const close = h("button", { type: "button", class: "wi-unselect", onclick: () => this.unselect() }, "Hide");
    this.detail.replaceChildren(close, ...this.describe(row));
  }

  // The timeline gets its whole width back.
  unselect() {
    this.showLegend();
    this.drawRows();
    this.list.focus();
  }

  // The right side.

  showLegend() {
    this.selected = null;
    this.body.classList.remove("wi-chosen");
    const item = (kind, row, text) => {
      const art = document.createElementNS(SVG, "svg");
      art.setAttribute("viewBox", "0 0 64 16");
      art.setAttribute("width", 64);
      art.setAttribute("height", 16);
      art.innerHTML = arrow(row, 2, 62, 8);
      return h("li", { "data-kind": kind }, art, h("span", {}, text));
    };
    const frame = (kind, first, more) => ({ what: "frame", kind, head: [first, 0], ...more });
    this.detail.replaceChildren(
      h("h3", {}, "Choose an arrow"),
      h("p", { class: "ws-soft" }, "A click, or the arrow keys, puts it under the microscope: its bits, its mask, its payload. A request or its answer opens the handshake."),
      h("ul", { class: "wi-legend" },
        item("http", { what: "request" }, "HTTP: a request, an answer"),
        item("text", frame("text", 0x81), PURPOSE.text),
        item("binary", frame("binary", 0x82), PURPOSE.binary),
        item("text", frame("text", 0x01), "a fragment: hollow head, more follows"),
        item("text", frame("continuation", 0x80), PURPOSE.continuation),
        item("ping", frame("ping", 0x89), "ping and pong: are you there?"),
        item("close", frame("close", 0x88), PURPOSE.close)),
    );
  }

  describe(row) {
    if (row.what === "frame") return this.microscope(row);
    if (["request", "response", "body"].includes(row.what)) return this.reader(row);
    const lane = this.store.lanes.get(row.lane)?.name;
    const title = { ended: "The end of the connection", dropped: "Dropped", fault: "A broken rule", passed: "Too fast to be drawn", keepalive: "Keepalive" }[row.what];
    if (row.what === "keepalive")
      return [h("h3", {}, title), h("p", { class: "ws-soft" }, `${keepaliveWords(row)}, from ${moment(row.from)} to ${moment(row.at)}`),
        h("p", {}, "Nobody's program sent these. The library at each end asks with a ping whether the other end is still there, and the other end's library answers with a pong. A click on the line, or Enter, shows each of them. ", h("span", { class: "ws-soft" }, "RFC 6455 §5.5.2, §5.5.3"))];
    const says = row.what === "passed"
      ? `${plural(row.frames, "frame")} crossed the wire here faster than anybody can read. They are counted below, and kept on the tape as far as it reaches.`
      : row.label;
    return [h("h3", {}, title), h("p", { class: "ws-soft" }, [lane, moment(row.at)].filter(Boolean).join(", ")), faults(row) ?? h("p", {}, says),
      row.what === "ended" ? h("p", { class: "ws-soft" }, row.clean
        ? "Both sides sent a close frame, then TCP ended: the closing handshake was complete. RFC 6455 §7.1.4"
        : "TCP ended without the closing handshake. 1006 never travels: it is what each side reports when that happens. RFC 6455 §7.1.5") : null].filter(Boolean);
  }

  names(row) {
    const lane = this.store.lanes.get(row.lane);
    const client = lane?.name ?? "client";
    const server = this.store.lanes.get(lane?.server)?.name ?? "server";
    return row.by === "client" ? [client, server] : [server, client];
  }

  microscope(row) {
    const frame = layout(row);
    const [from, to] = this.names(row);
    const head = row.head.length;
    const traits = [
      row.kind === "continuation" ? `continuation of a ${row.message ?? "missing"} message` : row.kind,
      row.head[0] & 0x80 ? (row.part ? `final, part ${row.part}` : "final") : `part ${row.part}, more follows`,
      frame.masked ? "masked" : "not masked",
      row.compressed ? "compressed" : null,
    ].filter(Boolean).join(", ");
    const parts = [
      h("h3", {}, `Frame ${count(row.n)}, ${from} to ${to}`),
      h("p", { class: "ws-soft" }, `${traits}. ${plural(row.wire, "byte")} on the wire at ${moment(row.at)}: ${head} of header, ${count(row.size)} of payload.`),
      faults(row),
      this.bitTable(frame),
    ];
    if (row.kind === "close") parts.push(closeCode(row));
    if (row.rtt !== undefined) parts.push(h("p", {}, `Answers the ping that was sent ${trip(row.rtt)} before.`));
    if (row.whole)
      parts.push(h("p", {}, `The message is complete: ${plural(row.whole.parts, "fragment")}, ${plural(row.whole.size, "byte")}, ${trip(row.whole.took)} from first to last.`));
    const payload = unmask(row);
    const isText = (row.message === "text" && row.content === undefined && !row.compressed) || row.kind === "close" || row.kind === "ping" || row.kind === "pong";
    if (frame.masked && row.size) parts.push(this.unmasking(row, frame, payload, isText));
    if (row.size) {
      const what = row.compressed ? "Payload, compressed" : frame.masked ? "Payload without its mask" : "Payload";
      parts.push(dump(what, payload, row.size, isText));
    }
    if (row.content !== undefined) {
      const ratio = row.content ? ` (${((100 * row.size) / row.content).toFixed(0)} %)` : "";
      parts.push(dump(`Inflated: ${plural(row.content, "byte")} from ${count(row.size)}${ratio}`, row.inflated, row.content, row.message === "text"));
    }
    return parts.filter(Boolean);
  }

  // The figure of RFC 6455 §5.2 with this frame's own bits: one band a field, 16 bits a line.
  bitTable(frame) {
    const { row, fields } = frame;
    const note = h("div", { class: "wi-note", "aria-live": "polite" });
    const bands = [];
    const show = (field) => {
      this.field = field.name;
      const [text, section] = EXPLAIN[field.name](frame);
      note.replaceChildren(h("b", {}, field.name === "extended" ? "extended length" : field.name === "key" ? "masking key" : field.name), ` ${field.says}. `, text, " ", h("span", { class: "ws-soft" }, section));
      for (const [band, its] of bands) {
        band.classList.toggle("wi-on", its.name === field.name);
        if (band.dataset.first) band.tabIndex = its.name === field.name ? 0 : -1;
      }
    };
    const key = (event, field) => {
      const way = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1 }[event.key];
      if (!way) return;
      event.preventDefault();
      event.stopPropagation();
      const stops = bands.filter(([band]) => band.dataset.first);
      const at = stops.findIndex(([, its]) => its === field);
      stops[Math.max(0, Math.min(stops.length - 1, at + way))][0].focus();
    };
    const band = (field, children, column, isFirst) => {
      const element = h("div", {
        class: `wi-band wi-${field.name}`,
        role: "button",
        tabindex: "-1",
        "data-first": isFirst ? "1" : null,
        "aria-hidden": isFirst ? null : "true",
        "aria-label": `${field.title}, ${field.says}`,
        onmouseenter: () => show(field),
        onfocus: () => show(field),
        onkeydown: (event) => key(event, field),
      }, children);
      element.style.gridColumn = column;
      bands.push([element, field]);
      return element;
    };
    const grid = h("div", { class: "wi-bits" });
    grid.append(h("span", { class: "wi-corner" }, "byte"));
    for (let bit = 0; bit < 16; bit++) grid.append(h("span", { class: "wi-bit" }, String(bit)));
    const all = [...row.head].map(bits).join("");
    for (let byte = 0; byte < row.head.length; byte += 2) {
      grid.append(h("span", { class: "wi-offset", title: `bytes ${byte} and ${byte + 1}` }, h("small", {}, String(byte)), [...row.head.slice(byte, byte + 2)].map(hex).join(" ")));
      for (const field of fields) {
        const from = Math.max(field.from, byte * 8);
        const to = Math.min(field.from + field.width, byte * 8 + 16);
        if (from >= to) continue;
        const digits = h("span", { class: "wi-digits" }, [...all.slice(from, to)].map((bit) => h("i", {}, bit)));
        const isFirst = from === field.from;
        // On a narrow side a single bit has no room for its name.
        const isTight = this.detail.clientWidth < 470 && field.width === 1;
        const short = isTight ? field.title.replace("RSV", "R").replace("MASK", "M") : field.title;
        const name = isFirst ? short : "";
        grid.append(band(field, [digits, h("small", {}, name || "\u00a0")], `span ${to - from}`, isFirst));
      }
    }
    if (row.size) {
      const field = { name: "payload", title: `payload: ${plural(row.size, "byte")}`, says: plural(row.size, "byte") };
      const shown = [...row.payload.slice(0, 12)].map((byte) => h("i", {}, hex(byte)));
      if (row.size > 12) shown.push(h("i", {}, "…"));
      grid.append(h("span", { class: "wi-offset" }, h("small", {}, String(row.head.length))));
      grid.append(band(field, [h("span", { class: "wi-digits wi-wide" }, shown), h("small", {}, field.title)], "span 16", true));
    }
    const chosen = bands.find(([, field]) => field.name === this.field) ?? bands[4];
    show(chosen[1]);
    return h("div", { class: "wi-layout", role: "group", "aria-label": "The bits of the header; arrow keys move from field to field" }, grid, h("div", { class: "wi-room" }, note));
  }

  unmasking(row, frame, payload, isText) {
    const shown = Math.min(payload.length, MAX_UNMASKED);
    const across = Math.max(6, Math.min(16, Math.floor((this.detail.clientWidth - 110) / 27)));
    const note = h("div", { class: "wi-xor ws-mono" });
    const cells = [];
    const show = (i) => {
      const wire = row.payload[i];
      const key = frame.key[i & 3];
      note.replaceChildren(`byte ${i}: `, h("span", {}, `${bits(wire)} xor ${bits(key)} = `), h("b", {}, bits(wire ^ key)), `  key byte ${i} mod 4 = ${i & 3}`);
      for (const [cell, its] of cells) cell.classList.toggle("wi-on", its === i);
    };
    const blocks = [];
    const chars = characters(payload.slice(0, shown), isText);
    let next = 0;
    let spill = 0;
    for (let start = 0; start < shown; start += across) {
      const end = Math.min(shown, start + across);
      const line = (name, byte) => h("tr", {}, h("th", { scope: "row" }, name), ...Array.from({ length: end - start }, (_, n) => {
        const cell = h("td", { onmouseenter: () => show(start + n) }, byte(start + n));
        cells.push([cell, start + n]);
        return cell;
      }));
      const text = h("tr", {}, h("th", { scope: "row" }, isText ? "UTF-8" : "ASCII"));
      let column = start;
      if (spill) {
        text.append(h("td", { colspan: Math.min(spill, end - start) }, "…"));
        column += Math.min(spill, end - start);
        spill = 0;
      }
      while (column < end && next < chars.length) {
        const [char, width] = chars[next++];
        const here = Math.min(width, end - column);
        text.append(h("td", { colspan: here, class: "wi-char" }, char));
        spill = width - here;
        column += here;
      }
      blocks.push(line("wire", (i) => hex(row.payload[i])), line("xor key", (i) => hex(frame.key[i & 3])), line("payload", (i) => hex(payload[i])), text);
    }
    blocks.forEach((tr, i) => tr.classList.add(["wi-wire", "wi-keys", "wi-sum", "wi-text"][i % 4]));
    const stop = h("div", {
      class: "wi-unmask",
      tabindex: "0",
      role: "group",
      "aria-label": "Unmasking, byte by byte; left and right move",
      onkeydown: (event) => {
        const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (!way) return;
        event.preventDefault();
        at = Math.max(0, Math.min(shown - 1, at + way));
        show(at);
      },
    }, h("table", { class: "ws-mono" }, blocks), note);
    let at = 0;
    show(0);
    const rest = row.size > shown ? `the first ${shown} of ${plural(row.size, "byte")}` : plural(row.size, "byte");
    return h("section", {}, h("h4", {}, "Unmasking ", h("span", { class: "ws-soft" }, rest)), stop);
  }

  // The handshake, or any HTTP exchange.
  reader(row) {
    const response = row.what === "response" ? row : this.rows.find((other) => other.request === row.id);
    const request = row.what === "request" ? row : this.rows.find((other) => other.id === row.request);
    const asked = response?.asked ?? request?.head;
    const [client, server] = this.names({ ...row, by: "client" });
    if (row.what === "body")
      return [h("h3", {}, `Body, ${server} to ${client}`), h("p", { class: "ws-soft" }, `${plural(row.size, "byte")} at ${moment(row.at)}`), h("pre", { class: "wi-body-text" }, row.body)];
    const isUpgrade = (response ?? request).upgrade;
    const shake = response?.handshake;
    const took = response && request ? `, answered in ${trip(response.at - request.at)}` : "";
    const parts = [
      h("h3", {}, isUpgrade ? `Handshake, ${client} and ${server}` : `HTTP, ${client} and ${server}`),
      h("p", { class: "ws-soft" }, `At ${moment((request ?? response).at)}${took}.`),
    ];
    if (isUpgrade && !response) parts.push(h("p", {}, "No answer yet."));
    if (shake) {
      const agreed = [shake.subprotocol && `subprotocol ${shake.subprotocol}`, shake.extensions && `extensions ${shake.extensions}`].filter(Boolean).join("; ");
      parts.push(h("p", { class: shake.accepted ? "wi-verdict" : "wi-verdict wi-bad" }, shake.accepted
        ? `Accepted: from the next byte on both sides speak frames. ${agreed ? `Agreed: ${agreed}.` : "No subprotocol and no extension was agreed."}`
        : shake.why));
    }
    if (shake?.accept) parts.push(derivation(shake.accept));
    if (asked) parts.push(this.headTable(`Request, ${client} to ${server}`, asked, shake?.suspect));
    if (response) parts.push(this.headTable(`Answer, ${server} to ${client}`, response.head, ""));
    if (response?.body) parts.push(h("section", {}, h("h4", {}, "Body ", h("span", { class: "ws-soft" }, plural(response.size, "byte"))), h("pre", { class: "wi-body-text" }, response.body)));
    if (shake) parts.push(checks(shake.checks));
    return parts;
  }

  headTable(title, head, suspect) {
    return h("section", {}, h("h4", {}, title, " ", h("span", { class: "ws-soft" }, plural(head.size, "byte"))),
      h("p", { class: "wi-start ws-mono" }, head.start),
      h("dl", { class: "wi-headers" }, head.headers.map(([name, value, text, fault]) => {
        const [purpose, setBy, section] = this.store.texts[text] ?? ["", "", ""];
        const isSuspect = suspect && name.toLowerCase() === suspect.toLowerCase();
        return h("div", { class: fault || isSuspect ? "wi-faulty" : null },
          h("dt", { class: "ws-mono" }, h("span", { class: "wi-name" }, `${name}:`), ` ${value}`),
          h("dd", {}, fault ? h("p", { class: "wi-fault" }, h("b", {}, "fault "), fault) : null,
            isSuspect && !fault ? h("p", { class: "wi-fault" }, h("b", {}, "suspect "), "probably the cause of the refusal") : null,
            purpose, " ", h("span", { class: "ws-soft" }, `Set by ${setBy}. ${section}`)));
      })));
  }
}

// ------------------------------------------------------------------------------ pieces of the picture

function makeRow() {
  const art = document.createElementNS(SVG, "svg");
  art.setAttribute("aria-hidden", "true");
  const parts = {
    at: h("span", { class: "wi-at ws-mono" }),
    art,
    label: h("span", { class: "wi-label" }),
    meta: h("span", { class: "wi-meta" }),
  };
  const element = h("div", { class: "wi-row", role: "option" }, parts.at, art, parts.label, parts.meta);
  element.parts = parts;
  return element;
}

function place(element, x, room, anchor, y) {
  const { style } = element;
  style.top = `${Math.round(y)}px`;
  style.maxWidth = `${Math.max(0, Math.round(room))}px`;
  style.left = `${Math.round(x)}px`;
  element.dataset.anchor = anchor;
}

function labelOf(row) {
  if (row.what !== "frame") return row.label;
  if (row.kind === "close") return ["close", row.code ?? "", row.reason ? `“${row.reason}”` : ""].filter(Boolean).join(" ");
  if (row.kind === "ping" || row.kind === "pong") return row.label ? `${row.kind} ${row.label}` : row.kind;
  if (row.message === "text") return row.label ? `“${row.label}”` : "“”";
  return row.label || row.kind;
}

function metaOf(row) {
  if (row.what === "request") return row.upgrade ? "asks to upgrade" : "HTTP";
  if (row.what === "response") return row.handshake && !row.handshake.accepted ? "refused" : row.status === 101 ? "upgraded" : row.size ? size(row.size) : "HTTP";
  if (row.what === "body") return `body, ${size(row.size)}`;
  const parts = [];
  if (row.faults) parts.push(`fault: ${row.faults[0][0]}`);
  if (row.rtt !== undefined) parts.push(trip(row.rtt));
  else if (row.kind === "close") parts.push(row.answer ? "answers" : size(row.wire));
  else if (row.part) parts.push(`${row.message} ${row.part}${row.whole ? ` of ${row.whole.parts}` : ", more"}`, size(row.wire));
  else parts.push(row.kind === "ping" || row.kind === "pong" ? size(row.wire) : `${row.kind}, ${size(row.wire)}`);
  if (row.compressed) parts.push("deflated");
  return parts.join(", ");
}

// An arrow says its kind by form: shaft (one line, two, dashes, dots) and head (full, hollow, open, barred).
function arrow(row, from, to, y) {
  const way = to > from ? 1 : -1;
  const tip = to - way * 2;
  const kind = row.what === "frame" ? row.kind : row.what;
  const isOpen = ["ping", "pong", "request", "response", "body"].includes(kind);
  const isMore = row.what === "frame" && !(row.head[0] & 0x80);
  const start = from + way * (kind === "continuation" ? 7 : 0);
  const end = isOpen ? tip - way : tip - way * 9;
  let art = kind === "binary" || (kind === "continuation" && row.message === "binary")
    ? `<path class="wi-shaft" d="M${start} ${y - 1.75}H${end}M${start} ${y + 1.75}H${end}"/>`
    : `<path class="wi-shaft" d="M${start} ${y}H${end}"/>`;
  if (kind === "continuation") art += `<circle class="wi-tip wi-hollow" cx="${from + way * 4}" cy="${y}" r="3"/>`;
  art += isOpen
    ? `<path class="wi-tip wi-open" d="M${tip - way * 7} ${y - 4.5}L${tip} ${y}L${tip - way * 7} ${y + 4.5}"/>`
    : `<path class="wi-tip${isMore ? " wi-hollow" : ""}" d="M${tip - way * 9} ${y - 4.5}L${tip} ${y}L${tip - way * 9} ${y + 4.5}z"/>`;
  if (kind === "close") art += `<path class="wi-tip" d="M${tip - way * 13} ${y - 5.5}V${y + 5.5}"/>`;
  if (row.faults) art += `<path class="wi-flaw" d="M${from + way * 10} ${y - 5}l10 10m0-10l-10 10"/>`;
  return `<g class="wi-arrow wi-a-${kind}">${art}</g>`;
}

function sample(kind) {
  const art = document.createElementNS(SVG, "svg");
  art.setAttribute("viewBox", "0 0 26 12");
  art.setAttribute("width", 26);
  art.setAttribute("height", 12);
  art.setAttribute("aria-hidden", "true");
  art.innerHTML = arrow(kind === "http" ? { what: "request" } : { what: "frame", kind, head: [0x80] }, 1, 25, 6);
  return art;
}

function faults(row) {
  if (!row.faults) return null;
  return h("div", { class: "wi-note wi-bad", role: "note" }, row.faults.map(([rule, section, text]) =>
    h("p", {}, h("b", {}, `fault: ${rule}`), ` ${text} `, h("span", { class: "ws-soft" }, section))));
}

function closeCode(row) {
  if (row.code === null || row.code === undefined)
    return h("p", {}, "No code: the payload is empty. The other side reports 1005. ", h("span", { class: "ws-soft" }, "RFC 6455 §7.1.5"));
  const [high, low] = unmask(row);
  return h("section", {}, h("h4", {}, "Close code"),
    h("p", { class: "ws-mono" }, `${hex(high)} ${hex(low)} = ${high} × 256 + ${low} = `, h("b", {}, String(row.code))),
    h("p", {}, h("b", {}, row.meaning.split(": ")[0]), row.meaning.includes(": ") ? `: ${row.meaning.split(": ").slice(1).join(": ")}. ` : ". ", row.reason ? `Reason: “${row.reason}”. ` : "No reason given. ",
      row.answer ? "It answers the other side's close frame. " : "The first close frame: this side closes. ", h("span", { class: "ws-soft" }, "RFC 6455 §5.5.1, §7.4")));
}

function dump(title, bytes, total, isText) {
  const lines = [];
  const chars = [];
  for (const [char, width] of characters(bytes, isText)) {
    chars.push(char);
    for (let i = 1; i < width; i++) chars.push("");
    if (char === "␣") chars[chars.length - width] = " ";
  }
  const across = 12;
  for (let at = 0; at < bytes.length; at += across) {
    const part = [...bytes.slice(at, at + across)];
    lines.push(h("tr", {}, h("th", { scope: "row" }, at.toString(16).padStart(4, "0")),
      h("td", {}, part.map((byte, i) => hex(byte) + (i === 5 ? "  " : " ")).join("").trimEnd()),
      h("td", { class: "wi-plain" }, chars.slice(at, at + across).join(""))));
  }
  const rest = total > bytes.length ? h("p", { class: "ws-soft" }, `and ${plural(total - bytes.length, "byte")} more; in Python: tape.frames[...].payload`) : null;
  return h("section", {}, h("h4", {}, title), h("table", { class: "wi-dump ws-mono" }, lines), rest);
}

function derivation(accept) {
  const step = (name, value, note) => h("div", {}, h("dt", {}, name), h("dd", {}, h("code", {}, value), note ? h("span", { class: "ws-soft" }, ` ${note}`) : null));
  const isRight = accept.sent === accept.accept;
  const sha = accept.sha1.match(/../g).join(" ");
  return h("section", {}, h("h4", {}, "How Accept follows from the key ", h("span", { class: "ws-soft" }, "RFC 6455 §4.2.2")),
    h("dl", { class: "wi-steps" },
      step("key", accept.key, accept.fault ? accept.fault : "16 random bytes in base64, from the client"),
      step("+ GUID", accept.guid, "the same in every handshake"),
      step("SHA-1", sha, "of both texts, end to end"),
      step("base64", accept.accept, "is what must come back"),
      step("server sent", accept.sent || "nothing", isRight ? "the same: it read this request and knows WebSocket" : accept.sent ? "not the same: the client must not open" : "and so no WebSocket opens")),
  );
}

function checks(all) {
  const broken = all.filter(([, ok]) => !ok).length;
  return h("details", { open: broken > 0 }, h("summary", {}, broken ? `${plural(broken, "rule")} of ${all.length} broken` : `All ${all.length} rules kept`),
    h("table", { class: "wi-checks" }, all.map(([name, ok, expected, got, section, side]) =>
      h("tr", { class: ok ? null : "wi-faulty" }, h("td", {}, ok ? "kept" : h("b", { class: "wi-bad" }, "broken")), h("td", {}, `${side}: ${name}`),
        h("td", {}, ok ? h("span", { class: "ws-mono" }, got) : [`expected ${expected}; got `, h("span", { class: "ws-mono" }, got)]), h("td", { class: "ws-soft" }, section)))));
}

export default () => {
  let store = null;
  return {
    initialize({ model }) {
      store = new Store(model);
    },
    render({ model, el }) {
      store ??= new Store(model);
      const view = new View(store, el);
      return () => view.close();
    },
  };
};
