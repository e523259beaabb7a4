// The bar above the timeline (what is shown of it) and the figures below it.

class Controls {
  // onPause, onFollow, onClear, onFilter: what somebody wants; onDown: to go on in the list.
  constructor(filter, { onPause, onFollow, onClear, onFilter, onDown }) {
    this.filter = filter;
    const button = (text, attributes) => h("button", { type: "button", ...attributes }, text);
    this.pause = button("Pause", { "aria-pressed": "false", onclick: onPause });
    this.following = button("Follow", { onclick: onFollow, title: "Keep the latest row in sight" });
    const clear = button("Clear", { onclick: onClear, title: "Take all rows away and count from here on" });
    this.chips = KINDS.map(([kind, name]) => {
      const number = h("span", { class: "wi-number" });
      const onclick = () => { filter.toggle(kind); onFilter(); };
      const chip = button([sample(kind), h("span", {}, name), number], { class: "wi-chip", "data-kind": kind, onclick });
      return { kind, chip, number };
    });
    this.choice = h("select", { "aria-label": "Connection", onchange: () => { filter.lane = this.choice.value; onFilter(); } });
    this.search = h("input", {
      type: "search",
      placeholder: "Search text",
      "aria-label": "Search in paths, reasons and the first 256 bytes of each payload",
      oninput: () => { filter.query = this.search.value.toLowerCase(); onFilter(); },
      onkeydown: (event) => {
        if (event.key === "ArrowDown" || event.key === "Enter") { event.preventDefault(); onDown(); }
      },
    });
    this.state = h("span", { class: "wi-state" });
    this.url = h("span", { class: "wi-url ws-mono ws-cut" });
    this.holder = h("span", { class: "wi-live" }, h("span", { class: "ws-mark", "aria-hidden": "true" }), h("b", {}, "Inspector"), this.state);
    this.element = h("div", { class: "wi-head" },
      h("div", { class: "wi-bar" }, this.holder, this.url, this.pause, this.following, clear),
      h("div", { class: "wi-bar", role: "group", "aria-label": "Filter" }, this.chips.map(({ chip }) => chip), h("span", { class: "wi-space" }), this.choice, this.search));
  }

  reset() {
    this.filter.reset();
    this.search.value = "";
  }

  // held: the rows that are shown while it is paused, or null.
  draw(store, rows, held) {
    const state = store.model.get("state");
    const title = store.model.get("title");
    write(this.url, title);
    mark(this.url, "title", title);
    const waiting = held ? store.rows.filter((row) => row.id > (held.at(-1)?.id ?? 0)).length : 0;
    write(this.state, held ? `paused${waiting ? `, ${count(waiting)} new` : ""}` : state);
    mark(this.holder, "data-state", held ? "closing" : state === "closed" ? "stopped" : state);
    write(this.pause, held ? "Resume" : "Pause");
    mark(this.pause, "aria-pressed", held !== null);
    this.drawChips(store.figures, rows);
    this.drawChoice(store.lanes, rows);
  }

  drawFollow(follows) {
    mark(this.following, "aria-pressed", follows);
  }

  drawChips(figures, rows) {
    const sum = (name) => (figures ? figures.client[name] + figures.server[name] : 0);
    const heads = rows.reduce((n, row) => n + (row.group === "http"), 0);
    const counts = { http: heads, text: sum("text"), binary: sum("binary"), ping: sum("ping") + sum("pong"), close: sum("close") };
    for (const { kind, chip, number } of this.chips) {
      mark(chip, "aria-pressed", this.filter.kinds.has(kind));
      write(number, count(counts[kind]));
    }
  }

  drawChoice(lanes, rows) {
    const seen = new Set();
    for (const row of rows) if (row.lane !== undefined && !seen.has(row.lane)) seen.add(row.lane);
    const names = [["", "All connections"], ...[...seen].map((lane) => [String(lane), lanes.get(lane)?.name ?? "?"])];
    const key = JSON.stringify(names);
    if (key === this.drawnNames || document.activeElement === this.choice) return;
    this.drawnNames = key;
    this.choice.replaceChildren(...names.map(([value, name]) => h("option", { value }, name)));
    const { filter } = this;
    this.choice.value = seen.has(Number(filter.lane)) ? filter.lane : (filter.lane = "");
  }
}

class Figures {
  constructor() {
    this.element = h("div", { class: "wi-foot" });
  }

  draw(figures) {
    if (!figures) return;
    const pair = (label, value, title) => h("span", { title }, `${label} `, h("b", {}, value));
    const parts = [];
    for (const [label, sender] of [["to the server", "client"], ["from the server", "server"]])
      parts.push([label, `${plural(figures[sender].frames, "frame")}, ${size(figures[sender].size)}`]);
    if (figures.bytes > 0)
      parts.push(["headers", `${figures.about ? "about " : ""}${((100 * figures.header) / figures.bytes).toFixed(1)} %`, "Bytes of frame headers, of all bytes of frames"]);
    const [before, after] = figures.inflated;
    if (after) parts.push(["compressed to", `${((100 * before) / after).toFixed(0)} %`, `${size(after)} of messages travelled as ${size(before)}`]);
    if (figures.ping !== null) parts.push(["last ping", trip(figures.ping)]);
    const [frames, bytes] = figures.dropped;
    parts.push(bytes ? ["dropped", `${plural(frames, "frame")}, ${size(bytes)}`, "The tape was full: the oldest bytes were dropped"] : ["nothing dropped", ""]);
    const total = figures.client.frames + figures.server.frames;
    if (figures.passed && total > 0) {
      const drawn = Math.max(1, total - figures.passed);
      const share = total / drawn < 2 ? `${count(drawn)} of ${count(total)}` : `1 of ${count(Math.round(total / drawn))}`;
      parts.push(["drew", share, `${plural(figures.passed, "frame")} came too fast to be drawn; all are counted`], ["all are counted", ""]);
    }
    const key = JSON.stringify(parts);
    if (key === this.drawn) return;
    this.drawn = key;
    this.element.replaceChildren(...parts.map((part) => pair(...part)));
  }
}
