// The tries so far, newest last, for both editors; it stands after dom.js and before an editor's file.

// How a try ended, by the form of its mark: a full circle, a half one, a cross.
const STATES = { opened: "open", doubtful: "connecting", refused: "broken" };

function history(onPick) {
  const list = h("ol", {});
  const element = h("div", { class: "ws-tries", role: "group", "aria-label": "Your tries" }, h("h4", {}, "Your tries"), list);
  return {
    element,
    draw(tries, picked) {
      element.hidden = tries.length === 0;
      // Buttons stay where their try stays, so that focus does.
      const kept = new Map([...list.children].map((row) => [row.dataset.number, row]));
      const rows = tries.map((one) => {
        const number = String(one.number);
        let row = kept.get(number);
        if (!row) {
          const button = h("button", { type: "button", class: "ws-plain", onclick: () => onPick(one.number) },
            h("i", { class: "ws-mark", "aria-hidden": "true" }), h("span", { class: "ws-soft" }, number),
            h("span", { class: "ws-cut", title: one.label }, one.label), h("b", {}, one.outcome));
          button.dataset.state = STATES[one.state];
          row = h("li", { "data-number": number }, button);
        }
        if (one.number === picked) row.firstChild.setAttribute("aria-current", "true");
        else row.firstChild.removeAttribute("aria-current");
        return row;
      });
      const stay = new Set(rows);
      for (const row of [...list.children]) if (!stay.has(row)) row.remove();
      rows.forEach((row, i) => {
        if (list.children[i] !== row) list.insertBefore(row, list.children[i] ?? null);
      });
      // Not scrollIntoView: that would scroll the notebook, and JupyterLab itself, too.
      const current = list.querySelector("[aria-current]")?.parentElement;
      if (!current) return;
      const top = current.offsetTop - list.offsetTop;
      if (top < list.scrollTop) list.scrollTop = top;
      const bottom = top + current.offsetHeight - list.clientHeight;
      if (bottom > list.scrollTop) list.scrollTop = bottom;
    },
  };
}
