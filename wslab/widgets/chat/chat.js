// ChatPanel: clients side by side. Every button asks the kernel to do what a program would: a frame
// on that client's own socket. What is drawn of it was read from the client's tape.

const STATES = { open: "open", connecting: "connecting", closing: "closing", closed: "closed", broken: "closed" };

let made = 0;  // for ids that no other view in the page has

function onEnter(input, press) {
  input.addEventListener("keydown", (event) => {
    // JupyterLab swallows what would make Enter submit a form.
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    press();
  });
}

function field(label, list, attributes = {}) {
  return h("input", {
    type: "text", "aria-label": label, autocomplete: "off", spellcheck: "false",
    "data-lm-suppress-shortcuts": "true", ...(list ? { list } : {}), ...attributes,
  });
}

function button(label, press, attributes = {}) {
  const element = h("button", {
    type: "button", "aria-disabled": "false", "data-act": "", "data-lm-suppress-shortcuts": "true",
    ...attributes,
  }, label);
  element.addEventListener("click", () => press(element));
  return element;
}

function makePlayer(player, hands, listId, first) {
  const key = player.key;
  const state = h("span", { class: "ws-state" }, h("i", { class: "ws-mark", "aria-hidden": "true" }));
  const id = h("span", { class: "ws-mono ws-soft" });
  const word = h("span", { class: "ws-soft", role: "status" });
  state.append(h("b", { class: "ws-name ws-cut" }, player.name), id, word);
  const line = button("Disconnect", (self) => {
    hands.act(self, line.textContent.toLowerCase(), { player: key });
  });
  const rooms = h("ul", { class: "ws-rooms", "aria-label": `Rooms of ${player.name}` });
  const room = field(`Room for ${player.name} to join`, listId, { placeholder: "room", value: first });
  const join = button("Join", (self) => {
    const name = room.value.trim();
    if (name && hands.act(self, "join", { player: key, room: name })) to.value = name;
  }, { "aria-label": `${player.name} joins the room` });
  onEnter(room, () => join.click());
  const dropped = h("p", { class: "ws-soft ws-older" });
  const log = h("ol", { class: "ws-lines", role: "log", "aria-live": "off", tabindex: "0",
    "data-lm-suppress-shortcuts": "true", "aria-label": `What ${player.name} sent and received` });
  const follow = follower(log);
  const why = h("p", { class: "ws-trouble" });
  const to = field(`Room that ${player.name} says it to`, listId, { value: first, placeholder: "room" });
  const text = field(`What ${player.name} says`, "", { placeholder: "message" });
  const say = button("Say", (self) => {
    const name = to.value.trim();
    if (!name) return to.focus();
    if (text.value && hands.act(self, "say", { player: key, room: name, text: text.value })) text.value = "";
  }, { "aria-label": `${player.name} says it` });
  onEnter(text, () => say.click());
  onEnter(to, () => text.focus());
  const talk = h("div", { class: "ws-talk" },
    h("label", {}, h("span", { class: "ws-soft" }, "to "), to), text, say);
  const joining = h("div", { class: "ws-joining" }, room, join);
  const element = h("div", { class: "ws-player", role: "group", "aria-label": player.name },
    h("div", { class: "ws-top" }, state, line), h("div", { class: "ws-where-in" }, rooms, joining),
    dropped, log, why, talk);
  Object.assign(element, { parts: { state, id, word, line, rooms, joining, dropped, log, follow, why, talk, drawn: null } });
  return element;
}

function makeLine(row) {
  const isSent = row.direction === "sent";
  const about = [row.event];
  if (row.room) about.push(!isSent ? `in ${row.room}` : row.text ? `to ${row.room}` : row.room);
  if (row.sender) about.push(`from ${row.sender}`);
  return h("li", { "data-direction": row.direction, "data-kind": row.event === "error" && !isSent ? "error" : "" },
    h("span", { class: "ws-mono ws-soft ws-at" }, clock(row.at)),
    h("span", { class: "ws-text" },
      h("span", { class: "ws-soft ws-what" },
        h("span", { "aria-hidden": "true" }, { sent: "→ ", received: "← ", note: "" }[row.direction]),
        h("span", { class: "ws-only-read" }, `${row.direction}: `), about.map((part) => part && `${part} `).join("")),
      row.text),
    h("code", { class: "ws-mono ws-soft ws-raw" }, row.raw));
}

