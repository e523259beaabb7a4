// A socket in the kernel, in a WebSocket's form, for a page that cannot reach the server itself.

const MAX_BUFFERED_BYTES = 8 * 2 ** 20;  // of one socket in the kernel; then it is full, and closed
const MESSAGE_BYTES = 100;  // what a message costs beside its data
const MAX_ORDER_BYTES = 4 * 2 ** 20;  // of one message through the kernel; Jupyter refuses 10 MiB
const ENCODER = new TextEncoder();

class KernelSocket extends EventTarget {
  constructor(pageSockets, url, protocols) {
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
    this._pageSockets = pageSockets;
    this._id = `${pageSockets.page}.${++pageSockets.kernelSocketCount}`;
    pageSockets.kernelSockets.set(this._id, this);
    this._tell({ what: "open", protocols });
  }

  _tell(said) {
    this._pageSockets.order({ id: this._id, ...said });
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
    this._pageSockets.slotOf(this).note(why);
    this._pageSockets.outbox.forget(this._id);
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
    this._pageSockets.kernelSockets.delete(this._id);
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
      this._pageSockets.slotOf(this).note(`What the kernel knows and a page would not: ${said.text}`);
      this.dispatchEvent(new Event("error"));
    } else if (said.what === "close") {
      this._end(said);
    }
  }
}
