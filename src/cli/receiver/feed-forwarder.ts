import { readFile, rename, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { Agent, request } from "undici";
import { messageOf } from "../../domain/error-text.ts";
import { hmacKeyOf, signWebhook } from "../../domain/webhooks/signature.ts";
import type { JsonObject, ServiceAnswer } from "../demo/service-client.ts";

export type FeedForwarderOptions = {
  /** Reads the API of the service. Rejects if the service is unreachable. */
  readonly get: (path: string) => Promise<ServiceAnswer>;
  readonly target: URL;
  readonly secret: string;
  /** File with the cursor behind the last event that was taken; `null` to begin with what comes next. */
  readonly cursorFile: string | null;
  /** Called for each attempt. `answer` is a status, or why there is none. */
  readonly onAttempt: (event: { readonly id: string; readonly type: string; readonly answer: number | string }) => void;
  /** Called once for each trouble with the service. */
  readonly onTrouble: (detail: string) => void;
  /** Ends the forwarder. */
  readonly signal: AbortSignal;
};

/** The feed cannot be read on. */
export class FeedRefusedError extends Error {}

/** Shorter than the timeout of the client of the service. */
const waitSeconds = 10;
const retryMinMs = 500;
const retryMaxMs = 10_000;
const targetTimeoutMs = 15_000;

/**
 * Posts each event of a feed to a program, one after the other, as a signed webhook in the format `standard`. An event is
 * repeated until it is answered 2xx; the cursor is written after that. Resolves when the signal aborts. Rejects with
 * `FeedRefusedError` if the service refuses to answer.
 */
export async function forwardFeed(options: FeedForwarderOptions): Promise<void> {
  const agent = new Agent({ headersTimeout: targetTimeoutMs, bodyTimeout: targetTimeoutMs });
  try {
    await forwardThrough(agent, options);
  } finally {
    await agent.destroy();
  }
}

async function forwardThrough(agent: Agent, options: FeedForwarderOptions): Promise<void> {
  const { cursorFile, signal } = options;
  const hmac = [hmacKeyOf(options.secret)];
  let cursor = cursorFile === null ? null : await readCursor(cursorFile);
  while (!signal.aborted) {
    // One event a page, so that its cursor is the one behind it. The place to begin at is kept at once.
    const where = cursor === null ? "after=latest" : `wait=${waitSeconds}&after=${encodeURIComponent(cursor)}`;
    const page = await readPage(options, `/v1/events?limit=1&${where}`);
    if (page === null) return;
    for (const event of page.data) if (!(await forward(options, agent, hmac, event))) return;
    if (page.data.length > 0 || cursor === null) await keepCursor(cursorFile, page.next_cursor);
    cursor = page.next_cursor;
  }
}

type Page = { readonly data: readonly JsonObject[]; readonly next_cursor: string };

/** Reads a page, again while the service is away or too busy; `null` if the signal aborted. */
async function readPage({ get, onTrouble, signal }: FeedForwarderOptions, path: string): Promise<Page | null> {
  let isTrouble = false;
  for (let retryMs = retryMinMs; !signal.aborted; retryMs = Math.min(retryMs * 2, retryMaxMs)) {
    const answer = await orAborted(get(path).catch(messageOf), signal);
    if (answer === null) return null;
    if (typeof answer !== "string" && answer.statusCode === 200) return answer.body as unknown as Page;
    const detail = typeof answer === "string" ? answer : `${answer.statusCode} ${String(answer.body["detail"] ?? "")}`;
    if (typeof answer !== "string" && answer.statusCode < 500 && answer.statusCode !== 429) throw new FeedRefusedError(detail);
    if (!isTrouble) onTrouble(detail);
    isTrouble = true;
    await sleep(retryMs, undefined, { signal }).catch(() => undefined);
  }
  return null;
}

/** Posts an event until it is taken. Returns false if the signal aborted before. */
async function forward(
  { target, onAttempt, signal }: FeedForwarderOptions,
  agent: Agent,
  hmac: readonly ReturnType<typeof hmacKeyOf>[],
  { id, type, timestamp, data }: JsonObject,
): Promise<boolean> {
  const body = JSON.stringify({ type, timestamp, data });
  for (let retryMs = retryMinMs; !signal.aborted; retryMs = Math.min(retryMs * 2, retryMaxMs)) {
    const timestampSeconds = Math.floor(Date.now() / 1000);
    const headers = {
      "content-type": "application/json",
      "user-agent": "Ringback",
      "webhook-id": String(id),
      "webhook-timestamp": String(timestampSeconds),
      "webhook-signature": signWebhook({ id: String(id), timestampSeconds, body }, { hmac, ed25519: null }),
    };
    const posted = request(target, { method: "POST", headers, body, dispatcher: agent }).then(
      async (answer) => {
        await answer.body.dump();
        return answer.statusCode;
      },
      (error: unknown) => messageOf(error),
    );
    const answer = await orAborted(posted, signal);
    if (answer === null) return false;
    onAttempt({ id: String(id), type: String(type), answer });
    if (typeof answer === "number" && answer >= 200 && answer < 300) return true;
    await sleep(retryMs, undefined, { signal }).catch(() => undefined);
  }
  return false;
}

function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | null> {
  const { promise: aborted, resolve } = Promise.withResolvers<null>();
  const abort = () => resolve(null);
  signal.addEventListener("abort", abort, { once: true });
  return Promise.race([promise, aborted]).finally(() => signal.removeEventListener("abort", abort));
}

async function readCursor(path: string): Promise<string | null> {
  try {
    const text = (await readFile(path, "utf8")).trim();
    return text === "" ? null : text;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

/** Replaces the file as a whole, so that a crash leaves the cursor of before or the new one. */
async function keepCursor(path: string | null, cursor: string): Promise<void> {
  if (path === null) return;
  const next = `${path}.next`;
  await writeFile(next, `${cursor}\n`, { mode: 0o600 });
  await rename(next, path);
}
