// One line of the timeline in the page: a time, an arrow or a mark, a label, and the same in words.

function makeRow() {
  const parts = {
    at: h("span", { class: "wi-at ws-mono" }),
    art: picture(0, 0),
    label: h("span", { class: "wi-label" }),
    meta: h("span", { class: "wi-meta" }),
  };
  const element = h("div", { class: "wi-row", role: "option" }, parts.at, parts.art, parts.label, parts.meta);
  element.parts = parts;
  return element;
}

function place(element, x, room, anchor, y) {
  const { style } = element;
  style.top = `${Math.round(y)}px`;
  style.maxWidth = `${Math.max(0, Math.round(room))}px`;
  style.left = `${Math.round(x)}px`;
  element.dataset.anchor = anchor;
}

// Draws lines into such elements, where the lanes are as `arrange` has them.
class RowPainter {
  constructor(store, lines) {
    this.store = store;
    this.lines = lines;
  }

  draw(element, line, lanes) {
    const { row } = line;
    const { height, isOn } = lanes;
    element.id = `${this.store.page}-${line.id}`;
    element.line = line;
    const { at, art, label, meta } = element.parts;
    element.style.height = `${height}px`;
    art.setAttribute("viewBox", `0 0 ${lanes.width} ${height}`);
    art.setAttribute("width", lanes.width);
    art.setAttribute("height", height);
    mark(element, "aria-expanded", row?.what === "keepalive" ? this.lines.isUnfolded(row) : null);
    mark(element, "title", row?.by ? this.store.names(row).join(" to ") : null);
    mark(element, "data-what", row ? row.what : "gap");
    mark(element, "data-kind", row ? row.group : "gap");
    mark(element, "data-fault", row?.faults || row?.what === "differs" || (row?.what === "ended" && !row.clean) ? "1" : "0");
    write(at, row ? moment(row.at) : "");
    at.style.top = `${isOn && !["ended", "differs"].includes(row?.what) ? height - 20 : height / 2 - 9}px`;
    mark(element, "aria-label", this.spoken(line));
    label.className = "wi-label";
    let lifelines = "";
    for (const [lane, x] of lanes.x) {
      const span = lanes.spans.get(lane);
      if (span && (line.id < span.from || line.id > span.to)) continue;
      const top = span && line.id === span.from ? height / 2 : 0;
      const bottom = span && line.id === span.to ? height / 2 : height;
      lifelines += `<path class="wi-life" d="M${x} ${top}V${bottom}"/>`;
    }
    if (!row || row.lane === undefined) this.drawNote(element, lifelines, line, lanes);
    else if (["ended", "fault", "dropped", "differs"].includes(row.what)) this.drawMark(element, lifelines, row, lanes);
    else this.drawArrow(element, lifelines, row, lanes);
    label.hidden = !label.textContent;
    meta.hidden = !meta.textContent;
  }

  drawNote(element, lifelines, line, { width, height }) {
    const { art, label, meta } = element.parts;
    const y = height / 2;
    art.innerHTML = `${lifelines}<path class="wi-fold" d="M${TIME_WIDTH} ${y}H${width - 12}"/>`;
    const { row } = line;
    const isOpen = row && row.what === "keepalive" && this.lines.isUnfolded(row);
    write(label, line.gap ? `${lapse(line.gap)} of silence`
      : row.what === "keepalive" ? `${isOpen ? "▾" : "▸"} ${keepaliveWords(row)}`
      : `${plural(row.frames, "frame")} not drawn, all counted`);
    place(label, (TIME_WIDTH + width) / 2, width - TIME_WIDTH - 20, "middle", y - 10);
    write(meta, "");
  }

  drawMark(element, lifelines, row, lanes) {
    const { art, label, meta } = element.parts;
    const { width, isOn } = lanes;
    const x = xOf(row, lanes);
    const y = lanes.height / 2;
    const shape = row.what === "ended" && row.clean
      ? `<circle class="wi-end" cx="${x}" cy="${y}" r="5"/>`
      : `<path class="wi-end" d="M${x - 5} ${y - 5}l10 10m0-10l-10 10"/>`;
    art.innerHTML = lifelines + shape;
    write(label, row.what === "fault" ? `fault: ${row.label}, ${row.faults[0][1]}` : row.label);
    write(meta, "");
    const toRight = !isOn || x < (TIME_WIDTH + width) / 2;
    const start = isOn ? x + 12 : lanes.lastX + 20;
    if (toRight) place(label, start, width - start - 8, "start", y - 10);
    else place(label, x - 12, x - TIME_WIDTH - 12, "end", y - 10);
  }

  drawArrow(element, lifelines, row, lanes) {
    const { art, label, meta } = element.parts;
    const { width, isOn } = lanes;
    const client = xOf(row, lanes);
    const server = lanes.x.get(this.store.lanes.get(row.lane)?.server) ?? client;
    const [from, to] = row.by === "client" ? [client, server] : [server, client];
    const y = isOn ? lanes.height - 11 : lanes.height / 2;
    art.innerHTML = lifelines + arrow(row, from, to, y);
    write(label, isOn ? labelOf(row) : `${this.saidBy(row)}${labelOf(row)}`);
    label.classList.toggle("wi-box", row.what === "request" || row.what === "response");
    label.classList.toggle("ws-mono", row.what === "frame" && row.kind !== "close");
    write(meta, metaOf(row));
    if (isOn) {
      place(label, (from + to) / 2, Math.abs(from - to) - 16, "middle", y - 21);
      const start = Math.max(from, to) + 10;
      // A server between two clients: the note may run over the other's lane.
      place(meta, start, width - start - 6, "start", y - 9);
    } else {
      const start = lanes.lastX + 20;
      const room = width - start - 8;
      if (room < 150) {
        write(label, row.layers?.says || labelOf(row)); // there is room for one of them
        write(meta, "");
      }
      const aside = !meta.textContent ? 0 : Math.min(room * 0.5, 5.7 * meta.textContent.length + 16);
      place(label, start, room - aside, "start", y - 10);
      place(meta, width - 8, aside - 6, "end", y - 10);
    }
  }

  // Whose an arrow is, where it stands beside it.
  saidBy(row) {
    const name = this.store.lanes.get(row.lane)?.name;
    return name ? (row.by === "client" ? `${name}: ` : `to ${name}: `) : "";
  }

  // The same in words, for those who listen.
  spoken({ row, gap }) {
    if (gap) return `${lapse(gap)} of silence`;
    if (row.what === "keepalive") return `${moment(row.at)}, ${keepaliveWords(row)}`;
    if (row.what === "passed") return `${plural(row.frames, "frame")} not drawn, all counted`;
    if (["ended", "fault", "dropped", "differs"].includes(row.what)) {
      const [client] = this.store.names({ ...row, by: "client" });
      return `${moment(row.at)}, ${client}: ${row.label}`;
    }
    return [moment(row.at), this.store.names(row).join(" to "), row.what === "frame" ? row.kind : row.what, labelOf(row), metaOf(row)].filter(Boolean).join(", ");
  }
}

function xOf(row, lanes) {
  return lanes.x.get(row.lane) ?? lanes.x.get("others");
}
