import { describe, expect, it } from "vitest";
import { answered, day, expectKind, hour, minute, noQuotas, ok, only, secretDraft, startMs, typesOf } from "../harness/store-drafts.ts";
import { newId } from "../../src/domain/ids.ts";
import type { OpenWorld } from "./store-backend.ts";
import { worlds } from "./store-backend.ts";
import type { StoreBackend } from "./store-backend.ts";

const receiver = "https://receiver.example/hook";
const broken = answered(500);

/** Fails one delivery until the endpoint is given up. */
async function disable(world: OpenWorld, callSid: string) {
  const { jobs: made } = await world.see(callSid, "queued");
  await world.record(only(made), broken);
  world.pass(6 * day);
  return world.record(only((await world.claim()).jobs), broken);
}

/** A hook of an endpoint that answered 410, and a watch of the same account at another URL. */
async function openGone(world: OpenWorld) {
  const { view } = await world.hook(receiver);
  await world.watch("OUT-gone", { url: receiver });
  await world.record(only((await world.see("OUT-gone", "queued")).jobs), answered(410));
  await world.watch("OUT-other", { url: "https://other.example/" });
  return { world, hook: view };
}

async function sentTo(world: OpenWorld, status: string): Promise<readonly string[]> {
  return (await world.see("OUT-other", status)).jobs.map((job) => job.target.url).toSorted();
}

