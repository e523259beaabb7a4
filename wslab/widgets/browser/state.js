// The state machine of one socket (RFC 6455 §4.1 to §7.1.4), and what its attributes are now.

const UNSEEN = "passed unseen";
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

// How a socket is drawn: its state in small letters, or "none", or "broken".
function stateForm(slot) {
  const now = slot.readyState;
  if (now === undefined) return "none";
  if (now === 3 && slot.isBroken) return "broken";
  return STATES[now].toLowerCase();
}

function stateMachine() {
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
  const text = h("p", { class: "ws-tells" }, tells, " ", rfc);

  function draw(slot) {
    const now = slot.readyState;
    stations.forEach(({ element, when }, i) => {
      const entered = slot.entered[i];
      const isPassed = now !== undefined && i < now;
      // An orderly close goes through CLOSING, if only within the browser; a broken one does not.
      const isUnseen = i === 2 && slot.entered[1] !== undefined && !slot.isBroken;
      mark(element, "data-now", String(i === now));
      mark(element, "data-seen", String(entered !== undefined));
      mark(element, "data-next",
        String(entered !== undefined && slot.entered[i + 1] !== undefined));
      if (i === now) mark(element, "aria-current", "step");
      else element.removeAttribute("aria-current");
      write(when, i === 0 && entered !== undefined ? "0 ms"
        : entered !== undefined ? `after ${sinceText(entered - slot.entered[0])}`
          : isPassed ? (isUnseen ? UNSEEN : "never") : "");
    });
    const [sentence, section] = now === undefined ? TELLS_NONE : TELLS[now];
    write(tells, sentence);
    write(rfc, section);
  }

  return { elements: [machine, text], draw };
}

// The foot: what the attributes are.
function attributes(onBinaryType) {
  const binaryType = h("select", { "aria-label": "binaryType", "data-lm-suppress-shortcuts": "true" },
    h("option", { value: "blob" }, "blob"), h("option", { value: "arraybuffer" }, "arraybuffer"));
  const foot = h("div", { class: "ws-foot" });
  const facts = {};
  for (const name of ["readyState", "protocol", "extensions", "bufferedAmount"]) {
    facts[name] = h("span", { class: "ws-mono" });
    foot.append(h("span", {}, `${name} `, facts[name]));
  }
  foot.append(h("span", {}, h("label", {}, "binaryType ", binaryType)));
  facts.sums = h("span");
  foot.append(facts.sums);
  binaryType.addEventListener("change", () => onBinaryType(binaryType.value));

  function draw(slot, droppedAll) {
    const { socket } = slot;
    write(facts.readyState, String(socket?.readyState));
    write(facts.protocol, quote(socket?.protocol ?? ""));
    write(facts.extensions, quote(socket?.extensions ?? ""));
    write(facts.bufferedAmount, String(socket?.bufferedAmount ?? 0));
    const type = socket?.binaryType ?? slot.binaryType;
    if (binaryType.value !== type && document.activeElement !== binaryType) binaryType.value = type;
    const dropped = droppedAll
      ? `${droppedAll.toLocaleString("en")} too fast for the kernel, so Python lacks them`
      : "nothing dropped";
    write(facts.sums, `sent ${slot.sent.toLocaleString("en")}, received `
      + `${slot.received.toLocaleString("en")}, ${dropped}`);
  }

  return { element: foot, draw };
}
