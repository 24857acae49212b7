import pRetry from "p-retry";
import { Pool } from "undici";
import type { Clock } from "../../ports/clock.ts";
import type { CallSource, PollAnswer, PollTarget } from "../../ports/call-source.ts";
import { statusRequestOf } from "./kinds.ts";
import type { PolyaiConfig } from "./kinds.ts";
import { parseAnswer } from "./parse.ts";
import { StatusExchange, failureOf } from "./status-exchange.ts";
import type { StatusEnd } from "./status-exchange.ts";

const pollTimeoutMs = 10_000;
const sweepMs = 100;
const connections = 64;

type Running = { readonly exchange: StatusExchange; readonly deadlineMonotonicMs: number };

/** The request may go out a second time: the connection was closed under it before anything was answered. */
class ConnectionReset extends Error {
  readonly end: StatusEnd;
  constructor(end: StatusEnd) {
    super("reset before an answer");
    this.end = end;
  }
}

/** One PolyAI source over one pool of HTTP/1.1 connections; a sweep enforces the 10 s of every poll. */
export class PolyaiSource implements CallSource {
  readonly #clock: Clock;
  readonly #request: ReturnType<typeof statusRequestOf>;
  readonly #pool: Pool;
  readonly #running = new Set<Running>();
  #sweep: NodeJS.Timeout | null = null;

  constructor(config: PolyaiConfig, clock: Clock) {
    this.#clock = clock;
    this.#request = statusRequestOf(config);
    this.#pool = new Pool(this.#request.origin, {
      connections,
      pipelining: 1,
      allowH2: false,
      connectTimeout: pollTimeoutMs,
      // The sweep has one deadline for head and body.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  }

  async poll(target: PollTarget, takeToken: () => boolean): Promise<PollAnswer> {
    const startedMs = this.#clock.monotonicMs();
    const end = await this.#askTwiceAtMost(this.#request.pathOf(target.callSid), startedMs + pollTimeoutMs, takeToken);
    const durationMs = this.#clock.monotonicMs() - startedMs;
    if (end.kind === "failed") return { observation: { kind: "failed", code: end.code, detail: end.detail }, upstreamDateMs: null, durationMs };
    return { observation: parseAnswer(end.answer, this.#clock.nowMs()), upstreamDateMs: end.upstreamDateMs, durationMs };
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }

  async #askTwiceAtMost(path: string, deadlineMonotonicMs: number, takeToken: () => boolean): Promise<StatusEnd> {
    const ask = async () => {
      const end = await this.#ask(path, deadlineMonotonicMs);
      if (end.kind === "failed" && end.code === "reset" && end.beforeAnswer) throw new ConnectionReset(end);
      return end;
    };
    try {
      return await pRetry(ask, { retries: 1, minTimeout: 0, maxTimeout: 0, shouldRetry: ({ error }) => error instanceof ConnectionReset && takeToken() });
    } catch (error) {
      if (error instanceof ConnectionReset) return error.end;
      return { kind: "failed", ...failureOf(error), beforeAnswer: true };
    }
  }

  async #ask(path: string, deadlineMonotonicMs: number): Promise<StatusEnd> {
    const exchange = new StatusExchange();
    const running = { exchange, deadlineMonotonicMs };
    this.#running.add(running);
    this.#sweep ??= setInterval(() => this.#timeOutOverdue(), sweepMs);
    try {
      this.#pool.dispatch({ path, method: "GET", headers: this.#request.headers }, exchange);
      return await exchange.ended;
    } finally {
      this.#running.delete(running);
      if (this.#running.size === 0 && this.#sweep !== null) {
        clearInterval(this.#sweep);
        this.#sweep = null;
      }
    }
  }

  #timeOutOverdue(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const { exchange, deadlineMonotonicMs } of this.#running) if (deadlineMonotonicMs <= nowMs) exchange.timeOut();
  }
}
