import { Pool } from "undici";
import type { Dispatcher } from "undici";
import type { PollFailureCode } from "../../domain/calls/call.ts";
import type { CallSource, PollAnswer, PollTarget } from "../../ports/call-source.ts";
import type { CallBody, CallTrigger } from "../../ports/call-trigger.ts";
import type { Clock } from "../../ports/clock.ts";
import type { AnswerRoom } from "../http-client/answer-budget.ts";
import { headerOf } from "../http-client/answer-head.ts";
import type { AnswerLimits } from "../http-client/answer-reader.ts";
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
import type { TriggerProtocol, UpstreamProtocol } from "../../ports/upstream-kind.ts";
import { TriggerSender } from "./trigger/trigger-sender.ts";
import { correlationIdOf, observeBody, observeHead, upstreamDateOf } from "./observe.ts";

export type UpstreamSourceOptions = {
  /** Shared, and stays open when the source is closed. If left out, the source creates its own for the name servers of the system. */
  readonly names?: UpstreamNames;
  /** Room for the bodies of its answers; unlimited if left out. */
  readonly room?: AnswerRoom;
  /** Number of sockets, each with one request at a time; 128 if left out. */
  readonly maxConnections?: number;
  /** Longest use of a socket; 50 s. */
  readonly maxConnectionAgeMs?: number;
};

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

type Asked = { readonly exchange: Exchange; readonly end: ExchangeEnd };

/** Source behind one pool of HTTP/1.1 connections. A poll takes at most 10 s, its second try included. */
export class UpstreamSource implements CallSource {
  readonly #clock: Clock;
  readonly #protocol: UpstreamProtocol;
  readonly #limits: AnswerLimits;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #pool: Pool;
  readonly #makeClient: () => ReuseAwareClient;
  /** Clients of second tries, one connection each. */
  readonly #fresh = new Set<ReuseAwareClient>();
  readonly #ownNames: UpstreamNames | null;
  readonly #deadlines: DeadlineQueue;
  readonly #triggers: TriggerSender;
  readonly trigger?: CallTrigger;
  #lastDate: { readonly text: string | null; readonly atMs: number | null } = { text: null, atMs: null };

  constructor(protocol: UpstreamProtocol, clock: Clock, options: UpstreamSourceOptions = {}) {
    this.#clock = clock;
    const upstreamNames = options.names ?? new UpstreamNames({ servers: [] });
    this.#ownNames = options.names === undefined ? upstreamNames : null;
    this.#protocol = protocol;
    const { origin, lookupName, headers, answerMaxBytes } = protocol;
    const room = options.room === undefined ? {} : { room: options.room };
    this.#limits = { bodyMaxBytes: answerMaxBytes, keepBytes: answerMaxBytes, ...room };
    this.#headers = { ...headers, "accept-encoding": "identity" };
    this.#deadlines = new DeadlineQueue(clock, pollTimeoutMs);
    const connect = upstreamConnector(upstreamNames, lookupName);
    this.#triggers = new TriggerSender({
      clock,
      limits: this.#limits,
      makeClient: (request) =>
        new ReuseAwareClient(new URL(request.origin), {
          ...connectionOptions,
          connect: upstreamConnector(upstreamNames, request.lookupName),
        }),
    });
    const placing = protocol.trigger;
    if (placing !== undefined) this.trigger = { prepare: (call) => this.#prepare(placing, call) };
    const age = options.maxConnectionAgeMs === undefined ? {} : { maxConnectionAgeMs: options.maxConnectionAgeMs };
    this.#makeClient = () => new ReuseAwareClient(new URL(origin), { ...connectionOptions, connect, ...age });
    this.#pool = new Pool(origin, {
      ...connectionOptions,
      connections: options.maxConnections ?? 128,
      connect,
      factory: this.#makeClient,
    });
  }

  async poll(target: PollTarget, takeToken: () => boolean): Promise<PollAnswer> {
    const startedMonotonicMs = this.#clock.monotonicMs();
    const deadline = this.#deadlines.start();
    const asked = this.#askTwiceAtMost(this.#protocol.pathOf(target.callSid), deadline, takeToken);
    const { end, exchange } = await asked.finally(() => this.#deadlines.finish(deadline));
    const nowMs = this.#clock.nowMs();
    const durationMs = this.#clock.monotonicMs() - startedMonotonicMs;
    const upstreamDateMs = end.answer === null ? null : this.#dateOf(end.answer.headers, nowMs);
    try {
      const observation = await observationOf(end, this.#protocol, nowMs);
      const correlationId = observation.kind === "status" || end.answer === null ? null : correlationIdOf(end.answer);
      return { observation, upstreamDateMs, durationMs, correlationId };
    } finally {
      exchange.release();
    }
  }

  sidFault(callSid: string): string | null {
    return this.#protocol.sidFault(callSid);
  }

  #prepare(trigger: TriggerProtocol, call: CallBody): ReturnType<CallTrigger["prepare"]> {
    const prepared = trigger.prepare(call);
    if (prepared.kind === "invalid") return prepared;
    const { request, number, numberPath, hasCountryCode } = prepared;
    const headers = { ...request.headers, "accept-encoding": "identity" };
    return {
      kind: "ready",
      number,
      numberPath,
      hasCountryCode,
      send: () => this.#triggers.send({ ...request, headers }, this.#protocol, trigger),
    };
  }

  async close(): Promise<void> {
    await this.#triggers.close();
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
  async #askTwiceAtMost(path: string, deadline: Deadline, takeToken: () => boolean): Promise<Asked> {
    const first = await this.#ask(this.#pool, path, deadline);
    const { staleness } = first.end;
    if (staleness === "none" || this.#pool.destroyed || deadline.isOver) return first;
    if (staleness === "no_answer" && !takeToken()) return first;
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

  async #ask(dispatcher: Dispatcher, path: string, deadline: Deadline): Promise<Asked> {
    const exchange = new Exchange(this.#limits);
    deadline.onOver = () => exchange.timeOut(pollTimeoutMs);
    dispatcher.dispatch({ path, method: "GET", headers: this.#headers }, exchange);
    return { exchange, end: await exchange.ended };
  }
}

/** Returns the observation of a poll. For a status other than 200 the head suffices. */
async function observationOf(
  { answer, failure }: ExchangeEnd,
  protocol: UpstreamProtocol,
  nowMs: number,
): Promise<PollAnswer["observation"]> {
  const observation = answer === null ? null : observeHead(answer, protocol.statusCodes, nowMs);
  if (observation !== null) return observation;
  if (failure?.kind === "not_started") return failure;
  if (failure !== null) return { kind: "failed", code: pollFailureCodes[failure.code], detail: failure.detail };
  const { body, codings, isCut } = answer;
  const { answerMaxBytes } = protocol;
  const decoded = codings.length === 0 || isCut ? { bytes: body, isCut } : await decodeBody(body, codings, answerMaxBytes);
  if (!decoded.isCut) return observeBody(decoded.bytes.toString(), protocol);
  return { kind: "failed", code: "too_large", detail: `answered more than ${answerMaxBytes} bytes` };
}
