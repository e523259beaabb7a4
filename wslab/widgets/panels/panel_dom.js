// What the panels share, those of a hub too: clicks, troubles, and how a view comes and goes.
// To the kernel go custom messages only: trait changes from here jam while an `await` cell runs.

const WAITS_MS = 300;

// As many children as there are items; an item keeps its element by its key wherever it moves to.
function fill(parent, items, make, draw = () => {}) {
  const old = new Map([...parent.children].map((element) => [element.dataset.key, element]));
  const wanted = items.map((item, i) => {
    const key = String(item?.key ?? i);
    const element = old.get(key) ?? make(item);
    old.delete(key);
    mark(element, "data-key", key);
    draw(element, item);
    return element;
  });
  for (const element of old.values()) element.remove();
  wanted.forEach((element, i) => {
    if (parent.children[i] !== element) parent.insertBefore(element, parent.children[i] ?? null);
  });
}

function clock(at) {
  return new Date(at * 1000).toLocaleTimeString([], { hourCycle: "h23" });
}

// Whether an element that scrolls is at its end; then it stays there.
function follower(element) {
  let follows = true;
  element.addEventListener("scroll", () => {
    if (element.clientHeight) {
      follows = element.scrollHeight - element.scrollTop - element.clientHeight < 8;
    }
  });
  return () => {
    if (follows) element.scrollTop = element.scrollHeight;
  };
}

// Clicks: each has an id, and its button waits until the kernel sends that id back.
function clicks(model, said, onDead) {
  const me = Math.random().toString(36).slice(2, 10);
  const pending = new Map();
  let count = 0;

  function send(message) {
    try {
      model.send({ view: me, ...message });
    } catch {
      onDead();
    }
  }

  function enable(button, isEnabled) {
    mark(button, "aria-disabled", String(!isEnabled));
  }

  function act(button, what, data) {
    if (button.getAttribute("aria-disabled") === "true") return false;
    const click = `${me}.${++count}`;
    enable(button, false);
    const timer = setTimeout(() => {
      mark(said, "data-good", "true");
      write(said, "waits for the kernel (a running cell goes first)");
    }, WAITS_MS);
    pending.set(click, { button, timer });
    send({ type: "act", what, data, id: click });
    return true;
  }

  function settle() {
    for (const click of model.get("done")) {
      const { button, timer } = pending.get(click) ?? {};
      if (!button) continue;
      clearTimeout(timer);
      pending.delete(click);
      enable(button, true);
    }
    if (pending.size) return;
    const { text = "", good = true } = model.get("said");
    mark(said, "data-good", String(good));
    write(said, text && !good ? `failed: ${text}` : text);
  }

  // No answer will come to what is pending.
  function forget() {
    for (const { timer } of pending.values()) clearTimeout(timer);
    pending.clear();
    write(said, "");
  }

  return { act, send, settle, enable, forget };
}

// What handlers raised, with the traceback to open.
function troubles(parent, items) {
  fill(parent, items.map((item) => ({ ...item, key: item.kind })), () => {
    const details = h("details", {}, h("summary", {}, "traceback"), h("pre", { tabindex: "0" }));
    return h("div", { class: "ws-trouble" }, h("b"), h("span", { class: "ws-soft" }), h("span"), details);
  }, (element, item) => {
    const [title, when, text, details] = element.children;
    mark(element, "data-kind", item.kind);
    write(title, item.title);
    write(when, item.at === null ? ": " : ` at ${clock(item.at)}: `);
    write(text, item.text);
    write(details.lastElementChild, item.details);
    details.hidden = !item.details;
  });
}

// Draw when traits change, say that it is shown, and that it goes; returns what ends it.
function live(model, el, root, { gone, hands, names, draw }) {
  let drawnAt = Date.now();
  let isGone = false;

  function setGone(isNow) {
    if (isGone === isNow) return;
    isGone = isNow;
    write(gone, isNow
      ? `The kernel has ended or restarts, and this with it: so it was at ${clock(drawnAt / 1000)}.`
      : "");
    gone.hidden = !isNow;
    hands.forget();
    for (const button of root.querySelectorAll("[data-act]")) hands.enable(button, !isNow);
  }

  const drawAll = () => {
    drawnAt = Date.now();
    draw();
  };
  // Several traits of one message: drawn once.
  let isDue = false;
  const heard = () => {
    setGone(false);  // what speaks lives
    if (isDue) return;
    isDue = true;
    queueMicrotask(() => {
      isDue = false;
      drawAll();
    });
  };
  drawAll();
  hands.settle();
  el.append(root);
  for (const name of names) model.on(`change:${name}`, heard);
  const settled = () => {
    setGone(false);
    hands.settle();
  };
  model.on("change:said", settled);
  model.on("change:done", settled);
  hands.onDead = () => setGone(true);
  const rest = mourn(model, () => setGone(true));

  const arrive = () => hands.send({ type: "ready", origin: location.origin, base: baseUrl() });
  const leave = (isForGood) => {
    if (!isGone) hands.send({ type: "gone", for_good: isForGood });
  };
  const hide = () => leave(false);  // a page that is loaded again wants its panels back
  const show = (event) => event.persisted && arrive();
  addEventListener("pagehide", hide);
  addEventListener("pageshow", show);
  arrive();
  return () => {
    removeEventListener("pagehide", hide);
    removeEventListener("pageshow", show);
    rest();
    leave(true);
  };
}
