import type { Dispatcher } from "undici";
import type { AttemptOutcome } from "../../domain/deliveries/attempt.ts";
import type { NotStarted } from "../../ports/not-started.ts";
import { ReuseAwareHandler } from "../http-client/reuse-aware-client.ts";
import { DnsFailure } from "../http-client/dns-failure.ts";
import { failureOf, timeoutFailure } from "./failure-class.ts";

const maxAnswerBytes = 64 * 1024;
const excerptBytes = 1024;

export type ExchangeEnd = {
  readonly outcome: AttemptOutcome | NotStarted;
  /** A connection that had served before broke without a byte of an answer: most likely it had been closed while idle. */
  readonly isStaleConnection: boolean;
};

const over = new Error("the exchange is over");

/**
 * One request and its answer. A complete answer, or its head and 64 KiB of its body, is an answer; nothing more is read.
 * Ends exactly once, whatever comes later; ending it early releases the socket.
 */
export class Exchange extends ReuseAwareHandler implements Dispatcher.DispatchHandler {
  readonly ended: Promise<ExchangeEnd>;
  readonly #end: (end: ExchangeEnd) => void;
  #controller: Dispatcher.DispatchController | null = null;
  #isReused = false;
  #hasAnswerBegun = false;
  #statusCode: number | null = null;
  #retryAfter: string | null = null;
  #bytes = 0;
  readonly #excerpt: Buffer[] = [];
  #isOver = false;

  constructor() {
    super();
    const { promise, resolve } = Promise.withResolvers<ExchangeEnd>();
    this.ended = promise;
    this.#end = resolve;
  }

  /** Ends it because its `timeoutMs` have passed. */
  timeOut(timeoutMs: number): void {
    const isLookingUp = this.#controller === null && this.client?.dialStage === "name";
    this.cut(isLookingUp ? failureOf(new DnsFailure("ETIMEOUT"), null) : timeoutFailure(timeoutMs, this.#statusCode));
  }

  /** Ends it with this outcome and lets go of the connection; without effect once it has ended. */
  cut(outcome: AttemptOutcome | NotStarted): void {
    this.#finish(outcome);
    this.#controller?.abort(over);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    // Its time ran out while it waited for a connection.
    if (this.#isOver) controller.abort(over);
    else this.#isReused = this.client?.claimConnection() ?? false;
  }

  onResponseStarted(): void {
    this.#hasAnswerBegun = true;
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    statusCode: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    // 1xx are interim: the answer is still to come (RFC 9110 §15.2).
    if (statusCode < 200) return;
    this.#statusCode = statusCode;
    if (statusCode >= 500) this.client?.endAfterAnswer();
    const retryAfter = headers["retry-after"];
    this.#retryAfter = (Array.isArray(retryAfter) ? retryAfter[0] : retryAfter) ?? null;
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#bytes < excerptBytes) this.#excerpt.push(Buffer.from(chunk.subarray(0, excerptBytes - this.#bytes)));
    this.#bytes += chunk.length;
    if (this.#bytes > maxAnswerBytes) this.cut(this.#answer());
  }

  onResponseEnd(): void {
    this.#finish(this.#answer());
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    this.#finish(failureOf(error, this.#statusCode));
  }

  #answer(): AttemptOutcome {
    if (this.#statusCode === null) throw new Error("an answer has a head");
    return { kind: "answered", statusCode: this.#statusCode, retryAfter: this.#retryAfter, excerpt: textOf(Buffer.concat(this.#excerpt)) };
  }

  #finish(outcome: AttemptOutcome | NotStarted): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const broke = outcome.kind === "failed" && outcome.code === "reset";
    this.#end({ outcome, isStaleConnection: broke && this.#isReused && !this.#hasAnswerBegun });
  }
}

/** Text that any store takes. A character cut at the end is left out; bytes that are no UTF-8 show as U+FFFD. */
function textOf(bytes: Buffer): string {
  const text = new TextDecoder().decode(bytes, { stream: true }).replaceAll("\u0000", "\ufffd");
  return Buffer.byteLength(text) <= excerptBytes
    ? text
    : new TextDecoder().decode(Buffer.from(text).subarray(0, excerptBytes), { stream: true });
}
