import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

// The status API at its cheapest. `/steady` prefixes never change; under `/moving` a tenth of the polls is a transition;
// under `/walking` every poll is one, until the call has ended.

const transitionShare = 0.1;
const walk = ["queued", "calling", "success"];
const steps = new Map<string, number>();
const steady = Buffer.from(JSON.stringify({ status: "calling", reason: "" }));

const server = createServer((request, response) => {
  const url = request.url ?? "";
  if (url.startsWith("/steady")) {
    response.writeHead(200, { "content-type": "application/json", "content-length": steady.length }).end(steady);
    return;
  }
  let step = steps.get(url) ?? 0;
  let status: string;
  if (url.startsWith("/walking")) {
    status = walk[step] ?? "success";
    steps.set(url, step + 1);
  } else {
    if (Math.random() < transitionShare) steps.set(url, (step += 1));
    status = step === 0 ? "queued" : `step-${step}`;
  }
  const body = JSON.stringify({ status, reason: "" });
  response.writeHead(200, { "content-type": "application/json", "content-length": body.length }).end(body);
});
server.keepAliveTimeout = 60_000;
server.listen(0, "127.0.0.1", () => process.send?.({ port: (server.address() as AddressInfo).port }));
process.on("SIGTERM", () => process.exit(0));
process.on("disconnect", () => process.exit(0));
