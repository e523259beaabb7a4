// Tanks: a row for each client, in it a tank for each place where its bytes may be. It draws what
// `tanks/model.py` says. A level is told by its height and by its number, which is also the text.

function tank() {
  return h("div", { class: "ws-tank", role: "listitem" },
    h("span", { class: "ws-tank-label ws-soft" }),
    h("span", { class: "ws-glass", "aria-hidden": "true" },
      h("i", { class: "ws-fill" }), h("i", { class: "ws-peak" })),
    h("span", { class: "ws-tank-number" }, h("b", { class: "ws-mono" }), h("span", { class: "ws-soft" })));
}

function drawTank(element, item) {
  const [label, glass, number] = element.children;
  write(label, item.label);
  glass.style.setProperty("--level", item.level);
  glass.style.setProperty("--peak", item.peak);
  mark(glass, "data-empty", String(item.level === 0));
  mark(glass, "data-peaked", String(item.peak > item.level));
  write(number.firstChild, item.words);
  write(number.lastChild, `most ${item.peak_words}`);
}

function row() {
  return h("section", { class: "ws-tank-row" },
    h("div", { class: "ws-tank-name" }, h("b", { class: "ws-cut" }), h("span", { class: "ws-soft" })),
    h("div", { class: "ws-tanks", role: "list" }),
    h("div", { class: "ws-tank-read" },
      h("span", { class: "ws-soft" }, "read"), h("b", { class: "ws-mono" })));
}

function drawRow(element, item) {
  const [name, tanks, read] = element.children;
  mark(element, "aria-label", `Bytes for ${item.name}`);
  write(name.firstChild, item.name);
  write(name.lastChild, item.sent ? `${item.sent} sent` : item.state);
  mark(tanks, "aria-label", `On their way to ${item.name}`);
  fill(tanks, item.tanks, tank, drawTank);
  write(read.lastChild, item.read);
}

function render({ model, el }) {
  const scale = h("span", { class: "ws-soft" });
  const said = h("span", { class: "ws-said ws-soft", role: "status" });
  const gone = h("p", { class: "ws-trouble", role: "status", hidden: "" });
  const failure = h("p", { class: "ws-trouble", "data-kind": "error", "data-hides": "", hidden: "" });
  const rows = h("div");
  const more = h("p", { class: "ws-soft", "data-hides": "" });
  const root = h(
    "section", { class: "wslab ws-panel ws-levels", "aria-label": "Where the bytes are" },
    h("div", { class: "ws-head" }, h("b", {}, "Where the bytes are"), scale, said),
    gone, failure, rows, more,
    h("p", { class: "ws-soft ws-tank-note" },
      "From left to right, on their way. Left of the bar: in the server's process. ",
      "The dashed line: the most that was seen there."),
  );
  const hands = clicks(model, said, () => hands.onDead?.());

  function draw() {
    const view = model.get("view");
    write(scale, view.rows.length ? `a full tank is ${view.scale}` : "no client to look at");
    fill(rows, view.rows, row, drawRow);
    write(more, view.more);
    write(failure, model.get("failure"));
  }

  return live(model, el, root, { gone, hands, draw, names: ["view", "failure"] });
}

export default { render };
