import { reasonMaxBytes } from "../../domain/calls/call.ts";
import type { Observation, PollFailureCode } from "../../domain/calls/call.ts";
import { parseHttpDate, parseRetryAfter, retryAfterMaxMs } from "../../domain/deliveries/retry-after.ts";
import { isMappedStatus, statusWordMaxLength } from "../../domain/sources/status-map.ts";
import { headerOf } from "../http-client/answer-head.ts";
import type { AnswerHead, AnswerHeaders } from "../http-client/answer-head.ts";
import type { StatusCodes, UpstreamProtocol } from "../../ports/upstream-kind.ts";
import { parseJson } from "./parse-json.ts";
import { storable } from "./storable.ts";

/** Returns the observation of a head; `null` for a 200, because its body decides. */
export function observeHead({ statusCode, headers }: AnswerHead, codes: StatusCodes, nowMs: number): Observation | null {
  if (statusCode === 200) return null;
  if (statusCode === 429) return { kind: "rate_limited", retryAfterMs: waitOf(headers, nowMs) };
  // Some APIs answer 403 beyond their rate.
  if (statusCode === 403 && (headers.has("retry-after") || isUsedUp(headers)))
    return { kind: "rate_limited", retryAfterMs: waitOf(headers, nowMs) };
  if (codes.notFound.includes(statusCode)) return { kind: "not_found" };
  if (codes.rejected.includes(statusCode)) return { kind: "rejected" };
  if (codes.unauthorized.includes(statusCode)) return { kind: "unauthorized", statusCode: 401 };
  if (statusCode === 403) return { kind: "unauthorized", statusCode };
  return failed(failureCodeOf(statusCode), `answered ${statusCode}`);
}

/** Returns the observation of a 200's body. */
export function observeBody(body: string, protocol: Pick<UpstreamProtocol, "read">): Observation {
  const read = protocol.read(body);
  if (read === null) return failed("not_json", "answered 200 without a status in JSON");
  const word = storable(read.word).trim();
  const status = word.toLowerCase();
  if (status === "" || status.length > statusWordMaxLength) return failed("not_json", "answered 200 with a status that is none");
  const mapped = read.map.get(status);
  const came = cutReason(storable(read.reason));
  const reason = came === "" && mapped !== undefined && !isMappedStatus(status) ? word : came;
  const { isTentative, details } = read;
  return { kind: "status", status: mapped ?? status, reason, isMapped: mapped !== undefined, isTentative, details };
}

const correlationId = /^[\x21-\x7e]{1,128}$/;

/** Returns the upstream's id of a request that failed: a header, or else `error_id` of the body; `null` if there is none. */
export function correlationIdOf({ headers, body }: { readonly headers: AnswerHeaders; readonly body: Buffer }): string | null {
  const id = headerOf(headers, "x-polyai-correlation-id") ?? errorIdOf(body);
  return typeof id === "string" && correlationId.test(id) ? id : null;
}

function errorIdOf(body: Buffer): unknown {
  if (!body.includes('"error_id"')) return null;
  const parsed = parseJson(body.toString());
  return typeof parsed === "object" && parsed !== null && "error_id" in parsed ? parsed.error_id : null;
}

/** Returns the `Date` of an answer in epoch milliseconds; `null` if there is none that can be read. */
export function upstreamDateOf(headers: AnswerHeaders, nowMs: number): number | null {
  const date = headerOf(headers, "date");
  return date === null ? null : parseHttpDate(date, nowMs);
}

/** Returns the wait that a rate limit asks for; `null` if it asks for none that can be used. */
function waitOf(headers: AnswerHeaders, nowMs: number): number | null {
  const retryAfterMs = parseRetryAfter(headerOf(headers, "retry-after"), nowMs);
  if ((retryAfterMs ?? 0) > 0 || !isUsedUp(headers)) return retryAfterMs;
  const reset = headerOf(headers, "x-ratelimit-reset") ?? "";
  const waitMs = /^\d{1,12}$/.test(reset) ? Number(reset) * 1000 - nowMs : 0;
  return waitMs > 0 ? Math.min(waitMs, retryAfterMaxMs) : retryAfterMs;
}

function isUsedUp(headers: AnswerHeaders): boolean {
  return headerOf(headers, "x-ratelimit-remaining") === "0";
}

function failureCodeOf(statusCode: number): PollFailureCode {
  if (statusCode >= 500) return "server_error";
  return statusCode >= 300 && statusCode < 400 ? "redirect" : "unexpected_status";
}

function failed(code: PollFailureCode, detail: string): Observation {
  return { kind: "failed", code, detail };
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
