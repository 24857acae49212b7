import { holdsScope } from "../../domain/secrets/key-scopes.ts";
import type { KeyScope, RightBeyond } from "../../domain/secrets/key-scopes.ts";
import { isoTime } from "../../domain/events/payload.ts";
import type { ApiKey } from "../../ports/stores/account-store.ts";
import { ProblemError } from "./problem.ts";

/** Throws a 403 unless the key has the scope. A key of the operator only gets what is for operators. */
export function requireRights({ accountId, scopes }: ApiKey, scope: KeyScope, isForOperator = false): void {
  if (accountId === null) {
    if (!isForOperator) throw new ProblemError({ slug: "operator-key" });
  } else if (!holdsScope(scopes, scope)) throw scopeMissing(scope);
}

export function scopeMissing(scope: KeyScope): ProblemError {
  return new ProblemError({ slug: "scope-missing", detail: `the API key does not have the scope ${scope}`, extensions: { scope } });
}

/** Returns the 403 of a key that would have a right beyond the key that asks for it. */
export function rightBeyond(right: RightBeyond): ProblemError {
  return right.kind === "scope"
    ? scopeMissing(right.scope)
    : new ProblemError({
        slug: "scope-missing",
        detail: `a key that this API key creates must end by ${isoTime(right.expiresAtMs)}, as this one does`,
      });
}
