import { describe, expect, it } from "vitest";
import { commandLine } from "../../src/domain/audit.ts";
import type { Actor, AuditAction } from "../../src/domain/audit.ts";
import { newId } from "../../src/domain/ids.ts";
import { keyScopes } from "../../src/domain/secrets/key-scopes.ts";
import { answered, day, expectKind, hour, minute, only, placingDraft, secretDraft, startMs } from "../harness/store-drafts.ts";
import type { OpenWorld, StoreBackend } from "./store-backend.ts";
import { worlds } from "./store-backend.ts";

const by: Actor = { kind: "key", id: "key_1", name: "crm", address: "203.0.113.7", forwardedFor: "198.51.100.2" };
const url = "https://crm.example/calls";

/** The rows of an account, oldest first. */
async function rowsOf(
  world: OpenWorld,
  query: { readonly action?: AuditAction; readonly sinceMs?: number; readonly untilMs?: number } = {},
) {
  const { id: accountId } = await world.account();
  const filter = { action: null, sinceMs: null, untilMs: null, ...query };
  const { data } = await world.store.listAudit({ accountId, limit: 200, cursor: null, ...filter });
  return data.toReversed();
}

const actionsOf = async (world: OpenWorld) => (await rowsOf(world)).map(({ action }) => action);

export function auditSuite(backend: StoreBackend): void {
  describe("audit", () => {
    const open = worlds(backend);

    it("has one row for each change, with its actor, and none for a repeat or what failed", async () => {
      const world = await open();
      const { id: accountId } = await world.account();
      const common = { accountId, by, nowMs: world.nowMs };
      const { view: hook } = await world.hook("https://crm.example/secret-path?token=secret", { by });
      await world.hook("https://another.example/");
      expect(await world.registerHook("https://crm.example/secret-path?token=secret", { by })).toMatchObject({ kind: "existing" });
      const [created] = await rowsOf(world);
      expect(created).toEqual({
        id: expect.stringMatching(/^aud_/) as string,
        accountId,
        atMs: startMs,
        action: "hook.created",
        target: { kind: "hook", id: hook.id },
        actor: by,
        detail: JSON.stringify({ host: "crm.example", endpoint_id: hook.endpoint.id, events: null }),
      });
      for (let n = 0; n < 2; n++) await world.store.removeHook({ ...common, hookId: hook.id });
      await world.store.removeHook({ ...common, hookId: "hk_unknown" });
      expect(await actionsOf(world)).toEqual(["hook.created", "hook.deleted"]);
    });

    it("has a row when a watch or a hook enables the disabled endpoint that it names, and none when it was enabled", async () => {
      const world = await open();
      const { view } = await world.watch("OUT-1", { url, by });
      const { accountId, endpointId } = view.watch;
      const disable = () =>
        world.store.patchEndpoint({ accountId, endpointId: endpointId ?? "", patch: { state: "disabled" }, by: null, nowMs: world.nowMs });
      const enabled = { action: "endpoint.changed", target: { kind: "endpoint", id: endpointId }, actor: by };
      await world.watch("OUT-2", { url, by });
      expect(await rowsOf(world)).toEqual([]);
      await disable();
      await world.watch("OUT-3", { url, by });
      await world.watch("OUT-4", { url, by });
      await disable();
      await world.hook(url, { by });
      const rows = await rowsOf(world);
      expect(rows).toMatchObject([enabled, enabled, { action: "hook.created" }]);
      expect(rows.slice(0, 2).map(({ detail }) => JSON.parse(detail) as unknown)).toEqual([
        { changed: ["state"], state: "enabled" },
        { changed: ["state"], state: "enabled" },
      ]);
    });

    it("says what of an endpoint changed, never the value of a header", async () => {
      const world = await open();
      const { view } = await world.watch("OUT-1", { url });
      const request = { accountId: view.watch.accountId, endpointId: view.watch.endpointId ?? "", by, nowMs: world.nowMs };
      const headers = { names: ["x-key"], sealed: new Uint8Array([7]), fingerprints: ["print of s3cret"] };
      const template = JSON.stringify({ method: "POST", content_type: "application/json", body: { at: "{{timestamp}}" } });
      const patches = [
        { maxInFlight: 3, late: "drop" },
        { headers },
        { state: "paused" },
        { signatures: ["v1", "v1a"], maxPerSecond: 1.5 },
        { headers: null },
        { format: "flat" },
        { format: "template", request: template },
        { format: "standard" },
      ] as const;
      for (const patch of patches) for (let n = 0; n < 2; n++) await world.store.patchEndpoint({ ...request, patch });
      await world.store.patchEndpoint({ ...request, patch: {} });
      await world.store.patchEndpoint({ ...request, endpointId: "ep_unknown", patch: { state: "disabled" } });
      await world.store.patchEndpoint({ ...request, by: null, patch: { state: "disabled" } });
      const rows = await rowsOf(world);
      expect(new Set(rows.map(({ target }) => target.id))).toEqual(new Set([request.endpointId]));
      expect(rows.map(({ detail }) => JSON.parse(detail) as unknown)).toEqual([
        { changed: ["max_in_flight", "late"], max_in_flight: 3, late: "drop" },
        { changed: ["headers"], headers: ["x-key"] },
        { changed: ["state"], state: "paused" },
        { changed: ["max_per_second", "signatures"], max_per_second: 1.5, signatures: ["v1", "v1a"] },
        { changed: ["headers"], headers: [] },
        { changed: ["format"], format: "flat" },
        { changed: ["format", "request"], format: "template" },
        { changed: ["format", "request"], format: "standard" },
      ]);
      expect(JSON.stringify(rows)).not.toContain("s3cret");
    });

    it("has secrets, recoveries and retries", async () => {
      const world = await open();
      const { view } = await world.watch("OUT-1", { url });
      const { accountId, endpointId } = view.watch;
      const request = { accountId, endpointId: endpointId ?? "", by, nowMs: world.nowMs };
      await world.store.rotateSecret({ ...request, secret: secretDraft("new"), previousValidUntilMs: startMs + hour });
      await world.store.rotateSecret({ ...request, endpointId: "ep_unknown", secret: secretDraft("x"), previousValidUntilMs: startMs });
      for (let n = 0; n < 2; n++) await world.store.setDefaultSecret({ accountId, by, secret: secretDraft("default"), nowMs: startMs });
      const job = only((await world.see("OUT-1", "queued")).jobs);
      const retry = { accountId, deliveryId: job.deliveryId, by, nowMs: world.nowMs };
      expectKind(await world.store.claimManualRetry(retry), "in_flight");
      await world.record(job, answered(500));
      const span = { sinceMs: 0, untilMs: world.nowMs };
      expectKind(await world.store.recover({ ...request, ...span }), "recovered");
      await world.store.recover({ ...request, ...span });
      const claimed = expectKind(await world.store.claimManualRetry(retry), "claimed");
      await world.record(claimed.job);
      const rows = await rowsOf(world);
      expect(rows.map(({ action, target }) => [action, target.kind, target.id])).toEqual([
        ["endpoint.secret_rotated", "endpoint", endpointId],
        ["account.secret_set", "account", accountId],
        ["endpoint.recovered", "endpoint", endpointId],
        ["delivery.retried", "delivery", job.deliveryId],
      ]);
      expect(JSON.parse(rows[2]?.detail ?? "")).toMatchObject({ recovered: 0, hurried: 1 });
    });

    it("has calls that were placed, placings that were resolved and watches that were purged", async () => {
      const world = await open();
      const { id: accountId } = await world.account();
      const [sent, lost, free] = [0, 1, 2].map(() => placingDraft(accountId, world.nowMs));
      if (sent === undefined || lost === undefined || free === undefined) throw new Error("three drafts");
      for (const draft of [sent, lost, free]) await world.store.createPlacing(draft);
      for (const { id: placingId } of [lost, free])
        await world.store.losePlacings({ placingId, leasedUntilMs: 0, nowMs: world.nowMs, limit: 1 });
      const placed = await world.watch("OUT-1", { placing: { id: sent.id, from: "sending", by, lastDigits: "0123" } });
      await world.watch("OUT-2", { placing: { id: lost.id, from: "unknown", by, lastDigits: null } });
      for (let n = 0; n < 2; n++)
        await world.store.freePlacing({ accountId, placingId: free.id, isCheckOnly: false, by, nowMs: world.nowMs });
      const watchId = placed.view.watch.id;
      await world.store.removeWatch({ accountId, watchId, purge: false, by, nowMs: world.nowMs });
      for (let n = 0; n < 2; n++) await world.store.removeWatch({ accountId, watchId, purge: true, by, nowMs: world.nowMs });
      expect((await rowsOf(world)).map(({ action, target }) => [action, target])).toEqual([
        ["call.placed", { kind: "call", id: "OUT-1" }],
        ["placing.resolved", { kind: "placing", id: lost.id }],
        ["placing.resolved", { kind: "placing", id: free.id }],
        ["watch.purged", { kind: "watch", id: watchId }],
      ]);
      const [call] = await rowsOf(world, { action: "call.placed" });
      expect(JSON.parse(call?.detail ?? "")).toEqual({
        source: "default",
        call_sid: "OUT-1",
        watch_id: watchId,
        placing_id: sent.id,
        number_ends: "0123",
      });
    });

    it("has keys and settings of the account, by the command line too", async () => {
      const world = await open();
      const { id: accountId } = await world.account();
      const draft = {
        id: newId("key", startMs),
        accountId,
        name: "crm",
        fingerprints: ["f"],
        scopes: keyScopes,
        expiresAtMs: startMs + day,
      };
      await world.store.createKey({ ...draft, by: commandLine, nowMs: startMs });
      for (let n = 0; n < 2; n++) {
        await world.store.revokeKey({ keyId: draft.id, accountId, by, nowMs: startMs });
        await world.store.setAccount({ accountId, changes: { mayPlace: true, prefixes: ["+44"] }, by: commandLine, nowMs: startMs });
      }
      const operators = { ...draft, id: newId("key", startMs), accountId: null, fingerprints: ["o"] };
      await world.store.createKey({ ...operators, by: commandLine, nowMs: startMs });
      const rows = await rowsOf(world);
      expect(rows.map(({ action, actor, detail }) => [action, actor.kind, JSON.parse(detail) as unknown])).toEqual([
        ["key.created", "command_line", { name: "crm", scopes: keyScopes, expires_at: "2026-11-25T12:00:00.000Z" }],
        ["key.revoked", "key", { name: "crm" }],
        ["account.changed", "command_line", { changed: ["may_place", "place_to"], may_place: true, place_to: ["+44"] }],
      ]);
      expect(rows[0]?.actor).toEqual(commandLine);
    });

    it("has sources in the account that they belong to, and shared ones in none", async () => {
      const world = await open();
      const { id: accountId } = await world.account();
      const settings = {
        kind: "polyai-legacy",
        baseUrl: "https://a.example",
        agentId: null,
        environment: null,
        definition: null,
        statusMap: null,
        maxPollsPerSecond: 5,
      };
      const draft = {
        ...settings,
        id: newId("src", startMs),
        name: "own",
        accountId,
        sealedCredential: new Uint8Array([1]),
        by: commandLine,
        nowMs: startMs,
      };
      await world.store.setSource(draft, null);
      await world.store.setSource(draft, 1);
      await world.store.setSource({ ...draft, sealedCredential: new Uint8Array([2]), maxPollsPerSecond: 6 }, 2);
      await world.store.setSource({ ...draft, maxPollsPerSecond: 7 }, 1);
      await world.store.setSource({ ...draft, id: newId("src", startMs), name: "shared", accountId: null }, null);
      for (let n = 0; n < 2; n++) await world.store.removeSource({ name: "own", force: false, by: commandLine, nowMs: startMs });
      expect((await rowsOf(world)).map(({ action, target, detail }) => [action, target.id, JSON.parse(detail) as unknown])).toEqual([
        ["source.changed", draft.id, { name: "own", kind: "polyai-legacy", created: true }],
        ["source.changed", draft.id, { name: "own", changed: ["credential", "max_polls_per_second"] }],
        ["source.removed", draft.id, { name: "own", active_watches: 0 }],
      ]);
      const all = await world.store.listAllAudit({ limit: 10, cursor: null, action: null, sinceMs: null, untilMs: null });
      expect(all.data.filter((row) => row.accountId === null).map(({ action, detail }) => [action, JSON.parse(detail) as unknown])).toEqual(
        [["source.changed", { name: "shared", kind: "polyai-legacy", created: true }]],
      );
    });

    it("is listed newest first, in pages, by action and by time", async () => {
      const world = await open();
      const { id: accountId } = await world.account();
      for (let n = 0; n < 3; n++) {
        await world.hook(`https://crm.example/${n}`, { by });
        await world.store.setDefaultSecret({ accountId, by, secret: secretDraft(`secret ${n}`), nowMs: world.nowMs });
        world.pass(minute);
      }
      const page = { accountId, limit: 4, action: null, sinceMs: null, untilMs: null };
      const first = await world.store.listAudit({ ...page, cursor: null });
      const second = await world.store.listAudit({ ...page, cursor: first.nextCursor });
      expect([first.data.length, second.data.length, second.nextCursor]).toEqual([4, 2, null]);
      expect([...first.data, ...second.data].map(({ atMs }) => atMs)).toEqual([2, 2, 1, 1, 0, 0].map((n) => startMs + n * minute));
      expect(await rowsOf(world, { action: "account.secret_set" })).toHaveLength(3);
      expect(await rowsOf(world, { sinceMs: startMs + minute })).toHaveLength(4);
      expect(await rowsOf(world, { untilMs: startMs + minute })).toHaveLength(4);
      expect(await rowsOf(world, { sinceMs: startMs + minute, untilMs: startMs + minute, action: "hook.created" })).toHaveLength(1);
      const other = await world.account("other");
      expect((await world.store.listAudit({ ...page, accountId: other.id, cursor: null })).data).toEqual([]);

      // The operator sees the rows of all accounts, and of none.
      await world.store.setAccountState({ accountId: other.id, isDisabled: true, by: commandLine, nowMs: world.nowMs });
      const { accountId: _, ...filter } = page;
      const all = await world.store.listAllAudit({ ...filter, cursor: null });
      expect(all.data.map((row) => row.accountId)).toEqual([other.id, accountId, accountId, accountId]);
      expect((await world.store.listAllAudit({ ...filter, cursor: all.nextCursor })).data).toHaveLength(3);
      expect((await world.store.listAllAudit({ ...filter, action: "account.disabled", cursor: null })).data).toEqual([all.data[0]]);
      expect((await world.store.listAllAudit({ ...filter, untilMs: startMs, cursor: null })).data).toHaveLength(2);
      const until = { ...filter, untilMs: startMs + minute, limit: 3 };
      const newest = await world.store.listAllAudit({ ...until, cursor: null });
      const rest = await world.store.listAllAudit({ ...until, cursor: newest.nextCursor });
      expect([...newest.data, ...rest.data].map(({ atMs }) => atMs)).toEqual([1, 1, 0, 0].map((n) => startMs + n * minute));
      expect(rest.nextCursor).toBeNull();
      expect((await world.store.listAllAudit({ ...until, sinceMs: startMs + minute, cursor: null })).data).toHaveLength(2);
    });

    it("is found by time also where the clock was set back, so that ids are ahead of it", async () => {
      const world = await open();
      world.pass(2 * hour);
      await world.hook("https://crm.example/before", { by });
      world.pass(-hour);
      await world.hook("https://crm.example/after", { by });
      const untilMs = startMs + hour + minute;
      expect((await rowsOf(world, { untilMs })).map(({ atMs }) => atMs)).toEqual([startMs + hour]);
      const all = await world.store.listAllAudit({ limit: 10, cursor: null, action: null, sinceMs: null, untilMs });
      expect(all.data.map(({ atMs }) => atMs)).toEqual([startMs + hour]);
    });

    it("is gone with a change that is rolled back", async () => {
      const world = await open();
      const { id: accountId } = await world.account();
      const claim = {
        id: "claim",
        accountId,
        requestHash: "hash",
        nowMs: startMs,
        expiresAtMs: startMs + hour,
        maxStoredBytes: 0,
        hasOwnRoom: false,
      };
      const draft = { id: newId("key", startMs), accountId, name: "crm", fingerprints: ["f"], scopes: keyScopes, expiresAtMs: null };
      const creating = world.store.underKey(claim).createKey({ ...draft, by, nowMs: startMs }, () => {
        throw new Error("no answer");
      });
      await expect(creating).rejects.toThrow("no answer");
      expect([await actionsOf(world), await world.store.listKeys(accountId)]).toEqual([[], []]);
    });

    it("has one row of a default secret that is set twice under one key", async () => {
      const world = await open();
      const { id: accountId } = await world.account();
      const claim = {
        id: "claim",
        accountId,
        requestHash: "hash",
        nowMs: startMs,
        expiresAtMs: startMs + hour,
        maxStoredBytes: 0,
        hasOwnRoom: false,
      };
      const set = (value: string) =>
        world.store.underKey(claim).setDefaultSecret({ accountId, by, secret: secretDraft(value), nowMs: startMs }, () => ({
          sealed: new Uint8Array([1]),
          deliveryId: null,
          watchIds: [],
        }));
      expect(await set("one")).toMatchObject({ kind: "ran" });
      expect(await set("two")).toMatchObject({ kind: "stored" });
      expect(await actionsOf(world)).toEqual(["account.secret_set"]);
    });

    it("is deleted after the retention time, in portions", async () => {
      const world = await open();
      for (let n = 0; n < 5; n++) await world.hook(`https://crm.example/${n}`, { by });
      world.pass(day);
      await world.hook("https://crm.example/5", { by });
      const clean = () => world.store.deleteExpired({ beforeMs: world.nowMs - hour, nowMs: world.nowMs, limit: 3 });
      expect(await clean()).toMatchObject({ more: true });
      expect(await actionsOf(world)).toHaveLength(3);
      await clean();
      expect(await rowsOf(world)).toMatchObject([{ atMs: world.nowMs }]);
    });
  });
}
