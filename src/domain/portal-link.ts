import type { KeyScope } from "./secrets/key-scopes.ts";

export const portalRights = ["look", "operate"] as const;
export type PortalRight = (typeof portalRights)[number];

/** Scopes of what a session of a portal may do. The key that makes the link has them all. */
export const portalScopes: Readonly<Record<PortalRight, readonly KeyScope[]>> = {
  look: ["read"],
  operate: ["read", "watch", "endpoints"],
};

/** Number of links of an account that live, at most. */
export const maxPortalLinks = 1000;

/** A link to the dashboard of an account, for a person without a key. */
export type PortalLink = {
  readonly id: string;
  readonly accountId: string;
  readonly keyId: string;
  readonly can: PortalRight;
  /** Origins whose pages may frame the portal; empty for none. */
  readonly frameAncestors: readonly string[];
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  readonly usedAtMs: number | null;
  readonly revokedAtMs: number | null;
};

/** Why a link opens nothing, or a session has ended. */
export type PortalEnd = "used" | "expired" | "revoked";

/**
 * Returns the end of a link or of its session; `null` if it lives. It ends with the key that made it. A link that was used
 * opens no second session.
 */
export function portalEndOf(
  link: Pick<PortalLink, "expiresAtMs" | "revokedAtMs" | "usedAtMs">,
  key: { readonly expiresAtMs: number | null; readonly revokedAtMs: number | null },
  nowMs: number,
): Exclude<PortalEnd, "used"> | null {
  if (link.revokedAtMs !== null || key.revokedAtMs !== null) return "revoked";
  return link.expiresAtMs <= nowMs || (key.expiresAtMs !== null && key.expiresAtMs <= nowMs) ? "expired" : null;
}
