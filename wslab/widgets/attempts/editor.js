// What the editors of a handshake and of a frame share: what is to be sent on one side, what came back
// on the other, the attempts so far below; and what a click becomes. It stands after dom.js and before
// an editor's own file. What is edited lives in this page until Send; the kernel sends it as it stands.
// To the kernel go custom messages only: trait changes from here jam while an `await` cell runs.

const WAITS_MS = 300;

// How an attempt ended, by the form of its mark: a full circle, a half one, a cross.
const STATES = { opened: "open", doubtful: "connecting", refused: "broken" };

function history(onPick) {
  const list = h("ol", {});
  const element = h("div", { class: "ws-attempts", role: "group", "aria-label": "Your tries" }, h("h4", {}, "Your tries"), list);
  return {
    element,
    draw(attempts, picked) {
      element.hidden = attempts.length === 0;
      // Buttons stay where their attempt stays, so that focus does.
      const kept = new Map([...list.children].map((row) => [row.dataset.number, row]));
      const rows = attempts.map((one) => {
        const number = String(one.number);
        let row = kept.get(number);
        if (!row) {
          const button = h("button", { type: "button", class: "ws-plain", onclick: () => onPick(one.number) },
            h("i", { class: "ws-mark", "aria-hidden": "true" }), h("span", { class: "ws-soft" }, number),
            h("span", { class: "ws-cut", title: one.label }, one.label), h("b", {}, one.outcome));
          button.dataset.state = STATES[one.state];
          row = h("li", { "data-number": number }, button);
        }
        if (one.number === picked) row.firstChild.setAttribute("aria-current", "true");
        else row.firstChild.removeAttribute("aria-current");
        return row;
      });
      const stay = new Set(rows);
      for (const row of [...list.children]) if (!stay.has(row)) row.remove();
      rows.forEach((row, i) => {
        if (list.children[i] !== row) list.insertBefore(row, list.children[i] ?? null);
      });
      // Not scrollIntoView: that would scroll the notebook, and JupyterLab itself, too.
      const current = list.querySelector("[aria-current]")?.parentElement;
      if (!current) return;
      const top = current.offsetTop - list.offsetTop;
      if (top < list.scrollTop) list.scrollTop = top;
      const bottom = top + current.offsetHeight - list.clientHeight;
      if (bottom > list.scrollTop) list.scrollTop = bottom;
    },
  };
}

// The row below what is edited: Send, Put it all back, and what is said of a click.
function sendRow(onSend, onBack) {
  const send = h("button", { type: "button", class: "ws-send", "aria-disabled": "false", onclick: onSend }, "Send");
  const back = h("button", { type: "button", "aria-disabled": "false", onclick: onBack }, "Put it all back");
  const said = h("span", { class: "ws-said ws-soft", role: "status" });
  return { send, back, said, element: h("div", { class: "ws-send-row" }, send, back, said) };
}

// Enter in a field is Send; JupyterLab swallows what would make it submit a form.
function sendsOnEnter(element, onSend) {
  element.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches('input[type="text"]') && !event.isComposing) {
      event.preventDefault();
      onSend();
    }
  });
}

// How an attempt ended, in a line.
function verdict(one, words, because = []) {
  return h("p", { class: "ws-verdict", "data-state": STATES[one.state], role: "status" },
    h("i", { class: "ws-mark", "aria-hidden": "true" }), h("b", {}, one.outcome),
    h("span", {}, words[one.state], ...because, h("span", { class: "ws-soft" }, `, ${one.took}`)));
}

// An editor's render(). name: as its title has it; makeLeft(onSend): what is edited, with its sendRow,
// renew() for what the kernel gives anew (the trait `renewed`), and message(), which is null where it
// cannot be sent; drawAnswer(one): elements.
function renderEditor({ model, el }, { name, kind, renewed, makeLeft, drawAnswer }) {
  const me = Math.random().toString(36).slice(2, 10);
  const pending = new Map();
  let clicks = 0;
  let picked = null;
  const left = makeLeft(press);
  const { send, said } = left.sendRow;
  const body = h("div", { class: "ws-answer-body" });
  const right = h("div", { class: "ws-answer", role: "group", "aria-label": "The answer" }, h("h4", {}, "The answer"), body);
  const below = history((number) => {
    picked = number;
    draw();
  });
  const title = model.get("title");
  const root = h("section", { class: `wslab ws-editor ${kind}`.trim(), "aria-label": `${name} for ${title}`, "data-lm-suppress-shortcuts": "true" },
    h("p", { class: "ws-title" }, h("b", {}, name), h("span", { class: "ws-soft" }, ` for ${title}`)),
    h("div", { class: "ws-sides" }, left.element, right), below.element);

  function say(text, isGood) {
    write(said, text);
    said.dataset.good = String(isGood);
  }

  function press() {
    if (send.getAttribute("aria-disabled") === "true") return;
    const message = left.message();
    if (!message) return;
    send.setAttribute("aria-disabled", "true");
    const id = `${me}.${++clicks}`;
    pending.set(id, setTimeout(() => say("waits for the kernel: a running cell goes first", true), WAITS_MS));
    try {
      model.send({ type: "send", id, ...message });
    } catch {
      lose();
    }
  }

  function free() {
    for (const timer of pending.values()) clearTimeout(timer);
    pending.clear();
    send.setAttribute("aria-disabled", "false");
  }

  function lose() {
    free();
    say("the kernel has ended; run the cells again", false);
  }

  function settle() {
    if (!model.get("done").some((id) => pending.has(id))) return;
    free();
    const text = model.get("said");
    say(text, !text);
  }

  function draw() {
    const attempts = model.get("shown");
    if (!attempts.some(({ number }) => number === picked)) picked = attempts.at(-1)?.number ?? null;
    below.draw(attempts, picked);
    const one = attempts.find(({ number }) => number === picked);
    body.replaceChildren(...(one ? drawAnswer(one) : [h("p", { class: "ws-soft" }, "Nothing was sent yet.")]));
  }

  function drawLatest() {
    picked = null;
    draw();
  }

  const listeners = { "change:shown": drawLatest, [`change:${renewed}`]: left.renew, "change:done": settle, comm_live_update: lose };
  for (const [event, listener] of Object.entries(listeners)) model.on(event, listener);
  draw();
  el.append(root);
  return () => {
    free();
    for (const [event, listener] of Object.entries(listeners)) model.off(event, listener);
  };
}
