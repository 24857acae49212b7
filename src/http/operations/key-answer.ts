import type { z } from "@hono/zod-openapi";
import { maxKeysPerAccount } from "../../ports/stores/account-store.ts";
import type { KeyOutcome, KeyRequest } from "../../ports/use-cases/keys.ts";
import { keyJson } from "../schemas/keys.ts";
import type { keyRequestSchema } from "../schemas/keys.ts";
import { rightBeyond } from "./key-rights.ts";
import { invalidBody } from "./operation.ts";
import { ProblemError } from "./problem.ts";
import { bearerChallenge } from "./request-guards.ts";

/** Returns the request for a key. Throws a 422 for an end that has passed. */
export function keyRequestOf({ name, scopes, expires_at: expiresAtMs }: z.infer<typeof keyRequestSchema>, nowMs: number): KeyRequest {
  if (typeof expiresAtMs === "number" && expiresAtMs <= nowMs) throw invalidBody("/expires_at", "must be in the future");
  return { name, scopes, expiresAtMs };
}

/** Returns the new key, shown once. Throws the problem of every other outcome. */
export function createdKeyOf(outcome: KeyOutcome) {
  if (outcome.kind === "beyond") throw rightBeyond(outcome.right);
  if (outcome.kind === "revoked")
    throw new ProblemError({ slug: "unauthorized", detail: "the API key was revoked", headers: bearerChallenge });
  if (outcome.kind === "too_many")
    throw new ProblemError({ slug: "quota-exceeded", detail: `the account has ${maxKeysPerAccount} keys; revoke some first` });
  return { ...keyJson(outcome.view), key: outcome.key };
}
