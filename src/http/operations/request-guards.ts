import { parseTraceparent } from "../../domain/webhooks/trace-context.ts";
import { isoTime } from "../../domain/events/payload.ts";
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

/** Returns the valid `traceparent` of a request (W3C Trace Context); `null` without one, or with an invalid one. */
export function traceOf(c: Context): string | null {
  return parseTraceparent(c.req.header("traceparent"));
}

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

/** Authenticates a request. The detail of a 401 says whether the key is missing, not valid or expired. */
export function authenticate(dependencies: HttpDependencies): MiddlewareHandler<Env> {
  return async (c, next) => {
    await admit(c, dependencies);
    await next();
  };
}

/** Throws unless the request has a valid key of an enabled account. Called again after a wait, in which the key may have ended. */
export async function admit(c: Context<Env>, { authentication }: Pick<HttpDependencies, "authentication">): Promise<void> {
  const key = keyOf(c);
  const found = key === null ? null : await authentication.findByKey(key);
  if (found === null || found.kind === "ended") {
    const detail = found === null ? describeMissingKey(c) : `the API key expired at ${isoTime(found.endedAtMs)}; ask for another`;
    throw new ProblemError({ slug: "unauthorized", detail, headers: bearerChallenge });
  }
  c.set("key", found.key);
  if (found.kind === "operator") return;
  refuseDisabled(found.account);
  c.set("account", found.account);
}

/** Throws for an account that the operator has disabled. */
export function refuseDisabled({ disabledAtMs }: Pick<Account, "disabledAtMs">): void {
  if (disabledAtMs !== null) throw new ProblemError({ slug: "account-disabled" });
}

/** Returns whether the key of a request still opens the account that it opened when the request was authenticated, and has all the time since. */
export async function isStillAuthorized(c: Context<Env>, { authentication }: Pick<HttpDependencies, "authentication">): Promise<boolean> {
  const key = keyOf(c);
  const found = key === null ? null : await authentication.findByKey(key);
  const { id, disablings } = c.get("account");
  return (
    found?.kind === "account" && found.account.id === id && found.account.disabledAtMs === null && found.account.disablings === disablings
  );
}

/** Limits requests by a token bucket per account (keys of the operator: per key), and gives them their turns; sets the fields of draft-ietf-httpapi-ratelimit-headers. */
export function limitRate({ clock, limits, turns }: HttpDependencies): MiddlewareHandler<Env> {
  const perSecond = limits.apiMaxPerSecond;
  const buckets = new Map<string, TokenBucket>();
  return async (c, next) => {
    // Each key of the operator has a rate and turns of its own.
    const id = c.get("key").accountId ?? c.get("key").id;
    c.set("nextTurn", () => turns.next(id));
    if (perSecond === 0) return next();
    const nowMs = clock.monotonicMs();
    const bucket = buckets.get(id) ?? new TokenBucket(perSecond, nowMs);
    buckets.set(id, bucket);
    const policy = {
      "ratelimit-policy": `"default";q=${perSecond};w=1`,
      ratelimit: `"default";r=${Math.max(0, Math.floor(bucket.available(nowMs) - 1))};t=1`,
    };
    const refusal = (waitMs: number) =>
      tooMany("rate-limited", `rate limit exceeded: ${perSecond} requests per second per account`, waitMs, policy);
    if (!bucket.take(nowMs)) throw refusal(bucket.waitMs(nowMs));
    c.set("rate", {
      refuseInDebt() {
        const waitMs = bucket.waitMs(clock.monotonicMs());
        if (bucket.available(clock.monotonicMs()) < 0) throw refusal(waitMs);
      },
      charge: (requests) => bucket.charge(requests, clock.monotonicMs()),
    });
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
