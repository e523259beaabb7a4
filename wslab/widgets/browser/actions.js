// What a page can do with a socket: a button, its arguments, and the line of JavaScript that it runs.

const KEEPS_KEYS = { "data-lm-suppress-shortcuts": "true", autocomplete: "off", spellcheck: "false" };

function actions(pageSockets, chosen, target) {
  const code = (text = "") => h("code", { class: "ws-mono ws-js", "aria-live": "off" }, text);
  const button = (text) => h("button", { type: "button", class: "ws-do" }, text);
  const connect = button("Connect");
  const connectJs = code();
  const send = button("Send");
  const text = h("input", { type: "text", "aria-label": "Message to send", placeholder: "message", ...KEEPS_KEYS });
  const kind = h("select", { "aria-label": "Kind of message", "data-lm-suppress-shortcuts": "true" },
    h("option", { value: "text" }, "text"), h("option", { value: "binary" }, "binary (hex)"));
  const sendJs = code();
  const close = button("Close");
  const closeCode = h("input", { type: "text", inputmode: "numeric", class: "ws-code", "aria-label": "Close code",
    placeholder: "code", ...KEEPS_KEYS });
  const reason = h("input", { type: "text", "aria-label": "Close reason", placeholder: "reason", ...KEEPS_KEYS });
  const closeJs = code();
  const acts = h("div", { class: "ws-acts", role: "group", "aria-label": "What a page can do with it" },
    connect, h("span", { class: "ws-inputs ws-soft" }, "makes a socket, which connects at once"), connectJs,
    send, h("span", { class: "ws-inputs" }, text, kind), sendJs,
    close, h("span", { class: "ws-inputs" }, closeCode, reason), closeJs);

  function toSend() {
    if (kind.value === "text") return text.value;
    const digits = text.value.replace(/0x|[\s,]/gi, "");
    if (!/^([0-9a-f]{2})*$/i.test(digits)) return null;
    return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  }

  function closing() {
    const typed = closeCode.value.trim();
    const number = Number(typed);
    const value = typed === "" ? undefined : Number.isNaN(number) ? typed : number;
    return [value, reason.value === "" ? undefined : reason.value];
  }

  function preview() {
    write(connectJs, connectLine(chosen().name, shownUrl(pageSockets, target),
      pageSockets.protocols));
    const data = toSend();
    write(sendJs, data === null ? "two hexadecimal digits a byte, such as 89 50 4e 47"
      : sendLine(chosen().name, data));
    mark(sendJs, "data-wrong", String(data === null));
    write(closeJs, closeLine(chosen().name, ...closing()));
  }

  const act = (element, how) => {
    element.addEventListener("click", () => {
      if (element.getAttribute("aria-disabled") !== "true") how();
    });
  };
  // JupyterLab swallows what would make Enter submit a form.
  const onEnter = (input, press) => input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.isComposing) press.click();
  });
  act(connect, () => chosen().connect("hand"));
  act(send, () => {
    const data = toSend();
    if (data === null) return;
    chosen().send(data, "hand");
    text.select();
  });
  act(close, () => chosen().close(...closing(), "hand"));
  onEnter(text, send);
  onEnter(closeCode, close);
  onEnter(reason, close);
  for (const input of [text, kind, closeCode, reason]) input.addEventListener("input", preview);

  // Where the URL is another one meanwhile, the line that connects is, too.
  function draw(isOn) {
    for (const element of [connect, send, close]) mark(element, "aria-disabled", String(!isOn));
    if (!connectJs.textContent.includes(shownUrl(pageSockets, target))) preview();
  }

  preview();
  return { element: acts, draw, preview };
}

const shownUrl = (pageSockets, target) => pageSockets.route?.shown || pageSockets.route?.url || target;
