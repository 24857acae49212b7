import { describe, expect, it } from "vitest";
import { commandLine as by } from "../../src/domain/audit.ts";
import { newId } from "../../src/domain/ids.ts";
import { keyScopes } from "../../src/domain/secrets/key-scopes.ts";
import { maxEndedSessions } from "../../src/ports/stores/session-store.ts";
import type { PortalLinkDraft } from "../../src/ports/stores/portal-store.ts";
import { day, hour, startMs } from "../harness/store-drafts.ts";
import type { OpenWorld, StoreBackend } from "./store-backend.ts";
import { worlds } from "./store-backend.ts";

async function keyOf(world: OpenWorld, expiresAtMs: number | null = null): Promise<string> {
  const { id: accountId } = await world.account();
  const id = newId("key", world.nowMs);
  await world.store.createKey({
    id,
    accountId,
    name: "crm",
    fingerprints: [id],
    scopes: keyScopes,
    expiresAtMs,
    by: null,
    nowMs: world.nowMs,
  });
  return id;
}

async function linkOf(world: OpenWorld, keyId: string, given: Partial<PortalLinkDraft> = {}): Promise<PortalLinkDraft> {
  const { id: accountId } = await world.account();
  const id = newId("ptl", world.nowMs);
  const wish = { can: "look", frameAncestors: [], tokenHash: `token of ${id}`, expiresAtMs: world.nowMs + hour } as const;
  const draft = { id, accountId, keyId, ...wish, by, nowMs: world.nowMs, ...given };
  expect(await world.store.createPortalLink(draft)).toEqual({ kind: "created" });
  return draft;
}

