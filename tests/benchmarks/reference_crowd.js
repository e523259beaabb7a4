// The reference server of Socket.IO as one of crowd_servers' kinds: its port, then as it is told.
"use strict";
const http = require("node:http");
const { readFileSync } = require("node:fs");
const { Server } = require(`${process.argv[2]}socket.io`);

const said = JSON.parse(readFileSync(process.argv[3], "utf-8"));
const server = http.createServer();
const io = new Server(server, { pingInterval: 3_600_000, pingTimeout: 3_600_000 });
const now = () => Number(process.hrtime.bigint()) / 1e9; // as Python's perf_counter on Linux
const cpu = () => (({ user, system }) => (user + system) / 1e6)(process.cpuUsage());
let [members, began, spent] = [0, 0, 0];

io.on("connection", (socket) => {
  members += 1;
  socket.join("everybody");
  socket.on("disconnect", () => { members -= 1; });
  socket.on("add", ({ a, b }, ack) => ack(a + b));
});
server.listen(0, "127.0.0.1", 1024, () => console.log(server.address().port));
const acts = {
  members: () => console.log(members),
  memory: () => { global.gc(); console.log(process.memoryUsage().rss); },
  spent: () => console.log(JSON.stringify([began, cpu() - spent])),
  async emit(count) {
    [began, spent] = [now(), cpu()];
    for (let nth = 0; nth < Number(count); nth++) {
      io.to("everybody").emit("chat", said[nth]);
      await new Promise((next) => setImmediate(next));
    }
  },
};
require("node:readline").createInterface({ input: process.stdin })
  .on("line", (line) => { const [act, ...rest] = line.split(" "); acts[act](...rest); })
  .on("close", () => process.exit());
