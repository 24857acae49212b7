import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { pollersOf, raisedRate, divideRate } from "../../../src/domain/sources/rate-division.ts";

const sum = (values: Iterable<number>) => [...values].reduce((total, value) => total + value, 0);
const shares = (limit: number, ...calls: readonly number[]) => [
  ...divideRate(
    limit,
    calls.map((owned, index) => ({ token: index + 1, calls: owned })),
  ).values(),
];

describe("a rate shared", () => {
  test.each([
    ["one instance has all but the reserve", 200, [0], [188]],
    ["equal owners have equal parts", 48, [10, 10, 10], [15, 15, 15]],
    ["who owns more has more, and a newcomer counts with its fair share", 160, [100, 0], [100, 50]],
    ["the remainder goes to the greatest fraction", 10, [4, 4, 1], [4, 3, 3]],
    ["a small rate has no reserve", 3, [1, 1, 1], [1, 1, 1]],
    ["what is no whole poll a second goes to the first", 2.5, [1, 1], [1.5, 1]],
    ["a rate below one is polled by one instance alone", 0.5, [5, 5], [0.5]],
    ["more instances than polls a second: only the first ones poll", 2, [1, 1, 1], [1, 1]],
  ])("%s", (_, limit, calls, expected) => {
    expect(shares(limit, ...calls)).toEqual(expected);
  });

  test("is never more than the rate, in sum and in any second, and never nothing for a poller", () => {
    const claimants = fc.array(fc.nat(5000), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(fc.double({ min: 0.01, max: 2000, noNaN: true }), claimants, (limit, calls) => {
        const granted = shares(limit, ...calls);
        expect(sum(granted)).toBeLessThanOrEqual(limit + 1e-9);
        expect(sum(granted.map((rate) => Math.ceil(rate - 1e-9)))).toBeLessThanOrEqual(Math.ceil(limit));
        expect(Math.min(...granted)).toBeGreaterThan(0);
        expect(sum(granted)).toBeGreaterThanOrEqual(limit * 0.9);
      }),
    );
  });
});

describe("a rate raised", () => {
  test.each([
    ["is what is wanted when there is room", { limitPerSecond: 10, publishedPerSecond: 1, wantedPerSecond: 5, othersPerSecond: 5 }, 5],
    ["is what the others leave", { limitPerSecond: 10, publishedPerSecond: 1, wantedPerSecond: 5, othersPerSecond: 7 }, 3],
    ["is a whole number where it is not all", { limitPerSecond: 10.5, publishedPerSecond: 0, wantedPerSecond: 5, othersPerSecond: 6 }, 4],
    ["never takes away", { limitPerSecond: 10, publishedPerSecond: 6, wantedPerSecond: 7, othersPerSecond: 4 }, 6],
    ["is nothing while the others have it all", { limitPerSecond: 10, publishedPerSecond: 0, wantedPerSecond: 3, othersPerSecond: 12 }, 0],
  ])("%s", (_, request, expected) => {
    expect(raisedRate(request)).toBe(expected);
  });
});

/** An instance by the protocol: it lowers at once and publishes that later, and raises only what is granted. */
type Member = { readonly token: number; calls: number; effective: number; published: number };

class Membership {
  readonly members: Member[] = [];
  readonly limit: number;
  #lastToken = 0;

  constructor(limit: number) {
    this.limit = limit;
  }

  join(): void {
    this.members.push({ token: ++this.#lastToken, calls: 0, effective: 0, published: 0 });
  }

  heartbeat(member: Member): void {
    member.published = member.effective;
    const wanted = divideRate(this.limit, this.members).get(member.token) ?? 0;
    if (wanted <= member.effective) member.effective = wanted;
    else {
      const othersPerSecond = sum(this.members.filter((other) => other !== member).map(({ published }) => published));
      member.published = raisedRate({
        limitPerSecond: this.limit,
        publishedPerSecond: member.published,
        wantedPerSecond: wanted,
        othersPerSecond,
      });
      member.effective = member.published;
    }
  }

  check(): void {
    expect(sum(this.members.map(({ effective }) => effective))).toBeLessThanOrEqual(this.limit + 1e-9);
    expect(sum(this.members.map(({ effective }) => Math.ceil(effective - 1e-9)))).toBeLessThanOrEqual(Math.ceil(this.limit));
    for (const { effective, published } of this.members) expect(effective).toBeLessThanOrEqual(published + 1e-9);
  }
}

test("instances that join, leave and gain calls in any order never poll more than the rate, and settle at their shares", () => {
  const step = fc.oneof(
    { weight: 1, arbitrary: fc.constant({ kind: "join" as const }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("leave" as const), at: fc.nat(9) }) },
    { weight: 6, arbitrary: fc.record({ kind: fc.constant("heartbeat" as const), at: fc.nat(9) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("calls" as const), at: fc.nat(9), calls: fc.nat(1000) }) },
  );
  fc.assert(
    fc.property(fc.double({ min: 0.1, max: 300, noNaN: true }), fc.array(step, { maxLength: 60 }), (limit, steps) => {
      const world = new Membership(limit);
      world.join();
      for (const action of steps) {
        const member = "at" in action ? world.members[action.at % Math.max(1, world.members.length)] : undefined;
        if (action.kind === "join") world.join();
        else if (member === undefined) continue;
        else if (action.kind === "leave") world.members.splice(world.members.indexOf(member), 1);
        else if (action.kind === "calls") member.calls = action.calls;
        else world.heartbeat(member);
        world.check();
      }
      for (let round = 0; round < 3; round++)
        for (const member of world.members) {
          world.heartbeat(member);
          world.check();
        }
      const expected = divideRate(limit, world.members);
      for (const { token, effective } of world.members) expect(effective).toBeCloseTo(expected.get(token) ?? 0, 6);
    }),
  );
});

test("as many instances poll a source as it allows polls a second, those that joined first", () => {
  expect(pollersOf(2.9, [30, 10, 20])).toEqual([10, 20]);
  expect(pollersOf(0.2, [30, 10, 20])).toEqual([10]);
  expect(pollersOf(200, [30, 10, 20])).toEqual([10, 20, 30]);
});
