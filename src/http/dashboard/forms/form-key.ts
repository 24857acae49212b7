import { createHash, randomUUID } from "node:crypto";
import type { Context } from "hono";
import { html } from "hono/html";
import { sortedScopes } from "../../../domain/secrets/key-scopes.ts";
import type { IdempotencyKeyInUse, IdempotencyKeys, KeyedRequest } from "../../../ports/use-cases/idempotency.ts";
import { inUseError } from "../../operations/idempotency.ts";
import { ProblemError, unprocessable } from "../../operations/problem.ts";
import type { DashboardEnv, Html } from "../dashboard-env.ts";

const fieldName = "idempotency_key";
/** Key of a form, as the page made it. The requests of the API and of the dashboard share the keys of the account. */
const formKey = /^dashboard-[0-9a-f-]{36}$/;

/** Renders the key of a form. A second click sends the same key, so that it changes nothing more. */
export function formKeyField(): Html {
  return html`<input type="hidden" name="${fieldName}" value="${`dashboard-${randomUUID()}`}" />`;
}

/** Returns the key of the form that was sent; `null` if it is none that a page made. */
export function formKeyOf(c: Context<DashboardEnv>): string | null {
  const key = c.get("form").get(fieldName) ?? "";
  return formKey.test(key) ? key : null;
}

/**
 * Runs the action of a form once for its key, and returns what its page shows. A second click is shown the same, a secret included, as
 * long as the key counts. `shownOf` throws the problem of a refusal; it may be called before the commit, so it only computes.
 */
export async function onceFor<Outcome extends { readonly kind: string }, Shown>(
  c: Context<DashboardEnv>,
  idempotency: IdempotencyKeys,
  act: (keyed: KeyedRequest<Outcome>) => Promise<Outcome | IdempotencyKeyInUse>,
  shownOf: (outcome: Outcome) => Shown,
): Promise<Shown> {
  const key = formKeyOf(c);
  if (key === null)
    throw unprocessable([{ parameter: fieldName, detail: "is missing: open the page of the form again and send it from there" }]);
  const request = { accountId: c.get("account").id, method: "POST", path: c.req.path, key, bodyHash: hashOf(c) };
  const taken = await idempotency.take(request);
  if (taken.kind === "key_taken") return shownBefore(taken);
  using held = taken;
  const answerOf = (outcome: Outcome) => {
    try {
      return { status: 200, contentType: "application/json", body: JSON.stringify(shownOf(outcome)) };
    } catch (error) {
      if (error instanceof ProblemError) return null;
      throw error;
    }
  };
  const outcome = await act({ request: held.request, answerOf });
  return outcome.kind === "key_taken" ? shownBefore<Shown>(outcome as IdempotencyKeyInUse) : shownOf(outcome as Outcome);
}

function shownBefore<Shown>(taken: IdempotencyKeyInUse): Shown {
  if (taken.by !== "same_request") throw inUseError(taken);
  return JSON.parse(taken.answer.body) as Shown;
}

/** Returns the hash of a form's fields and of the rights of its key, so that a stored answer opens nothing to a key with fewer. */
function hashOf(c: Context<DashboardEnv>): string {
  const { scopes, expiresAtMs } = c.get("key");
  const fields = [...c.get("form")].filter(([name]) => name !== "token");
  return createHash("sha256")
    .update(JSON.stringify([fields, sortedScopes(scopes), expiresAtMs]))
    .digest("base64url");
}
