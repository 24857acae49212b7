import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

// Takes every webhook and notes how long after its observation it arrived, which ones there were and when the last new
// one came. It is asked for `latencies` (since it was asked last) or `arrived` (in all).

const latenciesMs: number[] = [];
const webhookIds = new Set<string>();
let lastAtMs = 0;

const server = createServer((request, response) => {
  const arrivedMs = performance.timeOrigin + performance.now();
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    response.writeHead(200).end();
    const { timestamp } = JSON.parse(Buffer.concat(chunks).toString()) as { timestamp: string };
    latenciesMs.push(arrivedMs - Date.parse(timestamp));
    const id = String(request.headers["webhook-id"]);
    if (webhookIds.has(id)) return;
    webhookIds.add(id);
    lastAtMs = arrivedMs;
  });
});
server.keepAliveTimeout = 60_000;
server.listen(0, "0.0.0.0", () => process.send?.({ port: (server.address() as AddressInfo).port }));
process.on("message", (question) =>
  process.send?.(question === "arrived" ? { distinct: webhookIds.size, lastAtMs } : latenciesMs.splice(0)),
);
process.on("SIGTERM", () => process.exit(0));
process.on("disconnect", () => process.exit(0));
