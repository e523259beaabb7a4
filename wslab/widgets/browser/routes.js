// Which route leads from this page to the server: each is tried, best first, for only a page can know.

const TRY_MS = 3000;

function absolute(url) {
  if (!url.startsWith("/")) return url;
  const whole = new URL(url, location.href);
  whole.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  return whole.href;
}

// What came in place of an answer; "" for one.
async function missing(url, options = {}) {
  try {
    const response = await fetchFromJupyter(url, {
      cache: "no-store", signal: AbortSignal.timeout(TRY_MS), ...options,
    });
    return response.ok || response.type === "opaque" ? "" : String(response.status);
  } catch (error) {
    return error.name === "TimeoutError" ? `none within ${TRY_MS / 1000} s` : "no connection";
  }
}

const triedText = (tried) => tried.filter(({ seen }) => seen)
  .map(({ label, seen }) => `No answer ${label}: ${seen}.`).join(" ");
const asHttp = (url) => absolute(url).replace(/^ws/, "http");
// Each asks for what tells no server of ours anything: jupyter-server-proxy would hand it the cookie.
const TRIES = {
  direct: (route) => (route.to_try ? missing(asHttp(route.url), { mode: "no-cors" }) : ""),
  tunnel: (route) => missing(`${baseUrl()}wslab/?server=${route.server}`),
  proxy: () => missing(`${baseUrl()}server-proxy/servers-info`),
  comm: () => "",
};

// ask: asked before one is taken that gives something away; resolves to whether it may be.
async function findRoute(routes, ask) {
  const tried = [];
  for (const route of routes) {
    const isOnly = routes.length === 1;  // asked for by name
    const seen = isOnly ? "" : await TRIES[route.kind](route);
    if (!isOnly) tried.push({ kind: route.kind, label: route.label, seen });
    if (seen || (route.asks && !(await ask(route, tried)))) continue;
    return { ...route, url: absolute(route.url), shown: absolute(route.shown), tried };
  }
  return { kind: "none", label: "no route there", url: "", shown: "", changes: "", tried };
}
