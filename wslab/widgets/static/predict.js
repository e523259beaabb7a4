// A question, a place to commit to an answer, and later the outcome beside it.
// The answer goes to the kernel as a custom message, which waits there for the running cell to end;
// so what the learner chose is drawn from here, and the outcome from the model.

let count = 0;

// Arrow keys choose an option and Enter commits, instead of moving through the notebook's cells.
// JupyterLab looks for this at the focused element first, so that one on its parent is too late.
const KEYS_ARE_MINE = { "data-lm-suppress-shortcuts": "true" };

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function plain(text) {
  return text.trim().replace(/\s+/g, " ").toLowerCase();
}

function render({ model, el }) {
  const root = element("div", { class: "wslab ws-predict" });
  el.append(root);
  const group = `ws-predict-${++count}`;
  let chosen = model.get("answer") ?? "";
  let committed = model.get("answer") !== null;
  let button = null;

  const isOpen = () => !committed && model.get("actual") === null;

  function choose(answer) {
    chosen = answer;
    button?.setAttribute("aria-disabled", String(chosen.trim() === ""));
  }

  function commit() {
    if (chosen.trim() === "" || !isOpen()) return;
    committed = true;
    model.send({ answer: chosen });
    draw();
    root.querySelector(".ws-outcome").focus(); // the button that had the focus is gone
  }

  function onEnter(event) {
    if (event.key !== "Enter" || event.shiftKey) return;
    event.preventDefault();
    commit();
  }

  function free() {
    const name = "Your prediction";
    const input = element("input", { ...KEYS_ARE_MINE, type: "text", "aria-label": name, size: "24" });
    input.value = chosen;
    input.disabled = !isOpen();
    input.addEventListener("input", () => choose(input.value));
    input.addEventListener("keydown", onEnter);
    return input;
  }

  function choice(option) {
    const radio = element("input", { ...KEYS_ARE_MINE, type: "radio", name: group, value: option });
    radio.checked = option === chosen;
    radio.disabled = !isOpen();
    radio.addEventListener("change", () => choose(option));
    radio.addEventListener("keydown", onEnter);
    const label = element("label", {}, radio, element("span", {}, option));
    if (!isOpen()) label.classList.add(radio.checked && committed ? "ws-chosen" : "ws-soft");
    return label;
  }

  function outcome() {
    const actual = model.get("actual");
    const rows = [["you said", committed ? chosen : "not answered"]];
    if (actual !== null) {
      const same = committed && plain(chosen) === plain(actual);
      rows.push(["the wire says", same ? `${actual} (as you said)` : actual]);
      if (model.get("because")) rows.push(["because", model.get("because")]);
    }
    const list = element("div", { class: "ws-outcome", tabindex: "-1", role: "status" });
    for (const [term, text] of rows) {
      list.append(element("span", { class: "ws-soft" }, `${term} `), element("span", {}, text));
    }
    if (actual === null) list.append(element("span", { class: "ws-soft ws-next" }, "Now run on."));
    return list;
  }

  function draw() {
    const options = model.get("options");
    const legend = element("legend", {}, model.get("question"));
    const answers = options.length ? options.map(choice) : [free()];
    root.replaceChildren(element("fieldset", {}, legend, ...answers));
    if (!isOpen()) {
      root.append(outcome());
      return;
    }
    button = element("button", { ...KEYS_ARE_MINE, type: "button" }, "That is my prediction");
    button.addEventListener("click", commit);
    choose(chosen);
    const note = "Before you run the next cell. A wrong one is welcome.";
    root.append(element("div", { class: "ws-commit" }, button, element("span", { class: "ws-soft" }, note)));
  }

  function onAnswer() {
    const answer = model.get("answer");
    if (answer !== null && !(committed && plain(answer) === plain(chosen))) {
      committed = true; // in another view of the same question
      chosen = answer;
      draw();
    }
  }

  const listeners = { "change:actual": draw, "change:because": draw, "change:answer": onAnswer };
  for (const [name, listener] of Object.entries(listeners)) model.on(name, listener);
  draw();
  return () => {
    for (const [name, listener] of Object.entries(listeners)) model.off(name, listener);
  };
}

export default { render };
