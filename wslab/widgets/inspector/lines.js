// Which rows are shown, and where silence and keepalive are folded to one line.

const SILENCE_S = 1;

// What somebody looks for: kinds, a connection, a text.
class Filter {
  constructor() {
    this.reset();
  }

  reset() {
    this.kinds = new Set(KINDS.map(([kind]) => kind));
    this.lane = this.query = "";
  }

  toggle(kind) {
    if (!this.kinds.delete(kind)) this.kinds.add(kind);
  }

  get isOff() {
    return this.kinds.size === KINDS.length && !this.lane && !this.query;
  }

  // Keepalive is folded, unless it is what somebody looks for.
  get isAboutPings() {
    return Boolean(this.query) || (this.kinds.size === 1 && this.kinds.has("ping"));
  }

  fits(row) {
    if (row.group !== "note" && row.group !== "reserved" && !this.kinds.has(row.group)) return false;
    if (this.lane && row.lane !== undefined && String(row.lane) !== this.lane) return false;
    return !this.query || searched(row).includes(this.query);
  }
}

// What is searched of a row, made once.
function searched(row) {
  if (row.find === undefined) {
    const parts = [row.label ?? "", row.reason ?? "", row.kind ?? "", row.code ?? "", row.body ?? "", row.layers?.says ?? ""];
    if (row.payload && row.message === "text")
      parts.push(new TextDecoder().decode(row.content === undefined ? unmask(row) : row.inflated));
    for (const fault of row.faults ?? []) parts.push(fault[0]);
    row.find = parts.join(" ").toLowerCase();
  }
  return row.find;
}

class Lines {
  constructor(store, filter) {
    this.store = store;
    this.filter = filter;
    this.all = [];
    this.unfolded = new Set(); // runs of keepalive that show their rows
  }

  isUnfolded(fold) {
    return this.unfolded.has(fold.first.id);
  }

  unfold(fold) {
    if (!this.unfolded.delete(fold.first.id)) this.unfolded.add(fold.first.id);
  }

  choose(rows) {
    const { filter } = this;
    const isOff = filter.isOff;
    const folds = this.store.model.get("folds_keepalive") && !filter.isAboutPings;
    const lines = [];
    let before = null;
    let run = [];
    const fold = () => {
      if (!run.length) return;
      const row = this.foldOf(run);
      lines.push((row.line ??= { id: row.id, row }));
      if (this.isUnfolded(row)) for (const each of run) lines.push((each.line ??= { id: each.id, row: each }));
      before = run.at(-1);
      run = [];
    };
    for (const row of rows) {
      if (!isOff && !filter.fits(row)) continue;
      if (folds && row.keepalive) {
        run.push(row);
        continue;
      }
      fold();
      if (before !== null && row.at - before.at > SILENCE_S) lines.push({ id: row.id - 0.5, gap: row.at - before.at });
      lines.push((row.line ??= { id: row.id, row })); // made once: this runs for every row at each drawing
      before = row;
    }
    fold();
    this.all = lines;
  }

  foldOf(run) {
    const { folds } = this.store;
    const [first] = run;
    if (!folds.has(first.id)) folds.set(first.id, { what: "keepalive", id: first.id - 0.25, first, group: "ping" });
    const fold = folds.get(first.id);
    const before = new Map();
    const gaps = [];
    fold.pings = 0;
    for (const row of run) {
      if ((row.beat ?? row.kind) !== "ping") continue; // one of Engine.IO is a text
      fold.pings += 1;
      const who = `${row.lane} ${row.by} ${row.kind}`;
      if (before.has(who)) gaps.push(row.at - before.get(who));
      before.set(who, row.at);
    }
    return Object.assign(fold, { at: run.at(-1).at, from: first.at, frames: run.length, every: median(gaps) });
  }
}
