import { Pool } from "undici";
import type { Dispatcher } from "undici";
import type { PollFailureCode } from "../../domain/calls/call.ts";
import type { CallSource, PollAnswer, PollTarget } from "../../ports/call-source.ts";
import type { Clock } from "../../ports/clock.ts";
import { headerOf } from "../http-client/answer-head.ts";
import type { AnswerHeaders } from "../http-client/answer-head.ts";
import { decodeBody } from "../http-client/content-coding.ts";
import { DeadlineQueue } from "../http-client/deadline-queue.ts";
import type { Deadline } from "../http-client/deadline-queue.ts";
import { Exchange } from "../http-client/exchange.ts";
import type { ExchangeEnd } from "../http-client/exchange.ts";
import type { NetworkFailureCode } from "../http-client/network-failure.ts";
import { ReuseAwareClient } from "../http-client/reuse-aware-client.ts";
import { upstreamConnector } from "../http-client/upstream-connector.ts";
import { UpstreamNames } from "../http-client/upstream-names.ts";
import { statusRequestOf } from "./kinds.ts";
import type { PolyaiConfig, StatusRequest } from "./kinds.ts";
import { answerMaxBytes, observeBody, observeHead, upstreamDateOf } from "./parse.ts";

const pollTimeoutMs = 10_000;
/** Longer than the interval of a lone call, shorter than the idle time of the usual load balancers. */
const keepAliveTimeoutMs = 30_000;

const connectionOptions = {
  pipelining: 1,
  allowH2: false,
  keepAliveTimeout: keepAliveTimeoutMs,
  keepAliveMaxTimeout: keepAliveTimeoutMs,
  // The deadline covers head and body.
  headersTimeout: 0,
  bodyTimeout: 0,
};
/**
 * Classes of failed polls. An answer that is not HTTP counts as not JSON. `blocked_address` never occurs, because no
 * address of a source is refused.
 */
const pollFailureCodes: Readonly<Record<NetworkFailureCode, PollFailureCode>> = {
  timeout: "timeout",
  connect: "connect",
  reset: "reset",
  tls: "tls",
  dns: "dns",
  protocol: "not_json",
  blocked_address: "connect",
};
const answerLimits = { bodyMaxBytes: answerMaxBytes, keepBytes: answerMaxBytes };

/** Source behind one pool of HTTP/1.1 connections. A poll takes at most 10 s, its second try included. */
export class PolyaiSource implements CallSource {
  readonly #clock: Clock;
  readonly #request: StatusRequest;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #pool: Pool;
  readonly #makeClient: () => ReuseAwareClient;
  /** Clients of second tries, one connection each. */
  readonly #fresh = new Set<ReuseAwareClient>();
  readonly #ownNames: UpstreamNames | null;
  readonly #deadlines: DeadlineQueue;
  #lastDate: { readonly text: string | null; readonly atMs: number | null } = { text: null, atMs: null };

  /**
   * Throws `StartupError` if no request can be made from the config. `names` is shared and stays open when the source is
   * closed. If it is `null`, the source creates its own for the name servers of the system.
   */
  constructor(config: PolyaiConfig, clock: Clock, names: UpstreamNames | null = null) {
    this.#clock = clock;
    const upstreamNames = names ?? new UpstreamNames({ servers: [] });
    this.#ownNames = names === null ? upstreamNames : null;
    this.#request = statusRequestOf(config);
    this.#headers = { ...this.#request.headers, "accept-encoding": "identity" };
    this.#deadlines = new DeadlineQueue(clock, pollTimeoutMs);
    const { origin, lookupName } = this.#request;
    const connect = upstreamConnector(upstreamNames, lookupName);
    const age = config.maxConnectionAgeMs === undefined ? {} : { maxConnectionAgeMs: config.maxConnectionAgeMs };
    this.#makeClient = () => new ReuseAwareClient(new URL(origin), { ...connectionOptions, connect, ...age });
    this.#pool = new Pool(origin, {
      ...connectionOptions,
      connections: config.maxConnections ?? 128,
      connect,
      factory: this.#makeClient,
    });
  }

  async poll(target: PollTarget, takeToken: () => boolean): Promise<PollAnswer> {
    const startedMonotonicMs = this.#clock.monotonicMs();
    const deadline = this.#deadlines.start();
    const asked = this.#askTwiceAtMost(this.#request.pathOf(target.callSid), deadline, takeToken);
    const end = await asked.finally(() => this.#deadlines.finish(deadline));
    const nowMs = this.#clock.nowMs();
    const durationMs = this.#clock.monotonicMs() - startedMonotonicMs;
    const upstreamDateMs = end.answer === null ? null : this.#dateOf(end.answer.headers, nowMs);
    return { observation: await observationOf(end, this.#request, nowMs), upstreamDateMs, durationMs };
  }

  async close(): Promise<void> {
    await Promise.all([this.#pool, ...this.#fresh].map((dispatcher) => dispatcher.destroy()));
    this.#ownNames?.close();
  }

  /**
   * Returns the date of an answer. Parses it only if it differs from the last one, because hundreds of answers in a row
   * have the same whole second.
   */
  #dateOf(headers: AnswerHeaders, nowMs: number): number | null {
    const text = headerOf(headers, "date");
    if (text !== this.#lastDate.text) this.#lastDate = { text, atMs: upstreamDateOf(headers, nowMs) };
    return this.#lastDate.atMs;
  }

  /**
   * Sends a request, and sends it once more if its connection had been closed while idle. If the request was written, the
   * repetition takes another token of the rate.
   */
  async #askTwiceAtMost(path: string, deadline: Deadline, takeToken: () => boolean): Promise<ExchangeEnd> {
    const end = await this.#ask(this.#pool, path, deadline);
    if (end.staleness === "none" || this.#pool.destroyed || deadline.isOver) return end;
    if (end.staleness === "no_answer" && !takeToken()) return end;
    // The other connections of the pool may have been closed with this one.
    const client = this.#makeClient();
    this.#fresh.add(client);
    try {
      return await this.#ask(client, path, deadline);
    } finally {
      this.#fresh.delete(client);
      void client.destroy();
    }
  }

  #ask(dispatcher: Dispatcher, path: string, deadline: Deadline): Promise<ExchangeEnd> {
    const exchange = new Exchange(answerLimits);
    deadline.onOver = () => exchange.timeOut(pollTimeoutMs);
    dispatcher.dispatch({ path, method: "GET", headers: this.#headers }, exchange);
    return exchange.ended;
  }
}

/** Returns the observation of a poll. For a status other than 200 the head suffices. */
async function observationOf(
  { answer, failure }: ExchangeEnd,
  { statusOf }: StatusRequest,
  nowMs: number,
): Promise<PollAnswer["observation"]> {
  const observation = answer === null ? null : observeHead(answer, nowMs);
  if (observation !== null) return observation;
  if (failure?.kind === "not_started") return failure;
  if (failure !== null) return { kind: "failed", code: pollFailureCodes[failure.code], detail: failure.detail };
  const { body, codings, isCut } = answer;
  const decoded = codings.length === 0 || isCut ? { bytes: body, isCut } : await decodeBody(body, codings, answerMaxBytes);
  if (!decoded.isCut) return observeBody(decoded.bytes.toString(), statusOf);
  return { kind: "failed", code: "too_large", detail: `answered more than ${answerMaxBytes} bytes` };
}
