import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { Actor } from "../../domain/audit.ts";
import { newId } from "../../domain/ids.ts";
import { portalScopes } from "../../domain/portal-link.ts";
import { holdsScope } from "../../domain/secrets/key-scopes.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Account, ApiKey } from "../../ports/stores/account-store.ts";
import type { FoundPortalLink, PortalStore } from "../../ports/stores/portal-store.ts";
import type { SessionStore } from "../../ports/stores/session-store.ts";
import type { IdempotencyKeyInUse, KeyedRequest } from "../../ports/use-cases/idempotency.ts";
import type { PortalOutcome, PortalRequest, Portals } from "../../ports/use-cases/portals.ts";
import type { Idempotency } from "./idempotency.ts";

export type PortalEditorOptions = {
  readonly store: PortalStore & Pick<SessionStore, "endSession">;
  readonly idempotency: Pick<Idempotency, "run">;
  readonly clock: Pick<Clock, "nowMs">;
};

const tokenBytes = 32;

/** Creates and opens links to the dashboard. Tokens have 256 random bits, of which the store holds hashes. */
export class PortalEditor implements Portals {
  readonly #options: PortalEditorOptions;

  constructor(options: PortalEditorOptions) {
    this.#options = options;
  }

  async create(
    account: Account,
    own: ApiKey,
    { can, expiresInMs, frameAncestors }: PortalRequest,
    keyed: KeyedRequest<PortalOutcome> | null,
    by: Actor,
  ): Promise<PortalOutcome | IdempotencyKeyInUse> {
    const { idempotency, clock } = this.#options;
    const missing = portalScopes[can].find((scope) => !holdsScope(own.scopes, scope));
    if (missing !== undefined) return { kind: "beyond", scope: missing };
    const nowMs = clock.nowMs();
    const token = randomBytes(tokenBytes).toString("base64url");
    const expiresAtMs = Math.min(nowMs + expiresInMs, own.expiresAtMs ?? Infinity);
    const shown = { id: newId("ptl", nowMs), accountId: account.id, keyId: own.id, can, frameAncestors, expiresAtMs };
    const run = await idempotency.run(
      keyed,
      (store) => store.createPortalLink,
      { ...shown, tokenHash: hashOf(token), by, nowMs },
      (result): PortalOutcome =>
        result.kind === "created"
          ? { kind: "created", link: { ...shown, createdAtMs: nowMs, usedAtMs: null, revokedAtMs: null }, token }
          : result,
    );
    return run.kind === "key_taken" ? run : run.outcome;
  }

  revoke(account: Account, linkId: string, by: Actor): Promise<boolean> {
    const { store, clock } = this.#options;
    return store.revokePortalLink({ accountId: account.id, linkId, by, nowMs: clock.nowMs() });
  }

  find(linkId: string): Promise<FoundPortalLink | null> {
    const { store, clock } = this.#options;
    return store.findPortalLink(linkId, clock.nowMs());
  }

  isTokenOf({ tokenHash }: FoundPortalLink, token: string): boolean {
    return isHashOf(tokenHash, token);
  }

  async open({ link }: FoundPortalLink): Promise<string | null> {
    const { store, clock } = this.#options;
    const session = randomBytes(tokenBytes).toString("base64url");
    const request = { linkId: link.id, accountId: link.accountId, sessionHash: hashOf(session), nowMs: clock.nowMs() };
    return (await store.usePortalLink(request)) ? session : null;
  }

  isSessionOf({ sessionHash }: FoundPortalLink, session: string): boolean {
    return sessionHash !== null && isHashOf(sessionHash, session);
  }

  async endSession({ link, sessionHash }: FoundPortalLink): Promise<void> {
    const { keyId, expiresAtMs } = link;
    if (sessionHash !== null) await this.#options.store.endSession({ sessionHash, keyId, expiresAtMs });
  }
}

function hashOf(token: string): string {
  return createHash("sha256").update(token).digest("base64url");
}

function isHashOf(hash: string, token: string): boolean {
  const [expected, given] = [Buffer.from(hash), Buffer.from(hashOf(token))];
  return expected.length === given.length && timingSafeEqual(expected, given);
}
