// One socket of the page: what is done with it and by whom, what it does, and what it is now.

const MAX_WHOLE_BYTES = 2 ** 20;  // of one message; Jupyter's own limit is not far
const CUT = 65536;

// What the kernel gets of a message: all of it, or its beginning and its size.
function carried(data) {
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

class Slot {
  constructor(pageSockets, index, name) {
    this.pageSockets = pageSockets;
    this.index = index;
    this.name = name;
    this.socket = undefined;
    this.connection = 0;
    this.entered = [];  // when the present connection came into each state
    this.binaryType = "blob";
    this.sent = this.received = 0;
    this.said = "";
    this.last = null;
    this.wasClean = null;
  }

  get readyState() {
    return this.socket?.readyState;
  }

  get isBroken() {
    return this.wasClean === false;
  }

  attempt(by, js, action, more = {}) {
    const at = wallClock();
    const { socket } = this;
    const before = this.connection;
    let thrown = null;
    try {
      action();
    } catch (error) {
      thrown = error;
    }
    if (this.socket && this.socket === socket) this.look();
    const call = { type: "call", by, js, at, ...more };
    if (js.includes(".send(")) call.buffered_amount = this.socket?.bufferedAmount ?? 0;
    this.push(call, this.connection || before);
    if (thrown) {
      this.push({
        type: "exception", at: wallClock(), js, name: thrown.name, text: thrown.message,
      }, this.connection);
    }
    return !thrown;
  }

  connect(by) {
    const { socket } = this;
    if (socket && socket.readyState < 2) {
      this.note(`Nothing was done: it is still ${STATES[socket.readyState]}. A second new `
        + "WebSocket would be a second connection, and the first would live on without a name; "
        + "close() this one first.");
      return;
    }
    const { route, protocols } = this.pageSockets;
    const { kind, url, shown } = route;
    if (kind === "none") {
      this.note(`No route leads there. ${triedText(route.tried)}`);
      return;
    }
    this.attempt(by, connectLine(this.name, shown || url, protocols), () => {
      const made = kind === "comm" ? new KernelSocket(this.pageSockets, url, protocols)
        : protocols.length ? new WebSocket(url, protocols) : new WebSocket(url);
      this.socket = made;
      this.connection += 1;
      this.entered = [wallClock()];
      this.wasClean = null;
      made.binaryType = this.binaryType;
      this.listen(made, this.connection);
    });
  }

  send(data, by, command) {
    const { socket } = this;
    const own = command ? { command: command.number } : carried(data);
    if (command?.when_open && socket?.readyState === 0) {
      const line = sendLine(this.name, data).slice(0, -1);
      const js = `${this.name}.addEventListener("open", () => ${line}, { once: true });`;
      const later = () => {
        if (this.socket === socket) this.send(data, by);
      };
      this.attempt(by, js, () => socket.addEventListener("open", later, { once: true }));
      return;
    }
    const isSent = this.attempt(by, sendLine(this.name, data), () => this.socket.send(data), own);
    if (isSent && socket.readyState === 1) this.sent += 1;
  }

  close(code, reason, by) {
    this.attempt(by, closeLine(this.name, code, reason), () => {
      if (reason !== undefined) this.socket.close(code, reason);
      else if (code !== undefined) this.socket.close(code);
      else this.socket.close();
    });
  }

  setBinaryType(kind, by) {
    this.binaryType = kind;
    this.attempt(by, `${this.name}.binaryType = ${quote(kind)};`, () => {
      this.socket.binaryType = kind;
    });
  }

  listen(socket, connection) {
    const say = (more, at = wallClock()) => {
      if (this.socket === socket) this.look();
      this.push({ at, ...more }, connection, socket.readyState);
    };
    socket.addEventListener("open", () => say({
      type: "open", protocol: socket.protocol, extensions: socket.extensions,
    }));
    socket.addEventListener("message", ({ data }) => {
      this.received += 1;
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
            this.pageSockets.flushSoon();
            this.pageSockets.changed();
          });
        this.push(Object.assign(event, { at: wallClock() }), connection, socket.readyState);
        return;
      }
      const isText = typeof data === "string";
      say({
        type: "message",
        binary_type: isText ? "" : "arraybuffer",
        ...carried(isText ? data : new Uint8Array(data)),
      });
    });
    socket.addEventListener("error", () => say({ type: "error" }));
    socket.addEventListener("close", ({ code, reason, wasClean }) => {
      if (this.socket === socket) this.wasClean = wasClean;
      say({ type: "close", code, reason, was_clean: wasClean });
    });
  }

  // The page is left, or the kernel, or the view.
  letGo(why) {
    const { socket } = this;
    if (!socket || socket.readyState > 1) return;
    if (why) this.note(`The widget closes the socket: ${why}.`);
    if (socket.readyState === 0) socket.close();
    else socket.close(1000, why);
    this.look();
  }

  note(text) {
    this.push({ type: "note", text, at: wallClock() }, this.connection);
  }

  look() {
    const state = this.readyState;
    if (state !== undefined && this.entered[state] === undefined) this.entered[state] = wallClock();
  }

  push(event, connection, readyState = this.readyState ?? null) {
    Object.assign(event, { socket: this.index, connection, ready_state: readyState });
    this.last = this.pageSockets.record(event);
  }

  // What it is now, where that is news to the kernel.
  says() {
    const { socket } = this;
    if (!socket) return null;
    this.look();
    const says = {
      socket: this.index, ready_state: socket.readyState, url: socket.url,
      protocol: socket.protocol, extensions: socket.extensions,
      buffered_amount: socket.bufferedAmount, binary_type: socket.binaryType,
    };
    const text = JSON.stringify(says);
    if (text === this.said) return null;
    this.said = text;
    return says;
  }
}
