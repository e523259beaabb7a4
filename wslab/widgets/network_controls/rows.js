// Rows of connections, each with its cable, its sliders and its two ends. NetworkControls is made of
// them, and a server's panel has them folded. They draw what `model.py` says and nothing else.

const SLIDERS = [["delay_s", "delay"], ["jitter_s", "jitter"], ["bytes_per_s", "rate"]];
const UNSET = "as set by hand";

// A slider goes from step to step, and to the kernel when it is let go. While the kernel has not
// answered, and while somebody holds it, it stays where that person put it.
function stepSlider(name, label, steps, send) {
  const input = h("input", { type: "range", min: 0, max: steps.length - 1, step: 1, "aria-disabled": "false", "data-act": "" });
  const word = h("output", { class: "ws-mono" });
  let isHeld = false;
  let isDue = false;

  const chosen = () => steps[Number(input.value)];
  const say = (text) => {
    write(word, text);
    mark(input, "aria-valuetext", text);
  };
  const letGo = () => {
    isHeld = false;
    isDue = !send(input, name, chosen().value);
  };
  input.addEventListener("input", () => {
    isHeld = true;
    say(chosen().text);
  });
  input.addEventListener("change", letGo);
  return {
    element: h("label", { class: "ws-slide" }, h("span", { class: "ws-soft" }, label), input, word),
    draw(who, setting) {
      mark(input, "aria-label", `${label[0].toUpperCase()}${label.slice(1)} of ${who}`);
      if (isHeld || input.getAttribute("aria-disabled") === "true") return;
      if (isDue) return letGo();  // moved again before the kernel had answered
      if (input.value !== String(setting.at)) input.value = setting.at;
      say(setting.text);
    },
  };
}

// Delay, jitter, rate and the menu of presets.
function settings(model, send) {
  const sliders = SLIDERS.map(([name, label]) => stepSlider(name, label, model.get("steps")[name], send));
  const menu = h("select", { "aria-disabled": "false", "data-act": "" },
    h("option", { value: "" }, UNSET),
    ...model.get("presets").map((one) => h("option", { value: one.name, title: one.title }, one.label)));
  menu.addEventListener("change", () => {
    if (menu.value) send(menu, "use", menu.value);
    else send(menu, "plain");
  });
  return {
    element: h("div", { class: "ws-settings" }, ...sliders.map((one) => one.element),
      h("label", { class: "ws-slide" }, h("span", { class: "ws-soft" }, "like"), menu)),
    draw(who, row) {
      SLIDERS.forEach(([name], i) => sliders[i].draw(who, row[name]));
      mark(menu, "aria-label", `What the network of ${who} is like`);
      if (menu.getAttribute("aria-disabled") === "true") return;
      write(menu.firstChild, row.is_plain ? "nothing in between" : UNSET);
      if (menu.value !== row.preset) menu.value = row.preset;
    },
  };
}

function networkRow(model, hands) {
  let now = null;
  const send = (control, verb, value) => hands.act(control, "network", { key: now.key, verb, value });
  const button = (press, kind = "") => {
    const element = h("button", { type: "button", class: kind, "aria-disabled": "false", "data-act": "" });
    element.addEventListener("click", () => press(element));
    return element;
  };
  const end = (kind) => h("span", { class: `ws-wire-end ${kind}` }, h("b", { class: "ws-cut" }), h("span", { class: "ws-soft" }));
  const client = end("ws-client-end");
  const server = end("ws-server-end");
  const cable = button((self) => send(self, now.is_cut ? "restore" : "cut"), "ws-cable");
  cable.append(h("i"), h("span"), h("i"));
  const words = h("span", { class: "ws-wire-words", role: "status" });
  const held = h("b", { "data-hides": "" });
  const stop = button((self) => send(self, now.is_stopped ? "resume_reading" : "stop_reading"));
  const reset = button((self) => send(self, "reset"));
  write(reset, "Reset");
  const set = settings(model, send);
  const element = h("li", { class: "ws-wire", role: "group" },
    client, cable, server,
    h("div", { class: "ws-wire-said" }, words, held, h("span", { class: "ws-buttons" }, stop, reset)),
    set.element);
  return {
    element,
    draw(row, view) {
      now = row;
      const isServers = view.kind === "server";
      mark(element, "aria-label", `Connection of ${row.client}`);
      write(client.firstChild, row.client);
      mark(client.firstChild, "title", `${row.client}, connection ${row.id}`);
      write(client.lastChild, row.client_heard);
      write(server.firstChild, isServers ? view.name : "the server");
      write(server.lastChild, row.server_heard);
      mark(cable, "data-cut", String(row.is_cut));
      mark(cable, "data-over", row.is_over ? (isServers ? "server" : "client") : "");
      mark(cable, "data-stopped", row.is_stopped ? (isServers ? "server" : "client") : "");
      write(cable.children[1], row.is_cut ? "join it" : "cut it");
      mark(cable, "aria-label", `${row.is_cut ? "Join" : "Cut"} the cable of ${row.client}`);
      mark(cable, "title", row.is_cut ? "join it again" : "cut it");
      write(words, row.words);
      write(held, row.held);
      const reader = isServers ? "the server" : row.client;
      write(stop, row.is_stopped ? "Read on" : "Stop reading");
      mark(stop, "aria-label", row.is_stopped ? `Let ${reader} read on from ${isServers ? row.client : "the server"}`
        : `Let ${reader} stop reading from ${isServers ? row.client : "the server"}`);
      mark(reset, "aria-label", `Reset the connection of ${row.client}`);
      stop.hidden = reset.hidden = row.is_over;
      set.element.hidden = row.is_over;
      set.draw(row.client, row);
    },
  };
}

// All rows, and what connections to come begin with. `draw` takes what `model.py` has read.
function networkRows(model, hands) {
  const list = h("ul", { class: "ws-wires" });
  const parts = new WeakMap();
  const empty = h("p", { class: "ws-net-note ws-soft", "data-hides": "" });
  const foot = h("p", { class: "ws-net-note ws-soft", "data-hides": "" });
  const send = (control, verb, value) => hands.act(control, "network", { key: "new", verb, value });
  const fresh = settings(model, send);
  const later = h("div", { class: "ws-later", role: "group", "aria-label": "Connections to come" },
    h("span", { class: "ws-soft" }, "connections to come"), fresh.element);
  const make = () => {
    const part = networkRow(model, hands);
    parts.set(part.element, part);
    return part.element;
  };
  return {
    element: h("div", { class: "ws-network" }, list, empty, foot, later),
    draw(view) {
      fill(list, view.rows, make, (element, row) => parts.get(element).draw(row, view));
      list.hidden = !view.rows.length;
      write(empty, view.rows.length ? "" : "Nobody is connected.");
      write(foot, [view.more, ...view.left, view.left_more].filter(Boolean).join("; "));
      later.hidden = !view.new;
      if (view.new) fresh.draw("connections to come", view.new);
    },
  };
}
