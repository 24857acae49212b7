import type { Dispatcher } from "undici";
import type { NotStarted } from "../../ports/not-started.ts";
import type { AnswerHead } from "./answer-head.ts";
import { AnswerReader } from "./answer-reader.ts";
import type { AnswerLimits } from "./answer-reader.ts";
import { ConnectFailure, networkFailureOf, protocolFailure, timeoutFailure } from "./network-failure.ts";
import type { NetworkFailure } from "./network-failure.ts";
import { localFailureCodeOf } from "./local-failure.ts";
import { ReuseAwareHandler } from "./reuse-aware-client.ts";

/** Answer with a status, as far as it was read. */
export type Answer = AnswerHead & {
  /** Beginning of the body, still in its codings. */
  readonly body: Buffer;
  /** Codings of the body, chunked aside, in the order of application. */
  readonly codings: readonly string[];
  /** Whether the body is longer than its limit. */
  readonly isCut: boolean;
};

/**
 * End of an exchange. `failure` is `not_started` if this machine failed and nothing was sent. `failure` is `null` if the
 * answer is complete or cut, or if its status is not 2xx, because such a status counts even if the rest is missing or
 * malformed. If there is a failure, `answer` is a 2xx with a complete head, or `null`.
 */
export type ExchangeEnd = { readonly staleness: Staleness } & (
  | { readonly answer: Answer; readonly failure: null }
  | { readonly answer: Answer | null; readonly failure: NetworkFailure | NotStarted }
);

/**
 * Evidence that the peer had closed an idle connection and has not seen the request. `not_sent`: the connection broke
 * before the request was written. `no_answer`: the connection had carried a request before, and broke before the first byte
 * of this answer.
 */
export type Staleness = "none" | "not_sent" | "no_answer";

const unfinished = protocolFailure("it has no end");
const over = new Error("the exchange is over");

/** One request and its answer, through the `dispatch` of undici. Ends exactly once; an early end releases the connection. */
export class Exchange extends ReuseAwareHandler implements Dispatcher.DispatchHandler {
  readonly ended: Promise<ExchangeEnd>;
  readonly #end: (end: ExchangeEnd) => void;
  readonly #reader: AnswerReader;
  #controller: Dispatcher.DispatchController | null = null;
  #isReused = false;
  #isOver = false;

  constructor(limits: AnswerLimits) {
    super();
    const { promise, resolve } = Promise.withResolvers<ExchangeEnd>();
    this.ended = promise;
    this.#end = resolve;
    this.#reader = new AnswerReader(limits);
  }

  /** Ends the exchange and releases its connection. Does nothing if it has ended. */
  cut(failure: NetworkFailure): void {
    this.#finish(failure, "none");
    this.#controller?.abort(over);
  }

  /** Whether the request was handed to a connection, so that bytes of it may have left. */
  get hasBegun(): boolean {
    return this.#controller !== null;
  }

  /** Gives the room of the answer back, once nothing uses it any more. */
  release(): void {
    this.#reader.releaseRoom();
  }

  /** Ends the exchange because its `timeoutMs` have passed. */
  timeOut(timeoutMs: number): void {
    const stage = this.#controller === null ? (this.link?.dialStage ?? "address") : "answer";
    this.cut(timeoutFailure(timeoutMs, stage));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    // The exchange ended while it waited for a connection.
    if (this.#isOver) controller.abort(over);
    else this.#isReused = this.link?.begin(this.#reader).isReused ?? false;
  }

  /** Required by undici. The answer that undici sees is made by `HttpConnection`, so nothing is read from it. */
  onResponseStart(): void {}

  onResponseData(): void {}

  onResponseEnd(): void {
    // The reader is over: its answer is complete, or has a fault that replaces this failure.
    this.#finish(unfinished, "none");
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    const localCode = this.#controller === null ? localFailureCodeOf(error) : null;
    if (localCode !== null) return this.#finish({ kind: "not_started", code: localCode }, "none");
    const failure = networkFailureOf(error);
    const isUnanswered = failure.code === "reset" && !this.#reader.hasBegun;
    if (isUnanswered && this.#controller === null && !(error instanceof ConnectFailure)) this.#finish(failure, "not_sent");
    else this.#finish(failure, isUnanswered && this.#isReused ? "no_answer" : "none");
    return undefined;
  }

  #finish(failure: NetworkFailure | NotStarted, staleness: Staleness): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const { statusCode, headers, body, codings, isCut, isHeadWhole, isWhole, fault } = this.#reader;
    const answer = statusCode === null ? null : { statusCode, headers, body, codings, isCut };
    const isSuccess = statusCode !== null && statusCode >= 200 && statusCode <= 299;
    if (answer !== null && (isWhole || !isSuccess)) this.#end({ answer, failure: null, staleness: "none" });
    else this.#end({ answer: isHeadWhole ? answer : null, failure: fault === null ? failure : protocolFailure(fault), staleness });
  }
}
