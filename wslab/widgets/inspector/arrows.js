// An arrow of the timeline, drawn as SVG.

const SVG = "http://www.w3.org/2000/svg";

function picture(width, height, art = "") {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
  svg.setAttribute("aria-hidden", "true");
  svg.innerHTML = art;
  return svg;
}

// An arrow says its kind by form: shaft (one line, two, dashes, dots) and head (full, hollow, open, barred).
function arrow(row, from, to, y) {
  const way = to > from ? 1 : -1;
  const tip = to - way * 2;
  const kind = row.what === "frame" ? row.kind : row.what;
  const isOpen = ["ping", "pong", "request", "response", "body"].includes(kind);
  const isMore = row.what === "frame" && !(row.head[0] & 0x80);
  const start = from + way * (kind === "continuation" ? 7 : 0);
  const end = isOpen ? tip - way : tip - way * 9;
  let art = kind === "binary" || (kind === "continuation" && row.message === "binary")
    ? `<path class="wi-shaft" d="M${start} ${y - 1.75}H${end}M${start} ${y + 1.75}H${end}"/>`
    : `<path class="wi-shaft" d="M${start} ${y}H${end}"/>`;
  if (kind === "continuation") art += `<circle class="wi-tip wi-hollow" cx="${from + way * 4}" cy="${y}" r="3"/>`;
  art += isOpen
    ? `<path class="wi-tip wi-open" d="M${tip - way * 7} ${y - 4.5}L${tip} ${y}L${tip - way * 7} ${y + 4.5}"/>`
    : `<path class="wi-tip${isMore ? " wi-hollow" : ""}" d="M${tip - way * 9} ${y - 4.5}L${tip} ${y}L${tip - way * 9} ${y + 4.5}z"/>`;
  if (kind === "close") art += `<path class="wi-tip" d="M${tip - way * 13} ${y - 5.5}V${y + 5.5}"/>`;
  if (row.faults) art += `<path class="wi-flaw" d="M${from + way * 10} ${y - 5}l10 10m0-10l-10 10"/>`;
  return `<g class="wi-arrow wi-a-${kind}">${art}</g>`;
}

function sample(kind) {
  const row = kind === "http" ? { what: "request" } : { what: "frame", kind, head: [0x80] };
  return picture(26, 12, arrow(row, 1, 25, 6));
}
