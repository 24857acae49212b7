import type { Actor } from "../../domain/audit.ts";
import type { PortalEnd, PortalLink } from "../../domain/portal-link.ts";
import type { Account } from "./account-store.ts";
import type { Page, PageRequest } from "./read-store.ts";

export type PortalLinkDraft = Pick<PortalLink, "id" | "accountId" | "keyId" | "can" | "frameAncestors" | "expiresAtMs"> & {
  /** Hash of the token. The token itself is in the URL alone. */
  readonly tokenHash: string;
  readonly by: Actor | null;
  readonly nowMs: number;
};

/** A link as its pages need it. */
export type FoundPortalLink = {
  readonly link: PortalLink;
  readonly account: Account;
  readonly tokenHash: string;
  /** `null` until the link is used, and once its user has signed out. */
  readonly sessionHash: string | null;
  /** `null` while the link, its session and its key live. */
  readonly end: Exclude<PortalEnd, "used"> | null;
};

/** Links to the dashboard of an account. */
export interface PortalStore {
  /** Creates a link, unless its account has `maxPortalLinks` that live. */
  createPortalLink(draft: PortalLinkDraft): Promise<{ readonly kind: "created" } | { readonly kind: "too_many" }>;
  /** Lists a page of the links of an account, newest first. */
  listPortalLinks(query: PageRequest & { readonly accountId: string }): Promise<Page<PortalLink>>;
  /** Ends a link and its session, also if they have ended. False if the id is unknown. */
  revokePortalLink(request: {
    readonly accountId: string;
    readonly linkId: string;
    readonly by: Actor | null;
    readonly nowMs: number;
  }): Promise<boolean>;
  /** Finds a link by its id; `null` if there is none. */
  findPortalLink(linkId: string, nowMs: number): Promise<FoundPortalLink | null>;
  /** Uses a link up, and begins its session. False if it was used before. */
  usePortalLink(request: {
    readonly linkId: string;
    readonly accountId: string;
    readonly sessionHash: string;
    readonly nowMs: number;
  }): Promise<boolean>;
}
