import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { CallChange, CallStatus } from "../../../src/domain/calls/call.ts";
import { maxEventsPerWatch, planChange, planCommit, planInitialEvents } from "../../../src/domain/calls/transition.ts";
import { filterByNames, unfiltered } from "../../../src/domain/events/event-filter.ts";
import type { PlannedEvent, SubscriberHook, SubscriberWatch, TransitionInput } from "../../../src/domain/calls/transition.ts";

const nowMs = Date.UTC(2026, 10, 24, 12);
const unseen: CallStatus = { status: null, reason: "", details: null, terminal: false, observedAtMs: null, lastGoodPollAtMs: null };
const queued: CallStatus = { ...unseen, status: "queued", reason: "in line", observedAtMs: nowMs - 5000, lastGoodPollAtMs: nowMs - 1000 };

function watch(n: number, over: Partial<SubscriberWatch> = {}): SubscriberWatch {
  return {
    id: `wch_${n}`,
    accountId: "acc_1",
    callSid: "OUT-1",
    sourceName: "default",
    endpointId: `ep_${n}`,
    filter: unfiltered,
    metadata: { n: String(n) },
    trace: null,
    sequence: 0,
    createdAtMs: nowMs - 60_000,
    expiresAtMs: nowMs + 86_400_000,
    ...over,
  };
}

function hook(n: number, over: Partial<SubscriberHook> = {}): SubscriberHook {
  return { id: `hk_${n}`, accountId: "acc_1", endpointId: `ep_hook_${n}`, filter: unfiltered, notifiedTransition: 0, ...over };
}

function status(name: string, over: Partial<Extract<CallChange, { kind: "status" }>> = {}): CallChange {
  return {
    kind: "status",
    status: name,
    reason: "",
    details: null,
    terminal: name === "success" || name === "failure",
    observedAfterMs: nowMs - 1000,
    ...over,
  };
}

function plan(change: CallChange, over: Partial<TransitionInput>): readonly PlannedEvent[] {
  return planChange(change, { call: queued, transition: 1, watches: [watch(1)], hooks: [], nowMs, ...over });
}

/** Returns watch, endpoints and hooks of every event. */
function routes(planned: readonly PlannedEvent[]) {
  return planned.map((one) => [one.watchId, one.endpointIds, one.hookIds]);
}

describe("a status", () => {
  test("is notified with the status before it and the time that was last confirmed", () => {
    expect(plan(status("calling", { reason: "ringing" }), { watches: [watch(1, { sequence: 4 })] })).toEqual([
      {
        watchId: "wch_1",
        terminal: false,
        sequence: 5,
        watchStatus: "active",
        endReason: null,
        trace: null,
        endpointIds: ["ep_1"],
        hookIds: [],
        event: {
          id: expect.stringMatching(/^evt_[A-Za-z0-9]{32}$/),
          accountId: "acc_1",
          timestampMs: nowMs,
          type: "call.calling",
          data: {
            watchId: "wch_1",
            callSid: "OUT-1",
            source: "default",
            status: "calling",
            previousStatus: "queued",
            reason: "ringing",
            terminal: false,
            sequence: 5,
            observedAtMs: nowMs,
            observedAfterMs: nowMs - 1000,
            metadata: { n: "1" },
            details: null,
          },
        },
      },
    ]);
  });

  test("a watch's first event has no previous status", () => {
    const [first] = plan(status("calling"), {});
    expect(first?.event.data).toMatchObject({ sequence: 1, previousStatus: null, observedAfterMs: null });
  });

  test.each([
    ["success", "call.success"],
    ["failure", "call.failure"],
  ])("%s completes the watch", (name, type) => {
    expect(plan(status(name), {})).toMatchObject([
      { terminal: true, watchStatus: "completed", endReason: null, event: { type, data: { terminal: true } } },
    ]);
  });

  test("an unknown one is passed on", () => {
    expect(plan(status("on_hold"), {})).toMatchObject([
      { watchStatus: "active", event: { type: "call.other", data: { status: "on_hold" } } },
    ]);
  });

  test("is notified to every watch of every account, each with its own sequence and metadata", () => {
    const watches = [watch(1), watch(2, { sequence: 7 }), watch(3, { accountId: "acc_2", sourceName: "shared" })];
    const planned = plan(status("calling"), { watches });
    expect(
      planned.map(({ event }) => [event.accountId, event.data.watchId, event.data.sequence, event.data.metadata, event.data.source]),
    ).toEqual([
      ["acc_1", "wch_1", 1, { n: "1" }, "default"],
      ["acc_1", "wch_2", 8, { n: "2" }, "default"],
      ["acc_2", "wch_3", 1, { n: "3" }, "shared"],
    ]);
    expect(new Set(planned.map(({ event }) => event.id)).size).toBe(3);
  });

  test("a filter keeps it from the endpoint, never from the sequence", () => {
    const [planned] = plan(status("calling"), { watches: [watch(1, { filter: filterByNames(["terminal"]) })] });
    expect(planned).toMatchObject({ sequence: 1, endpointIds: [], event: { type: "call.calling" } });
  });

  test("a watch without an endpoint makes its events all the same", () => {
    expect(plan(status("calling"), { watches: [watch(1, { endpointId: null })] })).toMatchObject([{ sequence: 1, endpointIds: [] }]);
  });

  test("after 50 events a watch is notified of the end only", () => {
    const full = watch(1, { sequence: maxEventsPerWatch });
    expect(plan(status("calling"), { watches: [full] })).toEqual([]);
    expect(plan(status("calling"), { watches: [watch(1, { sequence: maxEventsPerWatch - 1 })] })).toHaveLength(1);
    expect(plan(status("success"), { watches: [full] })).toMatchObject([{ sequence: maxEventsPerWatch + 1 }]);
    expect(plan({ kind: "expire" }, { watches: [{ ...full, expiresAtMs: nowMs }] })).toHaveLength(1);
  });

  test("another reason alone is no event", () => {
    expect(plan({ kind: "note", reason: "still in line", details: null }, { hooks: [hook(1)] })).toEqual([]);
  });
});

