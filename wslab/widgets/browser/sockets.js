// Several sockets: a row for each; the one that is chosen is the one below.

function socketTable(pageSockets, id, onChoose) {
  const socketRows = pageSockets.slots.map((slot) => {
    const choice = h("input", { type: "radio", name: `${id}-socket`, id: `${id}-socket-${slot.index}` });
    choice.checked = slot.index === 0;
    choice.addEventListener("change", () => {
      onChoose(slot);
    });
    const mark_ = h("i", { class: "ws-mark", "aria-hidden": "true" });
    const name = h("span");
    const cell = h("span", { class: "ws-state" }, mark_, name);
    const protocol = h("td", { class: "ws-mono" });
    const counts = h("td");
    const last = h("td", { class: "ws-cut" });
    const label = h("label", { for: choice.id, class: "ws-mono" }, slot.name);
    const element = h("tr", {}, h("th", { scope: "row" }, choice, label), h("td", {}, cell),
      protocol, counts, last);
    return { slot, element, choice, cell, name, protocol, counts, last };
  });
  const head = ["socket", "readyState", "protocol", "messages", "latest"].map(
    (text) => h("th", { scope: "col" }, text));
  const element = h("table", { class: "ws-sockets" },
    h("caption", { class: "ws-only-read" }, "The sockets; choose the one that is shown below"),
    h("thead", {}, h("tr", {}, ...head)),
    h("tbody", {}, ...socketRows.map((row) => row.element)));

  function draw(chosen) {
    for (const { slot, element, cell, name, protocol, counts, last } of socketRows) {
      const now = slot.readyState;
      mark(element, "data-chosen", String(slot === chosen));
      mark(cell, "data-state", stateForm(slot));
      write(name, now === undefined ? "no socket yet" : STATES[now]);
      write(protocol, quote(slot.socket?.protocol ?? ""));
      write(counts, `${slot.sent.toLocaleString("en")} out, ${slot.received.toLocaleString("en")} in`);
      const [bold, mono] = slot.last ? words(slot.last, {}) : ["", ""];
      write(last, `${bold} ${mono}`.trim());
      mark(last, "title", last.textContent);
    }
  }

  return { element, draw };
}
