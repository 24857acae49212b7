import { createHash } from "node:crypto";
import type { Context } from "hono";
import { sortedScopes } from "../../domain/secrets/key-scopes.ts";
import type { IdempotencyKeyInUse, IdempotentRequest } from "../../ports/use-cases/idempotency.ts";
import type { Env } from "./dependencies.ts";
import { ProblemError, retryAfter, unprocessable } from "./problem.ts";

const idempotencyKeyName = "Idempotency-Key";
const keySyntax = /^[\x21-\x7e]{1,255}$/;

/**
 * Returns the request with its `Idempotency-Key`; `null` if it has none. An invalid key is a 422. With `givesRights` the rights
 * of the API key count as a part of the body, so that the stored answer opens nothing to a key with fewer.
 */
export function idempotentRequestOf(c: Context<Env>, body: Uint8Array, givesRights = false): IdempotentRequest | null {
  const field = c.req.header(idempotencyKeyName);
  if (field === undefined) return null;
  const key = unquoted(field);
  if (key === null || !keySyntax.test(key))
    throw unprocessable([{ parameter: idempotencyKeyName, detail: "must be 1 to 255 visible ASCII characters, quoted or not" }]);
  const { scopes, expiresAtMs } = c.get("key");
  const hash = createHash("sha256").update(body);
  if (givesRights) hash.update(`\n${JSON.stringify([sortedScopes(scopes), expiresAtMs])}`);
  return { accountId: c.get("account").id, method: c.req.method, path: c.req.path, key, bodyHash: hash.digest("base64url") };
}

/** Returns the 422 of a request that needs a key and has none. */
export function keyRequired(): ProblemError {
  return unprocessable(
    [{ parameter: idempotencyKeyName, detail: "is required, so that no repeat places a second call" }],
    "idempotency-key-required",
  );
}

/** Returns the 502 of a call that may ring. */
export function callUnknown(placingId: string): ProblemError {
  return new ProblemError({ slug: "call-unknown", extensions: { placing_id: placingId } });
}

/** Removes the quotes, which are syntax of the field (RFC 8941 strings) and not part of the key. */
function unquoted(field: string): string | null {
  const opens = field.startsWith('"');
  if (opens !== field.endsWith('"') || field === '"') return null;
  return opens ? field.slice(1, -1) : field;
}

/** Answers a request whose key was used before. */
export function answerInUse(c: Context<Env>, taken: IdempotencyKeyInUse): Response {
  if (taken.by !== "same_request") throw inUseError(taken);
  const { status, contentType, body } = taken.answer;
  return c.body(body, status as 200, { "content-type": contentType, "idempotency-replayed": "true" });
}

/** Returns the problem of a key that was used before, without an answer to repeat. */
export function inUseError(taken: Exclude<IdempotencyKeyInUse, { readonly by: "same_request" }>): ProblemError {
  switch (taken.by) {
    case "other_request":
      return unprocessable(
        [{ parameter: idempotencyKeyName, detail: "was used with another body, or by an API key with other rights" }],
        "idempotency-mismatch",
      );
    case "no_room":
      return new ProblemError({ slug: "too-many-stored-answers", headers: retryAfter(taken.retryAfterMs) });
    case "call_unknown":
      return callUnknown(taken.placingId);
    case "running":
      return new ProblemError({ slug: "idempotency-in-progress" });
  }
}
