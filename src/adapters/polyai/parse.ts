import { z } from "zod";
import { reasonMaxBytes } from "../../domain/call.ts";
import type { Observation } from "../../domain/call.ts";
import { parseRetryAfter } from "../../domain/retry-after.ts";

/** The most of an answer that is read. */
export const answerMaxBytes = 64 * 1024;

// Both kinds answer alike but for the case of the status; unknown keys are none of our business.
const statusAnswer = z.looseObject({ status: z.string().trim().min(1).max(200), reason: z.string().nullish() });

export type UpstreamAnswer = {
  readonly statusCode: number;
  readonly retryAfter: string | null;
  /** As UTF-8; null when it was longer than `answerMaxBytes`. */
  readonly body: string | null;
};

/** What an answer of the status API says of the call. Nothing an upstream sends makes it throw. */
export function parseAnswer(answer: UpstreamAnswer, nowMs: number): Observation {
  const { statusCode } = answer;
  switch (statusCode) {
    case 200:
      return parseStatus(answer.body);
    case 400:
      return { kind: "rejected" };
    case 401:
    case 403:
      return { kind: "unauthorized", statusCode };
    case 404:
      return { kind: "not_found" };
    case 429:
      return { kind: "rate_limited", retryAfterMs: parseRetryAfter(answer.retryAfter, nowMs) };
    default:
      return { kind: "failed", code: failureCodeOf(statusCode), detail: `answered ${statusCode}` };
  }
}

function parseStatus(body: string | null): Observation {
  if (body === null) return { kind: "failed", code: "too_large", detail: `answered more than ${answerMaxBytes} bytes` };
  const parsed = statusAnswer.safeParse(parseJson(body));
  if (!parsed.success) return { kind: "failed", code: "not_json", detail: "answered 200 without a status in JSON" };
  return { kind: "status", status: parsed.data.status.toLowerCase(), reason: cutReason(parsed.data.reason ?? "") };
}

function failureCodeOf(statusCode: number): Extract<Observation, { kind: "failed" }>["code"] {
  if (statusCode >= 500) return "server_error";
  return statusCode >= 300 && statusCode < 400 ? "redirect" : "unexpected_status";
}

/** At most 2 KiB of UTF-8, whole characters only. */
function cutReason(reason: string): string {
  const bytes = Buffer.from(reason.toWellFormed());
  return bytes.length <= reasonMaxBytes ? reason.toWellFormed() : new TextDecoder().decode(bytes.subarray(0, reasonMaxBytes), { stream: true });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
