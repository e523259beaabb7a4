// Machines: a lane for each process and for its clients, and below a row for each thing that was said,
// as an arrow from lane to lane. What it is stands in words: the arrow only shows the way.

const LANES = 5;

function machineLane(hands) {
  const element = h("div", { class: "ws-lane", role: "listitem" },
    h("span", { class: "ws-state" }, h("i", { class: "ws-mark", "aria-hidden": "true" }), h("b", { class: "ws-cut" })),
    h("span", { class: "ws-soft ws-lane-note" }),
    h("button", { type: "button", "data-act": "" }));
  const button = element.lastChild;
  button.addEventListener("click", () => hands().act(button, button.dataset.act, Number(element.dataset.key)));
  return element;
}

function drawLane(element, item) {
  const [state, note, button] = element.children;
  mark(state, "data-state", item.state || "none");
  state.firstChild.hidden = !item.state;
  write(state.lastChild, item.name);
  write(note, item.state === "broken" ? `${item.note} (down)` : item.note);
  mark(button, "data-act", item.act);
  mark(button, "aria-label", `${item.act} ${item.name}`);
  write(button, item.act);
  button.hidden = !item.act;
}

function saidRow() {
  return h("li", { class: "ws-said-row" },
    h("span", { class: "ws-soft ws-mono ws-at" }),
    h("div", { class: "ws-way" }, h("span", { class: "ws-only-read" }),
      h("span", { class: "ws-label ws-mono" }), h("i", { class: "ws-arrow", "aria-hidden": "true" })));
}

function drawSaid(element, item, wayOf) {
  const [at, way] = element.children;
  const [read, label] = way.children;
  const [left, right] = [Math.min(item.from, item.to), Math.max(item.from, item.to)];
  write(at, item.at);
  write(read, wayOf(item));
  write(label, item.label);
  mark(label, "title", item.label);
  mark(way, "data-kind", item.kind);
  mark(way, "data-to", item.from === item.to ? "none" : item.to > item.from ? "right" : "left");
  // Words begin at the arrow's left end, or end at its right one, wherever there is more room.
  mark(way, "data-side", left + right > LANES - 1 ? "right" : "left");
  way.style.setProperty("--left", `${(100 * (left + 0.5)) / LANES}%`);
  way.style.setProperty("--right", `${100 - (100 * (right + 0.5)) / LANES}%`);
}

function render({ model, el }) {
  const said = h("span", { class: "ws-said ws-soft", role: "status" });
  const gone = h("p", { class: "ws-trouble", role: "status", hidden: "" });
  const failure = h("p", { class: "ws-trouble", "data-kind": "error", "data-hides": "", hidden: "" });
  const lanes = h("div", { class: "ws-lanes", role: "list", "aria-label": "Processes and their clients" });
  const rows = h("ol", { class: "ws-rows", "aria-label": "What was said, in order" });
  const notes = h("p", { class: "ws-soft", "data-hides": "" });
  const empty = h("p", { class: "ws-soft", "data-hides": "" });
  const root = h(
    "section", { class: "wslab ws-panel ws-machines", "aria-label": "Machines" },
    h("div", { class: "ws-head" }, h("b", {}, "Who says what to whom"), said),
    gone, failure, h("div", { class: "ws-picture" }, lanes, rows), empty, notes,
  );
  const hands = clicks(model, said, () => hands.onDead?.());

  function draw() {
    const view = model.get("view");
    const names = view.lanes.map((lane) => lane.name);
    names[0] = `clients of ${names[1]}`;
    names[4] = `clients of ${names[3]}`;
    const wayOf = (item) => (item.from === item.to
      ? `${names[item.from]}: ` : `${names[item.from]} to ${names[item.to]}: `);
    fill(lanes, view.lanes.map((lane, nth) => ({ ...lane, key: nth })), () => machineLane(() => hands), drawLane);
    fill(rows, view.rows, saidRow, (element, item) => drawSaid(element, item, wayOf));
    write(empty, view.rows.length ? "" : "Nothing was said yet.");
    write(notes, view.notes.join("; "));
    write(failure, model.get("failure"));
  }

  return live(model, el, root, { gone, hands, draw, names: ["view", "failure"] });
}

export default { render };
