import { z } from "zod";
import { reasonMaxBytes } from "../../domain/calls/call.ts";
import type { Observation, PollFailureCode } from "../../domain/calls/call.ts";
import { parseHttpDate, parseRetryAfter } from "../../domain/deliveries/retry-after.ts";
import { headerOf } from "../http-client/answer-head.ts";
import type { AnswerHead, AnswerHeaders } from "../http-client/answer-head.ts";
import type { UpstreamKind, UpstreamStatus } from "../../ports/upstream-kind.ts";

/** Maximum length of the body of an answer, before and after decoding. */
export const answerMaxBytes = 64 * 1024;

/** Maximum length of a status. No API has a longer word, and a longer one would not fit into a webhook. */
const statusMaxLength = 128;

/** Body with a status. Unknown keys are ignored, and so is a reason that is not text, because the status must count. */
const statusBody = z.looseObject({ status: z.string(), reason: z.string().catch("") });

/** Reads `{"status", "reason"}`, the body of both APIs of PolyAI; `null` if it has no status. */
export function readStatus(body: unknown): UpstreamStatus | null {
  const parsed = statusBody.safeParse(body);
  return parsed.success ? parsed.data : null;
}

/** Returns the observation of a head; `null` for a 200, because its body decides. */
export function observeHead({ statusCode, headers }: AnswerHead, nowMs: number): Observation | null {
  switch (statusCode) {
    case 200:
      return null;
    case 400:
      return { kind: "rejected" };
    case 401:
    case 403:
      return { kind: "unauthorized", statusCode };
    case 404:
      return { kind: "not_found" };
    case 429:
      return { kind: "rate_limited", retryAfterMs: parseRetryAfter(headerOf(headers, "retry-after"), nowMs) };
    default:
      return failed(failureCodeOf(statusCode), `answered ${statusCode}`);
  }
}

/** Returns the observation of a 200's body, which `statusOf` reads. */
export function observeBody(body: string, statusOf: UpstreamKind["statusOf"]): Observation {
  const read = statusOf(parseJson(body));
  if (read === null) return failed("not_json", "answered 200 without a status in JSON");
  const status = storable(read.status).trim().toLowerCase();
  if (status === "" || status.length > statusMaxLength) return failed("not_json", "answered 200 with a status that is none");
  return { kind: "status", status, reason: cutReason(storable(read.reason)) };
}

/** Returns the `Date` of an answer in epoch milliseconds; `null` if there is none that can be read. */
export function upstreamDateOf(headers: AnswerHeaders, nowMs: number): number | null {
  const date = headerOf(headers, "date");
  return date === null ? null : parseHttpDate(date, nowMs);
}

function failureCodeOf(statusCode: number): PollFailureCode {
  if (statusCode >= 500) return "server_error";
  return statusCode >= 300 && statusCode < 400 ? "redirect" : "unexpected_status";
}

function failed(code: PollFailureCode, detail: string): Observation {
  return { kind: "failed", code, detail };
}

/**
 * Replaces half surrogate pairs and NUL, which no text column can hold. Otherwise a stored status would differ from that of
 * the next poll.
 */
function storable(text: string): string {
  return text.toWellFormed().replaceAll("\u0000", "\ufffd");
}

/** Cuts a reason to at most 2 KiB of UTF-8, at a character. */
function cutReason(reason: string): string {
  // A UTF-16 unit is three bytes at most.
  if (reason.length * 3 <= reasonMaxBytes) return reason;
  const bytes = Buffer.from(reason);
  if (bytes.length <= reasonMaxBytes) return reason;
  let end = reasonMaxBytes;
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return bytes.toString("utf8", 0, end);
}

function parseJson(text: string): unknown {
  try {
    // RFC 8259 section 8.1 lets a parser ignore a byte order mark.
    return JSON.parse(text.startsWith("\ufeff") ? text.slice(1) : text);
  } catch {
    return undefined;
  }
}
