// The handshake editor: the request line by line, and the answer line by line.

const WORDS = {
  opened: "the handshake succeeded",
  doubtful: "switched, but a rule was broken",
  refused: "no WebSocket",
};
let editors = 0;

// One text field that knows what it was given and whether somebody has changed it.
function field(label, kind, onChange) {
  const input = h("input", {
    type: "text", "aria-label": label, class: `ws-mono ${kind}`, autocomplete: "off",
    autocapitalize: "off", spellcheck: "false",
  });
  let given = "";
  input.addEventListener("input", () => {
    mark();
    onChange();
  });
  const mark = () => input.classList.toggle("ws-changed", input.value !== given);
  return {
    input,
    isChanged: () => input.value !== given,
    give(value) {  // what somebody typed stays
      const keeps = input.value !== given;
      given = value;
      if (!keeps) input.value = value;
      mark();
    },
    restore() {
      input.value = given;
      mark();
    },
  };
}

// The left side: the request's lines.
function request(model, onSend) {
  const me = ++editors;
  const list = h("div", { class: "ws-lines" });
  const note = h("p", { class: "ws-note ws-soft", "aria-hidden": "true" });
  const parts = {};
  let rows = [];

  function explain(text, rfc) {
    write(note, rfc ? `${text} (${rfc})` : text);
  }

  const idle = () => explain("Take a line out, or change what it says, then send. Point at a line to read what it is for.");

  function explainer(element, text, rfc, id) {
    element.addEventListener("mouseenter", () => explain(text, rfc));
    element.addEventListener("focusin", () => explain(text, rfc));
    element.append(h("span", { class: "ws-only-read", id }, `${text} (${rfc})`));
  }

  function startLine(good) {
    const line = h("div", { class: "ws-start" });
    for (const [part, label] of [["method", "Method"], ["target", "Target"], ["version", "HTTP version"]]) {
      parts[part] = field(label, `ws-${part}`, drawBack);
      parts[part].give(good[part]);
      parts[part].input.setAttribute("aria-describedby", `ws-editor-${me}-start`);
      line.append(parts[part].input);
    }
    explainer(line, good.note, good.rfc, `ws-editor-${me}-start`);
    return line;
  }

  function headerLine(row, i) {
    const id = `ws-editor-${me}-${i}`;
    const box = h("input", { type: "checkbox", id, "aria-describedby": `${id}-note` });
    box.checked = row.on;
    const label = h("label", { for: id, class: "ws-mono" }, `${row.name}:`);
    const value = field(`Value of ${row.name}`, "", () => {
      box.checked = true;  // who writes a value wants it sent
      drawRow();
    });
    value.give(row.value);
    const line = h("div", { class: "ws-line" }, box, label, value.input);
    const drawRow = () => {
      line.classList.toggle("ws-out", !box.checked);
      drawBack();
    };
    box.addEventListener("change", drawRow);
    explainer(line, row.note, row.rfc, `${id}-note`);
    line.classList.toggle("ws-out", !box.checked);
    return {
      element: line, value,
      isChanged: () => box.checked !== row.on || value.isChanged(),
      pair: () => (box.checked ? [[row.name, value.input.value]] : []),
      restore() {
        box.checked = row.on;
        value.restore();
        line.classList.toggle("ws-out", !box.checked);
      },
    };
  }

  // One more header, of any name.
  function ownLine() {
    const name = field("Name of another header", "ws-own", drawBack);
    const value = field("Value of that header", "", drawBack);
    name.input.placeholder = "Another-Header";
    name.give("");
    value.give("");
    const line = h("div", { class: "ws-line" }, h("span"), name.input, value.input);
    explainer(line, "Any other header you want to try, such as Cookie or Sec-WebSocket-Protocol.", "RFC 9110 §5.1", `ws-editor-${me}-own`);
    return {
      element: line,
      isChanged: () => name.isChanged() || value.isChanged(),
      pair: () => (name.input.value.trim() ? [[name.input.value.trim(), value.input.value]] : []),
      restore() {
        name.restore();
        value.restore();
      },
    };
  }

  const sending = sendRow(onSend, () => {
    for (const each of [...Object.values(parts), ...rows]) each.restore();
    drawBack();
  });

  function drawBack() {
    const isChanged = [...Object.values(parts), ...rows].some((each) => each.isChanged());
    sending.back.setAttribute("aria-disabled", String(!isChanged));
  }

  function build() {
    const good = model.get("good");
    list.append(startLine(good));
    rows = [...good.lines.map(headerLine), ownLine()];
    list.append(...rows.map((row) => row.element));
    drawBack();
  }

  build();
  idle();
  list.addEventListener("mouseleave", idle);
  const element = h(
    "div", { class: "ws-request", role: "group", "aria-label": "Your request" },
    h("h4", {}, "Your request"), list, note, sending.element,
  );
  sendsOnEnter(element, onSend);

  return {
    element, sendRow: sending,
    // An attempt used up the key: the kernel gives the next one, for whoever has not written their own.
    renew() {
      const { lines } = model.get("good");
      lines.forEach((line, i) => rows[i].value.give(line.value));
      drawBack();
    },
    message() {
      const start = Object.fromEntries(Object.entries(parts).map(([part, { input }]) => [part, input.value]));
      const plan = { ...start, lines: rows.flatMap((each) => each.pair()) };
      return { plan, key: model.get("good").key };
    },
  };
}

