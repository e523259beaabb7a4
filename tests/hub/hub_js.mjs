// A page of hub.js in Node, steered by lines of JSON: [command, ...arguments] come on stdin, and
// what happens goes out on stdout. Bytes are {"hex": "..."} in both. Node 20 has no WebSocket: ws
// lends its own.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [, , modules, script] = process.argv;
const { WebSocket } = createRequire(modules)("ws");
globalThis.WebSocket = class extends WebSocket {
  constructor(...args) {
    super(...args);
    this.on("error", () => {}); // which ws throws where nobody listens, and a browser does not
  }
};
const { connect } = await import(script);
const held = [];
let hub;

function show(...line) {
  const text = JSON.stringify(line, (key, value) =>
    value instanceof Uint8Array ? { hex: Buffer.from(value).toString("hex") } : value);
  process.stdout.write(`${text}\n`);
}
const reviver = (key, value) => value?.hex === undefined ? value
  : Uint8Array.from(Buffer.from(value.hex, "hex"));

const commands = {
  connect(url, options) {
    const tokens = options.tokens; // one for each connection, of a function; null: it fails
    if (tokens) {
      options.token = () => {
        const token = tokens.shift();
        show("asked", token);
        return token ? token : Promise.reject(new Error("no token today"));
      };
    }
    hub = connect(url, options);
    hub.on("connection", (change) => show("connection", change));
    for (const event of ["welcome", "error", "dropped", "message"]) {
      hub.on(event, (data) => show(event, data));
    }
    hub.on("double", (data) => 2 * data);
    hub.on("hold", (data) => new Promise((resolve) => {
      held.push(() => resolve(data));
      show("held", data);
    }));
    hub.on("fail", () => { throw new Error("it fails here"); });
    hub.on("*", (event, data) => show("event", event, data));
  },
  emit(event, data) {
    try {
      hub.emit(event, data);
    } catch (error) {
      show("thrown", error.code ?? error.name, error.message);
    }
  },
  call(mark, event, data, options) {
    hub.call(event, data, options).then(
      (answer) => show("answer", mark, answer),
      (error) => show("failed", mark, error.code ?? error.name, error.message),
    );
  },
  look: () => show("look", hub.state, hub.buffered),
  settle() {
    if (hub.state === "open" && !hub.buffered) show("settled");
    else setTimeout(commands.settle, 5);
  },
  release: () => held.shift()(),
  close: () => hub.close(),
};
globalThis.reportError = (error) => show("reported", error.message);

for await (const line of createInterface({ input: process.stdin })) {
  const [command, ...rest] = JSON.parse(line, reviver);
  commands[command](...rest);
}
hub?.close();
