// The rows that came to this page, however many views show them; bounded as the kernel says.

// One for each widget and page: the rows that came, however many views show them.
class Store {
  constructor(model) {
    this.model = model;
    this.page = Math.random().toString(36).slice(2);
    this.views = new Set();
    this.reset();
    model.on("msg:custom", (content, buffers) => this.hear(content, buffers));
    model.on("change:early", () => this.takeEarly());
    for (const name of ["state", "failure", "paused", "title"])
      model.on(`change:${name}`, () => this.changed());
    addEventListener("pagehide", () => this.views.size && this.send({ type: "gone" }));
  }

  reset() {
    this.rows = [];
    this.lanes = new Map();
    this.texts = [];
    this.numbers = null;
    this.base = null;
    this.folds = new Map(); // id of a run's first row -> the row that stands for the run
    this.chosen = null; // the row that the kernel asked to open on
  }

  send(content) {
    try {
      this.model.send({ ...content, page: this.page });
    } catch {
      // no kernel: what is here can still be read
    }
  }

  attach(view) {
    this.views.add(view);
    if (this.views.size === 1) this.send({ type: "ready" });
    this.takeEarly();
  }

  detach(view) {
    this.views.delete(view);
    if (this.views.size === 0) {
      this.send({ type: "gone" });
      this.reset();
    }
  }

  takeEarly() {
    const early = this.model.get("early");
    if (early?.rows) this.take(early, early.data);
  }

  hear(content, buffers) {
    if (content.type === "rows") this.take(content, buffers[0]);
  }

  take(batch, buffer) {
    if (batch.reset) this.reset();
    else if (!this.numbers) return; // it was on its way when this page came: all comes once more
    if (batch.base && Object.keys(batch.base).length) this.base = batch.base;
    if (batch.texts) batch.texts[1].forEach((text, i) => (this.texts[batch.texts[0] + i] = text));
    for (const [id, lane] of Object.entries(batch.lanes ?? {})) this.lanes.set(Number(id), lane);
    if (batch.numbers) this.numbers = batch.numbers;
    const data = buffer
      ? new Uint8Array(buffer.buffer ?? buffer, buffer.byteOffset ?? 0, buffer.byteLength)
      : new Uint8Array();
    let pos = 0;
    for (const row of batch.rows) {
      if (row.bytes) {
        const [head, payload, content] = row.bytes;
        // Copies: a slice of the batch would keep all of it in memory.
        row.head = data.slice(pos, pos + head);
        row.payload = data.slice(pos + head, pos + head + payload);
        row.inflated = data.slice(pos + head + payload, pos + head + payload + content);
        pos += head + payload + content;
      }
      row.group = groupOf(row);
      if (row.chosen) this.chosen = row;
      this.rows.push(row);
    }
    const excess = this.rows.length - this.model.get("max_rows");
    if (excess > 0) this.rows.splice(0, excess);
    const oldest = this.rows[0]?.id ?? Infinity;
    for (const id of this.folds.keys()) if (id < oldest) this.folds.delete(id);
    if (this.lanes.size > 3000) {
      const used = new Set(this.rows.map((row) => row.lane));
      for (const [id, lane] of this.lanes) if (lane.side === "client" && !used.has(id)) this.lanes.delete(id);
    }
    this.changed();
  }

  // Who sent a row, and to whom.
  names(row) {
    const lane = this.lanes.get(row.lane);
    const client = lane?.name ?? "client";
    const server = this.lanes.get(lane?.server)?.name ?? "server";
    return row.by === "client" ? [client, server] : [server, client];
  }

  clear() {
    const last = this.rows.at(-1);
    this.base = this.numbers;
    this.rows = [];
    this.chosen = null;
    this.send({ type: "clear", at: last ? last.at : 0, base: this.base ?? {} });
    this.changed();
  }

  // A link in one view leads every view there; a page shows one as a rule.
  choose(row) {
    for (const view of this.views) view.show(row);
  }

  changed() {
    for (const view of this.views) view.changed();
  }

  // Numbers since the last "Clear".
  get figures() {
    const { numbers, base } = this;
    if (!numbers || !base) return numbers;
    const less = (sender) =>
      Object.fromEntries(
        Object.entries(numbers[sender]).map(([key, n]) => [key, n - (base[sender]?.[key] ?? 0)]),
      );
    return {
      ...numbers,
      client: less("client"),
      server: less("server"),
      header: Math.max(0, numbers.header - base.header),
      bytes: Math.max(0, numbers.bytes - base.bytes),
    };
  }
}
