/** Permissions of an API key. `read` is part of every other scope. */
export const keyScopes = ["read", "watch", "place", "endpoints", "admin"] as const;

export type KeyScope = (typeof keyScopes)[number];

/** The part of a key that decides what it may do. */
export type KeyRights = {
  readonly scopes: readonly KeyScope[];
  /** End of the key in epoch milliseconds; `null` if it has none. */
  readonly expiresAtMs: number | null;
};

/** Time before its end at which a key counts as expiring. */
export const keyExpiringMs = 7 * 24 * 60 * 60 * 1000;

/** Whether the scopes include one. Every key may read. */
export function holdsScope(scopes: readonly KeyScope[], scope: KeyScope): boolean {
  return scope === "read" || scopes.includes(scope);
}

/** Returns each scope once, in the order of `keyScopes`. */
export function sortedScopes(scopes: readonly KeyScope[]): readonly KeyScope[] {
  return keyScopes.filter((scope) => scopes.includes(scope));
}

export function hasEnded({ expiresAtMs }: Pick<KeyRights, "expiresAtMs">, nowMs: number): boolean {
  return expiresAtMs !== null && expiresAtMs <= nowMs;
}

/** Right of a new key that the requesting key lacks. */
export type RightBeyond = { readonly kind: "scope"; readonly scope: KeyScope } | { readonly kind: "end"; readonly expiresAtMs: number };

/**
 * Returns the rights of a key that another key requests. A right that is left out is that of `own`; a right beyond `own` is
 * refused.
 */
export function delegatedRights(
  own: KeyRights,
  asked: { readonly scopes?: readonly KeyScope[] | undefined; readonly expiresAtMs?: number | null | undefined },
): ({ readonly kind: "rights" } & KeyRights) | { readonly kind: "beyond"; readonly right: RightBeyond } {
  const scopes = sortedScopes(asked.scopes ?? own.scopes);
  const missing = scopes.find((scope) => !holdsScope(own.scopes, scope));
  if (missing !== undefined) return { kind: "beyond", right: { kind: "scope", scope: missing } };
  const expiresAtMs = asked.expiresAtMs === undefined ? own.expiresAtMs : asked.expiresAtMs;
  if (own.expiresAtMs !== null && (expiresAtMs === null || expiresAtMs > own.expiresAtMs))
    return { kind: "beyond", right: { kind: "end", expiresAtMs: own.expiresAtMs } };
  return { kind: "rights", scopes, expiresAtMs };
}
