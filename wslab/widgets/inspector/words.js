// Words and numbers as the Inspector says them, and the kinds that rows are filtered by.

const KINDS = [
  ["http", "HTTP"],
  ["text", "text"],
  ["binary", "binary"],
  ["ping", "ping, pong"],
  ["close", "close"],
];

const count = (n) => n.toLocaleString("en-US");
const plural = (n, word) => `${count(n)} ${word}${n === 1 ? "" : "s"}`;
const hex = (byte) => byte.toString(16).padStart(2, "0");
const bits = (byte) => byte.toString(2).padStart(8, "0");

function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  let amount = bytes;
  for (const unit of ["kB", "MB", "GB", "TB"]) {
    amount /= 1000;
    if (amount < 999.95) return `${amount.toFixed(1)} ${unit}`;
  }
  return `${amount.toFixed(1)} TB`;
}

function moment(at) {
  if (at < 0.9995) return `${Math.round(at * 1000)} ms`;
  if (at < 59.9995) return `${at.toFixed(3)} s`;
  const whole = Math.floor(at / 60);
  if (whole < 60) return `${whole}:${(at - 60 * whole).toFixed(3).padStart(6, "0")}`;
  const two = (n) => String(Math.floor(n)).padStart(2, "0");
  return `${Math.floor(whole / 60)}:${two(whole % 60)}:${two(at % 60)}`;
}

function lapse(seconds) {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

// "8 pings and 8 pongs, 20 s apart": what a library sends by itself, to hear whether anybody is there.
function keepaliveWords(row) {
  const pongs = row.frames - row.pings;
  const said = [[row.pings, "ping"], [pongs, "pong"]].filter(([n]) => n).map(([n, word]) => plural(n, word)).join(" and ");
  return row.every ? `${said}, ${Number(row.every.toPrecision(3))} s apart` : `keepalive: ${said}`;
}

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const half = sorted.length / 2;
  return sorted.length ? (sorted[Math.floor(half)] + sorted[Math.ceil(half - 1)]) / 2 : 0;
}

function trip(seconds) {
  if (seconds >= 1) return `${seconds.toFixed(2)} s`;
  return seconds < 0.01 ? `${(seconds * 1e3).toFixed(2)} ms` : `${Math.round(seconds * 1e3)} ms`;
}

function groupOf(row) {
  if (row.what === "frame") {
    if (row.kind === "pong") return "ping";
    if (row.kind === "continuation") return row.message ?? "text";
    return row.kind;
  }
  return ["request", "response", "body"].includes(row.what) ? "http" : "note";
}

function labelOf(row) {
  if (row.what === "request" && row.layers) return row.label.split("?")[0]; // the rest says so beside it
  if (row.what !== "frame") return row.label;
  if (row.kind === "close") return ["close", row.code ?? "", row.reason ? `“${row.reason}”` : ""].filter(Boolean).join(" ");
  if (row.kind === "ping" || row.kind === "pong") return row.label ? `${row.kind} ${row.label}` : row.kind;
  if (row.message === "text") return row.label ? `“${row.label}”` : "“”";
  return row.label || row.kind;
}

function metaOf(row) {
  if (row.faults && row.what !== "frame") return `fault: ${row.faults[0][0]}`;
  const says = row.layers?.says;
  if (row.what === "request") return says || (row.upgrade ? "asks to upgrade" : "HTTP");
  if (row.what === "response") return row.handshake && !row.handshake.accepted ? "refused" : row.status === 101 ? "upgraded" : says ? says : row.size ? size(row.size) : "HTTP";
  if (row.what === "body") return says || `body, ${size(row.size)}`;
  const parts = [];
  if (row.faults) parts.push(`fault: ${row.faults[0][0]}`);
  if (row.rtt !== undefined) parts.push(trip(row.rtt));
  else if (row.kind === "close") parts.push(row.answer ? "answers" : size(row.wire));
  else if (row.part) parts.push(`${row.message} ${row.part}${row.whole ? ` of ${row.whole.parts}` : ", more"}`, size(row.wire));
  else parts.push(row.kind === "ping" || row.kind === "pong" ? size(row.wire) : `${says ?? row.kind}, ${size(row.wire)}`);
  if (row.compressed) parts.push("deflated");
  return parts.join(", ");
}