function drawPlayer(element, player, log, isKnown, ended, hands) {
  const p = element.parts;
  const isOpen = player.state === "open";
  mark(p.state, "data-state", player.state);
  write(p.id, player.id);
  write(p.word, STATES[player.state] ?? player.state);
  write(p.line, isOpen || player.state === "connecting" ? "Disconnect" : "Connect");
  mark(p.line, "aria-label", `${p.line.textContent} ${player.name}`);
  p.line.hidden = Boolean(ended);
  fill(p.rooms, player.rooms.map((room) => ({ key: room })), (item) => h("li", {},
    h("span", {}, item.key),
    button("leave", (self) => hands.act(self, "leave", { player: player.key, room: item.key }),
      { class: "ws-plain", "aria-label": `${player.name} leaves ${item.key}` })));
  const isAlone = isOpen && !player.rooms.length;
  mark(p.rooms, "data-empty", isAlone ? "in no room" : isKnown || !isOpen ? "" : "asked for:");
  p.joining.hidden = !isOpen;
  p.talk.hidden = !isOpen;
  write(p.why, player.why);
  p.why.hidden = !player.why;
  mark(p.why, "data-kind", player.state === "broken" ? "error" : "closed");
  if (p.drawn !== log) {
    p.drawn = log;
    fill(p.log, log.rows, makeLine);
    write(p.dropped, log.dropped);
    p.dropped.hidden = !log.dropped;
    p.follow();
  }
}

function render({ model, el }) {
  const listId = `ws-rooms-${Math.random().toString(36).slice(2, 8)}-${++made}`;
  const offered = h("datalist", { id: listId });
  const said = h("span", { class: "ws-said ws-soft", role: "status" });
  const gone = h("p", { class: "ws-trouble", role: "status", hidden: "" });
  const failure = h("p", { class: "ws-trouble", "data-kind": "error", "data-hides": "", hidden: "" });
  const ended = h("p", { class: "ws-trouble", "data-hides": "", hidden: "" });
  const address = h("code", { class: "ws-mono ws-cut" });
  const raw = h("button", { type: "button", "aria-pressed": "false", "data-lm-suppress-shortcuts": "true" }, "Show packets");
  const players = h("div", { class: "ws-players" });
  const root = h(
    "section", { class: "wslab ws-panel ws-chat", "data-lm-suppress-shortcuts": "true", "data-raw": "false" },
    h("div", { class: "ws-head" }, h("b", { class: "ws-title" }), address, said, raw),
    h("p", { class: "ws-soft" }, "Each is a real client on a socket of its own; what you press goes out as a frame. "
      + "To see it byte by byte, show wslab.Inspector(server) in another cell."),
    gone, failure, ended, players, offered,
  );
  raw.addEventListener("click", () => {
    const isOn = root.dataset.raw !== "true";
    mark(root, "data-raw", String(isOn));
    mark(raw, "aria-pressed", String(isOn));
    for (const element of players.children) element.parts.follow();
  });
  const hands = clicks(model, said, () => hands.onDead?.());

  function draw() {
    const view = model.get("view");
    const lines = model.get("lines");
    const [title] = root.querySelectorAll(".ws-title");
    write(title, `${view.players.length} client${view.players.length === 1 ? "" : "s"}`);
    mark(root, "aria-label", `Chat of ${view.players.map((one) => one.name).join(", ")}`);
    write(address, view.url);
    write(ended, view.ended && `This panel has ended: ${view.ended}.`);
    fill(offered, view.offered.map((room) => ({ key: room })), (item) => h("option", { value: item.key }));
    fill(players, view.players,
      (player) => makePlayer(player, hands, listId, view.offered[0] ?? ""),
      (element, player) => drawPlayer(
        element, player, lines[player.key] ?? { rows: [], dropped: "" }, view.knows_rooms, view.ended, hands));
    write(failure, model.get("failure"));
  }

  const rest = live(model, el, root, { gone, hands, draw, names: ["view", "lines", "failure"] });
  for (const element of players.children) element.parts.follow();  // now that they have a height
  return rest;
}

export default { render };
