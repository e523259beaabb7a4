// The timeline: lanes across, time down. Only the rows that can be seen are in the page.

const rowAt = (event) => event.target.closest(".wi-row")?.line.row;

class Timeline {
  // tell: changed() to be drawn soon, select(row), unselect(), read() what is chosen, followed()
  // when it begins or ends to keep the latest row in sight, showAll() whatever the filter.
  constructor(store, filter, tell) {
    this.store = store;
    this.tell = tell;
    this.lines = new Lines(store, filter);
    this.painter = new RowPainter(store, this.lines);
    this.pool = new Map();
    this.follow = true;
    this.isCentred = false; // the chosen row stays in the middle until somebody scrolls or chooses
    this.selected = this.pressed = null;
    this.top = this.scrolledTo = 0; // where it should be scrolled to, and where it is
    this.viewWidth = this.viewHeight = 0;
    const free = () => { this.isCentred = false; };
    this.heads = h("div", { class: "wi-lanes", "aria-hidden": "true" });
    this.canvas = h("div", { class: "wi-canvas" });
    this.list = h("div", {
      class: "wi-list",
      role: "listbox",
      tabindex: "0",
      "aria-label": "Timeline: what crossed the wire, oldest first. Up and down choose, Enter reads.",
      onkeydown: (event) => this.key(event),
      onscroll: () => this.scrolled(),
      onwheel: free,
      onpointerdown: (event) => {
        free();
        this.pressed = rowAt(event);
      },
      ontouchstart: free,
      onclick: (event) => this.clicked(event),
    }, this.canvas);
    this.empty = h("div", { class: "wi-empty" });
    this.element = h("div", { class: "wi-left" }, this.heads, this.list, this.empty);
    this.resized = new ResizeObserver(([{ contentRect }]) => {
      this.viewWidth = Math.round(contentRect.width);
      this.viewHeight = contentRect.height;
      tell.changed();
    });
    this.resized.observe(this.list);
  }

  close() {
    this.resized.disconnect();
  }

  get height() {
    return this.lanes?.height;
  }

  // Nothing is measured here (what is known comes from the observer and from scrolling), and the
  // scrolling comes last: so each drawing costs one layout.
  draw(rows) {
    if (this.viewWidth === 0 && rows.length) this.list.hidden = false; // to be measured
    const anchor = this.follow ? null : this.topLine();
    this.lines.choose(rows);
    const lines = this.lines.all;
    this.lanes = arrange(rows, lines, this.store.lanes, this.viewWidth);
    this.drawHeads();
    const whole = lines.length * this.height;
    const middle = this.isCentred ? lines.findIndex((line) => line.row === this.selected) : -1;
    if (middle >= 0) this.top = (middle + 0.5) * this.height - this.viewHeight / 2;
    else if (this.follow) this.top = whole - this.viewHeight;
    else if (anchor) {
      const now = lines.findIndex((line) => line.id >= anchor.id);
      this.top = Math.max(0, now) * this.height + anchor.offset;
    }
    this.top = Math.max(0, Math.min(this.top, whole - this.viewHeight));
    if (this.whole !== whole) this.canvas.style.height = `${whole}px`;
    this.whole = whole;
    this.drawEmpty(rows.length > 0);
    this.drawRows();
    this.scrollTo(this.top);
  }

  scrollTo(top) {
    this.top = top;
    if (Math.abs(top - this.scrolledTo) < 1) return;
    this.list.scrollTop = top;
    this.scrolledTo = top;
  }

  topLine() {
    const index = Math.floor(this.top / (this.height || 1));
    const line = this.lines.all[index];
    return line ? { id: line.id, offset: this.top - index * this.height } : null;
  }

  drawHeads() {
    const { order, step, others, x, width } = this.lanes;
    const slanted = !this.lanes.isOn && step < 84;
    const key = JSON.stringify([order.map((lane) => [lane, this.store.lanes.get(lane)?.name, x.get(lane)]), width, others]);
    if (key === this.headsKey) return;
    this.headsKey = key;
    this.heads.classList.toggle("wi-slanted", slanted);
    this.heads.hidden = order.length === 0;
    this.heads.replaceChildren(
      ...order.map((lane) => {
        const about = this.store.lanes.get(lane) ?? { name: `${others} others`, sub: "" };
        const head = h("div", { class: "wi-lane", "data-side": about.side, title: `${about.name} ${about.sub}` },
          h("b", { class: "ws-cut" }, about.name), slanted ? null : h("span", { class: "ws-cut ws-mono" }, about.sub));
        head.style.left = `${x.get(lane)}px`;
        if (!slanted) head.style.maxWidth = `${Math.max(60, step - 12)}px`;
        return head;
      }),
    );
  }

