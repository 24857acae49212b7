import { hideEchoes } from "../../domain/webhooks/echoed-values.ts";
import type { AttemptOutcome } from "../../domain/deliveries/attempt.ts";
import type { NotStarted } from "../../ports/not-started.ts";
import { headerOf } from "../http-client/answer-head.ts";
import type { AnswerLimits } from "../http-client/answer-reader.ts";
import { decodeBody } from "../http-client/content-coding.ts";
import type { Answer, ExchangeEnd } from "../http-client/exchange.ts";

const excerptMaxBytes = 1024;

/** Limits of an answer to a webhook. The kept bytes suffice to decode an excerpt. */
export const webhookAnswerLimits: AnswerLimits = { bodyMaxBytes: 64 * 1024, keepBytes: 4 * excerptMaxBytes };

/** Returns the outcome of an exchange as an attempt. Secret values of the request are hidden in what the answer says. */
export async function attemptOutcomeOf(
  { answer, failure }: ExchangeEnd,
  secretValues: readonly string[] = [],
): Promise<AttemptOutcome | NotStarted> {
  if (failure?.kind === "not_started") return failure;
  if (failure !== null) return { ...failure, detail: hideEchoes(failure.detail, secretValues), statusCode: answer?.statusCode ?? null };
  const { statusCode, headers } = answer;
  return { kind: "answered", statusCode, retryAfter: headerOf(headers, "retry-after"), excerpt: await excerptOf(answer, secretValues) };
}

async function excerptOf({ body, codings }: Answer, secretValues: readonly string[]): Promise<string> {
  // A value that the end of the excerpt would cut is found in the longer text.
  const bytes = secretValues.length === 0 ? excerptMaxBytes : webhookAnswerLimits.keepBytes;
  const text = codings.length === 0 || body.length === 0 ? body : (await decodeBody(body, codings, bytes)).bytes;
  if (secretValues.length === 0) return textOf(text.subarray(0, excerptMaxBytes));
  return textOf(
    Buffer.from(hideEchoes(new TextDecoder().decode(text.subarray(0, bytes), { stream: true }), secretValues)).subarray(0, excerptMaxBytes),
  );
}

/** Returns text that every store accepts. Cuts half a character at the end, and replaces bytes that are not UTF-8 by U+FFFD. */
function textOf(bytes: Buffer): string {
  const text = new TextDecoder().decode(bytes, { stream: true }).replaceAll("\u0000", "\ufffd");
  return Buffer.byteLength(text) <= excerptMaxBytes
    ? text
    : new TextDecoder().decode(Buffer.from(text).subarray(0, excerptMaxBytes), { stream: true });
}
