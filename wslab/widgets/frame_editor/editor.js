// The frame editor: the fields of one frame, and the bytes that they make.

const OPCODES = { 0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong" };
const WORDS = { opened: "answered", doubtful: "no answer", refused: "the connection ended" };
const NOTES = {
  FIN: ["1: the message ends with this frame. 0: more of it follows.", "RFC 6455 §5.2, §5.4"],
  RSV1: ["Reserved for extensions. It is 0 unless one was agreed upon.", "RFC 6455 §5.2"],
  opcode: ["What the frame is. 3 to 7 and 11 to 15 are reserved.", "RFC 6455 §5.2"],
  MASK: ["1: four bytes of key follow, and the payload was XORed with them. A client always masks.", "RFC 6455 §5.1, §5.3"],
  length: ["How many bytes of payload follow. It is the only thing that tells where the frame ends.", "RFC 6455 §5.2"],
  payload: ["The message's own bytes, before the mask.", "RFC 6455 §5.2"],
  key: ["Four random bytes, new for each frame.", "RFC 6455 §5.3"],
};

const hexOf = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");

function bytesOf(text, kind) {
  if (kind === "text") return new TextEncoder().encode(text);
  const digits = text.replace(/\s+/g, "");
  if (digits.length % 2 || /[^0-9a-f]/i.test(digits)) return null;
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

// The left side: what will be sent.
function frame(model, onSend) {
  const note = h("p", { class: "ws-note ws-soft" });
  const idle = () => write(note, "Flip a bit, or change a field, and send. Point at a field to read what it is for.");
  const bits = {};

  function about(element, name) {
    const [text, rfc] = NOTES[name.startsWith("RSV") ? "RSV1" : name];
    const show = () => write(note, `${name}: ${text} (${rfc})`);
    element.addEventListener("mouseenter", show);
    element.addEventListener("focusin", show);
    return element;
  }

  function bit(name, label, isOn) {
    const digit = h("b", { class: "ws-mono" });
    const button = h("button", { type: "button", class: "ws-bit", "aria-label": label }, digit, h("small", {}, name));
    const set = (value) => {
      mark(button, "aria-pressed", value);
      write(digit, value ? "1" : "0");
    };
    button.addEventListener("click", () => {
      set(!bits[label].value());
      if (label.startsWith("opcode")) opcode.value = String(code());
      draw();
    });
    set(isOn);
    bits[label] = { value: () => button.getAttribute("aria-pressed") === "true", set };
    return about(button, label.startsWith("opcode") ? "opcode" : name);
  }

  const code = () => [8, 4, 2, 1].reduce((sum, worth) => sum + (bits[`opcode bit ${worth}`].value() ? worth : 0), 0);
  const opcode = h("select", { "aria-label": "Opcode" },
    Array.from({ length: 16 }, (_, n) => h("option", { value: n }, `${n}: ${OPCODES[n] ?? "reserved"}`)));
  opcode.addEventListener("change", () => {
    for (const worth of [8, 4, 2, 1]) bits[`opcode bit ${worth}`].set(Boolean(Number(opcode.value) & worth));
    draw();
  });
  const row = h("div", { class: "ws-bits", role: "group", "aria-label": "The first nine bits" },
    bit("FIN", "FIN", true), bit("RSV1", "RSV1", false), bit("RSV2", "RSV2", false), bit("RSV3", "RSV3", false),
    [8, 4, 2, 1].map((worth) => bit("op", `opcode bit ${worth}`, worth === 1)), bit("MASK", "MASK", true));
  opcode.value = "1";

  const input = (label, attributes = {}) => h("input", {
    type: "text", "aria-label": label, class: "ws-mono", autocomplete: "off", autocapitalize: "off",
    spellcheck: "false", oninput: () => draw(), ...attributes,
  });
  const length = input("Length, in bytes", { placeholder: "fits", inputmode: "numeric", size: "8" });
  const form = h("select", { "aria-label": "Bits of the length", onchange: () => draw() },
    [["", "shortest form"], ["7", "7 bits"], ["16", "16 bits"], ["64", "64 bits"]].map(([value, text]) => h("option", { value }, text)));
  const payload = input("Payload");
  const kind = h("select", { "aria-label": "Payload is written as", onchange: () => draw() },
    ["text", "hex"].map((value) => h("option", { value }, value)));
  const key = input("Masking key, in hex", { size: "11", maxlength: "11" });
  const line = (name, ...fields) => about(h("div", { class: "ws-field" }, h("span", { class: "ws-soft" }, name), ...fields), name);
  const raw = h("code", { class: "ws-mono ws-raw" });
  const doubt = h("span", { class: "ws-fault" });

  const sending = sendRow(onSend, () => {
    for (const [label, value] of [["FIN", true], ["RSV1", false], ["RSV2", false], ["RSV3", false], ["MASK", true]]) bits[label].set(value);
    for (const worth of [8, 4, 2, 1]) bits[`opcode bit ${worth}`].set(worth === 1);
    opcode.value = "1";
    length.value = form.value = "";
    payload.value = "Hello";
    kind.value = "text";
    renew();
  });

  function plan() {
    const data = bytesOf(payload.value, kind.value);
    const mask = bytesOf(key.value, "hex");
    if (!data) return [null, "The payload is not pairs of hex digits, such as 48 65 6c."];
    if (bits.MASK.value() && mask?.length !== 4) return [null, "The key is not four pairs of hex digits."];
    const count = length.value.trim() === "" ? null : Number(length.value);
    if (count !== null && !(Number.isSafeInteger(count) && count >= 0)) return [null, "The length is not a whole number."];
    return [{
      fin: bits.FIN.value(), rsv1: bits.RSV1.value(), rsv2: bits.RSV2.value(), rsv3: bits.RSV3.value(),
      opcode: code(), masked: bits.MASK.value(), length: count, form: form.value || null,
      payload: hexOf(data), key: hexOf(mask ?? []),
    }, ""];
  }

  // The bytes as the kernel will lay them out (RFC 6455 §5.2).
  function layOut({ fin, rsv1, rsv2, rsv3, opcode: op, masked, length: count, form: bitsOfLength, payload: hexed, key: keyed }) {
    const data = bytesOf(hexed, "hex");
    const size = count ?? data.length;
    const wide = Number(bitsOfLength) || (size < 126 ? 7 : size < 65536 ? 16 : 64);
    const first = [fin, rsv1, rsv2, rsv3].reduce((sum, on, n) => sum + (on ? 128 >> n : 0), op);
    const head = [first, (masked ? 128 : 0) | (wide === 7 ? size & 127 : wide === 16 ? 126 : 127)];
    const extended = wide === 7 ? 0 : wide / 8;
    for (let i = extended - 1; i >= 0; i--) head.push(Number((BigInt(size) >> BigInt(8 * i)) & 255n));
    const mask = masked ? [...bytesOf(keyed, "hex")] : [];
    return [head, mask, masked ? data.map((byte, i) => byte ^ mask[i & 3]) : data];
  }

  function draw() {
    const [planned, wrong] = plan();
    write(doubt, wrong);
    key.disabled = !bits.MASK.value();
    if (!planned) return;
    const part = (bytes, name) => (bytes.length ? [h("span", { title: name }, hexOf(bytes.slice(0, 40)) + (bytes.length > 40 ? " …" : "")), " "] : []);
    const [head, mask, data] = layOut(planned);
    raw.replaceChildren(...part(head, "header"), ...part(mask, "key"), ...part(data, "payload, as it travels"));
  }

  function renew() {
    key.value = hexOf(bytesOf(model.get("key"), "hex"));
    draw();
  }

  payload.value = "Hello";
  const element = h("div", { class: "ws-request", role: "group", "aria-label": "Your frame" },
    h("h4", {}, "Your frame"), row, opcode,
    line("length", length, form), line("payload", payload, kind), line("key", key),
    h("p", { class: "ws-field" }, h("span", { class: "ws-soft" }, "bytes"), raw), doubt, note,
    sending.element);
  element.addEventListener("mouseleave", idle);
  sendsOnEnter(element, onSend);
  idle();
  renew();
  const message = () => {
    const [planned] = plan();
    return planned && { plan: planned };
  };
  return { element, sendRow: sending, message, renew };
}

const answer = (one) => [
  h("p", { class: "ws-soft" }, one.label),
  verdict(one, WORDS),
  h("div", { class: "ws-why" }, ...one.why.map((text) => h("p", {}, text))),
  h("dl", { class: "ws-steps" }, h("dt", { class: "ws-soft" }, "sent"), h("dd", { class: "ws-mono" }, one.sent),
    h("dt", { class: "ws-soft" }, "came"), h("dd", { class: "ws-mono" }, one.received || "nothing")),
];

const render = ({ model, el }) => renderEditor({ model, el }, {
  name: "Frame editor",
  kind: "ws-frame-editor",
  renewed: "key",
  makeLeft: (onSend) => frame(model, onSend),
  drawAnswer: answer,
});

export default { render };
