// What anywidget calls: once for each model, and once for each view of it.

// Of the page, not of this module: each model loads its own, and a console may have a second one.
const sessions = (globalThis[Symbol.for("wslab.browser.sessions")] ??= new Map());

function initialize({ model }) {
  const key = model.get("key");
  let session = sessions.get(key);
  if (!session) {
    session = new Session(key, model.get("count"), model.get("protocols"));
    sessions.set(key, session);
  }
  session.models.add(model);
  if (model.get("ended")) session.status = "ended";
  model.on("msg:custom", (said, buffers) => {
    // With two models of one Browser in a page (a console's, say) each message comes twice. Each
    // has a manager of its own; anywidget hands out a new face of the same model every time.
    if (session.model?.widget_manager === model.widget_manager) session.hear(said, buffers ?? []);
  });
  model.on("change:ended", () => model.get("ended") && session.end(model.get("ended")));
  const rest = mourn(model, () => session.mourn());
  return () => {
    rest();
    session.models.delete(model);
    if (session.models.size) return;
    session.dispose();
    sessions.delete(key);
  };
}

export default { initialize, render };
