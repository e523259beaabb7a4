// A stock client of Socket.IO that does what lines of JSON say, and tells in lines what happens.
const { createRequire } = require("module");
const { io } = createRequire(process.argv[2])("socket.io-client");
const [url, options] = [process.argv[3], JSON.parse(process.argv[4])];
const revived = (_key, value) => (value && value.type === "Buffer" ? Buffer.from(value.data) : value);
const tell = (...what) => process.stdout.write(JSON.stringify(what) + "\n");
const { namespace = "", ...rest } = options;
const socket = io(url + namespace, { reconnectionDelay: 5, randomizationFactor: 0, ...rest });

socket.on("connect", () => tell("connect", socket.id, socket.recovered));
socket.on("disconnect", (reason) => tell("disconnect", reason));
socket.on("connect_error", (error) => tell("connect_error", error.message, error.data));
socket.onAny((...args) => {
  const ack = typeof args.at(-1) === "function" ? args.pop() : null;
  tell("event", ...args);
  if (ack && args[0] !== "silent") ack(...args.slice(1));
});
const acts = {
  emit: (...args) => socket.emit(...args),
  volatile: (...args) => socket.volatile.emit(...args),
  send: (...args) => socket.send(...args),
  call: (timeout, ...args) =>
    socket.timeout(timeout).emit(...args, (error, ...answer) =>
      error ? tell("failed", error.message) : tell("answer", ...answer)),
  auth: (auth) => { socket.auth = auth; },
  connect: () => socket.connect(),
  goto: (url) => { socket.io.uri = url; socket.connect(); }, // another process of the hub
  disconnect: () => socket.disconnect(),
  cut: () => { socket.io.reconnection(false); socket.io.engine.close(); }, // until "connect"
  transport: () => tell("transport", socket.io.engine.transport.name),
};
require("readline").createInterface({ input: process.stdin })
  .on("line", (line) => { const [act, ...args] = JSON.parse(line, revived); acts[act](...args); })
  .on("close", () => process.exit());
