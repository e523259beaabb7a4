// A slider in seconds. Its place goes to the kernel as a custom message when it is let go; the
// message waits there for the running cell to end.

function render({ model, el }) {
  const word = h("output", { class: "ws-mono ws-seconds-word" });
  const input = h("input", { type: "range", "aria-label": `${model.get("label")}, in seconds` });

  function say() {
    const text = `${Number(input.value)} s`;
    write(word, text);
    input.setAttribute("aria-valuetext", text);
  }

  function draw() {
    for (const part of ["min", "max", "step"]) input[part] = model.get(`${part}_s`);
    input.value = model.get("at_s");
    say();
  }

  input.addEventListener("input", say);
  input.addEventListener("change", () => model.send({ value_s: Number(input.value) }));
  el.append(
    h("label", { class: "wslab ws-seconds" }, h("span", { class: "ws-mono" }, model.get("label")), input, word),
  );
  model.on("change:at_s", draw);
  draw();
  return () => model.off("change:at_s", draw);
}

export default { render };