describe("an end without a terminal status", () => {
  test.each(["not_found", "lost", "rejected"] as const)("%s ends every watch, regardless of its filter", (endReason) => {
    const watches = [watch(1, { sequence: 2, filter: filterByNames(["call.success"]) }), watch(2)];
    const planned = plan({ kind: "end", endReason, spares: null }, { watches });
    expect(routes(planned)).toEqual([
      ["wch_1", ["ep_1"], []],
      ["wch_2", ["ep_2"], []],
    ]);
    for (const one of planned) {
      expect(one).toMatchObject({ terminal: true, watchStatus: "ended", endReason });
      expect(one.event.type).toBe(`watch.${endReason}`);
      // Both fields have the last known status, also in a watch's first event.
      expect(one.event.data).toMatchObject({ status: "queued", previousStatus: "queued", reason: "in line", terminal: true });
      expect(one.event.data).toMatchObject({ observedAtMs: nowMs, observedAfterMs: nowMs - 1000 });
    }
  });

  test("of a call never seen has no status", () => {
    const [planned] = plan({ kind: "end", endReason: "not_found", spares: null }, { call: { ...unseen, lastGoodPollAtMs: 5 } });
    expect(planned?.event.data).toMatchObject({ status: null, previousStatus: null, reason: "", observedAfterMs: null });
  });
});

describe("a deadline", () => {
  const due = watch(1, { expiresAtMs: nowMs });
  const later = watch(2, { expiresAtMs: nowMs + 1 });

  test("ends the watches that are due, not the others", () => {
    expect(plan({ kind: "expire" }, { watches: [due, later] })).toMatchObject([
      {
        watchId: "wch_1",
        watchStatus: "ended",
        endReason: "expired",
        event: { type: "watch.expired", data: { status: "queued", terminal: true } },
      },
    ]);
  });

  test("is notified to a hook only if its account has no other watch of the call", () => {
    const hooks = [hook(1, { notifiedTransition: 9 }), hook(2, { accountId: "acc_2" })];
    expect(routes(plan({ kind: "expire" }, { watches: [due, later], hooks }))).toEqual([["wch_1", ["ep_1"], []]]);
    const othersWatch = [due, { ...later, accountId: "acc_2" }];
    expect(plan({ kind: "expire" }, { watches: othersWatch, hooks }).map((one) => one.endpointIds)).toEqual([["ep_1", "ep_hook_1"]]);
  });

  test("of two watches at once notifies a hook for the older watch", () => {
    const watches = [due, { ...later, expiresAtMs: nowMs }];
    expect(plan({ kind: "expire" }, { watches, hooks: [hook(1)] }).map((one) => one.endpointIds)).toEqual([
      ["ep_1", "ep_hook_1"],
      ["ep_2"],
    ]);
  });
});

