import type { ServerResponse } from "node:http";
import type { Clock } from "../ports/clock.ts";

/** Behaviour of the upstream that replaces its regular answer. */
export type FaultKind =
  /** The regular answer, delayed by `delayMs`. */
  | { readonly kind: "slow" }
  /**
   * An error with `body`, or with the API's own body. `retryAfter` is sent verbatim. `retryAfterDateMs` is sent as an
   * HTTP-date, that number of milliseconds in the future.
   */
  | {
      readonly kind: "status";
      readonly statusCode: number;
      readonly retryAfter?: string;
      readonly retryAfterDateMs?: number;
      readonly body?: string;
    }
  | { readonly kind: "redirect"; readonly location: string }
  /** Resets the connection before any answer. */
  | { readonly kind: "reset" }
  /** Never answers; the connection stays open. */
  | { readonly kind: "hang" }
  /** 200 with a body that is not JSON. */
  | { readonly kind: "not_json"; readonly body?: string }
  /** 200 with JSON of `bytes`, most of it in an unknown key. */
  | { readonly kind: "huge"; readonly bytes: number }
  /** The regular answer, one byte every `everyMs`. */
  | { readonly kind: "drip"; readonly everyMs: number }
  /** The head and half of the body, then a reset. */
  | { readonly kind: "truncate" };

/** Fault with its delay and the number of polls that it affects (`times`). Without `times` it affects all polls until it is cleared. */
export type Fault = FaultKind & { readonly delayMs?: number; readonly times?: number };

export type Answer = { readonly statusCode: number; readonly headers: Readonly<Record<string, string>>; readonly body: string };

/** Queue of faults; each affects its number of polls before the next one applies. */
export class FaultQueue {
  readonly #entries: { readonly fault: Fault; left: number }[] = [];

  add(fault: Fault): void {
    this.#entries.push({ fault, left: fault.times ?? Number.POSITIVE_INFINITY });
  }

  clear(): void {
    this.#entries.length = 0;
  }

  /** Returns the fault for this poll; `null` if there is none. */
  take(): Fault | null {
    const entry = this.#entries[0];
    if (entry === undefined) return null;
    if (--entry.left <= 0) this.#entries.shift();
    return entry.fault;
  }
}

/** Returns the status code that is sent; `null` if no complete answer is. */
export function faultStatus(fault: Fault, usual: Answer): number | null {
  switch (fault.kind) {
    case "status":
      return fault.statusCode;
    case "redirect":
      return 302;
    case "not_json":
    case "huge":
      return 200;
    case "slow":
    case "drip":
      return usual.statusCode;
    case "reset":
    case "hang":
    case "truncate":
      return null;
  }
}

/** Returns the answer that replaces the regular one; `null` if the fault only affects its transmission. */
function faultAnswer(fault: Fault, usual: Answer, errorAnswer: (statusCode: number) => Answer, nowMs: number): Answer | null {
  switch (fault.kind) {
    case "status": {
      const error = errorAnswer(fault.statusCode);
      const date = fault.retryAfterDateMs === undefined ? undefined : new Date(nowMs + fault.retryAfterDateMs).toUTCString();
      const retryAfter = fault.retryAfter ?? date;
      const headers = retryAfter === undefined ? error.headers : { ...error.headers, "retry-after": retryAfter };
      return { statusCode: fault.statusCode, headers, body: fault.body ?? error.body };
    }
    case "redirect":
      return { statusCode: 302, headers: { location: fault.location }, body: "" };
    case "not_json":
      return { statusCode: 200, headers: { "content-type": "text/html" }, body: fault.body ?? "<html>maintenance</html>" };
    case "huge":
      return { ...usual, statusCode: 200, body: JSON.stringify({ padding: "x".repeat(fault.bytes), status: "success", reason: "" }) };
    case "slow":
      return usual;
    case "reset":
    case "hang":
    case "drip":
    case "truncate":
      return null;
  }
}

/** Sends an answer with the fault applied; its timers end with the connection. */
export function injectFault(
  response: ServerResponse,
  fault: Fault,
  usual: Answer,
  errorAnswer: (statusCode: number) => Answer,
  clock: Clock,
): void {
  const send = () => {
    const answer = faultAnswer(fault, usual, errorAnswer, clock.nowMs());
    if (answer !== null) sendAnswer(response, answer);
    else if (fault.kind === "reset") response.socket?.resetAndDestroy();
    else if (fault.kind === "truncate") truncate(response, usual);
    else if (fault.kind === "drip") drip(response, usual, fault.everyMs, clock);
  };
  if (fault.delayMs === undefined || fault.delayMs <= 0) return send();
  const timer = clock.setTimer(fault.delayMs, send);
  response.once("close", () => timer.cancel());
}

export function sendAnswer(response: ServerResponse, answer: Answer): void {
  response.writeHead(answer.statusCode, { ...answer.headers, "content-length": Buffer.byteLength(answer.body) });
  response.end(answer.body);
}

function truncate(response: ServerResponse, answer: Answer): void {
  response.writeHead(answer.statusCode, { ...answer.headers, "content-length": Buffer.byteLength(answer.body) });
  response.write(answer.body.slice(0, answer.body.length / 2), () => response.socket?.resetAndDestroy());
}

function drip(response: ServerResponse, answer: Answer, everyMs: number, clock: Clock): void {
  const body = Buffer.from(answer.body);
  response.writeHead(answer.statusCode, { ...answer.headers, "content-length": body.length });
  response.flushHeaders();
  let sent = 0;
  let timer = clock.setTimer(everyMs, next);
  response.once("close", () => timer.cancel());
  function next(): void {
    response.write(body.subarray(sent, ++sent));
    if (sent >= body.length) response.end();
    else timer = clock.setTimer(everyMs, next);
  }
}
