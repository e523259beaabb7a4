// A client of npm's ws, which says what it is told to and tells what came, as one line of JSON.
const { createRequire } = require("module");
const WebSocket = createRequire(process.argv[2])("ws");
const socket = new WebSocket(process.argv[3], ["a", "b"], { perMessageDeflate: true });
const told = { messages: [] };
const said = ["é".repeat(3000), Buffer.from([0, 255, 13, 10]), "x".repeat(200000)];
socket.on("open", () => {
  told.protocol = socket.protocol;
  told.extensions = socket.extensions;
  socket.ping("p");
  said.forEach((message) => socket.send(message));
  socket.send("one ", { fin: false });
  socket.send("message", { fin: true });
});
socket.on("pong", (data) => { told.pong = data.toString(); });
socket.on("message", (data, isBinary) => {
  told.messages.push(isBinary ? [...data] : data.toString());
  if (told.messages.length === 4) socket.close(4002, "enough");
});
socket.on("close", (code, reason) => {
  told.closed = [code, reason.toString()];
  console.log(JSON.stringify(told));
});
socket.on("error", (error) => { told.error = error.message; });
