import type { Dispatcher } from "undici";
import { connectionFailureOf } from "./connection-failure.ts";
import { DnsFailure } from "./dns-failure.ts";
import type { PollFailure } from "./connection-failure.ts";
import type { NotStarted } from "../../ports/not-started.ts";
import { answerMaxBytes } from "../polyai/parse.ts";
import type { AnswerHead } from "../polyai/parse.ts";
import { ReuseAwareHandler } from "./reuse-aware-client.ts";

/** How a request ended: a whole answer (`failure` null), or as much of one as came before the failure. */
export type ExchangeEnd = {
  readonly head: AnswerHead | null;
  /** "" unless the answer was a 200: nobody reads another. */
  readonly body: string;
  readonly failure: PollFailure | NotStarted | null;
  /** A connection that had served before broke without a byte of an answer: most likely it had been closed while idle. */
  readonly isStaleConnection: boolean;
};

const over = new Error("the exchange is over");

/** One status request on its way through undici. Ends exactly once, and at most 64 KiB of its answer are read. */
export class StatusExchange extends ReuseAwareHandler implements Dispatcher.DispatchHandler {
  readonly ended: Promise<ExchangeEnd>;
  readonly #end: (end: ExchangeEnd) => void;
  #controller: Dispatcher.DispatchController | null = null;
  #isReused = false;
  #hasAnswerBegun = false;
  #head: AnswerHead | null = null;
  #chunks: Buffer[] = [];
  #bytes = 0;
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
    if (isLookingUp) this.cut(connectionFailureOf(new DnsFailure("ETIMEOUT")));
    else this.cut({ kind: "failed", code: "timeout", detail: `no complete answer within ${timeoutMs} ms` });
  }

  /** Ends it now and lets go of its connection; without effect once it has ended. */
  cut(failure: PollFailure | NotStarted): void {
    this.#finish(failure);
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

  onResponseStart(_controller: Dispatcher.DispatchController, statusCode: number, headers: AnswerHead["headers"]): void {
    // 1xx are interim: the answer is still to come (RFC 9110 §15.2).
    if (statusCode >= 200) this.#head = { statusCode, headers };
    if (statusCode >= 500) this.client?.endAfterAnswer();
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#bytes > answerMaxBytes) this.cut({ kind: "failed", code: "too_large", detail: `answered more than ${answerMaxBytes} bytes` });
    else if (this.#head?.statusCode === 200) this.#chunks.push(chunk);
  }

  onResponseEnd(): void {
    this.#finish(null);
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    this.#finish(connectionFailureOf(error));
  }

  #finish(failure: PollFailure | NotStarted | null): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const [first] = this.#chunks;
    const body =
      first === undefined || failure !== null ? "" : (this.#chunks.length === 1 ? first : Buffer.concat(this.#chunks)).toString();
    this.#chunks = [];
    this.#end({
      head: this.#head,
      body,
      failure,
      isStaleConnection: failure?.kind === "failed" && failure.code === "reset" && this.#isReused && !this.#hasAnswerBegun,
    });
  }
}
