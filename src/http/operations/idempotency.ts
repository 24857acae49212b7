import { createHash } from "node:crypto";
import type { Context } from "hono";
import type { IdempotencyKeyInUse, IdempotentRequest } from "../../ports/use-cases/idempotency.ts";
import type { Env } from "./dependencies.ts";
import { ProblemError, unprocessable } from "./problem.ts";

const idempotencyKeyName = "Idempotency-Key";
const keySyntax = /^[\x21-\x7e]{1,255}$/;

/** Returns the request with its `Idempotency-Key`; `null` if it has none. An invalid key is a 422. */
export function idempotentRequestOf(c: Context<Env>, body: Uint8Array): IdempotentRequest | null {
  const field = c.req.header(idempotencyKeyName);
  if (field === undefined) return null;
  const key = unquoted(field);
  if (key === null || !keySyntax.test(key))
    throw unprocessable([{ parameter: idempotencyKeyName, detail: "must be 1 to 255 visible ASCII characters, quoted or not" }]);
  const bodyHash = createHash("sha256").update(body).digest("base64url");
  return { accountId: c.get("account").id, method: c.req.method, path: c.req.path, key, bodyHash };
}

/** Removes the quotes, which are syntax of the field (RFC 8941 strings) and not part of the key. */
function unquoted(field: string): string | null {
  const opens = field.startsWith('"');
  if (opens !== field.endsWith('"') || field === '"') return null;
  return opens ? field.slice(1, -1) : field;
}

/** Answers a request whose key was used before. */
export function answerInUse(c: Context<Env>, taken: IdempotencyKeyInUse): Response {
  switch (taken.by) {
    case "same_request": {
      const { status, contentType, body } = taken.answer;
      return c.body(body, status as 200, { "content-type": contentType, "idempotency-replayed": "true" });
    }
    case "other_request":
      throw unprocessable([{ parameter: idempotencyKeyName, detail: "was used with another body" }], "idempotency-mismatch");
    case "running":
      throw new ProblemError({ slug: "idempotency-in-progress" });
  }
}
