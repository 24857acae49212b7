import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

// The status API at its cheapest. `/steady` prefixes never change; under `/moving` a tenth of the polls is a transition;
// under `/walking` every poll is one, until the call has ended. It is asked to `freeze` (no poll is a transition until `thaw`)
// and for what it `served`: the last status of every call under `/moving`, which had all before it. `polls` is their number.

const transitionShare = 0.1;
const walk = ["queued", "calling", "success"];
const steps = new Map<string, number>();
const steady = Buffer.from(JSON.stringify({ status: "calling", reason: "" }));
/** Calls whose first poll was a transition, so that none has read their first status. */
const skipsQueued = new Set<string>();
let isFrozen = false;
let polls = 0;

const server = createServer((request, response) => {
  polls += 1;
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
    if (!isFrozen && Math.random() < transitionShare) step += 1;
    if (step > 0 && !steps.has(url)) skipsQueued.add(url);
    steps.set(url, step);
    status = movingStatus(step);
  }
  const body = JSON.stringify({ status, reason: "" });
  response.writeHead(200, { "content-type": "application/json", "content-length": body.length }).end(body);
});
server.keepAliveTimeout = 60_000;
server.listen(0, "127.0.0.1", () => process.send?.({ port: (server.address() as AddressInfo).port }));
process.on("message", (question) => {
  if (question === "served") process.send?.(served());
  else if (question === "polls") process.send?.(polls);
  else process.send?.((isFrozen = question === "freeze"));
});
process.on("SIGTERM", () => process.exit(0));
process.on("disconnect", () => process.exit(0));

function movingStatus(step: number): string {
  return step === 0 ? "queued" : `step-${step}`;
}

/** Every transition that a poll has read, as `<call SID> <status>`. */
function served(): readonly string[] {
  return [...steps].flatMap(([url, last]) => {
    const callSid = url.split("/").at(-2) ?? "";
    const first = skipsQueued.has(url) ? 1 : 0;
    return Array.from({ length: last + 1 - first }, (_, index) => `${callSid} ${movingStatus(first + index)}`);
  });
}
