import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

// Takes every webhook and notes how long after its observation it arrived, which ones there were and when the last new
// one came. It is asked for `latencies` (since it was asked last) or `arrived` (in all). From `audit` on it answers 503 to
// every tenth webhook, and notes every transition that it took, which it is asked for by `transitions`.

type Webhook = { readonly timestamp: string; readonly data: { readonly call_sid: string; readonly status: string } };

const refusedOneIn = 10;
const latenciesMs: number[] = [];
const webhookIds = new Set<string>();
const transitions = new Set<string>();
let lastAtMs = 0;
let isAudited = false;
let received = 0;

const server = createServer((request, response) => {
  const arrivedMs = performance.timeOrigin + performance.now();
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    received += 1;
    const isRefused = isAudited && received % refusedOneIn === 0;
    response.writeHead(isRefused ? 503 : 200).end();
    if (isRefused) return;
    const { timestamp, data } = JSON.parse(Buffer.concat(chunks).toString()) as Webhook;
    latenciesMs.push(arrivedMs - Date.parse(timestamp));
    if (isAudited) transitions.add(`${data.call_sid} ${data.status}`);
    const id = String(request.headers["webhook-id"]);
    if (webhookIds.has(id)) return;
    webhookIds.add(id);
    lastAtMs = arrivedMs;
  });
});
server.keepAliveTimeout = 60_000;
server.listen(0, "0.0.0.0", () => process.send?.({ port: (server.address() as AddressInfo).port }));
process.on("message", (question) => {
  if (question === "audit") isAudited = true;
  process.send?.(answerTo(question));
});
process.on("SIGTERM", () => process.exit(0));
process.on("disconnect", () => process.exit(0));

function answerTo(question: unknown): unknown {
  if (question === "arrived") return { distinct: webhookIds.size, lastAtMs };
  if (question === "transitions") return [...transitions];
  return latenciesMs.splice(0);
}
