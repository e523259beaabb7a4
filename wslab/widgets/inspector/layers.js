// The layers in a message: a packet of Engine.IO, in it one of Socket.IO, in it an event and what it brings.

const ENGINE_SAYS = {
  open: ["The server's first packet: the session's id, what it may change to (upgrades), and how often it will ask whether the client is still there (pingInterval, pingTimeout, in ms).", "Handshake"],
  close: ["The session is over; whoever gets it sends nothing more.", "Packet encoding"],
  ping: ["The server asks whether the client is still there. Who hears no answer in time, or no question, takes the session for lost.", "Heartbeat"],
  pong: ["The answer to a ping.", "Heartbeat"],
  message: ["Carries a message of what is built on Engine.IO: as a rule, a packet of Socket.IO.", "Message"],
  upgrade: ["The client has tried the WebSocket and leaves polling: from here on everything goes over this connection.", "Upgrade"],
  noop: ["Says nothing. It ends a poll that is held open, so that the transport can change.", "Upgrade"],
};
const PROBES = {
  ping: ["The client tries the new transport before it leaves the old one.", "Upgrade"],
  pong: ["The new transport works. Every poll is now answered with noop until the client says upgrade.", "Upgrade"],
};
const SOCKET_SAYS = {
  CONNECT: (row) => [row.by === "client"
    ? "Asks for a namespace. The data, if there is any, is what the server's check sees (auth)."
    : "The namespace is open. sid is the client's id in it, which is another than the session's.", "Connection to a namespace"],
  DISCONNECT: () => ["Leaves the namespace; others on the same session go on.", "Disconnection from a namespace"],
  EVENT: (row, packet) => [`The array's first item is the event's name, the others are its arguments.${packet.id === undefined ? "" : " The id says that the sender waits for an ACK with the same."}`, "Sending and receiving data"],
  ACK: () => ["The answer to the event with this id; the array is what the other side's callback gets.", "Acknowledgement"],
  CONNECT_ERROR: () => ["The namespace stays closed, and why.", "Connection to a namespace"],
};
const PART_SAYS = {
  engine: "type of Engine.IO's packet",
  type: "type of Socket.IO's packet",
  attachments: "attachments that follow",
  namespace: "namespace",
  id: "id",
  data: "JSON",
  unknown: "no packet",
};

// The section about a row's packets; null where it has none.
function layers(store, row) {
  const found = row.layers;
  const packets = found?.packets ?? [];
  const more = found?.more ?? 0;
  if (!packets.length && !more) return null;
  const isOne = packets.length + more === 1;
  return h("section", { class: "wi-layers" },
    h("h4", {}, isOne ? "Layers" : plural(packets.length + more, "packet"), " ", h("span", { class: "ws-soft" }, isOne ? "from the outside to the inside" : "in one body; U+001E stands between them")),
    packets.map((packet, nth) => h("div", { class: "wi-peel" }, banded(packet), carrier(row, isOne ? "" : `, packet ${nth + 1}`, engineLayer(store, row, packet)))),
    more ? h("p", { class: "ws-soft" }, packets.length ? `and ${plural(more, "packet")} more, not shown` : "Too long to be read here.") : null);
}

// The text, each part of it marked by the layer that it belongs to.
function banded(packet) {
  if (!packet.parts.length) return null;
  return h("p", { class: "wi-parts ws-mono" }, packet.parts.map(([name, part]) =>
    h("span", { class: "wi-part", "data-part": name, title: PART_SAYS[name] }, part)));
}

function layer(protocol, code, what, ...inner) {
  return h("div", { class: "wi-layer" },
    h("p", {}, h("span", { class: "wi-protocol" }, protocol), " ", code ? [h("code", {}, code), " "] : null, h("b", {}, what)), ...inner);
}

const says = (protocol, [words, section]) => h("p", { class: "wi-says" }, words, " ", h("span", { class: "ws-soft" }, `${protocol}, ${section}`));

