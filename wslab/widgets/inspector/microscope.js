// The microscope: one frame, with its bits, its mask, its payload, and what each of them is for.

const MAX_UNMASKED = 32;

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

class Microscope {
  constructor(store, width) {
    this.store = store;
    this.width = width; // tells how much room there is, in pixels
    this.field = "opcode"; // the one that is explained; it stays from frame to frame
  }

  describe(row) {
    const frame = layout(row);
    const [from, to] = this.store.names(row);
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
      layers(this.store, row),
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
        const isTight = this.width() < 470 && field.width === 1;
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
    const across = Math.max(6, Math.min(16, Math.floor((this.width() - 110) / 27)));
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
