// The reference server of Engine.IO, which echoes; tells its port, and ends with its stdin.
"use strict";
const http = require("http");
const { Server } = require(process.argv[2] + "engine.io");

const server = http.createServer((request, response) => {
  response.writeHead(404);
  response.end();
});
const options = JSON.parse(process.argv[3]);
const engine = new Server({ ...options, cors: { origin: ["https://good.example"], credentials: true } });
engine.attach(server, { path: "/socket.io/" });
engine.on("connection", (socket) => {
  socket.on("message", (data) => socket.send(data));
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.resume();
process.stdin.on("end", () => process.exit());
