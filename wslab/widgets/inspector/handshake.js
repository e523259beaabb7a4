// The reader of handshakes: both heads line by line, the rules they keep, and how Accept follows.

// The handshake, or any HTTP exchange, that a row belongs to.
function exchange(store, row) {
  const response = row.what === "response" ? row : store.rows.find((other) => other.request === row.id);
  const request = row.what === "request" ? row : store.rows.find((other) => other.id === row.request);
  const asked = response?.asked ?? request?.head;
  const [client, server] = store.names({ ...row, by: "client" });
  if (row.what === "body") {
    const [from, to] = store.names(row);
    return [h("h3", {}, `Body, ${from} to ${to}`), h("p", { class: "ws-soft" }, `${plural(row.size, "byte")} at ${moment(row.at)}`), faults(row), layers(store, row), h("pre", { class: "wi-body-text" }, row.body)].filter(Boolean);
  }
  const isUpgrade = (response ?? request).upgrade;
  const shake = response?.handshake;
  const took = response && request ? `, answered in ${trip(response.at - request.at)}` : "";
  const parts = [
    h("h3", {}, isUpgrade ? `Handshake, ${client} and ${server}` : `HTTP, ${client} and ${server}`),
    h("p", { class: "ws-soft" }, `At ${moment((request ?? response).at)}${took}.`),
  ];
  for (const each of [request, response]) if (each) parts.push(...[faults(each), layers(store, each)].filter(Boolean));
  if (isUpgrade && !response) parts.push(h("p", {}, "No answer yet."));
  if (shake) {
    const agreed = [shake.subprotocol && `subprotocol ${shake.subprotocol}`, shake.extensions && `extensions ${shake.extensions}`].filter(Boolean).join("; ");
    parts.push(h("p", { class: shake.accepted ? "wi-verdict" : "wi-verdict wi-bad" }, shake.accepted
      ? `Accepted: from the next byte on both sides speak frames. ${agreed ? `Agreed: ${agreed}.` : "No subprotocol and no extension was agreed."}`
      : shake.why));
  }
  if (shake?.accept) parts.push(derivation(shake.accept));
  if (asked) parts.push(headTable(store, `Request, ${client} to ${server}`, asked, shake?.suspect));
  if (response) parts.push(headTable(store, `Answer, ${server} to ${client}`, response.head, ""));
  if (response?.body) parts.push(h("section", {}, h("h4", {}, "Body ", h("span", { class: "ws-soft" }, plural(response.size, "byte"))), h("pre", { class: "wi-body-text" }, response.body)));
  if (shake) parts.push(checks(shake.checks));
  return parts;
}

function headTable(store, title, head, suspect) {
  return h("section", {}, h("h4", {}, title, " ", h("span", { class: "ws-soft" }, plural(head.size, "byte"))),
    h("p", { class: "wi-start ws-mono" }, head.start),
    h("dl", { class: "wi-headers" }, head.headers.map(([name, value, text, fault]) => {
      const [purpose, setBy, section] = store.texts[text] ?? ["", "", ""];
      const isSuspect = suspect && name.toLowerCase() === suspect.toLowerCase();
      return h("div", { class: fault || isSuspect ? "wi-faulty" : null },
        h("dt", { class: "ws-mono" }, h("span", { class: "wi-name" }, `${name}:`), ` ${value}`),
        h("dd", {}, fault ? h("p", { class: "wi-fault" }, h("b", {}, "fault "), fault) : null,
          isSuspect && !fault ? h("p", { class: "wi-fault" }, h("b", {}, "suspect "), "probably the cause of the refusal") : null,
          purpose, " ", h("span", { class: "ws-soft" }, `Set by ${setBy}. ${section}`)));
    })));
}

function derivation(accept) {
  const step = (name, value, note) => h("div", {}, h("dt", {}, name), h("dd", {}, h("code", {}, value), note ? h("span", { class: "ws-soft" }, ` ${note}`) : null));
  const isRight = accept.sent === accept.accept;
  const sha = accept.sha1.match(/../g).join(" ");
  return h("section", {}, h("h4", {}, "How Accept follows from the key ", h("span", { class: "ws-soft" }, "RFC 6455 §4.2.2")),
    h("dl", { class: "wi-steps" },
      step("key", accept.key, accept.fault ? accept.fault : "16 random bytes in base64, from the client"),
      step("+ GUID", accept.guid, "the same in every handshake"),
      step("SHA-1", sha, "of both texts, end to end"),
      step("base64", accept.accept, "is what must come back"),
      step("server sent", accept.sent || "nothing", isRight ? "the same: it read this request and knows WebSocket" : accept.sent ? "not the same: the client must not open" : "and so no WebSocket opens")),
  );
}

function checks(all) {
  const broken = all.filter(([, ok]) => !ok).length;
  return h("details", { open: broken > 0 }, h("summary", {}, broken ? `${plural(broken, "rule")} of ${all.length} broken` : `All ${all.length} rules kept`),
    h("table", { class: "wi-checks" }, all.map(([name, ok, expected, got, section, side]) =>
      h("tr", { class: ok ? null : "wi-faulty" }, h("td", {}, ok ? "kept" : h("b", { class: "wi-bad" }, "broken")), h("td", {}, `${side}: ${name}`),
        h("td", {}, ok ? h("span", { class: "ws-mono" }, got) : [`expected ${expected}; got `, h("span", { class: "ws-mono" }, got)]), h("td", { class: "ws-soft" }, section)))));
}
