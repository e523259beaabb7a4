// The page's half of wslab.Browser: real WebSocket objects, driven from Python and by hand.
// One PageSockets for each Browser and page has the sockets; views only draw it. Its rule: what a socket
// does is written down in order, and told to the kernel in that order, by custom messages only.

const BATCH_MS = 80;
const DRAW_MS = 80;
const RETURN_MS = 250;  // a view that was taken away only to be drawn elsewhere is back by then

class PageSockets {
  constructor(key, count, protocols) {
    this.key = key;
    this.page = Math.random().toString(36).slice(2, 10);
    this.protocols = protocols;
    this.models = new Set();
    this.views = new Set();
    this.slots = Array.from({ length: count }, (_, index) =>
      new Slot(this, index, count === 1 ? "socket" : `sockets[${index}]`));
    // asking: for the kernel's answer; here: this page has the sockets; elsewhere: another one has;
    // dead: the kernel is gone; ended: the Browser has ended.
    this.status = "asking";
    this.route = null;
    this.finding = null;
    this.question = null;  // a route that gives something away, and who waits for what is answered
    this.commands = [];
    this.kernelSockets = new Map();
    this.kernelSocketCount = 0;
    this.outbox = new Outbox();
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
      this.do(said, buffers);
    } else if (said.type === "roll") {
      if (["here", "elsewhere"].includes(this.status)) this.tell({ type: "here" });
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

  do(said, buffers) {
    this.outbox.heard = [said.at, wallClock()];
    this.outbox.answered = Math.max(this.outbox.answered, said.ack);
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
  }

  async own(said) {
    this.status = "here";
    this.outbox.beginAnew(said.is_back);  // those before are of no use to anybody
    if (said.is_back) {
      this.flushSoon();
      return;
    }
    if (!this.rowCount) this.remember(said.history, said.seen);
    said.made.forEach((made, i) => {
      this.slots[i].connection = Math.max(this.slots[i].connection, made);
    });
    this.route = null;
    this.question = null;
    const finding = (this.finding = findRoute(said.routes, (route, tried) => this.ask(route, tried)));
    const route = await finding;
    if (finding !== this.finding) return;
    this.route = route;
    this.tell({ type: "route", ...route });
    for (const index of said.reopen) this.slots[index].connect("page");
    this.runCommands();
    this.changed();
  }

  // Nothing is given away before somebody has said so.
  async ask(route, tried) {
    this.tell({ type: "asks", asks: route.asks, tried });
    const isYes = await new Promise((answer) => {
      this.question = { text: route.asks, tried: triedText(tried), answer };
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
    if (!this.route) return;
    for (const command of this.commands.splice(0)) {
      const slot = this.slots[command.socket];
      this.outbox.done.push(command.number);
      if (command.what === "connect") slot.connect("python");
      else if (command.what === "send") slot.send(command.data, "python", command);
      else if (command.what === "close") slot.close(command.code, command.reason, "python");
      else if (command.what === "binary_type") slot.setBinaryType(command.data, "python");
    }
  }

  closeAll(why = "") {
    for (const slot of this.slots) slot.letGo(why);
    this.changed();
  }

  slotOf(socket) {
    return this.slots.find((slot) => slot.socket === socket) ?? this.slots[0];
  }

  // Write an event down: a row for the views, and all of it for the kernel.
  record(event) {
    const row = { ...event, key: this.rowCount++, pending: undefined, bytes: undefined, kept: undefined };
    if (event.bytes) row.hex = hex(event.bytes);
    if (row.data?.length > MAX_SHOWN) row.data = row.data.slice(0, MAX_SHOWN);
    event.row = row;
    this.rows.push(row);
    if (this.rows.length > 2 * MAX_ROWS) this.rows.splice(0, this.rows.length - MAX_ROWS);
    this.outbox.add(event);
    this.flushSoon();
    this.changed();
    return row;
  }

  // In the batches, too: single messages may overtake each other on the kernel's threads.
  order(said) {
    this.outbox.orders.push(said);
    this.flushSoon();
  }

  flushSoon() {
    this.timer ??= setTimeout(() => {
      this.timer = null;
      this.flush();
    }, BATCH_MS);
  }

  flush() {
    if (this.status !== "here" && this.status !== "elsewhere") return;
    if (this.outbox.isFull) return;  // the answer brings us back here
    const says = this.slots.map((slot) => slot.says()).filter(Boolean);
    const batch = this.outbox.take(says);
    if (batch) this.tell(...batch);
    const isBuffering = this.slots.some(({ socket }) => socket?.readyState === 1 && socket.bufferedAmount);
    if (this.outbox.hasMore || isBuffering) this.flushSoon();
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
