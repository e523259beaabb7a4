// NetworkControls: the rows on their own.

function render({ model, el }) {
  const name = h("b", { class: "ws-name ws-cut" });
  const said = h("span", { class: "ws-said ws-soft", role: "status" });
  const gone = h("p", { class: "ws-trouble", role: "status", hidden: "" });
  const failure = h("p", { class: "ws-trouble", "data-kind": "error", "data-hides": "", hidden: "" });
  const hands = clicks(model, said, () => hands.onDead?.());
  const rows = networkRows(model, hands);
  const root = h(
    "section", { class: "wslab ws-panel ws-controls", "data-lm-suppress-shortcuts": "true" },
    h("div", { class: "ws-head" }, h("span", { class: "ws-state" }, name, h("span", {}, "network")), said),
    gone, failure, h("div", { class: "ws-body" }, rows.element),
  );

  function draw() {
    const view = model.get("view");
    write(name, view.name);
    mark(root, "aria-label", `The network of ${view.kind} ${view.name}`);
    rows.draw(view);
    write(failure, model.get("failure"));
  }

  // Also when a click is done: what was moved meanwhile goes out then.
  return live(model, el, root, { gone, hands, draw, names: ["view", "failure", "done"] });
}

export default { render };
