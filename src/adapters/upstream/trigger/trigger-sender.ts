import { hideEchoes } from "../../../domain/webhooks/echoed-values.ts";
import { triggerTimeoutMs } from "../../../domain/calls/placing.ts";
import type { TriggerOutcome } from "../../../ports/call-trigger.ts";
import type { Clock } from "../../../ports/clock.ts";
import type { TriggerProtocol, TriggerRequest, UpstreamProtocol } from "../../../ports/upstream-kind.ts";
import { decodeBody } from "../../http-client/content-coding.ts";
import { DeadlineQueue } from "../../http-client/deadline-queue.ts";
import type { AnswerLimits } from "../../http-client/answer-reader.ts";
import { Exchange } from "../../http-client/exchange.ts";
import type { Answer } from "../../http-client/exchange.ts";
import type { ReuseAwareClient } from "../../http-client/reuse-aware-client.ts";
import { observeHead } from "../observe.ts";
import { storable } from "../storable.ts";

export type TriggerSenderOptions = {
  readonly clock: Clock;
  readonly limits: AnswerLimits;
  /** Makes a client with one connection, which is not made before the request. */
  readonly makeClient: (request: Pick<TriggerRequest, "origin" | "lookupName">) => ReuseAwareClient;
};

const wordsMaxBytes = 1024;
/** Bytes in which a credential is looked for, so that the end of the words cuts none. */
const readWordsBytes = 4 * wordsMaxBytes;
const plainHeaders = /^(?:content-|accept|user-agent$|host$)/i;

/** Sends triggers of one source. Each has a connection of its own, because a request on a used one may be lost with it. */
export class TriggerSender {
  readonly #options: TriggerSenderOptions;
  readonly #deadlines: DeadlineQueue;
  readonly #clients = new Set<ReuseAwareClient>();

  constructor(options: TriggerSenderOptions) {
    this.#options = options;
    this.#deadlines = new DeadlineQueue(options.clock, triggerTimeoutMs);
  }

  async send(request: TriggerRequest, protocol: UpstreamProtocol, trigger: TriggerProtocol): Promise<TriggerOutcome> {
    const { clock, limits, makeClient } = this.#options;
    const client = makeClient(request);
    this.#clients.add(client);
    const exchange = new Exchange(limits);
    const deadline = this.#deadlines.start();
    deadline.onOver = () => exchange.timeOut(triggerTimeoutMs);
    try {
      const { method, path, headers, body } = request;
      client.dispatch({ method, path, headers, body }, exchange);
      const { answer, failure } = await exchange.ended;
      if (answer !== null && (failure === null || answer.statusCode >= 300))
        return await outcomeOf(answer, { protocol, trigger, secretValues: secretValuesOf(headers) }, clock.nowMs());
      const detail = failure === null ? "no answer" : failure.kind === "not_started" ? failure.code : failure.detail;
      return exchange.hasBegun ? { kind: "unknown", reason: detail } : { kind: "not_sent", detail };
    } finally {
      exchange.release();
      this.#deadlines.finish(deadline);
      this.#clients.delete(client);
      // Before the client could write a request that has ended without one.
      void client.destroy();
    }
  }

  /** Breaks off the triggers in flight: their outcome is unknown. */
  async close(): Promise<void> {
    await Promise.all([...this.#clients].map((client) => client.destroy()));
  }
}

/** Returns the outcome that a head, and the body of a 2xx, say. */
async function outcomeOf(
  answer: Answer,
  {
    protocol,
    trigger,
    secretValues,
  }: { readonly protocol: UpstreamProtocol; readonly trigger: TriggerProtocol; readonly secretValues: readonly string[] },
  nowMs: number,
): Promise<TriggerOutcome> {
  const { statusCode } = answer;
  if (statusCode < 200 || statusCode >= 500 || statusCode === 408 || (statusCode >= 300 && statusCode < 400))
    return { kind: "unknown", reason: `answered ${statusCode}` };
  if (statusCode >= 400) {
    const observation = observeHead(answer, { ...protocol.statusCodes, notFound: [], rejected: [] }, nowMs);
    if (observation?.kind === "rate_limited") return { kind: "rate_limited", retryAfterMs: observation.retryAfterMs };
    if (observation?.kind === "unauthorized" && observation.statusCode === 401) return { kind: "unauthorized" };
    return { kind: "refused", statusCode, words: await wordsOf(answer, protocol.answerMaxBytes, secretValues) };
  }
  const { bytes, isCut } = await decoded(answer, protocol.answerMaxBytes);
  const callSid = isCut ? null : trigger.callSidOf(bytes.toString());
  if (callSid === null || protocol.sidFault(callSid) !== null) return { kind: "unknown", reason: `answered ${statusCode} without a SID` };
  return { kind: "placed", callSid };
}

async function decoded({ body, codings, isCut }: Answer, maxBytes: number): Promise<{ readonly bytes: Buffer; readonly isCut: boolean }> {
  return codings.length === 0 || isCut ? { bytes: body, isCut } : decodeBody(body, codings, maxBytes);
}

/** Values of the headers that may hold the credential of the source, which no account may see. */
function secretValuesOf(headers: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(headers).flatMap(([name, value]) => (plainHeaders.test(name) ? [] : [value]));
}

/** Returns the beginning of a refusal, without control characters and without the credential, which an upstream may repeat. */
async function wordsOf(answer: Answer, maxBytes: number, secretValues: readonly string[]): Promise<string> {
  const { bytes } = await decoded(answer, maxBytes);
  const hidden = hideEchoes(bytes.toString("utf8", 0, readWordsBytes), secretValues);
  const text = storable(Buffer.from(hidden).toString("utf8", 0, wordsMaxBytes))
    .replaceAll(/\p{Cc}+/gu, " ")
    .trim();
  // A character that was cut becomes a replacement character.
  return text.replace(/\ufffd$/, "");
}