function headLines(lines) {
  const list = h("div", { class: "ws-head-lines" });
  for (const { name, value, purpose, section, fault } of lines) {
    const text = name ? [h("span", { class: "ws-soft" }, `${name}: `), value] : [value];
    const line = h("div", { class: "ws-answered" }, h("code", { class: "ws-mono" }, ...text));
    if (fault) line.append(h("div", { class: "ws-fault" }, `wrong: ${fault}`));
    if (purpose) line.append(h("div", { class: "ws-purpose ws-soft" }, `${purpose} (${section})`));
    list.append(line);
  }
  return list;
}

function derivation({ key, guid, sha1, accept, sent, fits }) {
  const steps = [
    ["key", key],
    ["+ GUID", guid],
    ["SHA-1", sha1.replace(/(..)(?=.)/g, "$1 ")],
    ["base64", accept],
    ["the server sent", sent || "no Sec-WebSocket-Accept"],
  ];
  const list = h("dl", { class: "ws-steps" });
  for (const [name, value] of steps) {
    list.append(h("dt", { class: "ws-soft" }, name), h("dd", { class: "ws-mono" }, value));
  }
  const verdict = fits
    ? "The last two are the same: who answered has read this request and knows WebSocket."
    : "The last two differ: a client must not open this connection.";
  return h("div", { class: "ws-derivation" }, h("h5", {}, "From key to Accept"), list,
    h("p", { class: fits ? "" : "ws-fault" }, verdict));
}

function answer(one) {
  const because = one.suspect ? [": because of ", h("code", { class: "ws-mono" }, one.suspect)] : [];
  const parts = [h("p", { class: "ws-soft" }, one.label), verdict(one, WORDS, because)];
  parts.push(h("div", { class: "ws-why" }, ...one.why.map((text) => h("p", {}, text))));
  if (one.accept) parts.push(derivation(one.accept));
  if (one.response.length) {
    const text = one.body ? [h("pre", { class: "ws-mono", tabindex: "0" }, one.body)] : [];
    const what = `Its head, ${one.response.length - 1} headers${one.body ? ", and its body" : ""}`;
    parts.push(h("details", { open: "" }, h("summary", {}, what), headLines(one.response), ...text));
  }
  parts.push(h("details", {}, h("summary", {}, "What was sent"), headLines(one.request)));
  return parts;
}

const render = ({ model, el }) => renderEditor({ model, el }, {
  name: "Handshake editor",
  kind: "",
  renewed: "good",
  makeLeft: (onSend) => request(model, onSend),
  drawAnswer: answer,
});

export default { render };
