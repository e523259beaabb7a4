// The panels of a Server and a Client. They draw what `model.py` says and nothing else.

const STATES = {
  replaced: "stopped: its cell ran again, and a new server took its place",
  broken: "closed",
};
const HEADERS_TOO = "HTTP heads and frame headers included";

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

function frame(model, kind) {
  const state = h("span", { class: "ws-state" }, h("i", { class: "ws-mark", "aria-hidden": "true" }));
  const name = h("b", { class: "ws-name ws-cut" });
  const word = h("span", { role: "status" });
  const since = h("span", { class: "ws-soft", "data-hides": "" });
  state.append(name, word, since);
  const said = h("span", { class: "ws-said ws-soft", role: "status" });
  const buttons = h("span", { class: "ws-buttons" });
  const where = h("div", { class: "ws-where" });
  const trouble = h("div");
  const foot = h("div", { class: "ws-foot" });
  const gone = h("p", { class: "ws-trouble", role: "status", hidden: "" });
  const failure = h("p", { class: "ws-trouble", "data-kind": "error", "data-hides": "", hidden: "" });
  const body = h("div", { class: "ws-body" });
  const root = h(
    "section",
    { class: "wslab ws-panel", "data-lm-suppress-shortcuts": "true" },
    h("div", { class: "ws-head" }, state, said, buttons),
    where, gone, failure, trouble, body, foot,
  );

  function button(label, press) {
    const element = h("button", { type: "button", "aria-disabled": "false", "data-act": "" }, label);
    element.addEventListener("click", () => press(element));
    buttons.append(element);
    return element;
  }

  function draw(view) {
    mark(root, "aria-label", `WebSocket ${view.noun ?? kind} ${view.name}`);
    mark(state, "data-state", view.state);
    write(name, view.name);
    mark(name, "title", view.name);
    write(word, STATES[view.state] ?? view.state);
    write(since, view.since);
  }

  function drawTrouble() {
    troubles(trouble, model.get("trouble"));
    write(failure, model.get("failure"));
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
  const note = h("p", { class: "ws-note ws-soft", "data-hides": "" });
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
  const empty = h("p", { class: "ws-empty ws-soft", "data-hides": "" });
  const more = h("p", { class: "ws-more ws-soft", "data-hides": "" });
  const network = networkRows(model, hands);
  const net = h("details", { class: "ws-net", hidden: "" }, h("summary", {}, "Network"), network.element);
  ui.body.append(table, empty, more, net);
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
    fill(rows, view.rows, makeRow, (element, row) => {
      columns.forEach(([key], i) => {
        const text = i || row[key] ? row[key] : "(no name)";
        write(element.children[i], text);
        if (i < 3) mark(element.children[i], "title", text);
      });
      element.firstChild.classList.toggle("ws-soft", !row.label);
    });
    table.hidden = !view.rows.length;
    write(empty, isServing && !view.rows.length ? "Nobody is connected." : "");
    write(more, view.more);
    const nets = model.get("network");
    net.hidden = !nets.rows.length && !net.open;
    network.draw(nets);
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

  const dropped = h("p", { class: "ws-empty ws-soft", "data-hides": "" });
  const log = h("ol", { class: "ws-log", role: "log", "aria-live": "off", tabindex: "0",
    "aria-label": "Messages received, and those sent from here" });
  const input = h("input", { type: "text", "aria-label": "Text to send", placeholder: "text to send",
    autocomplete: "off", spellcheck: "false" });
  const send = h("button", { type: "submit", "aria-disabled": "false", "data-act": "" }, "Send");
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
  const follow = follower(log);  // the newest message, unless somebody has scrolled back
  let drawn = null;

  function drawLog() {
    const messages = model.get("messages");
    if (messages === drawn) return;
    drawn = messages;
    fill(log, messages.rows, (row) => h(
      "li", { "data-direction": row.direction },
      h("span", { class: "ws-soft" }, row.direction === "sent" ? "→ sent" : "← received"),
      h("span", { class: "ws-soft" }, row.type),
      h("span", { class: "ws-soft ws-number" }, row.size),
      h("span", { class: "ws-mono ws-text" }, row.text),
    ));
    const isEmpty = !messages.rows.length;
    log.hidden = isEmpty;
    follow();
    write(dropped, messages.dropped || (isEmpty ? "No message has come." : ""));
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

function render({ model, el }) {
  const kind = model.get("kind");
  const ui = frame(model, kind);
  const hands = clicks(model, ui.said, () => hands.onDead?.());
  const drawView = (kind === "server" ? server : client)(model, ui, hands);
  const draw = () => {
    drawView();
    ui.drawTrouble();
  };
  const names = ["view", "messages", "trouble", "failure", "network", "done"];
  const rest = live(model, el, ui.root, { gone: ui.gone, hands, draw, names });
  const log = ui.root.querySelector(".ws-log");
  if (log) log.scrollTop = log.scrollHeight;  // now that it has a height
  return rest;
}

export default { render };
