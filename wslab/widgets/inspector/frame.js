// What a frame's bytes say: its fields (RFC 6455 §5.2), its payload without the mask, its text.

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
