// What happened, oldest first: as many rows as anybody reads, and how many there were before.

const MAX_ROWS = 200;

function eventLog(pageSockets, meanings) {
  const isMany = pageSockets.slots.length > 1;
  const earlier = h("p", { class: "ws-empty ws-soft" });
  const log = h("ol", { class: "ws-log", role: "log", "aria-live": "off", tabindex: "0",
    "aria-label": "What happened", "data-lm-suppress-shortcuts": "true" });
  const body = h("div", { class: "ws-body" }, earlier, log);
  let firstAt;  // of the rows that were drawn last, where they go back to the first
  let follows = true;  // the newest row, unless somebody has scrolled back
  let clearedAt = 0;
  log.addEventListener("scroll", () => {
    if (log.clientHeight) follows = log.scrollHeight - log.scrollTop - log.clientHeight < 8;
  });

  function makeRow(row) {
    const [bold, mono, soft] = words(row, meanings);
    const label = LABELS[row.type] ?? "event";
    const what = h("span", { class: "ws-what" });
    if (bold) what.append(h("b", {}, bold), " ");
    if (mono) what.append(h("span", { class: "ws-mono" }, mono));
    if (soft) what.append(" ", h("span", { class: "ws-soft" }, soft));
    const parts = [h("span", { class: "ws-soft ws-at" }, clock(row.at)),
      h("span", { class: "ws-label ws-soft" }, label)];
    if (isMany) parts.splice(1, 0, h("span", { class: "ws-soft ws-which" }, `[${row.socket}]`));
    return h("li", { "data-type": row.type, "data-key": row.key, "data-hex": row.hex ?? "" }, ...parts, what);
  }

  function draw() {
    const rows = pageSockets.rows.slice(-MAX_ROWS).filter(({ key }) => key >= clearedAt);
    const first = rows[0]?.key ?? Infinity;
    while (log.firstChild && Number(log.firstChild.dataset.key) < first) log.firstChild.remove();
    // A log that was written anew (another page's) begins from nothing.
    if (log.firstChild && firstAt !== pageSockets.rows[0]?.at && pageSockets.rows[0]?.key === 0
      && firstAt !== undefined) log.replaceChildren();
    firstAt = pageSockets.rows[0]?.key === 0 ? pageSockets.rows[0].at : undefined;
    const done = log.lastChild ? Number(log.lastChild.dataset.key) : -1;
    const fresh = rows.filter(({ key }) => key > done);
    if (fresh.length) log.append(...fresh.map(makeRow));
    for (const row of rows) {  // bytes of a Blob, which came after it
      if (row.binary_type !== "blob" || !row.hex) continue;
      const element = log.children[row.key - first];
      if (element && element.dataset.hex !== row.hex) element.replaceWith(makeRow(row));
    }
    const hidden = pageSockets.rowCount + pageSockets.earlier - rows.length;
    write(earlier, !rows.length && !hidden ? "Nothing has happened yet."
      : hidden ? `${hidden.toLocaleString("en")} earlier, no longer shown here; Python has the latest in .events`
        : "");
    earlier.hidden = !earlier.textContent;
    log.hidden = !rows.length;
    if (follows && fresh.length) log.scrollTop = log.scrollHeight;
  }

  function clear() {
    clearedAt = pageSockets.rowCount;
    pageSockets.changed();
  }

  return { element: body, draw, clear };
}
