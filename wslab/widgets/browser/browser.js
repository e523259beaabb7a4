// What anywidget calls: once for each model, and once for each view of it.

// Of the page, not of this module: each model loads its own, and a console may have a second one.
const pageSocketsByKey = (globalThis[Symbol.for("wslab.browser.page_sockets")] ??= new Map());

function initialize({ model }) {
  const key = model.get("key");
  let pageSockets = pageSocketsByKey.get(key);
  if (!pageSockets) {
    pageSockets = new PageSockets(key, model.get("count"), model.get("protocols"));
    pageSocketsByKey.set(key, pageSockets);
  }
  pageSockets.models.add(model);
  if (model.get("ended")) pageSockets.status = "ended";
  model.on("msg:custom", (said, buffers) => {
    // With two models of one Browser in a page (a console's, say) each message comes twice. Each
    // has a manager of its own; anywidget hands out a new face of the same model every time.
    if (pageSockets.model?.widget_manager === model.widget_manager) pageSockets.hear(said, buffers ?? []);
  });
  model.on("change:ended", () => model.get("ended") && pageSockets.end(model.get("ended")));
  const rest = mourn(model, () => pageSockets.mourn());
  return () => {
    rest();
    pageSockets.models.delete(model);
    if (pageSockets.models.size) return;
    pageSockets.dispose();
    pageSocketsByKey.delete(key);
  };
}

export default { initialize, render };
