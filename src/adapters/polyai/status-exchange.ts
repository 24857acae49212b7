import type { Dispatcher } from "undici";
import type { PollFailureCode } from "../../domain/call.ts";
import { answerMaxBytes } from "./parse.ts";
import type { UpstreamAnswer } from "./parse.ts";

export type StatusEnd =
  | { readonly kind: "answer"; readonly answer: UpstreamAnswer; readonly upstreamDateMs: number | null }
  | { readonly kind: "failed"; readonly code: PollFailureCode; readonly detail: string; readonly beforeAnswer: boolean };

const over = new Error("the poll is over");
const dnsCodes = new Set(["ENOTFOUND", "EAI_AGAIN", "EAI_FAIL", "ENODATA"]);
const resetCodes = new Set(["ECONNRESET", "EPIPE", "UND_ERR_SOCKET"]);
const timeoutCodes = new Set(["UND_ERR_CONNECT_TIMEOUT", "UND_ERR_HEADERS_TIMEOUT", "UND_ERR_BODY_TIMEOUT", "ETIMEDOUT"]);

/** One status request: the answer, at most 64 KiB of it, or how it failed. Ends exactly once. */
export class StatusExchange implements Dispatcher.DispatchHandler {
  readonly ended: Promise<StatusEnd>;
  readonly #end: (end: StatusEnd) => void;
  #controller: Dispatcher.DispatchController | null = null;
  #statusCode: number | null = null;
  #headers: Readonly<Record<string, string | string[] | undefined>> = {};
  #chunks: Buffer[] = [];
  #bytes = 0;
  #isOver = false;

  constructor() {
    const { promise, resolve } = Promise.withResolvers<StatusEnd>();
    this.ended = promise;
    this.#end = resolve;
  }

  timeOut(): void {
    this.#finish({ kind: "failed", code: "timeout", detail: "no complete answer in time", beforeAnswer: this.#statusCode === null });
    this.#controller?.abort(over);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#isOver) controller.abort(over);
  }

  onResponseStart(_controller: Dispatcher.DispatchController, statusCode: number, headers: Record<string, string | string[] | undefined>): void {
    if (statusCode < 200) return;
    this.#statusCode = statusCode;
    this.#headers = headers;
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#bytes <= answerMaxBytes) {
      this.#chunks.push(chunk);
      return;
    }
    this.#answer(null);
    controller.abort(over);
  }

  onResponseEnd(): void {
    const [first] = this.#chunks;
    const body = first === undefined ? "" : this.#chunks.length === 1 ? first : Buffer.concat(this.#chunks);
    this.#answer(body.toString("utf8"));
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    this.#finish({ kind: "failed", ...failureOf(error), beforeAnswer: this.#statusCode === null });
  }

  #answer(body: string | null): void {
    const statusCode = this.#statusCode ?? 0;
    this.#finish({ kind: "answer", answer: { statusCode, retryAfter: this.#header("retry-after"), body }, upstreamDateMs: this.#dateMs() });
  }

  #dateMs(): number | null {
    const date = this.#header("date");
    const atMs = date === null ? Number.NaN : Date.parse(date);
    return Number.isNaN(atMs) ? null : atMs;
  }

  #header(name: string): string | null {
    const value = this.#headers[name];
    return (Array.isArray(value) ? value[0] : value) ?? null;
  }

  #finish(end: StatusEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#chunks = [];
    this.#end(end);
  }
}

/** The class of a network failure; the detail names its code and never the request. */
export function failureOf(error: unknown): { readonly code: PollFailureCode; readonly detail: string } {
  const code = errorCodeOf(error);
  if (timeoutCodes.has(code)) return { code: "timeout", detail: code };
  if (resetCodes.has(code)) return { code: "reset", detail: code };
  if (dnsCodes.has(code)) return { code: "dns", detail: code };
  if (/^(?:ERR_TLS|ERR_SSL|CERT_|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED|EPROTO)/.test(code)) return { code: "tls", detail: code };
  return { code: code.startsWith("HPE_") || code.startsWith("UND_ERR") ? "not_json" : "connect", detail: code };
}

function errorCodeOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return errorCodeOf(error.errors[0]);
  const { code } = error as { code?: unknown };
  return typeof code === "string" ? code : "unknown";
}
