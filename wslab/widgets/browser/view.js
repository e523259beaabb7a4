// The view of a Browser: who it is and how it gets there, its sockets, what can be done, what happened.

const WAITS_MS = 400;

// How it gets to the server, and what a page asks before it gives something away.
function routeLine(pageSockets, target) {
  const url = h("code", { class: "ws-mono ws-url" });
  const label = h("b");
  const route = h("span", {}, h("span", { class: "ws-soft" }, "route: "), label);
  const where = h("div", { class: "ws-where" }, h("span", { class: "ws-soft" }, "to"), url, route);
  const changes = h("span", { class: "ws-soft" });
  const changed = h("p", { class: "ws-changes" }, changes);
  const asks = h("p", { class: "ws-asks-text" });
  const answer = (text, isYes) =>
    h("button", { type: "button", onclick: () => pageSockets.question?.answer(isYes) }, text);
  const question = h("div", { class: "ws-asks", role: "group", "aria-label": "Which route?", hidden: "" },
    asks, h("span", { class: "ws-buttons" }, answer("Go there, and hand Jupyter’s cookies over", true),
      answer("Go by the kernel, without them", false)));

  function draw() {
    write(url, shownUrl(pageSockets, target));
    route.hidden = !pageSockets.route;
    write(label, pageSockets.route?.label ?? "");
    mark(route, "data-kind", pageSockets.route?.kind ?? "");
    write(changes, (pageSockets.route?.changes ?? "").replace(/[^.]$/, "$&."));
    changed.hidden = !changes.textContent;
    question.hidden = !pageSockets.question || pageSockets.status !== "here";
    if (pageSockets.question) write(asks, `${pageSockets.question.tried} ${pageSockets.question.text}`.trim());
  }

  return { elements: [where, changed, question], draw };
}

// What callbacks raised in the kernel.
function troubleList(model) {
  const element = h("div");
  function draw() {
    const list = model.get("trouble");
    const more = model.get("troubles") - list.length;
    element.replaceChildren(...list.map(({ at, text: what, traceback }) => h("div", { class: "ws-trouble", "data-kind": "error" },
      h("b", {}, "A callback raised"), h("span", { class: "ws-soft" }, ` at ${clock(at * 1000)}: `), what,
      h("details", {}, h("summary", {}, "traceback"), h("pre", { tabindex: "0" }, traceback)))));
    if (more > 0) element.append(h("p", { class: "ws-soft" }, `and ${more} before`));
  }
  return { element, draw };
}

// Its name, its state, what it waits for; and the buttons beside that.
function headLine(pageSockets, model, onClear) {
  const state = h("span", { class: "ws-state" }, h("i", { class: "ws-mark", "aria-hidden": "true" }));
  const word = h("span", { role: "status" });
  state.append(h("b", { class: "ws-name ws-cut" }, model.get("name")), word);
  const said = h("span", { class: "ws-said ws-soft", role: "status" });
  const onTake = () => pageSockets.tell({ type: "take" });
  const take = h("button", { type: "button", hidden: "", title: "Close it there, open it here", onclick: onTake }, "Take it over");
  const clear = h("button", { type: "button", title: "Empty this log; Python keeps its events", onclick: onClear }, "Clear log");
  const element = h("div", { class: "ws-head" }, state, said, h("span", { class: "ws-buttons" }, take, clear));

  function draw(chosen, isLate) {
    const { status } = pageSockets;
    const now = chosen.readyState;
    const waiting = model.get("waiting");
    const hints = {
      asking: isLate ? "waits for the kernel (a running cell goes first)" : "",
      here: pageSockets.route ? "" : pageSockets.question ? "waits for your answer" : "looks for a route there",
      elsewhere: "Another page of this notebook has the socket; this one looks on.",
      dead: "The kernel is gone, and the socket was closed with it.",
      ended: `Over: ${model.get("ended")}.`,
    };
    mark(state, "data-state", stateForm(chosen));
    write(word, now === undefined ? "no socket yet" : pageSockets.slots.length > 1 ? "" : STATES[now]);
    write(said, model.get("failure") || hints[status] || (waiting ? `${waiting} waiting` : ""));
    take.hidden = status !== "elsewhere";
  }

  return { element, draw };
}

let viewCount = 0;

function render({ model, el }) {
  const pageSockets = pageSocketsByKey.get(model.get("key"));
  const target = model.get("target");
  let chosen = pageSockets.slots[0];
  let isLate = false;

  const log = eventLog(pageSockets, model.get("meanings"));
  const head = headLine(pageSockets, model, log.clear);
  const route = routeLine(pageSockets, target);
  const trouble = troubleList(model);
  const machine = stateMachine();
  const acts = actions(pageSockets, () => chosen, target);
  const foot = attributes((kind) => {
    if (pageSockets.status === "here" && chosen.socket) chosen.setBinaryType(kind, "hand");
    else chosen.binaryType = kind;
  });
  const table = pageSockets.slots.length < 2 ? null
    : socketTable(pageSockets, `ws-browser-${++viewCount}-${pageSockets.key}`, (slot) => {
      chosen = slot;
      draw();
      acts.preview();
    });

  function draw() {
    chosen.look();
    head.draw(chosen, isLate);
    route.draw();
    table?.draw(chosen);
    machine.draw(chosen);
    foot.draw(chosen, pageSockets.outbox.droppedAll);
    log.draw();
    acts.draw(pageSockets.status === "here" && Boolean(pageSockets.route));
  }

  const lateTimer = setTimeout(() => {
    isLate = true;
    draw();
  }, WAITS_MS);
  const view = { draw, model };
  trouble.draw();
  el.append(h("section", {
    class: "wslab ws-panel ws-browser", "data-lm-suppress-shortcuts": "true",
    "aria-label": `WebSocket of this page, ${model.get("name")}`,
  }, head.element, ...route.elements, trouble.element, table?.element, ...machine.elements, acts.element,
  log.element, foot.element));
  model.on("change:trouble", trouble.draw);
  model.on("change:waiting", draw);
  model.on("change:failure", draw);
  pageSockets.addView(view);
  return () => {
    clearTimeout(lateTimer);
    pageSockets.removeView(view);
  };
}
