import { once } from "node:events";
import { connect } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { Agent, request as send } from "undici";
import { startReceiver } from "../../src/cli/receiver/receiver.ts";
import { AnswerCheck } from "../harness/service/answer-check.ts";
import type { SeenAnswer } from "../harness/service/answer-check.ts";
import { apiKey, openService } from "../harness/service/environment.ts";
import { fuzzedBytes, fuzzedRequest } from "./requests.ts";
import type { FuzzedRequest, Known } from "./requests.ts";

export type FuzzOptions = {
  readonly requests: number;
  readonly seed: number;
  readonly onProgress?: (done: number, heapBytes: number) => void;
};

export type FuzzReport = {
  /** How often each status was answered. */
  readonly statuses: Readonly<Record<number, number>>;
  /** Of the heap, garbage collected: after a tenth of the requests, and after all. */
  readonly heapBytes: { readonly early: number; readonly late: number };
};

const requestsPerRound = 250;
const rawPerRound = 25;
const patienceMs = 20_000;
const keptIds = 400;

/**
 * Sends what clients should not to a whole service with everything in it, and rejects, with the request shrunk to its
 * least, when an answer is a 5xx, is no problem where it should be one, or is not what the document says.
 */
export async function fuzz({ requests, seed, onProgress }: FuzzOptions): Promise<FuzzReport> {
  await using receiver = await startReceiver({ answers: ({ path }) => Number(path.slice(1)) || null });
  await using service = await openService({ API_MAX_PER_SECOND: "0" });
  await using stack = new AsyncDisposableStack();
  const agent = stack.adopt(new Agent(), (agent) => agent.destroy());
  const url = `http://127.0.0.1:${service.apiPort}`;
  const check = new AnswerCheck(await (await send(`${url}/openapi.json`, { dispatcher: agent })).body.json());
  const ids = new Set<string>();
  const statuses: Record<number, number> = {};

  const ask = async ({ method, target, headers, body }: FuzzedRequest): Promise<void> => {
    const answer = await send(`${url}${target}`, { method: method as "GET", headers, body, dispatcher: agent, headersTimeout: patienceMs });
    const seen: SeenAnswer = { method, target, status: answer.statusCode, headers: answer.headers, text: await answer.body.text() };
    statuses[seen.status] = (statuses[seen.status] ?? 0) + 1;
    // A test that finds no receiver is an attempt that failed; nothing of ours may.
    if (seen.status >= 500) throw new Error(`${seen.status} ${seen.text}`);
    const faults = check.faultsOf(seen);
    if (faults.length > 0) throw new Error(faults.join("\n"));
    for (const [id] of seen.text.matchAll(/\b(?:wch|ep|hk|dlv|evt)_[0-9A-Za-z]{20,40}\b/g)) ids.add(id);
    for (const id of ids) if (ids.size > keptIds) ids.delete(id);
  };
  const write = async (bytes: Buffer): Promise<void> => {
    const text = await exchange(service.apiPort, bytes);
    for (const [, status] of text.matchAll(/(?:^|\r\n\r\n|[}\n])HTTP\/1\.1 (\d{3})/g)) if (Number(status) >= 500) throw new Error(text);
    if (text !== "" && !/\r\nx-request-id: /i.test(text)) throw new Error(`no x-request-id: ${text}`);
  };

  const callbackUrls = ["", "204", "500", "410", "429", "503"].map((status) => `${receiver.url}/${status}`);
  let early: number | null = null;
  for (let done = 0, round = 0; done < requests; done += requestsPerRound, round++) {
    const known: Known = { ids: [...ids], callbackUrls, apiKey };
    const options = { seed: seed + round, numRuns: Math.min(requestsPerRound, requests - done), timeout: patienceMs };
    await fc.assert(fc.asyncProperty(fuzzedRequest(known), ask), options);
    await fc.assert(fc.asyncProperty(fuzzedBytes(known), write), { ...options, numRuns: rawPerRound });
    if (done + requestsPerRound >= requests / 10) early ??= usedHeapBytes();
    onProgress?.(done + options.numRuns, process.memoryUsage().heapUsed);
  }
  const late = usedHeapBytes();
  return { statuses, heapBytes: { early: early ?? late, late } };
}

/** What is answered to these bytes, after which nothing more comes. */
async function exchange(port: number, bytes: Buffer): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  let text = "";
  socket.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
  socket.on("error", () => {});
  socket.end(bytes);
  await once(socket, "close", { signal: AbortSignal.timeout(patienceMs) });
  return text;
}

function usedHeapBytes(): number {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  collect();
  return process.memoryUsage().heapUsed;
}
