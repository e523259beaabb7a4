// Words of the Browser's view and of the lines of JavaScript that it runs.

const STATES = ["CONNECTING", "OPEN", "CLOSING", "CLOSED"];
const MAX_SHOWN = 200;
const MAX_BYTES_SHOWN = 16;

const wallClock = () => performance.timeOrigin + performance.now();

function quote(text, limit = 80) {
  return quoted(text.length > limit ? `${text.slice(0, limit)}…` : text);
}

// In the quotes that need fewer escapes, so that JSON inside reads as it was sent.
function quoted(text) {
  const escaped = JSON.stringify(text);
  const doubles = text.split('"').length;
  const singles = text.split("'").length;
  if (doubles <= singles) return escaped;
  const inside = escaped.slice(1, -1).replace(/\\.|'/g, (one) => ({ '\\"': '"', "'": "\\'" })[one] ?? one);
  return `'${inside}'`;
}

function literal(data) {
  if (typeof data === "string") return quote(data);
  const shown = Array.from(data.subarray(0, MAX_BYTES_SHOWN), String).join(", ");
  return `new Uint8Array([${shown}${data.length > MAX_BYTES_SHOWN ? ", …" : ""}])`;
}

function connectLine(name, url, protocols) {
  const declared = name.includes("[") ? name : `const ${name}`;
  const offered = protocols.length ? `, [${protocols.map((one) => quote(one)).join(", ")}]` : "";
  return `${declared} = new WebSocket(${quote(url, 200)}${offered});`;
}

const sendLine = (name, data) => `${name}.send(${literal(data)});`;

function closeLine(name, code, reason) {
  const args = [];
  if (code !== undefined || reason !== undefined) {
    args.push(typeof code === "string" ? quote(code) : String(code));
  }
  if (reason !== undefined) args.push(quote(reason, 150));
  return `${name}.close(${args.join(", ")});`;
}

function hex(bytes) {
  if (!bytes) return "";
  return Array.from(bytes.subarray(0, MAX_BYTES_SHOWN), (one) => one.toString(16).padStart(2, "0"))
    .join(" ");
}

function sinceText(ms) {
  if (ms < 1) return "< 1 ms";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.floor(ms / 60000)} min ${Math.round((ms % 60000) / 1000)} s`;
}

function clock(at) {
  const date = new Date(at);
  return date.toLocaleTimeString([], { hourCycle: "h23" })
    + `.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

function bytesText(count) {
  return `${count.toLocaleString("en")} ${count === 1 ? "byte" : "bytes"}`;
}

function shownData(row) {
  if (typeof row.data === "string") {
    const isCut = row.size_bytes > row.data.length && row.data.length >= MAX_SHOWN;
    return quoted(row.data) + (isCut ? ` … ${bytesText(row.size_bytes)}` : "");
  }
  const name = { blob: "Blob", arraybuffer: "ArrayBuffer" }[row.binary_type] ?? "";
  const more = row.size_bytes > MAX_BYTES_SHOWN ? " …" : "";
  return `${name} of ${bytesText(row.size_bytes)}: ${row.hex ?? "…"}${more}`;
}

const ERROR_TELLS = "tells nothing, on purpose: a page must not find out what is in another network";
const LABELS = { call: "call", exception: "throws", note: "note" };
const BY = { python: "by Python", hand: "by hand", page: "by the page" };

// What a row says: [the word or words in bold, the code, what explains it].
function words(row, meanings) {
  switch (row.type) {
    case "call": return ["", row.js, BY[row.by] ?? ""];
    case "exception": return [row.name, row.text, ""];
    case "note": return ["", "", row.text];
    case "open": return [
      "open", `protocol ${quote(row.protocol ?? "")}, extensions ${quote(row.extensions ?? "")}`, ""];
    case "message": return ["message", `data ${shownData(row)}`, ""];
    case "error": return ["error", "", ERROR_TELLS];
    default: return [
      "close",
      `code ${row.code}, reason ${quote(row.reason ?? "", 130)}, wasClean ${row.was_clean}`,
      meanings[row.code] ?? "",
    ];
  }
}
