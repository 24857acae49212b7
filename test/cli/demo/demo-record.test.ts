import { expect, test } from "vitest";
import { DemoRecord, demoCalls } from "../../../src/cli/demo/demo-plan.ts";
import type { DemoCall } from "../../../src/cli/demo/demo-plan.ts";
import type { Delivery } from "../../../src/cli/receiver/receiver.ts";

function deliveryOf(call: DemoCall, index: number, changes: Partial<Delivery> = {}): Delivery {
  const terminal = index === call.expected.length - 1;
  const data = { sequence: index + 1, reason: terminal ? call.reason : "", terminal };
  return {
    receivedAtMs: 0,
    path: `/${call.name}`,
    headers: {},
    body: Buffer.from(JSON.stringify({ type: call.expected[index], data })),
    webhookId: `evt_${call.name}_${index}`,
    attempt: 1,
    verification: { kind: "verified" },
    ...changes,
  };
}

/** A demo in which everything arrived but what `skip` names. */
function recorded(skip: (call: DemoCall, index: number) => boolean = () => false): DemoRecord {
  const record = new DemoRecord();
  for (const call of demoCalls) for (const index of call.expected.keys()) if (!skip(call, index)) record.add(deliveryOf(call, index), true);
  return record;
}

const [first] = demoCalls as readonly [DemoCall];

test("a demo in which everything arrived has no fault", () => {
  const record = recorded();
  expect(record.isComplete()).toBe(true);
  expect(record.faults()).toEqual([]);
  expect(record.taken).toBe(15);
});

test("the same webhook twice is no fault", () => {
  const record = recorded();
  record.add(deliveryOf(first, 0, { attempt: 2 }), true);
  expect(record.faults()).toEqual([]);
});

test("what is missing is named", () => {
  const record = recorded((call, index) => call.name === "crash" && index === 1);
  expect(record.isComplete()).toBe(false);
  expect(record.faults()).toEqual([
    "crash: expected #1 call.queued, #2 call.calling, #3 call.success; received #1 call.queued, #3 call.success",
  ]);
});

test("a refused webhook does not count", () => {
  const record = recorded((call, index) => call === first && index === 1);
  record.add(deliveryOf(first, 1), false);
  expect(record.isComplete()).toBe(false);
});

test.each([
  ["one too many", { webhookId: "evt_other" }, /^success: expected /],
  ["one to nowhere", { path: "/nowhere" }, /arrived at \/nowhere, which is not registered/],
  ["one that is not verified", { verification: { kind: "refused", detail: "" } }, /invalid signature/],
] as const)("%s is a fault", (_name, changes, fault) => {
  const record = recorded();
  record.add(deliveryOf(first, 1, changes), true);
  expect(record.faults()).toEqual([expect.stringMatching(fault)]);
});

test("an end without its reason is a fault", () => {
  const record = recorded((call, index) => call.name === "failure" && index === 2);
  const failure = demoCalls.find((call) => call.name === "failure") ?? first;
  record.add(deliveryOf({ ...failure, reason: "" }, 2), true);
  expect(record.faults()).toEqual(["failure: the reason of its end is null"]);
});
