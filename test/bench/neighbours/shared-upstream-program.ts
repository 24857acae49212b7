import { createSocket } from "node:dgram";
import { createServer } from "node:http";
import type { ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

// The source that two accounts share; the SID of a call says how it is answered. `OUT-victim-…` is calling, and over at its second poll;
// `OUT-done-…` is over at its first; `OUT-busy-…` has another status at every poll; `OUT-held-…` ends after `POST /end/<SID>`;
// `OUT-502-…`, `OUT-403-…`, `OUT-404-…` and `OUT-429-…` are answered so until `POST /calm`. Every other call is calling.
// On the UDP port of the same number a name server knows no name, and leaves one question in four without an answer.

const polls = new Map<string, number>();
const ended = new Set<string>();
let isCalm = false;

const server = createServer((request, response) => {
  request.resume();
  const url = request.url ?? "";
  if (request.method === "POST") {
    if (url.startsWith("/end/")) ended.add(url.slice("/end/".length));
    else isCalm = true;
    response.writeHead(204).end();
    return;
  }
  const [, sid = "", kind = ""] = /\/(OUT-([^-/]+)[^/]*)\/status/.exec(url) ?? [];
  if (/^\d+$/.test(kind)) return isCalm ? answer(response, "success") : fail(response, Number(kind));
  if (kind === "victim" || kind === "busy") {
    const before = polls.get(sid) ?? 0;
    polls.set(sid, before + 1);
    if (kind === "busy") return answer(response, `step-${before}`);
    return answer(response, before === 0 ? "calling" : "success");
  }
  const isOver = kind === "done" || ended.has(sid);
  return answer(response, isOver ? "success" : "calling");
});

function answer(response: ServerResponse, status: string): void {
  const body = JSON.stringify({ status, reason: "" });
  response.writeHead(200, { "content-type": "application/json", "content-length": body.length }).end(body);
}

function fail(response: ServerResponse, status: number): void {
  response.writeHead(status, status === 429 ? { "retry-after": "1" } : {}).end();
}

server.keepAliveTimeout = 60_000;
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo;
  let questions = 0;
  const names = createSocket("udp4", (query, peer) => {
    if (questions++ % 4 === 0) return;
    const reply = Buffer.from(query);
    reply.writeUInt16BE(0x8183, 2);
    names.send(reply, peer.port, peer.address);
  });
  names.bind(port, "127.0.0.1", () => process.send?.({ port }));
});
process.on("SIGTERM", () => process.exit(0));
process.on("disconnect", () => process.exit(0));