  drawRows() {
    const { height } = this;
    const lines = this.lines.all;
    const first = Math.max(0, Math.floor(this.top / height) - 2);
    const last = Math.min(lines.length, first + Math.ceil(this.viewHeight / height) + 5);
    const wanted = new Map();
    for (let i = first; i < last; i++) wanted.set(lines[i].id, i);
    const free = [];
    for (const [id, element] of this.pool) {
      if (!wanted.has(id)) {
        free.push(element);
        this.pool.delete(id);
      }
    }
    const geometry = `${this.headsKey}${height}`;
    for (const [id, i] of wanted) {
      let element = this.pool.get(id);
      if (!element) {
        element = free.pop() ?? makeRow();
        element.drawn = null;
        this.pool.set(id, element);
        if (!element.isConnected) this.canvas.append(element);
      }
      const line = lines[i];
      if (element.y !== i * height) element.style.transform = `translateY(${i * height}px)`;
      element.y = i * height;
      mark(element, "aria-selected", line.row !== undefined && line.row === this.selected);
      const span = line.row && this.lanes.spans.get(line.row.lane);
      const isFold = line.row?.what === "keepalive";
      const state = `${geometry}${span?.to}${isFold ? `${line.row.frames} ${this.lines.isUnfolded(line.row)}` : ""}`;
      if (element.drawn !== line.id || element.geometry !== state) {
        element.drawn = line.id;
        element.geometry = state;
        this.painter.draw(element, line, this.lanes);
      }
    }
    for (const element of free) element.remove();
    const active = this.selected && this.pool.get(this.selected.id);
    mark(this.list, "aria-activedescendant", active ? active.id : null);
  }

  drawEmpty(isFiltered) {
    const isEmpty = this.lines.all.length === 0;
    this.empty.hidden = !isEmpty;
    this.list.hidden = isEmpty;
    if (!isEmpty) return;
    if (this.emptyShown === isFiltered && this.empty.childElementCount) return;
    this.emptyShown = isFiltered;
    this.empty.replaceChildren(
      ...(isFiltered
        ? [h("p", {}, "No row fits the filter."), h("button", { type: "button", onclick: this.tell.showAll }, "Show all")]
        : [h("p", {}, "Nothing has happened yet."), h("p", { class: "ws-soft" }, "Connect a client, and every byte shows here: ", h("code", {}, "wslab.connect(server)"))]),
    );
  }

  // What people do.

  scrolled() {
    const now = this.list.scrollTop;
    const isMine = Math.abs(now - this.top) < 2;
    this.scrolledTo = now;
    if (isMine) return;
    if (this.isCentred) return this.tell.changed(); // the list has become another size: nobody scrolled
    this.top = now;
    this.follow = now + this.viewHeight >= this.whole - 4;
    this.tell.followed();
    this.drawRows();
  }

  // While new rows come, the pressed one may have moved on before it is let go of.
  clicked(event) {
    const row = (event.detail ? this.pressed : null) ?? rowAt(event);
    if (!row) return;
    this.isCentred = false;
    if (row.what === "keepalive") this.unfold(row);
    this.tell.select(row);
  }

  unfold(fold) {
    this.lines.unfold(fold);
    this.follow = false;
    this.tell.changed();
  }

  key(event) {
    if (event.key === "Escape" && this.selected) {
      event.stopPropagation();
      this.tell.unselect();
    }
    const page = Math.max(1, Math.floor(this.viewHeight / this.height) - 1);
    const moves = { ArrowUp: -1, ArrowDown: 1, PageUp: -page, PageDown: page, Home: -Infinity, End: Infinity };
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      if (this.selected?.what === "keepalive") this.unfold(this.selected);
      else if (this.selected) this.tell.read();
      return;
    }
    const move = moves[event.key];
    if (move === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    this.step(move);
  }

  step(move) {
    const lines = this.lines.all;
    const at = lines.findIndex((line) => line.row && line.row === this.selected);
    const last = lines.length - 1;
    let to = at < 0 ? (move > 0 && this.topLine() ? Math.floor(this.top / this.height) : last) : at + move;
    to = Math.max(0, Math.min(last, to));
    const way = move < 0 ? -1 : 1;
    while (lines[to] && !lines[to].row && lines[to + way]) to += way;
    const line = lines[to];
    if (!line?.row) return;
    this.follow = to === last;
    this.isCentred = false;
    this.tell.select(line.row);
    const top = to * this.height;
    if (top < this.top) this.scrollTo(top);
    else if (top + this.height > this.top + this.viewHeight) this.scrollTo(top + this.height - this.viewHeight);
    this.drawRows();
  }

  // Mark a row as the chosen one, or none.
  select(row) {
    this.selected = row;
    if (row && row !== this.lines.all.at(-1)?.row) this.follow = false;
    if (this.lanes) this.drawRows();
  }
}