describe("hooks", () => {
  const watches = [watch(1), watch(2), watch(3, { accountId: "acc_2" })];

  test("are sent the event of their account's oldest watch, once", () => {
    const hooks = [hook(1), hook(2), hook(3, { accountId: "acc_2" }), hook(4, { accountId: "acc_3" })];
    expect(routes(plan(status("calling"), { watches, hooks }))).toEqual([
      ["wch_1", ["ep_1", "ep_hook_1", "ep_hook_2"], ["hk_1", "hk_2"]],
      ["wch_2", ["ep_2"], []],
      ["wch_3", ["ep_3", "ep_hook_3"], ["hk_3"]],
    ]);
  });

  test("are notified of no transition twice: after the oldest watch is gone, the next one covers new transitions only", () => {
    const rest = [watch(2)];
    expect(routes(plan(status("calling"), { watches: rest, transition: 3, hooks: [hook(1, { notifiedTransition: 3 })] }))).toEqual([
      ["wch_2", ["ep_2"], []],
    ]);
    expect(routes(plan(status("calling"), { watches: rest, transition: 4, hooks: [hook(1, { notifiedTransition: 3 })] }))).toEqual([
      ["wch_2", ["ep_2", "ep_hook_1"], ["hk_1"]],
    ]);
  });

  test("their own filter counts, not the watch's", () => {
    const hooks = [["terminal"], ["call.calling"], ["source.suspended"]].map((names, index) =>
      hook(index + 1, { filter: filterByNames(names) }),
    );
    const filtered = [watch(1, { filter: filterByNames(["call.success"]) })];
    expect(routes(plan(status("calling"), { watches: filtered, hooks }))).toEqual([["wch_1", ["ep_hook_2"], ["hk_2"]]]);
    expect(routes(plan({ kind: "end", endReason: "lost", spares: null }, { watches: filtered, hooks }))).toEqual([
      ["wch_1", ["ep_1", "ep_hook_1"], []],
    ]);
  });

  test("are notified of the end of some watches only where the account has no other watch", () => {
    const watches = [
      watch(1),
      watch(2, { accountId: "acc_2" }),
      watch(3, { createdAtMs: nowMs - 1000 }),
      watch(4, { createdAtMs: nowMs + 9 }),
    ];
    const hooks = [hook(1), hook(2, { accountId: "acc_2", notifiedTransition: 9 })];
    const spares = { afterMs: nowMs - 30_000, untilMs: nowMs };
    const planned = plan({ kind: "end", endReason: "not_found", spares }, { watches, hooks });
    expect(routes(planned)).toEqual([
      ["wch_1", ["ep_1"], []],
      ["wch_2", ["ep_2", "ep_hook_2"], []],
      ["wch_4", ["ep_4"], []],
    ]);
    expect(planned.map(({ watchStatus, endReason }) => [watchStatus, endReason])).toContainEqual(["ended", "not_found"]);
    const commit = { changes: [{ kind: "end", endReason: "not_found", spares }] as const, confirmed: false, nowMs };
    expect(planCommit(commit, { call: unseen, transition: 4 }).transition).toBe(4);
  });

  test("with the watch's own URL share its delivery", () => {
    const hooks = [hook(1, { endpointId: "ep_1" }), hook(2, { endpointId: "ep_1" })];
    expect(routes(plan(status("calling"), { hooks }))).toEqual([["wch_1", ["ep_1"], ["hk_1", "hk_2"]]]);
  });

  test("receive only the end from a watch past its 50 events", () => {
    const full = [watch(1, { sequence: maxEventsPerWatch })];
    expect(plan(status("calling"), { watches: full, hooks: [hook(1)] })).toEqual([]);
    expect(plan(status("failure"), { watches: full, hooks: [hook(1)] })).toMatchObject([{ hookIds: ["hk_1"] }]);
  });
});