function carrier(row, which, inner) {
  if (row.what !== "frame") return layer("HTTP", "", `body${which}`, inner);
  return layer("WebSocket", "", row.whole ? `${row.message} message of ${row.whole.parts} frames` : `${row.message ?? row.kind} frame`, inner);
}

function engineLayer(store, row, packet) {
  if (!packet.engine) return null; // a fault has said what it is not
  const parts = Object.fromEntries(packet.parts);
  const probe = parts.data === "probe" ? PROBES[packet.engine] : null;
  const name = packet.parts.length || row.what !== "frame" ? packet.engine : `${packet.engine}, bare: binary frames have no digit`;
  return layer("Engine.IO", parts.engine ?? (packet.parts.length || row.what === "frame" ? "" : "b"), probe ? `${name} probe` : name,
    says("Engine.IO 4", probe ?? ENGINE_SAYS[packet.engine]), packet.nth ? attachmentLayer(store, row, packet) : packet.type ? socketLayer(store, row, packet, parts) : null);
}

function attachmentLayer(store, row, packet) {
  const event = store.rows.find((other) => other.id === row.layers.event);
  return layer("Socket.IO", "", `attachment ${packet.nth} of ${packet.of}`,
    says("Socket.IO 5", [`${plural(packet.size, "byte")} that the event before left out: a placeholder stands in their place.`, "Packet encoding"]),
    event ? link(store, event, `to the event, ${event.layers.says}`) : null);
}

function socketLayer(store, row, packet, parts) {
  const code = [parts.type, parts.attachments, parts.namespace, parts.id].filter(Boolean).join("");
  const traits = [
    packet.missing ? `${packet.type} with ${plural(packet.missing, "attachment")}` : packet.type,
    packet.nsp === "/" ? null : `namespace ${packet.nsp}`,
    packet.id === undefined ? null : `id ${packet.id}`,
  ].filter(Boolean).join(", ");
  return layer("Socket.IO", code, traits, says("Socket.IO 5", SOCKET_SAYS[packet.type](row, packet)), dataLayer(store, row, packet));
}

function dataLayer(store, row, packet) {
  const { args } = packet;
  if (!args) return null;
  const isList = packet.type === "EVENT" || packet.type === "ACK";
  const list = h("ol", { class: "wi-args ws-mono" }, args.map((arg) => h("li", {}, arg)));
  const more = packet.unshown ? h("p", { class: "ws-soft" }, `and ${plural(packet.unshown, "argument")} more`) : null;
  const title = packet.type === "EVENT" ? `event ${packet.event}` : packet.type === "ACK" ? "answer" : "data";
  const count = isList ? (args.length ? plural(args.length + (packet.unshown ?? 0), "argument") : "no arguments") : "";
  return layer("", "", title, count ? h("p", { class: "wi-says" }, h("span", { class: "ws-soft" }, count)) : null, args.length ? list : null, more, links(store, row, packet));
}

// From an event to its attachments and its answer, and back.
function links(store, row, packet) {
  const found = [];
  if (packet.missing)
    for (const other of store.rows)
      if (other.layers?.event === row.id && other.layers.packets) found.push(link(store, other, other.layers.says));
  if (packet.id !== undefined) {
    const wanted = packet.type === "EVENT" ? "ACK" : "EVENT";
    const fits = (other) => other.by !== row.by && other.layers?.session === row.layers.session
      && other.layers.packets?.some((each) => each.type === wanted && each.id === packet.id && each.nsp === packet.nsp);
    const other = wanted === "ACK" ? store.rows.find((each) => each.id > row.id && fits(each)) : store.rows.findLast((each) => each.id < row.id && fits(each));
    if (other) found.push(link(store, other, wanted === "ACK" ? `answered after ${trip(other.at - row.at)}` : `answers what came ${trip(row.at - other.at)} before`));
  }
  return found.length ? h("p", { class: "wi-links" }, found) : null;
}

const link = (store, row, words) => h("button", { type: "button", class: "ws-plain wi-link", onclick: () => store.choose(row) }, words);
