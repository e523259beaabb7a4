// The right side: what was chosen, explained; or what the arrows mean.

const PURPOSE = {
  text: "text: UTF-8, for people and JSON",
  binary: "binary: bytes of any meaning",
  continuation: "continuation: the next fragment of a message",
  ping: "ping: are you there?",
  pong: "pong: the same bytes back",
  close: "close: the last frame of this side",
};

class Detail {
  constructor(store, { onHide, onEscape }) {
    this.store = store;
    this.onHide = onHide;
    this.element = h("div", {
      class: "wi-detail",
      tabindex: "-1",
      role: "region",
      "aria-label": "What was chosen",
      onkeydown: (event) => {
        if (event.key === "Escape") { event.stopPropagation(); onEscape(); }
      },
    });
    this.microscope = new Microscope(store, () => this.element.clientWidth);
  }

  focus() {
    (this.element.querySelector("[tabindex='0'], summary") ?? this.element).focus();
  }

  show(row) {
    this.element.scrollTop = 0;
    const hide = h("button", { type: "button", class: "wi-unselect", onclick: this.onHide }, "Hide");
    this.element.replaceChildren(hide, ...this.describe(row));
  }

  showLegend() {
    const item = (kind, row, text) => {
      return h("li", { "data-kind": kind }, picture(64, 16, arrow(row, 2, 62, 8)), h("span", {}, text));
    };
    const frame = (kind, first, more) => ({ what: "frame", kind, head: [first, 0], ...more });
    this.element.replaceChildren(
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
    if (row.what === "frame") return this.microscope.describe(row);
    if (["request", "response", "body"].includes(row.what)) return exchange(this.store, row);
    const lane = this.store.lanes.get(row.lane)?.name;
    const title = { ended: "The end of the connection", dropped: "Dropped", fault: "A broken rule", differs: "A difference from the record", passed: "Too fast to be drawn", keepalive: "Keepalive" }[row.what];
    if (row.what === "keepalive")
      return [h("h3", {}, title), h("p", { class: "ws-soft" }, `${keepaliveWords(row)}, from ${moment(row.from)} to ${moment(row.at)}`),
        h("p", {}, "Nobody's program sent these. The library at each end asks with a ping whether the other end is still there, and the other end's library answers with a pong. Engine.IO asks once more in messages of its own, since a page cannot see pings. A click on the line, or Enter, shows each of them. ", h("span", { class: "ws-soft" }, "RFC 6455 §5.5.2, §5.5.3; Engine.IO 4, Heartbeat"))];
    const says = row.what === "passed"
      ? `${plural(row.frames, "frame")} crossed the wire here faster than anybody can read. They are counted below, and kept on the tape as far as it reaches.`
      : row.why ?? row.label;
    return [h("h3", {}, title), h("p", { class: "ws-soft" }, [lane, moment(row.at)].filter(Boolean).join(", ")), faults(row) ?? h("p", {}, says),
      row.what === "ended" && !row.untold && (row.clean || !row.why) ? h("p", { class: "ws-soft" }, row.clean
        ? "Both sides sent a close frame, then TCP ended: the closing handshake was complete. RFC 6455 §7.1.4"
        : "TCP ended without the closing handshake. 1006 never travels: it is what each side reports when that happens. RFC 6455 §7.1.5") : null].filter(Boolean);
  }
}
