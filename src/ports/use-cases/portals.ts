import type { Actor } from "../../domain/audit.ts";
import type { PortalLink, PortalRight } from "../../domain/portal-link.ts";
import type { KeyScope } from "../../domain/secrets/key-scopes.ts";
import type { Account, ApiKey } from "../stores/account-store.ts";
import type { FoundPortalLink } from "../stores/portal-store.ts";
import type { IdempotencyKeyInUse, KeyedRequest } from "./idempotency.ts";

export type PortalRequest = { readonly can: PortalRight; readonly expiresInMs: number; readonly frameAncestors: readonly string[] };

export type PortalOutcome =
  /** `token` is shown only in this answer. */
  | { readonly kind: "created"; readonly link: PortalLink; readonly token: string }
  | { readonly kind: "beyond"; readonly scope: KeyScope }
  | { readonly kind: "too_many" };

/** Links to the dashboard of an account, and the sessions that they begin. */
export interface Portals {
  /** Creates a link that can no more than `own`, the key that asks, and ends no later. */
  create(
    account: Account,
    own: ApiKey,
    request: PortalRequest,
    keyed: KeyedRequest<PortalOutcome> | null,
    by: Actor,
  ): Promise<PortalOutcome | IdempotencyKeyInUse>;
  /** Ends a link and its session. False if the account has no such link. */
  revoke(account: Account, linkId: string, by: Actor): Promise<boolean>;
  /** Finds a link; `null` if it is unknown. */
  find(linkId: string): Promise<FoundPortalLink | null>;
  /** Whether a token is that of the link. */
  isTokenOf(found: FoundPortalLink, token: string): boolean;
  /** Uses a link up. Returns the token of its session; `null` if it was used before. */
  open(found: FoundPortalLink): Promise<string | null>;
  /** Whether a token is that of the link's session. */
  isSessionOf(found: FoundPortalLink, session: string): boolean;
  /** Ends the session of a link, for all instances. The link stays used. */
  endSession(found: FoundPortalLink): Promise<void>;
}
