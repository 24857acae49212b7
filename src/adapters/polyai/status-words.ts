import { mappedStatuses } from "../../domain/sources/status-map.ts";
import type { StatusWords } from "../../domain/sources/status-map.ts";

/** PolyAI's words, and those of its older projects. */
export const polyaiWords: StatusWords = {
  queued: "queued",
  calling: "calling",
  success: "success",
  failure: "failure",
  completed: "success",
  failed: "failure",
  "no-answer": "failure",
  busy: "failure",
  cancelled: "failure",
  canceled: "failure",
  ringing: "calling",
  "in-progress": "calling",
};

/** PolyAI's four words, which always mean themselves. */
export const polyaiFixedWords: readonly string[] = mappedStatuses;

/** SIDs of PolyAI. A UUID behind `OUT-` is usual but not promised. */
export const polyaiSid = {
  pattern: /^OUT-[A-Za-z0-9_-]{1,128}$/,
  description: "OUT- and 1 to 128 letters, digits, _ or -",
  unknown: "OUT-00000000-0000-0000-0000-000000000000",
} as const;

/** Reads `{"status", "reason"}`, the body of both APIs of PolyAI. A reason that is not text is ignored, because the status must count. */
export function readStatus(body: unknown): { readonly status: string; readonly reason: string } | null {
  if (typeof body !== "object" || body === null) return null;
  const { status, reason } = body as { readonly status?: unknown; readonly reason?: unknown };
  return typeof status === "string" ? { status, reason: typeof reason === "string" ? reason : "" } : null;
}
