import { Pool } from "undici";
import type { Client } from "undici";
import type { Clock } from "../../ports/clock.ts";
import type { CallSource, PollAnswer, PollTarget } from "../../ports/call-source.ts";
import { DeadlineQueue } from "../http-client/deadline-queue.ts";
import type { Deadline } from "../http-client/deadline-queue.ts";
import { statusRequestOf } from "./kinds.ts";
import type { PolyaiConfig, StatusRequest } from "./kinds.ts";
import { observeBody, observeHead, upstreamDateOf } from "./parse.ts";
import { ReuseAwareClient } from "../http-client/reuse-aware-client.ts";
import { StatusExchange } from "../http-client/status-exchange.ts";
import type { AnswerHeaders } from "./parse.ts";
import type { ExchangeEnd } from "../http-client/status-exchange.ts";
import { upstreamConnector } from "../http-client/upstream-connector.ts";
import { UpstreamNames } from "../http-client/upstream-names.ts";
import pRetry from "p-retry";

const pollTimeoutMs = 10_000;
/** Longer than the interval of a lone call, shorter than the idle time of the usual load balancers. */
const keepAliveTimeoutMs = 30_000;

/** One PolyAI source over one pool of HTTP/1.1 connections. A poll, its second try included, takes at most 10 s. */
export class PolyaiSource implements CallSource {
  readonly #clock: Clock;
  readonly #request: StatusRequest;
  readonly #pool: Pool;
  readonly #ownNames: UpstreamNames | null;
  readonly #deadlines: DeadlineQueue;
  #lastDate: { readonly text: AnswerHeaders[string]; readonly atMs: number | null } = { text: undefined, atMs: null };

  /**
   * Throws `StartupError` for a config no request can be made of. `names` stays open when the source is closed; without it the
   * source resolves names by itself, through the system's name servers.
   */
  constructor(config: PolyaiConfig, clock: Clock, names: UpstreamNames | null = null) {
    this.#clock = clock;
    const upstreamNames = names ?? new UpstreamNames({ servers: [] });
    this.#ownNames = names === null ? upstreamNames : null;
    this.#request = statusRequestOf(config);
    this.#deadlines = new DeadlineQueue(clock, pollTimeoutMs);
    const connect = upstreamConnector(upstreamNames, this.#request.lookupName);
    const age = config.maxConnectionAgeMs === undefined ? {} : { maxConnectionAgeMs: config.maxConnectionAgeMs };
    this.#pool = new Pool(this.#request.origin, {
      connections: config.maxConnections ?? 128,
      pipelining: 1,
      allowH2: false,
      connect,
      keepAliveTimeout: keepAliveTimeoutMs,
      keepAliveMaxTimeout: keepAliveTimeoutMs,
      // The deadline covers head and body.
      headersTimeout: 0,
      bodyTimeout: 0,
      factory: (origin, options) => new ReuseAwareClient(origin, { ...(options as Client.Options), connect, ...age }),
    });
  }

  async poll(target: PollTarget, takeToken: () => boolean): Promise<PollAnswer> {
    const startedMonotonicMs = this.#clock.monotonicMs();
    const deadline = this.#deadlines.start();
    const asked = this.#askTwiceAtMost(this.#request.pathOf(target.callSid), deadline, takeToken);
    const end = await asked.finally(() => this.#deadlines.finish(deadline));
    const nowMs = this.#clock.nowMs();
    return {
      observation: observationOf(end, this.#request, nowMs),
      upstreamDateMs: end.head === null ? null : this.#dateOf(end.head.headers, nowMs),
      durationMs: this.#clock.monotonicMs() - startedMonotonicMs,
    };
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
    this.#ownNames?.close();
  }

  /** Hundreds of answers in a row have the same date: it has whole seconds. */
  #dateOf(headers: AnswerHeaders, nowMs: number): number | null {
    const { date } = headers;
    if (date !== this.#lastDate.text) this.#lastDate = { text: date, atMs: upstreamDateOf(headers, nowMs) };
    return this.#lastDate.atMs;
  }

  /** p-retry asks the second time alone: going through it costs every poll, and one in thousands needs it. */
  async #askTwiceAtMost(path: string, deadline: Deadline, takeToken: () => boolean): Promise<ExchangeEnd> {
    let end = await this.#ask(path, deadline);
    if (!end.isStaleConnection) return end;
    const stale = new Error("the connection had been closed");
    const askAgain = async (attempt: number) => {
      if (attempt > 1) end = await this.#ask(path, deadline);
      if (end.isStaleConnection) throw stale;
      return end;
    };
    const shouldRetry = () => !this.#pool.destroyed && !deadline.isOver && takeToken();
    return pRetry(askAgain, { retries: 1, minTimeout: 0, shouldRetry }).catch((error: unknown) => {
      if (error !== stale) throw error;
      return end;
    });
  }

  #ask(path: string, deadline: Deadline): Promise<ExchangeEnd> {
    const exchange = new StatusExchange();
    deadline.onOver = () => exchange.timeOut(pollTimeoutMs);
    this.#pool.dispatch({ path, method: "GET", headers: this.#request.headers }, exchange);
    return exchange.ended;
  }
}

/** A head that is no 200 has said it all, however the rest ended. */
function observationOf({ head, body, failure }: ExchangeEnd, { statusOf }: StatusRequest, nowMs: number): PollAnswer["observation"] {
  return (head === null ? null : observeHead(head, nowMs)) ?? failure ?? observeBody(body, statusOf);
}
