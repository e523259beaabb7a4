// A question, a place to commit to an answer, and later the outcome beside it.
// What the learner chooses, and commits to, goes to the kernel as a custom message, which waits there
// for the running cell to end; so it is drawn from here, and the outcome from the model.

// Arrow keys choose an option and Enter commits, instead of moving through the notebook's cells.
const COMMIT = "That is my prediction"; // predict.py names it too

function plain(text) {
  return text.trim().replace(/\s+/g, " ").toLowerCase();
}

function render({ model, el }) {
  const root = h("div", { class: "wslab ws-predict" });
  el.append(root);
  // Radios of one name are one group in the whole page, and this file is loaded once for each
  // question: a counter of its own would give the same name to all.
  const group = `ws-predict-${Math.random().toString(36).slice(2)}`;
  let said = model.get("answer"); // what was committed to
  let chosen = said ?? model.get("chosen") ?? "";
  let touched = false; // something was chosen in this view
  let changing = false; // an answer is there and stands until another one is committed to
  let button = null;

  const isOpen = () => (said === null || changing) && model.get("actual") === null;

  function choose(answer) {
    chosen = answer;
    button?.setAttribute("aria-disabled", String(chosen.trim() === ""));
  }

  function tell() {
    touched = true;
    if (chosen.trim() !== "" && isOpen()) model.send({ chosen });
  }

  function commit() {
    if (chosen.trim() === "" || !isOpen()) return;
    said = chosen;
    changing = false;
    model.send({ chosen, answer: chosen });
    draw();
    root.querySelector(".ws-outcome").focus(); // the button that had the focus is gone
  }

  function change() {
    changing = true;
    draw();
    (root.querySelector("input:checked") ?? root.querySelector("input")).focus();
  }

  // Enter commits. Shift+Enter commits too, if there is something to commit to, and then means what
  // it means everywhere: run on.
  function onEnter(event) {
    if (event.key !== "Enter" || event.isComposing || (event.target === button && !event.shiftKey)) return;
    event.preventDefault();
    commit();
    runOn(event);
  }

  // All keys in here are ours; those that run a cell are pressed once more where JupyterLab listens.
  function runOn(event) {
    if (event.key !== "Enter" || !(event.shiftKey || event.ctrlKey || event.altKey)) return;
    event.preventDefault();
    event.stopPropagation();
    root.tabIndex = -1;
    root.focus();
    root.dispatchEvent(new KeyboardEvent("keydown", event));
    root.removeAttribute("tabindex");
  }

  function free() {
    const name = "Your prediction";
    const input = h("input", { type: "text", "aria-label": name, size: "24" });
    input.value = chosen;
    input.disabled = !isOpen();
    input.addEventListener("input", () => choose(input.value));
    input.addEventListener("change", tell);
    input.addEventListener("keydown", onEnter);
    return input;
  }

  function choice(option) {
    const radio = h("input", { type: "radio", name: group, value: option });
    radio.checked = option === chosen;
    radio.disabled = !isOpen();
    radio.addEventListener("change", () => {
      choose(option);
      tell();
    });
    radio.addEventListener("keydown", onEnter);
    const label = h("label", {}, radio, h("span", {}, option));
    if (!isOpen()) label.classList.add(radio.checked ? "ws-chosen" : "ws-soft");
    return label;
  }

  function outcome() {
    const actual = model.get("actual");
    const rows = [["you said", said ?? "not answered"]];
    if (said === null && chosen.trim() !== "") rows[0] = ["you chose", `${chosen}, but did not press "${COMMIT}"`];
    if (actual !== null) {
      rows.push(["the wire says", actual]);
      const isRight = said !== null && plain(said) === plain(actual);
      const verdict = said === null ? "because" : isRight ? "✓ right" : "✗ wrong"; // as predict.py
      if (said !== null || model.get("because")) rows.push([verdict, model.get("because")]);
    }
    const list = h("div", { class: "ws-outcome", tabindex: "-1", role: "status", onkeydown: runOn });
    for (const [term, text] of rows) {
      const kind = /^[✓✗]/.test(term) ? "ws-verdict" : "ws-soft";
      list.append(h("span", { class: kind }, `${term} `), h("span", {}, withCode(text)));
    }
    if (actual === null) list.append(h("span", { class: "ws-soft ws-next" }, "Now run on."));
    return list;
  }

  function draw() {
    if (changing && model.get("actual") !== null) {
      changing = false; // too late: the answer from before stands
      chosen = said;
    }
    const options = model.get("options");
    const legend = h("legend", {}, withCode(model.get("question")));
    const answers = options.length ? options.map(choice) : [free()];
    button = null;
    root.replaceChildren(h("fieldset", {}, legend, ...answers));
    if (!isOpen()) {
      root.append(outcome());
      if (model.get("actual") === null && !model.get("is_final")) {
        const again = h("button", { type: "button", class: "ws-plain" }, "Change it");
        again.addEventListener("click", change);
        root.append(h("div", { class: "ws-again" }, again));
      }
      return;
    }
    button = h("button", { type: "button" }, COMMIT);
    button.addEventListener("click", commit);
    button.addEventListener("keydown", onEnter);
    choose(chosen);
    const note = "Before you run the next cell. A wrong one is welcome.";
    root.append(h("div", { class: "ws-commit" }, button, h("span", { class: "ws-soft" }, note)));
  }

  function onAnswer() {
    const answer = model.get("answer");
    if (answer === null || changing || (said !== null && plain(answer) === plain(said))) return;
    said = chosen = answer; // in another view of the same question
    draw();
  }

  function onChosen() {
    if (touched || said !== null) return;
    choose(model.get("chosen") ?? ""); // in another view
    if (!isOpen()) return draw();
    // In place: drawing afresh would take the focus from whoever is at it.
    for (const input of root.querySelectorAll("input")) {
      if (input.type === "radio") input.checked = input.value === chosen;
      else input.value = chosen;
    }
  }

  const listeners = { "change:actual": draw, "change:because": draw, "change:answer": onAnswer, "change:chosen": onChosen };
  for (const [name, listener] of Object.entries(listeners)) model.on(name, listener);
  draw();
  return () => {
    for (const [name, listener] of Object.entries(listeners)) model.off(name, listener);
  };
}

export default { render };