export function portalSuite(backend: StoreBackend): void {
  describe("portal links", () => {
    const open = worlds(backend);

    it("end for good when their account is disabled", async () => {
      const world = await open();
      const keyId = await keyOf(world);
      const { id: linkId, accountId } = await linkOf(world, keyId);
      const endOf = async (id: string) => (await world.store.findPortalLink(id, world.nowMs))?.end;
      expect(await endOf(linkId)).toBe(null);
      for (const isDisabled of [true, false]) {
        await world.store.setAccountState({ accountId, isDisabled, by: null, nowMs: world.nowMs });
        expect([isDisabled, await endOf(linkId)]).toEqual([isDisabled, "revoked"]);
      }
      const { id: later } = await linkOf(world, keyId);
      expect(await endOf(later)).toBe(null);
      const listed = await world.store.listPortalLinks({ accountId, limit: 10, cursor: null });
      expect(listed.data.map(({ id, revokedAtMs }) => [id, revokedAtMs])).toEqual([
        [later, null],
        [linkId, startMs],
      ]);
    });

    it("and sessions of keys end when their user signs out, until they would have expired", async () => {
      const world = await open();
      const keyId = await keyOf(world);
      const { id: linkId, accountId } = await linkOf(world, keyId);
      expect(await world.store.usePortalLink({ linkId, accountId, sessionHash: "hash", nowMs: world.nowMs })).toBe(true);
      const sessionHash = async () => (await world.store.findPortalLink(linkId, world.nowMs))?.sessionHash;
      expect([await sessionHash(), await world.store.isSessionEnded("hash")]).toEqual(["hash", false]);
      for (const hash of ["hash", "hash", "another"])
        await world.store.endSession({ sessionHash: hash, keyId, expiresAtMs: world.nowMs + hour });
      expect([await sessionHash(), await world.store.isSessionEnded("hash"), await world.store.isSessionEnded("third")]).toEqual([
        null,
        true,
        false,
      ]);
      const clean = () => world.store.deleteExpired({ beforeMs: world.nowMs - 30 * day, nowMs: world.nowMs, limit: 1 });
      world.pass(hour - 1);
      expect(await clean()).toEqual({ deleted: 0, more: false });
      world.pass(1);
      expect([await clean(), await clean(), await clean()]).toEqual([
        { deleted: 1, more: true },
        { deleted: 1, more: true },
        { deleted: 0, more: false },
      ]);
      expect(await world.store.isSessionEnded("hash")).toBe(false);
    });

    it("and sessions that ended are kept for a thousand of a key, those that would have lasted longest", async () => {
      const world = await open();
      const [keyId, other] = [await keyOf(world), await keyOf(world)];
      await world.store.endSession({ sessionHash: "of another", keyId: other, expiresAtMs: world.nowMs });
      for (let n = 0; n <= maxEndedSessions; n++)
        await world.store.endSession({ sessionHash: `hash ${n}`, keyId, expiresAtMs: world.nowMs + n });
      const ended = await Promise.all(
        ["of another", "hash 0", "hash 1", `hash ${maxEndedSessions}`].map((hash) => world.store.isSessionEnded(hash)),
      );
      expect(ended).toEqual([true, false, true, true]);
    });

    it("are used once, and end at their time", async () => {
      const world = await open();
      const link = await linkOf(world, await keyOf(world), { frameAncestors: ["https://crm.example"] });
      const { id: linkId, accountId, tokenHash } = link;
      const fresh = await world.store.findPortalLink(linkId, world.nowMs);
      expect(fresh).toMatchObject({ account: { id: accountId }, tokenHash, sessionHash: null, end: null });
      expect(fresh?.link).toEqual({
        id: linkId,
        accountId,
        keyId: link.keyId,
        can: "look",
        frameAncestors: ["https://crm.example"],
        createdAtMs: startMs,
        expiresAtMs: startMs + hour,
        usedAtMs: null,
        revokedAtMs: null,
      });
      const { store: beside } = await world.beside();
      const use = (store: typeof beside, sessionHash: string) =>
        store.usePortalLink({ linkId, accountId, sessionHash, nowMs: world.nowMs });
      const uses = await Promise.all([use(world.store, "a"), use(beside, "b")]);
      expect(uses.toSorted()).toEqual([false, true]);
      expect(await world.store.findPortalLink(linkId, world.nowMs)).toMatchObject({ sessionHash: uses[0] ? "a" : "b", end: null });
      expect(await world.store.findPortalLink(linkId, startMs + hour)).toMatchObject({ end: "expired" });
      expect(await world.store.findPortalLink("ptl_unknown", startMs)).toBeNull();
    });

    it("end with the key that made them, and when their account ends them", async () => {
      const world = await open();
      const [first, second] = [await keyOf(world), await keyOf(world, startMs + 10)];
      const [revoked, expired, ended] = [await linkOf(world, first), await linkOf(world, second), await linkOf(world, await keyOf(world))];
      const endOf = async ({ id }: PortalLinkDraft, nowMs = startMs) => (await world.store.findPortalLink(id, nowMs))?.end;
      await world.store.revokeKey({ keyId: first, accountId: null, by: null, nowMs: startMs });
      expect([await endOf(revoked), await endOf(expired), await endOf(expired, startMs + 10)]).toEqual(["revoked", null, "expired"]);
      const { id: otherId } = await world.account("other");
      const request = { linkId: ended.id, accountId: ended.accountId, by, nowMs: startMs };
      expect(await world.store.revokePortalLink({ ...request, accountId: otherId })).toBe(false);
      expect([await world.store.revokePortalLink(request), await world.store.revokePortalLink(request)]).toEqual([true, true]);
      expect(await endOf(ended)).toBe("revoked");
      expect(await world.store.usePortalLink({ linkId: ended.id, accountId: ended.accountId, sessionHash: "s", nowMs: startMs })).toBe(
        false,
      );
      const page = { accountId: ended.accountId, limit: 9, cursor: null };
      expect((await world.store.listPortalLinks(page)).data.map(({ id }) => id)).toEqual([ended.id, expired.id, revoked.id]);
      const rows = await world.store.listAudit({ ...page, action: "portal_link.revoked", sinceMs: null, untilMs: null });
      expect(rows.data.map(({ target }) => target)).toEqual([{ kind: "portal_link", id: ended.id }]);
    });

    it("are at most a thousand that live, and gone after the retention time", async () => {
      const world = await open();
      const keyId = await keyOf(world);
      for (let n = 0; n < 1000; n++) await linkOf(world, keyId, { by: null });
      const { id: accountId } = await world.account();
      const wish = { id: newId("ptl", startMs), accountId, keyId, can: "look", frameAncestors: [], tokenHash: "one more", by } as const;
      const one = (nowMs: number) => world.store.createPortalLink({ ...wish, expiresAtMs: nowMs + hour, nowMs });
      expect(await one(startMs)).toEqual({ kind: "too_many" });
      // Those of a key end with it.
      const other = await keyOf(world);
      await world.store.revokeKey({ keyId, accountId: null, by: null, nowMs: startMs });
      await linkOf(world, other);
      expect(await one(startMs + hour)).toEqual({ kind: "created" });
      const clean = (limit: number) => world.store.deleteExpired({ beforeMs: startMs + hour + 1, nowMs: startMs + day, limit });
      expect((await clean(20)).more).toBe(true);
      await clean(2000);
      expect((await world.store.listPortalLinks({ accountId, limit: 9, cursor: null })).data).toHaveLength(1);
    });
  });
}
