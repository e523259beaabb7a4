// The Inspector: a timeline of the wire, a microscope for frames, a reader for handshakes.
// It draws what the kernel's Timeline says. Each row brings the first bytes of its frame, so bits,
// masks and text are laid out here, also while the kernel is busy. To the kernel go custom messages
// only. Only the rows that can be seen are in the page; all others are plain objects, and bounded.

class View {
  constructor(store, el) {
    this.store = store;
    this.held = null; // the rows that are shown while it is paused
    this.opened = null; // the row that it was opened on, for the kernel asked for it
    this.isDue = false;
    this.isSeen = true;
    const filter = new Filter();
    const changed = () => this.changed();
    this.controls = new Controls(filter, {
      onPause: () => this.setPaused(!this.held),
      onFollow: () => this.setFollow(!this.timeline.follow),
      onClear: () => this.clear(),
      onFilter: changed,
      onDown: () => this.timeline.list.focus(),
    });
    this.timeline = new Timeline(store, filter, {
      changed,
      select: (row) => this.select(row),
      unselect: () => this.unselect(),
      read: () => this.detail.focus(),
      followed: () => this.controls.drawFollow(this.timeline.follow),
      showAll: () => this.showAll(),
    });
    this.detail = new Detail(store, {
      onHide: () => this.unselect(),
      onEscape: () => this.timeline.list.focus(),
    });
    this.figures = new Figures();
    this.body = h("div", { class: "wi-body" }, this.timeline.element, this.detail.element);
    this.status = h("div", { class: "ws-only-read", role: "status" });
    this.failure = h("p", { class: "wi-failure", role: "alert", hidden: true });
    // JupyterLab's own shortcuts must not take our arrow keys.
    this.root = h("div", { class: "wslab wi", "data-lm-suppress-shortcuts": "true" },
      h("div", { class: "wi-frame" }, this.controls.element, this.body, this.figures.element, this.failure, this.status));
    this.root.style.setProperty("--wi-height", `${store.model.get("height")}px`);
    this.showLegend();
    el.append(this.root);
    this.seen = new IntersectionObserver(([entry]) => {
      this.isSeen = entry.isIntersecting;
      if (this.isSeen) this.changed();
    });
    this.seen.observe(this.root);
    this.onPaused = () => this.setPaused(store.model.get("paused"));
    store.model.on("change:paused", this.onPaused);
    if (store.model.get("paused")) this.setPaused(true);
    store.attach(this);
    this.changed();
  }

  close() {
    this.seen.disconnect();
    this.timeline.close();
    this.store.model.off("change:paused", this.onPaused);
    this.store.detach(this);
  }

  get rows() {
    return this.held ?? this.store.rows;
  }

  // At most once a frame, and not out of sight.
  changed() {
    if (this.isDue || !this.isSeen) return;
    this.isDue = true;
    requestAnimationFrame(() => {
      this.isDue = false;
      if (this.root.isConnected) this.draw();
    });
  }

  draw() {
    const failure = this.store.model.get("failure");
    write(this.failure, failure);
    this.failure.hidden = !failure;
    this.controls.draw(this.store, this.rows, this.held);
    this.figures.draw(this.store.figures);
    this.openOnChosen();
    this.controls.drawFollow(this.timeline.follow);
    this.timeline.draw(this.rows);
  }

  // The kernel asked for a row; not again where somebody has chosen another one since.
  openOnChosen() {
    const { chosen } = this.store;
    if (!chosen || this.opened === chosen || !this.rows.includes(chosen)) return;
    const isLeft = this.opened !== null && this.timeline.selected !== this.opened;
    this.opened = chosen; // another object, though the same row, once all rows have been sent anew
    if (isLeft) return;
    this.timeline.isCentred = true;
    this.select(chosen);
  }

  select(row) {
    this.timeline.select(row);
    this.controls.drawFollow(this.timeline.follow);
    this.body.classList.add("wi-chosen");
    this.detail.show(row);
  }

  // Where a link leads: in sight, and the keyboard in what is said of it.
  show(row) {
    this.timeline.isCentred = true;
    this.select(row);
    this.changed();
    this.detail.element.focus();
  }

  // The timeline gets its whole width back.
  unselect() {
    this.showLegend();
    this.timeline.list.focus();
  }

  showLegend() {
    this.timeline.select(null);
    this.body.classList.remove("wi-chosen");
    this.detail.showLegend();
  }

  showAll() {
    this.controls.reset();
    this.changed();
    this.timeline.list.hidden = false;
    this.timeline.list.focus();
  }

  setPaused(isPaused) {
    if (isPaused === (this.held !== null)) return;
    this.held = isPaused ? [...this.store.rows] : null;
    write(this.status, isPaused ? "Paused" : "Live again");
    this.changed();
  }

  setFollow(isOn) {
    this.timeline.follow = isOn;
    this.timeline.isCentred = false;
    this.changed();
  }

  clear() {
    if (this.held) this.setPaused(false);
    this.timeline.follow = true;
    this.showLegend();
    this.store.clear();
    write(this.status, "Cleared");
  }
}

export default () => {
  let store = null;
  return {
    initialize({ model }) {
      store = new Store(model);
    },
    render({ model, el }) {
      store ??= new Store(model);
      const view = new View(store, el);
      return () => view.close();
    },
  };
};
