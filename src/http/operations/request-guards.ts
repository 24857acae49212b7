import { TokenBucket } from "../../domain/token-bucket.ts";
import { randomUUID } from "node:crypto";
import type { Context, MiddlewareHandler } from "hono";
import type { Account } from "../../ports/stores/account-store.ts";
import type { Env, HttpDependencies } from "./dependencies.ts";
import { ProblemError, tooMany } from "./problem.ts";

const saneRequestId = /^[A-Za-z0-9_.-]{1,128}$/;

/** Returns the request id of an answer: the one from the client if it is valid, else a new one. */
export function requestIdOf(given: string | readonly string[] | null | undefined): string {
  return typeof given === "string" && saneRequestId.test(given) ? given : randomUUID();
}

/** Sets `x-request-id` on every answer. */
export const requestId: MiddlewareHandler<Env> = async (c, next) => {
  const id = requestIdOf(c.req.header("x-request-id"));
  c.set("requestId", id);
  await next();
  c.res.headers.set("x-request-id", id);
};

/** Returns the API key of a request (Bearer or `X-API-Key`); `null` if there is none. */
export function keyOf(c: Context): string | null {
  const key = bearerKeyOf(c) ?? c.req.header("x-api-key") ?? "";
  return key === "" || key.length > 512 ? null : key;
}

function bearerKeyOf(c: Context): string | null {
  return /^Bearer +([\x21-\x7e]{1,512})$/i.exec(c.req.header("authorization") ?? "")?.[1] ?? null;
}

/** Returns why a request without a valid key is refused. The text contains no key. */
function describeMissingKey(c: Context): string {
  const bearer = bearerKeyOf(c);
  const header = c.req.header("x-api-key")?.trim() ?? "";
  const unknown = "the API key is unknown or was revoked";
  if (bearer !== null && header !== "" && header !== bearer)
    return `${unknown}: \`Authorization\` and \`X-API-Key\` have different keys, and only that of \`Authorization\` counts; send one of them`;
  if (bearer !== null || header !== "") return unknown;
  return "the API key is missing; send it as `Authorization: Bearer <key>` or `X-API-Key: <key>`";
}

/** Header of every 401 (RFC 9110, section 11.6.1). */
export const bearerChallenge = { "www-authenticate": 'Bearer realm="ringback"' };

/**
 * Answers OPTIONS with the methods of the path, before a key is required: a browser sends a preflight request without one.
 * No other origin may call the API, so the answer is a 405.
 */
export const refuseOptions: MiddlewareHandler = async (c, next) => (c.req.method === "OPTIONS" ? c.notFound() : next());

/** Authenticates a request. The detail of a 401 says whether the key is missing or not valid. */
export function authenticate({ authentication }: HttpDependencies): MiddlewareHandler<Env> {
  return async (c, next) => {
    const key = keyOf(c);
    const account = key === null ? null : await authentication.findByKey(key);
    if (account === null) throw new ProblemError({ slug: "unauthorized", detail: describeMissingKey(c), headers: bearerChallenge });
    c.set("account", account);
    await next();
  };
}

/** Limits requests by a token bucket per account; sets the fields of draft-ietf-httpapi-ratelimit-headers. */
export function limitRate({ clock, limits }: HttpDependencies): MiddlewareHandler {
  const perSecond = limits.apiMaxPerSecond;
  const buckets = new Map<string, TokenBucket>();
  return async (c, next) => {
    if (perSecond === 0) return next();
    const { id } = c.get("account") as Account;
    const nowMs = clock.monotonicMs();
    const bucket = buckets.get(id) ?? new TokenBucket(perSecond, nowMs);
    buckets.set(id, bucket);
    const policy = {
      "ratelimit-policy": `"default";q=${perSecond};w=1`,
      ratelimit: `"default";r=${Math.max(0, Math.floor(bucket.available(nowMs) - 1))};t=1`,
    };
    if (!bucket.take(nowMs))
      throw tooMany("rate-limited", `rate limit exceeded: ${perSecond} requests per second per account`, 1000, policy);
    await next();
    for (const [name, value] of Object.entries(policy)) c.res.headers.set(name, value);
    return undefined;
  };
}

/** Forbids caching, because answers contain secrets and state that changes every second. */
export const notCached: MiddlewareHandler<Env> = async (c, next) => {
  await next();
  c.res.headers.set("cache-control", "no-store");
};
