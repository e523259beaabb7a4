// RoomMap and WhoIsHere: they draw what `rooms_view.py` says and nothing else. One column a client;
// rows are rooms, then messages. An outcome is told by a mark's form, and by its word for who reads.

const COLUMNS = [
  ["name", "client", ""], ["id", "id", "ws-mono"], ["state", "state", ""], ["rooms", "rooms", ""],
  ["open", "open for", "ws-number"],
  ["received", "in", "ws-number", "Messages that came from this client"],
  ["sent", "out", "ws-number", "Messages that were handed to TCP for this client"],
  ["queued", "queued", "ws-number", "Messages that wait, since this client reads too slowly"],
  ["dropped", "dropped", "ws-number", "Messages that its full backlog has lost"],
];
const OUTCOMES = ["sent", "queued", "dropped", "skipped", "closing", ""];
const LABELS = { "": "not meant for it" };

function plural(count, noun) {
  return `${count} ${noun}${count === "1" ? "" : "s"}`;
}

function whoTable() {
  const head = COLUMNS.map(([, text, kind, title = text]) =>
    h("th", { scope: "col", class: kind.replace("ws-mono", ""), title }, text));
  const rows = h("tbody");
  const table = h(
    "table", { class: "ws-who" },
    h("caption", { class: "ws-only-read" }, "Who is connected; in and out as the hub counts"),
    h("thead", {}, h("tr", {}, ...head)), rows,
  );
  const make = () => h("tr", {}, ...COLUMNS.map(([, name, kind], i) =>
    h(i ? "td" : "th", { class: kind, ...(i ? { "data-name": name } : { scope: "row" }) })));
  return {
    table,
    draw(items) {
      fill(rows, items, make, (element, row) => {
        COLUMNS.forEach(([key], i) => {
          const cell = element.children[i];
          write(cell, row[key] || { name: "(no name)", rooms: "none" }[key] || "");
          if (i < 4) mark(cell, "title", cell.textContent);
          cell.classList.toggle("ws-soft", !row[key] || row[key] === "0");
          cell.classList.toggle("ws-strong", i > 6 && row[key] !== "0");
        });
      });
      table.hidden = !items.length;
    },
  };
}

function outcome(cell, word, why, isSender) {
  const [glyph, text] = cell.children;
  mark(glyph, "data-o", word);
  mark(cell, "data-from", String(isSender));
  const said = `${LABELS[word] ?? word}${isSender ? "; it is the sender" : ""}`;
  write(text, said);
  mark(cell, "title", why ? `${said}: ${why}` : said);
}

function makeCell() {
  return h("td", { class: "ws-cell" },
    h("i", { class: "ws-o", "aria-hidden": "true" }), h("span", { class: "ws-only-read" }));
}