describe("the initial event", () => {
  const known: CallStatus = { ...queued, status: "calling" };

  test("notifies a new watch of the known status, with the time it was observed", () => {
    const watches = [watch(1, { sequence: 2 }), watch(2)];
    const planned = planInitialEvents({ call: known, transition: 2, watches, hooks: [], nowMs });
    expect(planned).toMatchObject([
      { watchId: "wch_2", sequence: 1, watchStatus: "active", event: { type: "call.calling", timestampMs: nowMs - 5000 } },
    ]);
    expect(planned[0]?.event.data).toMatchObject({
      previousStatus: null,
      observedAfterMs: null,
      observedAtMs: nowMs - 5000,
      reason: "in line",
    });
  });

  test("of an ended call completes it at once", () => {
    const call = { ...known, status: "success", terminal: true };
    expect(planInitialEvents({ call, transition: 2, watches: [watch(1)], hooks: [], nowMs })).toMatchObject([
      { watchStatus: "completed", terminal: true },
    ]);
  });

  test("of a call never seen does not exist", () => {
    expect(planInitialEvents({ call: unseen, transition: 0, watches: [watch(1)], hooks: [hook(1)], nowMs })).toEqual([]);
  });

  test("notifies hooks for the oldest watch only, and of no transition twice", () => {
    const input = { call: known, transition: 2, nowMs };
    const notifiedBefore = { ...input, watches: [watch(1, { sequence: 2 }), watch(2)], hooks: [hook(1)] };
    expect(routes(planInitialEvents(notifiedBefore))).toEqual([["wch_2", ["ep_2"], []]]);
    const alone = { ...input, watches: [watch(2)] };
    expect(routes(planInitialEvents({ ...alone, hooks: [hook(1, { notifiedTransition: 2 })] }))).toEqual([["wch_2", ["ep_2"], []]]);
    expect(routes(planInitialEvents({ ...alone, hooks: [hook(1, { notifiedTransition: 1 })] }))).toEqual([
      ["wch_2", ["ep_2", "ep_hook_1"], ["hk_1"]],
    ]);
  });
});

describe("after any sequence of statuses", () => {
  const changes = fc.array(fc.constantFrom("queued", "calling", "on_hold", "ringing", "success"), { maxLength: 80 });

  test("a watch's sequence has no gap, its ids are its own, a restored copy makes the same", () => {
    fc.assert(
      fc.property(changes, (names) => {
        const run = () => {
          let known: string | null = null;
          const events: PlannedEvent[] = [];
          for (const [index, name] of names.entries()) {
            if (name === known || known === "success") continue;
            const current = watch(1, { sequence: events.length });
            events.push(...plan(status(name), { call: { ...unseen, status: known }, transition: index + 1, watches: [current] }));
            known = name;
          }
          return events;
        };
        const events = run();
        expect(events.map((one) => one.sequence)).toEqual(events.map((_, index) => index + 1));
        expect(events.length).toBeLessThanOrEqual(maxEventsPerWatch + 1);
        expect(new Set(events.map((one) => one.event.id)).size).toBe(events.length);
        expect(run()).toEqual(events);
      }),
    );
  });
});

const kindsOf = (changes: readonly CallChange[], confirmed: boolean) =>
  planCommit({ changes, confirmed, nowMs }, { call: queued, transition: 4 }).steps.map(({ change, transition, call }) => [
    change?.kind ?? "first",
    transition,
    call.status,
  ]);

describe("a commit", () => {
  test.each<[string, readonly CallChange[], boolean, readonly unknown[]]>([
    ["without a change notifies watches that have no event yet", [], true, [["first", 4, "queued"]]],
    ["without a confirmation notifies no watch", [], false, []],
    ["of another status notifies every watch once", [status("calling")], true, [["status", 5, "queued"]]],
    [
      "notifies an expiring watch of the status first",
      [{ kind: "expire" }],
      true,
      [
        ["first", 4, "queued"],
        ["expire", 4, "queued"],
        ["first", 4, "queued"],
      ],
    ],
    ["without a poll expires watches without a status event", [{ kind: "expire" }], false, [["expire", 4, "queued"]]],
    ["ends watches without a transition of the call", [{ kind: "end", endReason: "lost", spares: null }], false, [["end", 4, "queued"]]],
    [
      "applies each change to the result of the one before",
      [status("calling"), { kind: "expire" }],
      false,
      [
        ["status", 5, "queued"],
        ["expire", 5, "calling"],
      ],
    ],
  ])("%s", (_name, changes, confirmed, steps) => {
    expect(kindsOf(changes, confirmed)).toEqual(steps);
  });

  test("leaves the call as its last change says", () => {
    const after = planCommit(
      { changes: [{ kind: "note", reason: "busy", details: null }, status("success")], confirmed: true, nowMs },
      { call: queued, transition: 4 },
    );
    expect(after).toMatchObject({
      transition: 5,
      call: { status: "success", reason: "", details: null, terminal: true, observedAtMs: nowMs },
    });
  });
});
