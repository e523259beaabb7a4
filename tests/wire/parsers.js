// Socket.IO's own parsers, asked in lines of JSON: see test_packets_beside_others.py.
// Bytes are {"$bytes": base64} on the way here and back.
const {createRequire} = require("node:module");
const npm = createRequire(process.argv[2]);
const engine = npm("engine.io-parser");
const socket = npm("socket.io-parser");

const bytesIn = (key, value) =>
  value && typeof value === "object" && "$bytes" in value
    ? Buffer.from(value.$bytes, "base64")
    : value;

function bytesOut(value) {
  if (Buffer.isBuffer(value)) return {$bytes: value.toString("base64")};
  if (Array.isArray(value)) return value.map(bytesOut);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, bytesOut(item)]));
}

const ANSWERS = {
  // The packets of some messages, and what was thrown. A packet that is not whole after them gets
  // the bytes that it waits for: some parsers look at places only then.
  decode(messages) {
    const packets = [];
    const decoder = new socket.Decoder();
    decoder.on("decoded", (packet) => packets.push(packet));
    try {
      for (const message of messages) decoder.add(message);
      while (decoder.reconstructor) decoder.add(Buffer.from("x"));
    } catch (error) {
      return {packets, error: error.message};
    }
    return {packets, error: null};
  },
  encode: (packet) => new socket.Encoder().encode(packet),
  decodeText: (text) => engine.decodePacket(text),
  decodePayload: (text) => engine.decodePayload(text),
  encodeText(packet) {
    let encoded;
    engine.encodePacket(packet, true, (value) => (encoded = value));
    return encoded;
  },
  encodePayload(packets) {
    let encoded;
    engine.encodePayload(packets, (value) => (encoded = value));
    return encoded;
  },
};

require("node:readline")
  .createInterface({input: process.stdin})
  .on("line", (line) => {
    const [[name, value]] = Object.entries(JSON.parse(line, bytesIn));
    const answer = bytesOut(ANSWERS[name](value));
    process.stdout.write(JSON.stringify(answer === undefined ? null : answer) + "\n");
  });
