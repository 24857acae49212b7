import type { AttemptOutcome } from "../../domain/deliveries/attempt.ts";
import type { NotStarted } from "../../ports/not-started.ts";
import { headerOf } from "../http-client/answer-head.ts";
import type { AnswerLimits } from "../http-client/answer-reader.ts";
import { decodeBody } from "../http-client/content-coding.ts";
import type { Answer, ExchangeEnd } from "../http-client/exchange.ts";

const excerptMaxBytes = 1024;

/** What is kept is enough to decode an excerpt from. */
export const webhookAnswerLimits: AnswerLimits = { bodyMaxBytes: 64 * 1024, keepBytes: 4 * excerptMaxBytes };

/** Returns what an exchange came to for the delivery. */
export async function attemptOutcomeOf({ answer, failure }: ExchangeEnd): Promise<AttemptOutcome | NotStarted> {
  if (failure?.kind === "not_started") return failure;
  if (failure !== null) return { ...failure, statusCode: answer?.statusCode ?? null };
  const { statusCode, headers } = answer;
  return { kind: "answered", statusCode, retryAfter: headerOf(headers, "retry-after"), excerpt: await excerptOf(answer) };
}

async function excerptOf({ body, codings }: Answer): Promise<string> {
  if (codings.length === 0 || body.length === 0) return textOf(body.subarray(0, excerptMaxBytes));
  return textOf((await decodeBody(body, codings, excerptMaxBytes)).bytes.subarray(0, excerptMaxBytes));
}

/** Text that any store takes. A character cut at the end is left out; bytes that are no UTF-8 show as U+FFFD. */
function textOf(bytes: Buffer): string {
  const text = new TextDecoder().decode(bytes, { stream: true }).replaceAll("\u0000", "\ufffd");
  return Buffer.byteLength(text) <= excerptMaxBytes
    ? text
    : new TextDecoder().decode(Buffer.from(text).subarray(0, excerptMaxBytes), { stream: true });
}