function matrixTable() {
  const head = h("tr");
  const corner = h("th", { scope: "col", class: "ws-about" }, h("span", { class: "ws-only-read" }, "room or message"));
  const heads = h("thead");  // it stays in sight, and with it who is in which room
  const messageRows = h("tbody");
  const table = h(
    "table", { class: "ws-grid" },
    h("caption", { class: "ws-only-read" },
      "One column a client. First the rooms and who is in them, then each message and what became of it"),
    heads, messageRows,
  );
  const scroll = h("div", { class: "ws-scroll", tabindex: "0", role: "region",
    "aria-label": "Rooms and messages by client", "data-lm-suppress-shortcuts": "true" }, table);
  const follow = follower(scroll);

  function cells(element, items, others, hasOthers, draw) {
    const about = element.firstChild;
    while (element.children.length > items.length + 1 + hasOthers) element.lastElementChild.remove();
    items.forEach((item, i) => {
      let cell = element.children[i + 1];
      if (!cell || cell.classList.contains("ws-rest")) {
        const made = makeCell();
        element.insertBefore(made, cell ?? null);
        cell = made;
      }
      draw(cell, item, i);
    });
    if (hasOthers) {
      let rest = element.children[items.length + 1];
      if (rest && !rest.classList.contains("ws-rest")) {
        rest.remove();
        rest = null;
      }
      if (!rest) element.append(rest = h("td", { class: "ws-rest ws-soft" }));
      while (element.lastElementChild !== rest) element.lastElementChild.remove();
      write(rest, others);
    }
    return about;
  }

  return {
    scroll,
    draw(matrix) {
      const { columns, others, why } = matrix;
      mark(table, "data-many", String(columns.length > 5));
      const hasOthers = others > 0 || matrix.messages.some((one) => one.others);
      const names = [...columns.map((column) => ({
        key: column.id,
        name: column.name,
        id: column.gone && column.name ? "left" : column.id,
        gone: column.gone,
      }))];
      if (hasOthers) names.push({ key: "others", name: others ? `${others.toLocaleString("en")} others` : "others", id: "", gone: false });
      fill(head, [{ key: "about" }, ...names], (item) => item.key === "about" ? corner
        : h("th", { scope: "col", class: "ws-client" }, h("b", { class: "ws-cut" }), h("span", { class: "ws-mono ws-soft ws-cut" })),
      (element, item) => {
        if (item.key === "about") return;
        write(element.children[0], item.name);
        write(element.children[1], item.id);
        element.children[0].hidden = !item.name;
        mark(element, "title", `${item.name} ${item.key}${item.gone ? ", which has left" : ""}`.trim());
        mark(element, "data-gone", String(item.gone));
        element.classList.toggle("ws-rest", item.key === "others");
      });
      // A room may be called anything, "head" too.
      const rooms = matrix.rooms.map((room) => ({ ...room, key: `room ${room.key}` }));
      fill(heads, [{ key: "head" }, ...rooms], (item) => item.key === "head" ? head
        : h("tr", {}, h("th", { scope: "row", class: "ws-about" },
          h("span", { class: "ws-soft" }, "room "), h("b"), h("span", { class: "ws-soft" }))),
      (element, room) => {
        if (room.key === "head") return;
        const about = cells(element, room.cells, room.others, hasOthers, (cell, isInside, i) => {
          outcome(cell, isInside ? "member" : "", "", false);
          const said = isInside ? "in this room" : "not in it";
          write(cell.children[1], said);
          mark(cell, "title", `${names[i].name || names[i].key}: ${said}`);
        });
        write(about.children[1], room.room);
        write(about.children[2], `, ${plural(room.count, "client")}`);
        mark(about, "title", room.words);
      });
      fill(messageRows, matrix.messages, () => h("tr", {}, h("th", { scope: "row", class: "ws-about" },
        h("span", { class: "ws-line ws-cut" }, h("span", { class: "ws-mono ws-soft" }), h("b"), h("span", { class: "ws-mono" })),
        h("span", { class: "ws-line ws-soft ws-cut" }, h("span"), h("span", { "aria-hidden": "true" }, " → "),
          h("span", { class: "ws-only-read" }, " to "), h("span")))),
      (element, message) => {
        const about = cells(element, message.cells, message.others, hasOthers, (cell, word, i) => {
          outcome(cell, word, why[word], columns[i].id === message.sender_id);
        });
        const [first, second] = about.children;
        write(first.children[0], clock(message.at));
        write(first.children[1], message.event);
        write(first.children[2], message.preview);
        write(second.firstChild, message.sender);
        write(second.lastChild, message.to);
        mark(about, "title", `${message.key}. ${message.event} ${message.preview} from ${message.sender} to ${message.to}: ${message.words}`);
      });
      scroll.hidden = !columns.length && !matrix.messages.length;
      follow();
    },
  };
}

function legend() {
  return h("p", { class: "ws-legend ws-soft", "aria-hidden": "true" }, ...OUTCOMES.map((word) =>
    h("span", {}, h("i", { class: "ws-o", "data-o": word }),
      word === "skipped" ? "skipped (skip=)" : LABELS[word] ?? word)),
  h("span", {}, h("i", { class: "ws-o ws-sample", "data-from": "true" }), "the sender"));
}

// The same in words, a line a message: for whoever reads rather than looks.
function inWords() {
  const list = h("ol", { class: "ws-words" });
  const element = h("details", { class: "ws-details" }, h("summary", {}, "The same in words"), list);
  return {
    element,
    draw(matrix) {
      fill(list, [
        ...matrix.rooms.map((room) => ({ key: `r${room.key}`, text: `Room ${room.room} (${room.count}): ${room.words}` })),
        ...matrix.messages.map((one) => ({
          key: one.key,
          text: `${clock(one.at)} ${one.event}${one.preview && ` ${one.preview}`} from ${one.sender} to ${one.to}: ${one.words}`,
        })),
      ], () => h("li"), (line, item) => write(line, item.text));
    },
  };
}