export function endpointsSuite(backend: StoreBackend): void {
  describe("endpoints", () => {
    const open = worlds(backend);
    const impatient = { disableMinAttempts: 2, scheduleMs: [0, hour, hour, hour] };

    it("are read as targets with every committed change, and unknown ones are left out", async () => {
      const world = await open();
      const { view } = await world.watch("OUT-1");
      const { accountId } = view.watch;
      const endpointId = view.endpoint?.id ?? "";
      const { view: other } = await world.watch("OUT-2", { url: "https://other.example/" });
      const job = only((await world.see("OUT-1", "queued")).jobs);
      expect(job.targetAsOfMs).toBe(world.nowMs);
      const read = async (...ids: readonly string[]) =>
        new Map((await world.store.readTargets(ids)).map((target) => [target.id, target] as const));
      expect((await read(endpointId)).get(endpointId)).toEqual(job.target);

      const headers = { names: ["x-key"], sealed: new Uint8Array([7]), fingerprints: ["f"] };
      const patch = { format: "flat", headers, maxInFlight: 3, maxPerSecond: 0.5, signatures: ["v1", "v1a"] } as const;
      await world.store.patchEndpoint({ by: null, accountId, endpointId, patch, nowMs: world.nowMs });
      const rotation = { secret: secretDraft("new"), previousValidUntilMs: world.nowMs + hour };
      await world.store.rotateSecret({ by: null, accountId, endpointId, ...rotation, nowMs: world.nowMs });
      const targets = await read(endpointId, other.endpoint?.id ?? "", newId("ep", world.nowMs));
      expect([...targets.keys()].toSorted()).toEqual([endpointId, other.endpoint?.id].toSorted());
      expect(targets.get(endpointId)).toMatchObject({
        format: "flat",
        sealedHeaders: headers.sealed,
        maxInFlight: 3,
        maxPerSecond: 0.5,
        signatures: ["v1", "v1a"],
        secrets: [{ sealed: rotation.secret.sealed, validUntilMs: null }, { validUntilMs: world.nowMs + hour }],
      });
      expect(await read()).toEqual(new Map());
    });

    it("are changed by what a patch names, and nothing else", async () => {
      const world = await open();
      const { view } = await world.watch("OUT-1");
      const { accountId } = view.watch;
      const endpointId = view.endpoint?.id ?? "";
      const headers = { names: ["x-key"], sealed: new Uint8Array([7]), fingerprints: ["f"] };
      const patch = { format: "form", headers, maxInFlight: 3, maxPerSecond: 0.5, signatures: ["v1", "v1a"], late: "drop" } as const;
      const patched = await world.store.patchEndpoint({ by: null, accountId, endpointId, patch, nowMs: world.nowMs });
      expect(patched?.endpoint).toMatchObject({
        format: "form",
        headerNames: ["x-key"],
        maxInFlight: 3,
        maxPerSecond: 0.5,
        signatures: ["v1", "v1a"],
        late: "drop",
        state: "enabled",
      });
      // A retry uses what holds at that moment.
      const job = only((await world.see("OUT-1", "queued")).jobs);
      expect(job.target).toMatchObject({ format: "form", sealedHeaders: headers.sealed });
      const bare = await world.store.patchEndpoint({
        by: null,
        accountId,
        endpointId,
        patch: { headers: null, maxPerSecond: null },
        nowMs: world.nowMs,
      });
      expect(bare?.endpoint).toMatchObject({ headerNames: [], maxPerSecond: null, format: "form" });
      expect(
        await world.store.patchEndpoint({ by: null, accountId: (await world.account("other")).id, endpointId, patch, nowMs: world.nowMs }),
      ).toBeNull();
    });

    it("have a template with the format that needs one, and none with another", async () => {
      const world = await open();
      const { view } = await world.watch("OUT-1");
      const { accountId } = view.watch;
      const endpointId = view.endpoint?.id ?? "";
      const request = '{"method":"PUT","content_type":"text/plain","body":"{{type}}"}';
      const patched = (patch: object) => world.store.patchEndpoint({ accountId, endpointId, patch, by: null, nowMs: world.nowMs });
      expect((await patched({ format: "template", request }))?.endpoint).toMatchObject({ format: "template", request });
      expect((await patched({ maxInFlight: 2 }))?.endpoint).toMatchObject({ format: "template", request });
      expect(only((await world.see("OUT-1", "queued")).jobs).target).toMatchObject({ format: "template", request });
      expect((await patched({ format: "slack" }))?.endpoint).toMatchObject({ format: "slack", request: null });
    });

    it("sign with both secrets until the grace ends", async () => {
      const world = await open();
      const first = secretDraft("one");
      const { view } = await world.watch("OUT-1", { endpoint: { givenSecret: first } });
      const { accountId } = view.watch;
      const endpointId = view.endpoint?.id ?? "";
      const rotate = (secret: typeof first, graceMs: number) =>
        world.store.rotateSecret({
          by: null,
          accountId,
          endpointId,
          secret,
          previousValidUntilMs: world.nowMs + graceMs,
          nowMs: world.nowMs,
        });
      const [second, third] = [secretDraft("two"), secretDraft("three")];
      expect(await rotate(second, hour)).toBe(true);
      const job = only((await world.see("OUT-1", "queued")).jobs);
      expect(job.target.secrets).toMatchObject([
        { id: second.id, validUntilMs: null },
        { id: first.id, validUntilMs: startMs + hour },
      ]);
      await world.release([job]);
      world.pass(hour);
      expect(await rotate(third, 0)).toBe(true);
      expect(only((await world.claim()).jobs).target.secrets.map(({ id }) => id)).toEqual([third.id]);
      expect(
        await world.store.rotateSecret({
          by: null,
          accountId,
          endpointId: "ep_unknown",
          secret: secretDraft("x"),
          previousValidUntilMs: 0,
          nowMs: 0,
        }),
      ).toBe(false);
      expect(await world.register("OUT-2", { endpoint: { givenSecret: secretDraft("one") } })).toMatchObject({ kind: "endpoint_differs" });
      expect(await world.register("OUT-2", { endpoint: { givenSecret: secretDraft("three") } })).toMatchObject({ kind: "created" });
    });

    it("have one previous secret: a rotation ends the one before that", async () => {
      const world = await open();
      const { view } = await world.watch("OUT-1", { endpoint: { givenSecret: secretDraft("one") } });
      const request = { accountId: view.watch.accountId, endpointId: view.endpoint?.id ?? "", nowMs: world.nowMs };
      const secrets = ["two", "three", "four"].map((text) => secretDraft(text));
      for (const secret of secrets)
        await world.store.rotateSecret({ by: null, ...request, secret, previousValidUntilMs: world.nowMs + day });
      const signing = only((await world.see("OUT-1", "queued")).jobs).target.secrets.map(({ id }) => id);
      expect(signing).toEqual([secrets[2]?.id, secrets[1]?.id]);
    });

    it("keep their previous secret if a client repeats the rotation to its own secret, no longer than before", async () => {
      const world = await open();
      const one = secretDraft("one");
      const { view } = await world.watch("OUT-1", { endpoint: { givenSecret: one } });
      const request = { accountId: view.watch.accountId, endpointId: view.endpoint?.id ?? "" };
      const rotate = (graceMs: number) =>
        world.store.rotateSecret({
          ...request,
          by: null,
          secret: secretDraft("two"),
          previousValidUntilMs: world.nowMs + graceMs,
          nowMs: world.nowMs,
        });
      for (let times = 0; times < 3; times++) expect(await rotate(hour + times)).toBe(true);
      const job = only((await world.see("OUT-1", "queued")).jobs);
      expect(job.target.secrets).toMatchObject([{ validUntilMs: null }, { id: one.id, validUntilMs: world.nowMs + hour }]);
      await world.release([job]);
      expect(await rotate(0)).toBe(true);
      expect(only((await world.claim()).jobs).target.secrets.map(({ validUntilMs }) => validUntilMs)).toEqual([null]);
    });

    it("agree with a registration that gives a secret that still signs", async () => {
      const world = await open();
      const { view } = await world.watch("OUT-1", { endpoint: { givenSecret: secretDraft("one") } });
      const rotation = { accountId: view.watch.accountId, endpointId: view.endpoint?.id ?? "", secret: secretDraft("two") };
      await world.store.rotateSecret({ by: null, ...rotation, previousValidUntilMs: world.nowMs + hour, nowMs: world.nowMs });
      const watch = (sid: string, secret: string) => world.register(sid, { endpoint: { givenSecret: secretDraft(secret) } });
      const hook = (secret: string) =>
        world.registerHook(view.watch.callbackUrl ?? "", { endpoint: { format: null, givenSecret: secretDraft(secret) } });
      for (const secret of ["one", "two"]) {
        expect(await watch(`OUT-watch-${secret}`, secret)).toMatchObject({ kind: "created", showsGeneratedSecret: false });
        expect(["created", "existing"]).toContain((await hook(secret)).kind);
      }
      expect(await watch("OUT-other", "three")).toMatchObject({ kind: "endpoint_differs", fields: ["signing_secret"] });
      world.pass(hour - 1);
      expect(await watch("OUT-last", "one")).toMatchObject({ kind: "created" });
      world.pass(1);
      expect(await watch("OUT-after", "one")).toMatchObject({ kind: "endpoint_differs", fields: ["signing_secret"] });
      expect(await hook("one")).toMatchObject({ kind: "endpoint_differs", fields: ["signing_secret"] });
      expect(await watch("OUT-current", "two")).toMatchObject({ kind: "created" });
    });

    it("paused by the client are sent nothing until enabled", async () => {
      const world = await open();
      const { view } = await world.watch("OUT-1");
      const { accountId } = view.watch;
      const endpointId = view.endpoint?.id ?? "";
      const set = (state: "enabled" | "paused" | "disabled") =>
        world.store.patchEndpoint({ by: null, accountId, endpointId, patch: { state }, nowMs: world.nowMs });
      expect((await set("paused"))?.endpoint).toMatchObject({ state: "paused", reason: "client", sinceMs: startMs });
      expect((await world.see("OUT-1", "queued")).jobs).toEqual([]);
      expect(await world.claim()).toEqual({ jobs: [], nextDueAtMs: null });
      expect((await set("enabled"))?.endpoint).toMatchObject({ state: "enabled", reason: null, sinceMs: null });
      expect(typesOf((await world.claim()).jobs)).toEqual(["call.queued"]);
      expect((await set("disabled"))?.endpoint).toMatchObject({ state: "disabled", reason: "client" });
      expect(await world.store.createTest({ accountId, endpointId, nowMs: world.nowMs })).toEqual({ kind: "endpoint_disabled" });
      expect(await world.store.recover({ by: null, accountId, endpointId, sinceMs: 0, untilMs: 1, nowMs: 1 })).toEqual({
        kind: "endpoint_disabled",
      });
    });

    it("disabled by failures keep their pending deliveries, and send them in order when enabled again", async () => {
      const world = await open(impatient);
      const { view } = await world.watch("OUT-1");
      await world.hook("https://ops.example/", { events: ["endpoint.disabled"] });
      const endpointId = view.endpoint?.id ?? "";
      const { accountId } = view.watch;
      const given = await disable(world, "OUT-1");
      expect(given.endpoint).toMatchObject({ state: "disabled" });
      expect(only(given.jobs)).toMatchObject({
        target: { url: "https://ops.example/" },
        event: { type: "endpoint.disabled", data: { endpointId, state: "disabled", reason: "failing" } },
      });
      expect((await world.see("OUT-1", "calling")).jobs).toEqual([]);
      expect((await world.claim()).jobs).toEqual([]);
      expect(await world.store.getEndpoint(accountId, endpointId)).toMatchObject({
        backlog: 2,
        endpoint: { state: "disabled", reason: "failing" },
      });
      world.pass(7 * day);
      const enabled = await world.store.patchEndpoint({ by: null, accountId, endpointId, patch: { state: "enabled" }, nowMs: world.nowMs });
      expect(enabled?.endpoint).toMatchObject({ state: "enabled", health: { consecutiveFailures: 0, failingSinceMs: null } });
      const head = only((await world.claim()).jobs);
      expect(head).toMatchObject({ event: { type: "call.queued" }, attemptNumber: 3, stepsSpent: 0 });
      await world.record(head);
      expect(typesOf(await world.drain())).toEqual(["call.calling"]);
    });

    it("disabled and then paused lose their failures, and their deliveries start a new schedule", async () => {
      const world = await open(impatient);
      const { view } = await world.watch("OUT-1");
      await disable(world, "OUT-1");
      const { accountId } = view.watch;
      const endpointId = view.endpoint?.id ?? "";
      const patch = (state: "paused" | "enabled") =>
        world.store.patchEndpoint({ by: null, accountId, endpointId, patch: { state }, nowMs: world.nowMs });
      expect((await patch("paused"))?.endpoint).toMatchObject({ state: "paused", reason: "client", health: { consecutiveFailures: 0 } });
      expect((await world.claim()).jobs).toEqual([]);
      await patch("enabled");
      expect(only((await world.claim()).jobs)).toMatchObject({ event: { type: "call.queued" }, stepsSpent: 0 });
    });

    it("disabled are enabled when a new registration names them, not by a repeat", async () => {
      const world = await open(impatient);
      await world.watch("OUT-1");
      await disable(world, "OUT-1");
      expect(expectKind(await world.register("OUT-1"), "existing").view.endpoint?.state).toBe("disabled");
      expect(await world.watch("OUT-2")).toMatchObject({ enabledEndpoint: true, view: { endpoint: { state: "enabled" } } });
      expect(await world.watch("OUT-4")).toMatchObject({ enabledEndpoint: false });
      await world.store.patchEndpoint({
        by: null,
        accountId: (await world.account()).id,
        endpointId: (await world.watch("OUT-3")).view.endpoint?.id ?? "",
        patch: { state: "disabled" },
        nowMs: world.nowMs,
      });
      expect((await world.hook(receiver, {})).view.endpoint.state).toBe("enabled");
    });

    it("that answer 410 are disabled, their watches canceled, their hooks disabled, no delivery is pending", async () => {
      const world = await open();
      await world.hook("https://ops.example/", { events: ["endpoint.disabled"] });
      const hook = await world.hook(receiver);
      const mine = await world.watch("OUT-1", { url: receiver });
      const shared = await world.watch("OUT-2", { url: receiver });
      await world.watch("OUT-2", { url: "https://other.example/" });
      const first = only((await world.see("OUT-1", "queued")).jobs);
      await world.see("OUT-1", "calling");
      const second = (await world.see("OUT-2", "queued")).jobs.find((job) => job.target.url === receiver);
      if (second === undefined) throw new Error("two are on the wire");
      const gone = await world.record(first, answered(410));
      expect(gone).toMatchObject({ attempt: { decision: "gone" }, delivery: { status: "failed" }, endpoint: { state: "disabled" } });
      expect(gone.unwatchedCallIds).toEqual([mine.call?.callId]);
      expect(gone.notices.map(({ eventType, watchId }) => [eventType, watchId]).toSorted()).toEqual(
        [
          ["endpoint.disabled", null],
          ["watch.canceled", mine.view.watch.id],
          ["watch.canceled", shared.view.watch.id],
        ].toSorted(),
      );
      expect(gone.endpointChange).toBe("disabled_gone");
      expect(typesOf(gone.jobs)).toEqual(["endpoint.disabled"]);
      expect(only(gone.jobs).event.data).toMatchObject({ hookIds: [hook.view.id] });
      expect(await world.store.getHook(hook.view.accountId, hook.view.id)).toMatchObject({ endpoint: { state: "disabled" } });
      expect((await world.store.getWatch(mine.view.watch.accountId, mine.view.watch.id))?.watch).toMatchObject({
        status: "canceled",
        endReason: "gone",
      });
      expect(await world.store.getEndpoint(mine.view.watch.accountId, first.target.id)).toMatchObject({
        backlog: 0,
        hookIds: [hook.view.id],
        endpoint: { state: "disabled", reason: "gone" },
      });
      expect(await world.record(second, ok)).toMatchObject({ delivery: { status: "canceled" }, endpointChange: "none" });
      expect(typesOf((await world.see("OUT-2", "calling")).jobs)).toEqual([]);
    });

    describe("whose hooks a 410 disabled", () => {
      it("receive no event, count in no quota and do not replace a callback URL", async () => {
        const { world } = await openGone(await open());
        expect(await sentTo(world, "queued")).toEqual(["https://other.example/"]);
        expect((await world.register("OUT-without", { url: null, needsHook: true })).kind).toBe("callback_required");
        expect((await world.registerHook("https://new.example/", { quotas: { ...noQuotas, maxHooks: 1 } })).kind).toBe("created");
      });

      it.each(["patch", "the same hook", "another hook", "a watch"])("come back with %s, regardless of the quota", async (how) => {
        const { world, hook } = await openGone(await open());
        const full = { ...noQuotas, maxHooks: 1 };
        if (how === "patch")
          await world.store.patchEndpoint({
            by: null,
            accountId: hook.accountId,
            endpointId: hook.endpoint.id,
            patch: { state: "enabled" },
            nowMs: world.nowMs,
          });
        else if (how === "a watch") await world.watch("OUT-again", { url: receiver });
        else {
          const registered = await world.registerHook(receiver, {
            quotas: full,
            ...(how === "the same hook" ? {} : { events: ["terminal"] }),
          });
          expect(registered.kind).toBe(how === "the same hook" ? "existing" : "created");
        }
        expect(await sentTo(world, "queued")).toEqual(["https://other.example/", receiver].toSorted());
      });

      it("stay disabled while the endpoint is only paused", async () => {
        const { world, hook } = await openGone(await open());
        const patch = (state: "paused" | "enabled") =>
          world.store.patchEndpoint({
            by: null,
            accountId: hook.accountId,
            endpointId: hook.endpoint.id,
            patch: { state },
            nowMs: world.nowMs,
          });
        await patch("paused");
        await world.see("OUT-other", "queued");
        await patch("enabled");
        expect((await world.claim()).jobs.map((job) => job.target.url)).not.toContain(receiver);
        expect(await sentTo(world, "calling")).toContain(receiver);
      });

      it("go with the endpoint after the retention", async () => {
        const { world, hook } = await openGone(await open());
        const clean = async () => {
          for (let n = 0; n < 20; n++)
            await world.store.deleteExpired({ beforeMs: world.nowMs - 30 * day, nowMs: world.nowMs, limit: 100 });
        };
        world.pass(30 * day);
        await clean();
        expect(await world.store.getHook(hook.accountId, hook.id)).not.toBeNull();
        world.pass(1);
        await clean();
        expect(await world.store.getHook(hook.accountId, hook.id)).toBeNull();
        expect(await world.store.getEndpoint(hook.accountId, hook.endpoint.id)).toBeNull();
      });
    });

    it("lose their pause when they are enabled, and go on with one delivery", async () => {
      const world = await open();
      const { view } = await world.watch("OUT-1");
      await world.watch("OUT-2");
      const first = only((await world.see("OUT-1", "queued")).jobs);
      const next = only((await world.see("OUT-2", "queued")).jobs);
      for (const job of [first, next]) await world.record(job, answered(429, "3600"));
      expect(await world.claim()).toEqual({ jobs: [], nextDueAtMs: startMs + hour });
      const { accountId } = view.watch;
      const endpointId = view.endpoint?.id ?? "";
      const enabled = await world.store.patchEndpoint({ by: null, accountId, endpointId, patch: { state: "enabled" }, nowMs: world.nowMs });
      expect(enabled?.endpoint).toMatchObject({
        state: "enabled",
        health: { pausedUntilMs: null, pauseReason: null, consecutivePauses: 1 },
      });
      await world.record(only((await world.claim()).jobs), ok);
      expect((await world.claim()).jobs).toHaveLength(1);
    });

    it("make no operational events about operational events, nor to themselves", async () => {
      const world = await open({ scheduleMs: [0] });
      await world.hook("https://ops.example/", { events: ["delivery.exhausted", "endpoint.disabled"] });
      await world.hook(receiver, { events: ["delivery.exhausted", "endpoint.disabled"] });
      await world.watch("OUT-1", { url: receiver });
      const exhausted = await world.record(only((await world.see("OUT-1", "queued")).jobs), broken);
      const job = only(exhausted.jobs);
      expect(job).toMatchObject({
        target: { url: "https://ops.example/" },
        event: { type: "delivery.exhausted", data: { state: "exhausted", reason: "status" } },
      });
      expect(await world.record(job, broken)).toMatchObject({ delivery: { status: "exhausted" }, jobs: [] });
      expect(await world.record(only((await world.see("OUT-1", "calling")).jobs), answered(410))).toMatchObject({
        jobs: [{ event: { type: "endpoint.disabled" } }],
      });
    });

    it("of a host that was paused are free when enabled after it", async () => {
      const world = await open();
      const { view } = await world.watch("OUT-1");
      const job = only((await world.see("OUT-1", "queued")).jobs);
      await world.record(job, answered(503, "3600"));
      const { accountId } = view.watch;
      const endpointId = view.endpoint?.id ?? "";
      for (const state of ["disabled", "enabled"] as const)
        await world.store.patchEndpoint({ by: null, accountId, endpointId, patch: { state }, nowMs: world.nowMs });
      // The host's own pause holds.
      expect(await world.claim()).toEqual({ jobs: [], nextDueAtMs: startMs + hour });
      world.pass(hour + minute);
      expect((await world.claim()).jobs).toHaveLength(1);
    });
  });
}
