import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { eventGroups, operationalEventTypes, watchEventTypes } from "../../../src/domain/events/event.ts";
import type { EventType } from "../../../src/domain/events/event.ts";
import { hookFilterNames, hookMatches, selectTypes, watchFilterNames, watchMatches } from "../../../src/domain/events/event-filter.ts";

const calls = watchEventTypes.filter((type) => type.startsWith("call."));
const endings = watchEventTypes.filter((type) => type.startsWith("watch."));
const terminalTypes = ["call.success", "call.failure", ...endings];
const everything: readonly EventType[] = [...watchEventTypes, ...operationalEventTypes, "endpoint.test"];

/** As it would be made: operational events and tests are never terminal. */
function eventOf(type: EventType) {
  return { type, terminal: type === "endpoint.test" ? null : terminalTypes.includes(type) };
}

test("the names a filter may hold", () => {
  expect(watchFilterNames).toEqual([...watchEventTypes, "call.*", "watch.*", "terminal"]);
  expect(hookFilterNames).toEqual([...watchFilterNames, "endpoint.disabled", "delivery.exhausted", "source.suspended", "source.resumed"]);
});

const filters: [filter: readonly string[] | null, named: readonly string[]][] = [
  [["call.success"], ["call.success"]],
  [
    ["call.queued", "call.other"],
    ["call.queued", "call.other"],
  ],
  [["call.*"], calls],
  [["watch.*"], endings],
  [["terminal"], terminalTypes],
  [
    ["terminal", "call.queued"],
    ["call.queued", ...terminalTypes],
  ],
  [["watch.lost"], ["watch.lost"]],
];

describe("watchMatches", () => {
  test.each(filters)("%j: what it names, and always the four endings", (filter, named) => {
    const wanted = watchEventTypes.filter((type) => watchMatches(filter, eventOf(type)));
    expect(new Set(wanted)).toEqual(new Set([...named, ...endings]));
  });

  test("null is all", () => {
    expect(watchEventTypes.filter((type) => watchMatches(null, eventOf(type)))).toEqual(watchEventTypes);
  });
});

describe("hookMatches", () => {
  test.each(filters)("%j: exactly what it names", (filter, named) => {
    expect(new Set(everything.filter((type) => hookMatches(filter, eventOf(type))))).toEqual(new Set(named));
  });

  test("null is every event about a call or watch, and no operational one", () => {
    expect(everything.filter((type) => hookMatches(null, eventOf(type)))).toEqual(watchEventTypes);
  });

  test.each(operationalEventTypes)("%s must be named", (type) => {
    expect(everything.filter((other) => hookMatches([type], eventOf(other)))).toEqual([type]);
    expect(hookMatches([...watchEventTypes, ...eventGroups], eventOf(type))).toBe(false);
  });

  test("a test event never comes by a hook, even if it were named", () => {
    expect(hookMatches(["endpoint.test"], eventOf("endpoint.test"))).toBe(false);
  });
});

describe("selectTypes", () => {
  test.each<[filter: string[] | null, types: readonly string[] | null, orTerminal: boolean]>([
    [null, null, false],
    [["call.*"], calls, false],
    [["watch.*", "watch.lost"], endings, false],
    [["terminal"], [], true],
    [["terminal", "call.queued"], ["call.queued"], true],
    [["endpoint.disabled", "endpoint.disabled"], ["endpoint.disabled"], false],
  ])("%j", (filter, types, orTerminal) => {
    expect(selectTypes(filter)).toEqual({ types, orTerminal });
  });

  test("selects of the watch events exactly what a hook with that filter is sent", () => {
    fc.assert(
      fc.property(fc.option(fc.subarray([...hookFilterNames], { minLength: 1 })), (filter) => {
        const { types, orTerminal } = selectTypes(filter);
        for (const type of watchEventTypes) {
          const event = eventOf(type);
          expect(types === null || types.includes(type) || (orTerminal && event.terminal === true)).toBe(hookMatches(filter, event));
        }
      }),
    );
  });
});