// The table of states and events that the hub itself goes by.
function lifeOf(states) {
  return h("details", { class: "ws-details" }, h("summary", {}, "A client’s life"),
    h("dl", { class: "ws-life" }, ...states.flatMap(({ state, means, next }) => [
      h("dt", {}, state),
      h("dd", {}, means, h("span", { class: "ws-soft" }, next.length ? "" : "; nothing follows"),
        ...next.map((one) => h("span", { class: "ws-line ws-soft", title: one.means }, `${one.event} → ${one.state}`))),
    ])));
}

function render({ model, el }) {
  const isMap = model.get("kind") === "map";
  const name = h("b", { class: "ws-name ws-cut" });
  const word = h("span");
  const said = h("span", { class: "ws-said ws-soft", role: "status" });
  const gone = h("p", { class: "ws-trouble", role: "status", hidden: "" });
  const failure = h("p", { class: "ws-trouble", "data-kind": "error", "data-hides": "", hidden: "" });
  const trouble = h("div");
  const who = whoTable();
  const more = h("p", { class: "ws-more ws-soft", "data-hides": "" });
  const empty = h("p", { class: "ws-empty ws-soft", "data-hides": "" });
  const left = h("ul", { class: "ws-left", "aria-label": "Who left, the latest first" });
  const foot = h("div", { class: "ws-foot" });
  const before = h("p", { class: "ws-before ws-soft", "data-hides": "" });
  const matrix = matrixTable();
  const words = inWords();
  const roomsMore = h("p", { class: "ws-before ws-soft", "data-hides": "" });
  const mapPart = h("div", { class: "ws-map" }, before, matrix.scroll, roomsMore, legend(), words.element);
  mapPart.hidden = !isMap;
  const root = h(
    "section", { class: "wslab ws-hub", "data-lm-suppress-shortcuts": "true" },
    h("div", { class: "ws-panel" },
      h("div", { class: "ws-head" }, h("span", { class: "ws-state" }, name, word), said),
      gone, failure, trouble, h("div", { class: "ws-body" }, who.table, empty, more)),
    mapPart,
    h("div", { class: "ws-panel ws-end" }, left, foot, lifeOf(model.get("life"))),
  );
  const hands = clicks(model, said, () => hands.onDead?.());

  function draw() {
    const view = model.get("view");
    write(name, view.name);
    mark(root, "aria-label", `Hub ${view.name}: ${isMap ? "who is here, rooms and messages" : "who is here"}`);
    const kind = view.name === "hub" ? "" : "hub, ";  // one that has no name of its own
    write(word, `${kind}${plural(view.now, "client")} in ${plural(view.rooms, "room")}`);
    who.draw(view.rows);
    write(empty, view.rows.length ? "" : `Nobody is connected. It handles ${view.handles}.`);
    write(more, view.more);
    if (isMap) {
      const now = model.get("matrix");
      matrix.draw(now);
      words.draw(now);
      write(before, now.before ? `Messages: ${now.before}.`.replace("..", ".") : "");
      write(roomsMore, now.rooms_more);
      mapPart.hidden = matrix.scroll.hidden && !now.before;
    }
    fill(left, view.left, () => h("li", {}, h("span", { class: "ws-soft" }), h("b"), h("span", { class: "ws-mono ws-soft" }), h("span"), h("span", { class: "ws-soft" })),
      (line, one) => {
        write(line.children[0], `left ${clock(one.at)}`);
        write(line.children[1], one.name || "(no name)");
        write(line.children[2], one.id);
        write(line.children[3], one.reason);
        write(line.children[4], one.state);
        mark(line.children[4], "title", one.means);
        mark(line, "title", one.rooms ? `was in ${one.rooms}` : "was in no room");
      });
    left.hidden = !view.left.length;
    const sums = [
      view.left_more, view.queued && `${view.queued} queued now`, view.dropped && `${view.dropped} dropped`,
      view.complaints.length ? `errors told to senders: ${view.complaints.join(", ")}` : "",
      view.limited.length ? `held by limits: ${view.limited.join(", ")}` : "",
    ].filter(Boolean);
    fill(foot, sums.map((text, key) => ({ key, text })), () => h("span"), (line, item) => write(line, item.text));
    foot.hidden = !sums.length;
    troubles(trouble, model.get("trouble"));
    write(failure, model.get("failure"));
  }

  return live(model, el, root, { gone, hands, draw, names: ["view", "matrix", "trouble", "failure"] });
}

export default { render };
