import type { Dispatcher } from "undici";
import type { AttemptOutcome } from "../../domain/attempt.ts";
import { failureOf } from "./failure-class.ts";
import { hadAnsweredBefore } from "./guarded-connector.ts";

const maxAnswerBytes = 64 * 1024;
const excerptBytes = 1024;

export type ExchangeEnd = {
  readonly outcome: AttemptOutcome;
  /** A reused connection broke before an answer began. */ readonly staleConnection: boolean;
};

const aborted = new Error("the exchange is over");

/**
 * One request and its answer. Reads at most 64 KiB: a complete head and so much of a body is an answer. Ends exactly
 * once, whatever comes later; ending it early releases the socket.
 */
export class Exchange implements Dispatcher.DispatchHandler {
  readonly ended: Promise<ExchangeEnd>;
  readonly #end: (end: ExchangeEnd) => void;
  #controller: Dispatcher.DispatchController | null = null;
  #statusCode: number | null = null;
  #retryAfter: string | null = null;
  #bytes = 0;
  readonly #excerpt: Buffer[] = [];
  #isOver = false;

  constructor() {
    const { promise, resolve } = Promise.withResolvers<ExchangeEnd>();
    this.ended = promise;
    this.#end = resolve;
  }

  get statusCode(): number | null {
    return this.#statusCode;
  }

  /** Ends it with this outcome and lets go of the connection. */
  abort(outcome: AttemptOutcome): void {
    this.#finish({ outcome, staleConnection: false });
    this.#controller?.abort(aborted);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    // Its time ran out while it waited for a connection.
    if (this.#isOver) controller.abort(aborted);
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    statusCode: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    // 1xx are interim: the answer is still to come (RFC 9110 §15.2).
    if (statusCode < 200) return;
    this.#statusCode = statusCode;
    const retryAfter = headers["retry-after"];
    this.#retryAfter = (Array.isArray(retryAfter) ? retryAfter[0] : retryAfter) ?? null;
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#bytes < excerptBytes) this.#excerpt.push(chunk.subarray(0, excerptBytes - this.#bytes));
    this.#bytes += chunk.length;
    if (this.#bytes <= maxAnswerBytes) return;
    this.#finishAnswered();
    controller.abort(aborted);
  }

  onResponseEnd(): void {
    this.#finishAnswered();
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    const staleConnection = this.#statusCode === null && hadAnsweredBefore(error);
    this.#finish({ outcome: failureOf(error, this.#statusCode), staleConnection });
  }

  #finishAnswered(): void {
    // What was cut inside a character is left out.
    const excerpt = new TextDecoder().decode(Buffer.concat(this.#excerpt), { stream: true }).replaceAll("\u0000", "");
    const outcome: AttemptOutcome =
      this.#statusCode === null
        ? { kind: "failed", code: "protocol", detail: "the answer has no status", statusCode: null, permanent: false }
        : { kind: "answered", statusCode: this.#statusCode, retryAfter: this.#retryAfter, excerpt };
    this.#finish({ outcome, staleConnection: false });
  }

  #finish(end: ExchangeEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#end(end);
  }
}
