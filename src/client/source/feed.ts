import type { Client } from "openapi-fetch";
import { RingbackError } from "./errors.js";
import type { WebhookEvent } from "./events.js";
import type { paths } from "./schema.js";

type Answer = paths["/v1/events"]["get"]["responses"][200]["content"]["application/json"];
type Row = Answer["data"][number];
/** An event of the feed, with the states of its deliveries. */
export type FeedEvent = Omit<Row, keyof WebhookEvent> & WebhookEvent;
type Page = Omit<Answer, "data"> & { readonly data: readonly FeedEvent[] };

export type FeedOptions = {
  /** Cursor to go on after; `latest` for what comes from now on. Left out: the start of the feed. */
  readonly after?: string;
  /** Time from which events are read, in place of `after`. */
  readonly since?: string;
  /** Types or groups, separated by commas. */
  readonly type?: string;
  readonly call_sid?: string;
  /** Seconds to wait for new events, 0 to 30; 30 if left out. With 0 the iteration ends once everything was read. */
  readonly wait?: number;
  /** Events of one request, 1 to 200. */
  readonly limit?: number;
  /** Ends the iteration. */
  readonly signal?: AbortSignal;
};

/** Events, oldest first. Each iteration goes on after `cursor`. */
export type Feed = AsyncIterable<FeedEvent> & {
  /**
   * Where to go on, as `after` of a later feed; `null` before the first page. It moves with the last event of a page, so store it
   * once that event was processed. Events of a page that was begun may come again.
   */
  readonly cursor: string | null;
};

const longestPauseMs = 30_000;

export function readFeed(client: Client<paths>, options: FeedOptions): Feed {
  const { wait = 30, limit = 50, signal, since, ...filter } = options;
  let cursor = options.after ?? null;
  const nextPage = async (): Promise<Page | null> => {
    for (let failures = 0; ; failures += 1) {
      if (isAborted(signal)) return null;
      const query = { ...filter, limit, wait, ...(cursor === null ? (since === undefined ? {} : { since }) : { after: cursor }) };
      const answer = await client
        .GET("/v1/events", { params: { query }, ...(signal === undefined ? {} : { signal }) })
        .catch((error: unknown) => (isNetworkFailure(error) ? null : Promise.reject(error as Error)));
      if (isAborted(signal)) return null;
      // The library spells the type of an answer out, which the compiler takes for another one.
      if (answer?.data !== undefined) return answer.data as unknown as Page;
      const status = answer?.response.status ?? 503;
      if (answer !== null && status !== 429 && status < 500) throw new RingbackError(status, answer.error ?? null);
      const retryAfterMs = Number(answer?.response.headers.get("retry-after") ?? 0) * 1000;
      await pause(Math.max(retryAfterMs, Math.min(longestPauseMs, 500 * 2 ** Math.min(failures, 10))), signal);
    }
  };
  return {
    get cursor() {
      return cursor;
    },
    async *[Symbol.asyncIterator]() {
      for (let page = await nextPage(); page !== null; page = await nextPage()) {
        const { data, next_cursor: next } = page;
        for (const [index, event] of data.entries()) {
          if (isAborted(signal)) return;
          if (index === data.length - 1) cursor = next;
          yield event;
        }
        cursor = next;
        if (data.length === 0 && wait === 0) return;
      }
    },
  };
}

/** `fetch` rejects with a `TypeError` if there is no answer, and with the reason of the signal if it was aborted. */
function isNetworkFailure(error: unknown): boolean {
  return error instanceof TypeError || (error instanceof Error && error.name === "AbortError");
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", done, { once: true });
  });
}
