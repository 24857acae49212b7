import type { Dispatcher } from "undici";
import type { NotStarted } from "../../ports/not-started.ts";
import type { AnswerHead } from "./answer-head.ts";
import { AnswerReader } from "./answer-reader.ts";
import type { AnswerLimits } from "./answer-reader.ts";
import { ConnectFailure, networkFailureOf, protocolFailure, timeoutFailure } from "./network-failure.ts";
import type { NetworkFailure } from "./network-failure.ts";
import { localFailureCodeOf } from "./local-failure.ts";
import { ReuseAwareHandler } from "./reuse-aware-client.ts";

/** An answer whose status came, as far as it came. */
export type Answer = AnswerHead & {
  /** As it came: still in its codings. */
  readonly body: Buffer;
  /** The content and transfer codings of the body, chunked aside, in the order in which they were applied. */
  readonly codings: readonly string[];
  /** Whether the body is longer than is read. */
  readonly isCut: boolean;
};

/**
 * How an exchange ended. `failure` is `not_started` if this machine was at fault and nothing was sent, and `null` if the answer is whole or cut, or has a status other than 2xx, which counts
 * whatever became of the rest. Beside a failure an answer is `null` unless the head of a 2xx was whole.
 */
export type ExchangeEnd = { readonly staleness: Staleness } & (
  | { readonly answer: Answer; readonly failure: null }
  | { readonly answer: Answer | null; readonly failure: NetworkFailure | NotStarted }
);

/**
 * Whether the other side can have seen nothing of the request, because its connection had most likely been closed while it
 * was idle. `not_sent`: it broke before the request was written. `no_answer`: it had carried a request before and broke
 * without a byte of an answer.
 */
export type Staleness = "none" | "not_sent" | "no_answer";

const unfinished = protocolFailure("it has no end");
const over = new Error("the exchange is over");

/** One request and its answer through undici's `dispatch`. Ends exactly once; an early end releases the connection. */
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

  /** Ends it and lets go of the connection; without effect once it has ended. */
  cut(failure: NetworkFailure): void {
    this.#finish(failure, "none");
    this.#controller?.abort(over);
  }

  /** Ends it because its `timeoutMs` have passed. */
  timeOut(timeoutMs: number): void {
    const stage = this.#controller === null ? (this.link?.dialStage ?? "address") : "answer";
    this.cut(timeoutFailure(timeoutMs, stage));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    // Its time ran out while it waited for a connection.
    if (this.#isOver) controller.abort(over);
    else this.#isReused = this.link?.begin(this.#reader).isReused ?? false;
  }

  /** Required by undici: its answer is ours. */
  onResponseStart(): void {}

  onResponseData(): void {}

  onResponseEnd(): void {
    // The reader is over: its answer is whole, or it says what is wrong.
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
