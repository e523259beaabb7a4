// Where the lanes are, and whether labels fit on the arrows or stand beside them.

const TIME_WIDTH = 74;

function arrange(rows, lines, lanes, width) {
  const used = new Map(); // lane -> last row
  const spans = new Map();
  for (const row of rows) {
    if (row.lane === undefined) continue;
    if (!spans.has(row.lane)) spans.set(row.lane, { from: row.what === "request" ? row.id : -1, to: Infinity });
    if (row.what === "ended" && !row.goes_on) spans.get(row.lane).to = row.id;
  }
  for (const { row } of lines) if (row?.lane !== undefined) used.set(row.lane, row.id);
  const room = width - TIME_WIDTH;
  const most = Math.max(2, Math.floor((room * 0.55) / 26) - 1);
  const recent = [...used].sort((a, b) => b[1] - a[1]).slice(0, used.size === most + 1 ? used.size : most).map(([lane]) => lane);
  const kept = new Set(recent);
  const order = [];
  const servers = new Set([...used.keys()].map((lane) => lanes.get(lane)?.server).filter((s) => s !== undefined));
  for (const server of servers) {
    const mine = [...kept].filter((lane) => lanes.get(lane)?.server === server).sort((a, b) => a - b);
    const half = Math.ceil(mine.length / 2);
    order.push(...mine.slice(0, half), server, ...mine.slice(half));
  }
  const others = used.size - kept.size;
  if (others) order.push("others");
  const isOn = order.length <= 3 && room / order.length >= 118;
  const height = isOn ? 36 : 26;
  const side = isOn ? Math.min(124, room * 0.21) : 0;
  const pad = isOn ? Math.min(50, room * 0.08) : 16;
  const step = order.length < 2 ? 0 : isOn
    ? (room - side - 2 * pad) / (order.length - 1)
    : Math.max(22, Math.min(52, (room * 0.44) / (order.length - 1)));
  const x = new Map(order.map((lane, i) => [lane, Math.round(TIME_WIDTH + pad + i * step) + 0.5]));
  const lastX = TIME_WIDTH + pad + step * (order.length - 1);
  return { order, others, step, x, lastX, spans, width, height, isOn };
}
