// The panels of a Server and a Client. They draw what `views.py` says and nothing else; elements are
// made once and changed where the text changed, so that focus, selection and scrolling stay.
// To the kernel go custom messages only: trait changes from here jam while an `await` cell runs.

const STATES = {
  replaced: "stopped: its cell ran again, and a new server took its place",
  broken: "closed",
};
const HEADERS_TOO = "HTTP heads and frame headers included";
const WAITS_MS = 300;

function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function mark(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

// As many children as there are items; those that stay are drawn again, not made again.
function fill(parent, items, make, draw) {
  while (parent.children.length > items.length) parent.lastElementChild.remove();
  items.forEach((item, i) => {
    if (i >= parent.children.length) parent.append(make());
    draw(parent.children[i], item);
  });
}

// The same by a name: an item keeps its element wherever it moves to.
function fillByKey(parent, items, key, make, draw = () => {}) {
  const old = new Map([...parent.children].map((element) => [element.dataset.key, element]));
  const wanted = items.map((item) => {
    const element = old.get(item[key]) ?? make(item);
    old.delete(item[key]);
    mark(element, "data-key", item[key]);
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

function baseUrl() {
  try {
    const data = document.getElementById("jupyter-config-data");
    return JSON.parse(data.textContent).baseUrl || "/";
  } catch {
    return "/";
  }
}

async function copy(text, button) {
  let word = "copied";
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Not allowed here (plain http, a frame): select it, so that Ctrl-C does.
    getSelection().selectAllChildren(button.previousElementSibling);
    word = "selected";
  }
  write(button, word);
  setTimeout(() => write(button, "copy"), 1500);
}

// A URL and its copy button.
function url(label) {
  const code = h("code", { class: "ws-mono ws-cut" });
  const button = h("button", { type: "button", class: "ws-plain", "aria-label": label }, "copy");
  button.addEventListener("click", () => copy(code.textContent, button));
  const element = h("span", { class: "ws-url" }, code, button);
  return {
    element,
    draw(text) {
      element.hidden = !text;
      write(code, text);
      mark(code, "title", text);
    },
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

function frame(model, kind) {
  const state = h("span", { class: "ws-state" }, h("i", { class: "ws-mark", "aria-hidden": "true" }));
  const name = h("b", { class: "ws-name ws-cut" });
  const word = h("span", { role: "status" });
  const since = h("span", { class: "ws-soft" });
  state.append(name, word, since);
  const said = h("span", { class: "ws-said ws-soft", role: "status" });
  const buttons = h("span", { class: "ws-buttons" });
  const where = h("div", { class: "ws-where" });
  const trouble = h("div");
  const foot = h("div", { class: "ws-foot" });
  const gone = h("p", { class: "ws-trouble", role: "status", hidden: "" });
  const failure = h("p", { class: "ws-trouble", "data-kind": "error", hidden: "" });
  const body = h("div", { class: "ws-body" });
  const root = h(
    "section",
    { class: "wslab ws-panel", "data-lm-suppress-shortcuts": "true" },
    h("div", { class: "ws-head" }, state, said, buttons),
    where, gone, failure, trouble, body, foot,
  );

  function button(label, press) {
    const element = h("button", { type: "button", "aria-disabled": "false" }, label);
    element.addEventListener("click", () => press(element));
    buttons.append(element);
    return element;
  }

  function draw(view) {
    mark(root, "aria-label", `WebSocket ${kind} ${view.name}`);
    mark(state, "data-state", view.state);
    write(name, view.name);
    mark(name, "title", view.name);
    write(word, STATES[view.state] ?? view.state);
    write(since, view.since);
    since.hidden = !view.since;
  }

  function drawTrouble() {
    fillByKey(trouble, model.get("trouble"), "kind", () => {
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
    write(failure, model.get("failure"));
    failure.hidden = !failure.textContent;
  }

  // A bold number between words, made once.
  function sum(before, after = "") {
    const number = h("b");
    const element = h("span", {}, before, number, after);
    foot.append(element);
    return (text) => {
      element.hidden = !text;
      write(number, text);
    };
  }

  return { root, said, buttons, where, body, gone, button, draw, drawTrouble, sum };
}

function amount({ messages, size }) {
  return `${messages} ${messages === "1" ? "message" : "messages"}, ${size}`;
}

function server(model, ui, hands) {
  const address = url("Copy the URL");
  const browser = url("Copy the URL for a browser");
  const reach = h("span", { class: "ws-soft" });
  const page = h("a", { target: "_blank", rel: "noopener" }, "try it in a tab");
  const inBrowser = h("span", { class: "ws-soft" }, "in a browser");
  ui.where.append(address.element, page, inBrowser, browser.element, reach);
  const note = h("p", { class: "ws-note ws-soft" });
  ui.where.after(note);

  const restart = ui.button("Restart", (self) => hands.act(self, "restart"));
  const stop = ui.button("Stop", (self) => hands.act(self, "stop"));

  const head = [
    ["client", ""], ["id", "ws-id"], ["path", ""], ["open for", "ws-open ws-number"],
    ["messages in", "ws-count ws-number", "Messages that came from this client"],
    ["bytes in", "ws-size ws-number", HEADERS_TOO],
    ["messages out", "ws-count ws-number", "Messages that went to this client"],
    ["bytes out", "ws-size ws-number", HEADERS_TOO],
  ].map(([text, kind, title = text]) => h("th", { scope: "col", class: kind, title }, text));
  const rows = h("tbody");
  const table = h(
    "table", {},
    h("caption", { class: "ws-only-read" }, "Who is connected; in and out as the server sees it"),
    h("thead", {}, h("tr", {}, ...head)), rows,
  );
  const empty = h("p", { class: "ws-empty ws-soft" });
  const more = h("p", { class: "ws-more ws-soft" });
  ui.body.append(table, empty, more);
  const now = ui.sum("", " connected now");
  const seen = ui.sum("", " since it was made");
  const came = ui.sum("in ");
  const went = ui.sum("out ");

  const columns = [
    ["label", ""], ["id", "id", "ws-mono"], ["path", "path", "ws-mono"],
    ["open", "open for", "ws-number"],
    ["received", "in", "ws-number"], ["received_size", "", "ws-number"],
    ["sent", "out", "ws-number"], ["sent_size", "", "ws-number"],
  ];

  function makeRow() {
    const cells = columns.map(([, name, kind = ""], i) =>
      h(i ? "td" : "th", { class: kind, ...(i ? { "data-name": name } : { scope: "row" }) }));
    return h("tr", {}, ...cells);
  }

  return () => {
    const view = model.get("view");
    ui.draw(view);
    address.draw(view.url);
    browser.draw(view.browser_url);
    inBrowser.hidden = !view.browser_url;
    write(reach, view.reach);
    const isServing = view.state === "listening";
    page.hidden = !view.page_url || !isServing;
    if (view.page_url) mark(page, "href", view.page_url);
    mark(page, "title", view.doubt || "A page that talks to this server");
    write(note, view.note);
    note.hidden = !view.note;
    fill(rows, view.rows, makeRow, (element, row) => {
      columns.forEach(([key], i) => {
        const text = i || row[key] ? row[key] : "(no name)";
        write(element.children[i], text);
        if (i < 3) mark(element.children[i], "title", text);
      });
      element.firstChild.classList.toggle("ws-soft", !row.label);
    });
    table.hidden = !view.rows.length;
    empty.hidden = view.rows.length > 0;
    write(empty, isServing ? "Nobody is connected." : "");
    if (!empty.textContent) empty.hidden = true;
    write(more, view.more);
    more.hidden = !view.more;
    ui.body.hidden = table.hidden && empty.hidden;
    now(view.now);
    seen(view.seen);
    came(view.rows.length ? amount(view.received) : "");
    went(view.rows.length ? amount(view.sent) : "");
    write(restart, isServing || view.state === "stopping" ? "Restart" : "Start");
    restart.hidden = view.state === "replaced";
    const hadFocus = document.activeElement === stop;
    stop.hidden = !isServing && view.state !== "stopping";
    if (hadFocus && stop.hidden) restart.focus();  // the next thing to press, for a keyboard
  };
}

function client(model, ui, hands) {
  const address = url("Copy the URL");
  const identity = h("span", { class: "ws-soft" });
  ui.where.append(h("span", { class: "ws-soft" }, "to"), address.element, identity);

  const ping = ui.button("Ping", (self) => hands.act(self, "ping"));
  const close = ui.button("Close", (self) => hands.act(self, "close"));

  const dropped = h("p", { class: "ws-empty ws-soft" });
  const log = h("ol", { class: "ws-log", role: "log", "aria-live": "off", tabindex: "0",
    "aria-label": "Messages received, and those sent from here" });
  const input = h("input", { type: "text", "aria-label": "Text to send", placeholder: "text to send",
    autocomplete: "off", spellcheck: "false" });
  const send = h("button", { type: "submit", "aria-disabled": "false" }, "Send");
  const say = h("form", { class: "ws-say" }, input, send);
  const submit = (event) => {
    event.preventDefault();
    if (hands.act(send, "send", input.value)) input.value = "";
  };
  say.addEventListener("submit", submit);
  input.addEventListener("keydown", (event) => {
    // JupyterLab swallows what would make Enter submit a form.
    if (event.key === "Enter" && !event.isComposing) submit(event);
  });
  ui.body.append(dropped, log, say);
  const came = ui.sum("received ");
  const went = ui.sum("sent ");
  const waiting = ui.sum("", " wait for recv()");
  let drawn = null;
  let follows = true;  // the newest message, unless somebody has scrolled back
  log.addEventListener("scroll", () => {
    if (log.clientHeight) follows = log.scrollHeight - log.scrollTop - log.clientHeight < 8;
  });

  function drawLog() {
    const messages = model.get("messages");
    if (messages === drawn) return;
    drawn = messages;
    fillByKey(log, messages.rows, "key", (row) => h(
      "li", { "data-way": row.way },
      h("span", { class: "ws-soft" }, row.way === "sent" ? "→ sent" : "← received"),
      h("span", { class: "ws-soft" }, row.type),
      h("span", { class: "ws-soft ws-number" }, row.size),
      h("span", { class: "ws-mono ws-text" }, row.text),
    ));
    const isEmpty = !messages.rows.length;
    log.hidden = isEmpty;
    if (follows) log.scrollTop = log.scrollHeight;
    write(dropped, messages.dropped || (isEmpty ? "No message has come." : ""));
    dropped.hidden = !dropped.textContent;
  }

  return () => {
    const view = model.get("view");
    ui.draw(view);
    address.draw(view.url);
    write(identity, `id ${view.id}${view.subprotocol ? `, subprotocol ${view.subprotocol}` : ""}`);
    const isOpen = view.state === "open";
    ping.hidden = !isOpen;
    close.hidden = !isOpen && view.state !== "connecting";  // it ends the attempts to come back
    say.hidden = !isOpen;
    drawLog();
    came(amount(view.received));
    went(amount(view.sent));
    waiting(view.waiting);
  };
}

// Tell when the kernel has ended, which nothing that it sends could say.
function mourn(model, onEnd) {
  model.on("comm_live_update", onEnd);  // it restarts
  const status = model.widget_manager?.kernel?.statusChanged;  // where the page lets us ask
  const heard = (_, word) => {
    if (["restarting", "autorestarting", "terminating", "dead"].includes(word)) onEnd();
  };
  status?.connect?.(heard);
  return () => status?.disconnect?.(heard);
}

function render({ model, el }) {
  const kind = model.get("kind");
  const ui = frame(model, kind);
  const hands = clicks(model, ui.said, () => setGone(true));
  const draw = (kind === "server" ? server : client)(model, ui, hands);
  let drawnAt = Date.now();
  let isGone = false;

  function setGone(isNow) {
    if (isGone === isNow) return;
    isGone = isNow;
    write(ui.gone, isNow
      ? `The kernel has ended or restarts, and this with it: so it was at ${clock(drawnAt / 1000)}.`
      : "");
    ui.gone.hidden = !isNow;
    hands.forget();
    for (const button of ui.root.querySelectorAll(".ws-buttons button, .ws-say button")) {
      hands.enable(button, !isNow);
    }
  }

  const drawAll = () => {
    drawnAt = Date.now();
    draw();
  };
  drawAll();
  ui.drawTrouble();
  hands.settle();
  el.append(ui.root);
  const log = ui.root.querySelector(".ws-log");
  if (log) log.scrollTop = log.scrollHeight;

  const heard = (how) => () => {
    setGone(false);  // what speaks lives
    how();
  };
  model.on("change:view", heard(drawAll));
  model.on("change:messages", heard(drawAll));
  model.on("change:trouble", heard(ui.drawTrouble));
  model.on("change:failure", heard(ui.drawTrouble));
  model.on("change:said", heard(hands.settle));
  model.on("change:done", heard(hands.settle));
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

export default { render };
