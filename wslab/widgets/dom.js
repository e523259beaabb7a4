// What every view does: make elements once and change them where something changed, so that focus,
// selection and scrolling stay; and learn where Jupyter is, and that the kernel has ended.
// It stands in front of a view's own file, in one module (see `read_static`).

// Keys that are pressed inside a view are the view's: two d's must not delete the cell around it.
// JupyterLab looks for this mark at the focused element first, and there it takes ":focus" for a
// match; so that on a parent it is too late.
const KEYS_ARE_MINE = "data-lm-suppress-shortcuts";
const TAKES_KEYS = "a, button, input, select, summary, textarea, [tabindex]";

function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  if (element.matches(TAKES_KEYS)) element.setAttribute(KEYS_ARE_MINE, "true");
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

// What stands between backticks is code, as in Markdown.
function withCode(text) {
  return text.split(/`([^`\n]+)`/).map((part, nth) => (nth % 2 ? h("code", {}, part) : part));
}

// One that is marked data-hides is not there without a text.
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
  if (element.hasAttribute("data-hides")) element.hidden = !text;
}

function mark(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

function baseUrl() {
  try {
    const data = document.getElementById("jupyter-config-data");
    return JSON.parse(data.textContent).baseUrl || "/";
  } catch {
    return "/";
  }
}

// JupyterHub wants Jupyter's cross-site token with each request that its login's cookie comes with and
// that is neither a navigation nor a WebSocket: as a header, or as the parameter _xsrf where none can
// be set (EventSource). The cookie that holds it is the one of the longest path, which comes first.
function jupyterToken() {
  return /(?:^|;\s*)_xsrf=([^;]*)/.exec(document.cookie)?.[1] ?? "";
}

// A fetch from Jupyter's own server; no other one gets the token.
function fetchFromJupyter(url, { headers = {}, ...options } = {}) {
  const isIts = new URL(url, location.href).origin === location.origin;
  const token = isIts ? jupyterToken() : "";
  return fetch(url, { ...options, headers: token ? { ...headers, "X-XSRFToken": token } : headers });
}

// Tell when the kernel has ended, which nothing that it sends could say; returns what ends that.
function mourn(model, onEnd) {
  model.on("comm_live_update", onEnd);  // it restarts
  const status = model.widget_manager?.kernel?.statusChanged;  // where the page lets us ask
  const heard = (_, word) => {
    if (["restarting", "autorestarting", "terminating", "dead"].includes(word)) onEnd();
  };
  status?.connect?.(heard);
  return () => status?.disconnect?.(heard);
}
