import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Random } from "../../simulation/random.ts";
import { stationaryMixes } from "./mixes.ts";

// A status API whose calls end when their mix says, each at the first poll that comes after. It is asked for what has `ended`
// since the last question: the delays, and the number of polls.

const mix = stationaryMixes[process.argv[2] ?? ""];
if (mix === undefined) throw new Error(`"${process.argv[2]}" is no mix`);
// The same times for every service that is compared.
const random = new Random("ends");
const endsAtMs = new Map<string, number>();
let delaysMs: number[] = [];
let polls = 0;

const server = createServer((request, response) => {
  const nowMs = performance.now();
  const url = request.url ?? "";
  polls += 1;
  let endMs = endsAtMs.get(url);
  if (endMs === undefined) {
    endMs = nowMs + mix.draw(() => random.fraction()) * 1000;
    endsAtMs.set(url, endMs);
  }
  const isEnded = nowMs >= endMs;
  if (isEnded && endMs !== Number.NEGATIVE_INFINITY) {
    delaysMs.push(nowMs - endMs);
    endsAtMs.set(url, Number.NEGATIVE_INFINITY);
  }
  const body = JSON.stringify({ status: isEnded ? "success" : "calling", reason: "" });
  response.writeHead(200, { "content-type": "application/json", "content-length": body.length }).end(body);
});
server.keepAliveTimeout = 60_000;
server.listen(0, "127.0.0.1", () => process.send?.({ port: (server.address() as AddressInfo).port }));
process.on("message", () => {
  process.send?.({ delaysMs, polls });
  [delaysMs, polls] = [[], 0];
});
process.on("SIGTERM", () => process.exit(0));
process.on("disconnect", () => process.exit(0));
