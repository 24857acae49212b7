import { setTimeout as sleep } from "node:timers/promises";
import type { Terminal } from "../command.ts";
import type { JsonObject, ServiceAnswer, ServiceClient } from "../demo/service-client.ts";
import { printable, printableJson } from "../printable.ts";

/** Shorter than the time limit of the client. */
const waitSeconds = 10;
const retryMs = 2000;
const redrawMs = 1000;

export type LiveOptions = { readonly json: boolean; readonly describeProblem: (answer: ServiceAnswer) => string };

/**
 * Shows a watch until it ends: one line that is drawn again and again on a screen, else a line for each change. Resolves with
 * the exit code: 0 at the end of the watch, 1 if it cannot be read or the signal aborts.
 */
export async function showUntilEnd(service: ServiceClient, first: JsonObject, terminal: Terminal, options: LiveOptions): Promise<0 | 1> {
  const { signal } = terminal;
  const startedMs = performance.now();
  let watch = first;
  let isAway = false;
  const draw = () => terminal.live?.(printable(`${elapsed(performance.now() - startedMs)}  ${describeCall(watch)}`));
  const timer = options.json ? undefined : setInterval(draw, redrawMs);
  try {
    draw();
    while (watch["status"] === "active") {
      const answer = await nextOf(service, watch, signal);
      if (signal.aborted) return 1;
      if (answer === null) {
        if (!isAway) terminal.error("the service does not answer; asking again until it does");
        isAway = true;
        continue;
      }
      isAway = false;
      if (answer.statusCode !== 200) {
        terminal.error(options.json ? printableJson(answer.body) : options.describeProblem(answer));
        return 1;
      }
      const isChanged = answer.body["sequence"] !== watch["sequence"] || answer.body["status"] !== watch["status"];
      watch = answer.body;
      if (options.json && isChanged) terminal.out(printableJson(watch));
      else if (isChanged && terminal.live === undefined) terminal.out(printable(describeCall(watch)));
      else draw();
    }
  } finally {
    clearInterval(timer);
  }
  if (!options.json) terminal.out(printable(`${elapsed(performance.now() - startedMs)}  ${describeEnd(watch)}`));
  return 0;
}

/** Waits for the next change of a watch. `null` if the service cannot answer now: it is asked again after a pause. */
async function nextOf(service: ServiceClient, watch: JsonObject, signal: AbortSignal): Promise<ServiceAnswer | null> {
  const path = `/v1/watches/${encodeURIComponent(String(watch["id"]))}?wait=${waitSeconds}&sequence=${String(watch["sequence"])}`;
  const aborted = Promise.withResolvers<null>();
  const abort = () => aborted.resolve(null);
  signal.addEventListener("abort", abort, { once: true });
  try {
    const answer = await Promise.race([service.get(path).catch(() => null), aborted.promise]);
    if (answer !== null && answer.statusCode !== 429 && answer.statusCode < 500) return answer;
    await sleep(retryMs, null, { signal }).catch(() => null);
    return null;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

function describeCall(watch: JsonObject): string {
  const { status, reason } = callOf(watch);
  const words = typeof reason === "string" && reason !== "" ? ` (${reason})` : "";
  return `${String(status ?? "not seen yet")}${words}: ${String(watch["explain"])}`;
}

function describeEnd(watch: JsonObject): string {
  const { status, reason } = callOf(watch);
  const end = watch["status"] === "completed" ? "" : ` ${String(watch["status"])} (${String(watch["end_reason"])})`;
  return `${String(watch["id"])}${end} ${String(status ?? "no status")}${typeof reason === "string" && reason !== "" ? `: ${reason}` : ""}`;
}

function callOf({ call }: JsonObject): JsonObject {
  return typeof call === "object" && call !== null ? (call as JsonObject) : {};
}

function elapsed(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  return `${String(Math.floor(seconds / 60)).padStart(2, "0")}:${String(seconds % 60).padStart(2, "0")}`;
}
