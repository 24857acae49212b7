import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { onTestFinished } from "vitest";

const listener = `
const { createServer } = require("node:net");
const body = '{"status":"calling","reason":""}';
const server = createServer((socket) => {
  socket.on("error", () => {});
  socket.on("data", () => socket.write("HTTP/1.1 200 OK\\r\\ncontent-length: " + body.length + "\\r\\n\\r\\n" + body));
});
server.listen({ host: process.argv[1], port: Number(process.argv[2]), backlog: 1 }, () => console.log(server.address().port));
`;

export type DistantServer = {
  readonly port: number;
  /** Lets it accept: a connection that was begun before is made when its SYN is sent again, a second after the first. */
  readonly comeNear: () => void;
};

/**
 * A server that packets do not reach: its process is stopped and its queue full, so that the kernel drops every SYN, as a
 * network without the address does. Each answers any request as an upstream with a call that is `calling`.
 */
export async function startDistantServer(host: string, port = 0): Promise<DistantServer> {
  const child = spawn(process.execPath, ["-e", listener, host, String(port)], { stdio: ["ignore", "pipe", "inherit"] });
  const fillers: Socket[] = [];
  onTestFinished(() => {
    for (const filler of fillers) filler.destroy();
    child.kill("SIGKILL");
  });
  const [said] = (await once(child.stdout, "data")) as [Buffer];
  const listening = Number(String(said));
  child.kill("SIGSTOP");
  for (;;) {
    const filler = connect(listening, host);
    filler.on("error", () => {});
    fillers.push(filler);
    const isQueued = await Promise.race([
      once(filler, "connect").then(() => true),
      new Promise((resolve) => setTimeout(resolve, 100, false)),
    ]);
    if (isQueued === false) break;
    if (fillers.length > 100) throw new Error("this system's queue of connections does not fill up: no address can be made silent");
  }
  const comeNear = () => {
    for (const filler of fillers) filler.destroy();
    child.kill("SIGCONT");
  };
  return { port: listening, comeNear };
}
