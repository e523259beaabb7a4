// A race: what the learner tunes, five lanes on one axis of time, and what each way took. Numbers are
// the tape's and come from the kernel; the page in the frame only runs the lanes.

const SVG_NS = "http://www.w3.org/2000/svg";
const TUNED = [
  ["rate_per_s", "updates a second", 1, (n) => `${n}`],
  ["size_bytes", "size of each", 10, (n) => `${n} bytes`],
  ["idle_s", "then silence", 0.5, (n) => `${n} s`],
  ["poll_s", "polling waits", 0.1, (n) => `${n} s`],
];
const STATES = {
  ready: "", asking: "The five ways ask.", racing: "Updates are made.",
  silence: "Silence.", done: "",
};
const shownBy = new WeakMap();  // one view of a race has the frame: two would ask twice

function slider(model, [name, label, step, word]) {
  const [min, max] = model.get("ends")[name];
  const said = h("output", { class: "ws-mono" });
  const input = h("input", { type: "range", "aria-label": label });
  Object.assign(input, { min, max, step });
  const say = () => {
    write(said, word(Number(input.value)));
    input.setAttribute("aria-valuetext", said.textContent);
  };
  input.addEventListener("input", say);
  return {
    name, input,
    element: h("label", { class: "ws-race-tuned" }, h("span", {}, label), input, said),
    draw() {
      input.value = model.get("settings")[name];
      say();
    },
  };
}

function drawn(name, attributes) {
  const element = document.createElementNS(SVG_NS, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

// Updates that came at once are one dot, the larger the more they are.
function together(came) {
  const counts = new Map();
  for (const moment of came) counts.set(moment, (counts.get(moment) ?? 0) + 1);
  return [...counts];
}

// A dot is an update, a tick below it a request.
function lane(name) {
  const strip = drawn("svg", { role: "img", class: "ws-race-strip" });
  const marks = drawn("g", {});
  strip.append(drawn("line", { x1: 0, x2: "100%", y1: 12, y2: 12 }), marks);
  let shown = "";
  return {
    element: h("div", { class: "ws-race-lane" }, h("span", {}, name), strip),
    draw({ came, asked }, axisS) {
      const at = (moment) => `${Math.min(100, Math.max(0, (100 * moment) / axisS)).toFixed(2)}%`;
      const now = `${came.length} ${asked.length} ${axisS}`;
      if (now === shown) return;
      shown = now;
      marks.replaceChildren(
        ...asked.map((moment) => drawn("line", { x1: at(moment), x2: at(moment), y1: 16, y2: 23 })),
        ...together(came).map(([moment, count]) =>
          drawn("circle", { cx: at(moment), cy: 9, r: Math.min(8, 2.5 + count / 4) })),
      );
      strip.setAttribute("aria-label", `${name}: updates ${came.length}, requests ${asked.length}`);
    },
  };
}

function render({ model, el }) {
  const sliders = TUNED.map((tuned) => slider(model, tuned));
  const start = h("button", { type: "button", onclick: begin }, "Start");
  const state = h("span", { class: "ws-soft", role: "status" });
  const said = h("p", { class: "ws-race-said" });
  const failure = h("p", { class: "ws-race-failure", role: "alert", "data-hides": true });
  const place = h("div", { class: "ws-race-page" });
  const lanes = model.get("lanes").map(({ name }) => lane(name));
  const axis = h("div", { class: "ws-race-axis ws-soft" }, h("span", {}, "0 s"), h("span", {}));
  const [way, ...columns] = model.get("columns");
  const rows = model.get("lanes").map(({ name }) =>
    h("tr", {}, h("th", { scope: "row" }, name), ...columns.map(() => h("td", { class: "ws-mono" }))));
  let isAsked = false;

  function begin() {
    if (start.getAttribute("aria-disabled") === "true") return;
    isAsked = true;
    drawState();
    model.send({
      type: "start",
      settings: Object.fromEntries(sliders.map(({ name, input }) => [name, Number(input.value)])),
    });
  }

  function drawState() {
    const word = model.get("state");
    const isRunning = ["asking", "racing", "silence"].includes(word);
    mark(start, "aria-disabled", isAsked || isRunning ? "true" : null);
    write(state, isAsked && !isRunning ? "Asked for: a cell that runs goes first." : STATES[word]);
  }

  function changedState() {
    isAsked = false;
    drawState();
  }

  function drawFrame() {
    const { src } = model.get("frame");
    if (!src || shownBy.get(model) !== place) {
      place.replaceChildren(h("span", { class: "ws-soft" },
        "Here a page of the server's runs the five ways. Between rounds it is closed."));
      return;
    }
    place.replaceChildren(h("iframe", { src, title: "A page that runs the five ways" }));
  }

  function drawLanes() {
    const axisS = model.get("axis_s");
    model.get("lanes").forEach((one, nth) => {
      lanes[nth].draw(one, axisS);
      one.cells.forEach((text, i) => write(rows[nth].children[i + 1], text));
    });
    write(axis.lastChild, `${axisS.toFixed(1)} s`);
    write(said, model.get("said"));
    write(failure, model.get("failure"));
  }

  function drawSettings() {
    for (const each of sliders) each.draw();
  }

  el.append(h("div", { class: "wslab ws-race" },
    h("div", { class: "ws-race-tune" }, ...sliders.map(({ element }) => element)),
    h("div", { class: "ws-race-start" }, start, state),
    place,
    h("div", { class: "ws-race-lanes" }, ...lanes.map(({ element }) => element), axis),
    h("p", { class: "ws-soft ws-race-key" }, "A dot is an update that was handed to TCP (a large one: several at once), a tick below it a request."),
    h("table", { class: "ws-race-took" },
      h("caption", { class: "ws-only-read" }, "What each way took, as the server's tape has it"),
      h("thead", {}, h("tr", {}, ...[way, ...columns].map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", {}, ...rows)),
    said, failure));

  shownBy.set(model, place);
  const listens = {
    "change:state": changedState, "change:frame": drawFrame, "change:lanes": drawLanes,
    "change:axis_s": drawLanes, "change:said": drawLanes, "change:failure": () => { changedState(); drawLanes(); },
    "change:settings": drawSettings,
  };
  for (const [what, listener] of Object.entries(listens)) model.on(what, listener);
  const unmourn = mourn(model, () => {
    place.replaceChildren();
    write(failure, "The kernel has ended. Run the cell again for another race.");
    mark(start, "aria-disabled", "true");
  });
  drawSettings();
  drawState();
  drawFrame();
  drawLanes();
  model.send({ type: "ready" });
  return () => {
    unmourn();
    if (shownBy.get(model) === place) shownBy.delete(model);
    place.replaceChildren();
    for (const [what, listener] of Object.entries(listens)) model.off(what, listener);
  };
}

export default { render };
