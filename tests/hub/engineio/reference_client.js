// npm's engine.io-client: sends what it is told by lines of JSON, tells what it sees.
"use strict";
const { Socket } = require(process.argv[2] + "engine.io-client");
const readline = require("readline");

const options = JSON.parse(process.argv[4]);
const socket = new Socket(process.argv[3], { path: "/socket.io/", ...options });
socket.binaryType = "nodebuffer";
const tell = (...words) => console.log(JSON.stringify(words));
// It gives undefined for an empty text.
const shown = (data = "") => (typeof data === "string" ? data : { hex: Buffer.from(data).toString("hex") });
socket.on("open", () => tell("open", socket.transport.name));
socket.on("upgrade", (transport) => tell("upgrade", transport.name));
socket.on("upgradeError", (error) => tell("upgradeError", String(error)));
socket.on("ping", () => tell("ping"));
socket.on("message", (data) => tell("message", shown(data)));
socket.on("error", (error) => tell("error", String(error)));
socket.on("close", (reason) => tell("close", reason));
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const [word, ...rest] = JSON.parse(line);
  if (word === "send") {
    for (const data of rest) socket.send(data.hex === undefined ? data : Buffer.from(data.hex, "hex"));
  } else if (word === "close") socket.close();
  else process.exit();
}).on("close", () => process.exit());
