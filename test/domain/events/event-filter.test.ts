import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { eventGroups, operationalEventTypes, watchEventTypes } from "../../../src/domain/events/event.ts";
import type { EventType, OperationalEventType, RingbackEvent } from "../../../src/domain/events/event.ts";
import {
  describeFilter,
  filterByNames,
  filterFromRow,
  filterOfHook,
  filterToJson,
  filterToRow,
  hookFilterNames,
  hookFilterToJson,
  hookMatches,
  hookNamesOperational,
  isStillSubscribed,
  sameFilter,
  selectTypes,
  unfiltered,
  watchFilterNames,
  watchMatches,
} from "../../../src/domain/events/event-filter.ts";
import { whereFromJson } from "../../../src/domain/events/where.ts";
import { callEvent, operationalEvent } from "../../harness/events.ts";

const calls = watchEventTypes.filter((type) => type.startsWith("call."));
const endings = watchEventTypes.filter((type) => type.startsWith("watch."));
const terminalTypes = ["call.success", "call.failure", ...endings];
const everything: readonly EventType[] = [...watchEventTypes, ...operationalEventTypes, "endpoint.test"];

/** As it would be made: operational events and tests are never terminal. */
function eventOf(type: EventType): RingbackEvent {
  if (isOperational(type)) return operationalEvent(type);
  return callEvent({ terminal: type === "endpoint.test" ? null : terminalTypes.includes(type) }, { type });
}

function isOperational(type: EventType): type is OperationalEventType {
  return (operationalEventTypes as readonly string[]).includes(type);
}

test("the names a filter may hold", () => {
  expect(watchFilterNames).toEqual([...watchEventTypes, "call.*", "watch.*", "terminal"]);
  expect(hookFilterNames).toEqual([
    ...watchFilterNames,
    "endpoint.failing",
    "endpoint.recovered",
    "endpoint.disabled",
    "delivery.exhausted",
    "source.suspended",
    "source.resumed",
    "call.overdue",
    "call.unknown",
    "key.expiring",
  ]);
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
    const wanted = watchEventTypes.filter((type) => watchMatches(filterByNames(filter), eventOf(type)));
    expect(new Set(wanted)).toEqual(new Set([...named, ...endings]));
  });

  test("null is all", () => {
    expect(watchEventTypes.filter((type) => watchMatches(unfiltered, eventOf(type)))).toEqual(watchEventTypes);
  });
});

describe("hookMatches", () => {
  test.each(filters)("%j: exactly what it names", (filter, named) => {
    expect(new Set(everything.filter((type) => hookMatches(filterByNames(filter), eventOf(type))))).toEqual(new Set(named));
  });

  test("null is every event about a call or watch, and no operational one", () => {
    expect(everything.filter((type) => hookMatches(unfiltered, eventOf(type)))).toEqual(watchEventTypes);
  });

  test.each(operationalEventTypes)("%s must be named", (type) => {
    expect(everything.filter((other) => hookMatches(filterByNames([type]), eventOf(other)))).toEqual([type]);
    expect(hookMatches(filterByNames([...watchEventTypes, ...eventGroups]), eventOf(type))).toBe(false);
  });

  test("a test event never comes by a hook, even if it were named", () => {
    expect(hookMatches(filterByNames(["endpoint.test"]), eventOf("endpoint.test"))).toBe(false);
  });
});

test.each(operationalEventTypes)("a hook may be sent %s only if it names it", (type) => {
  expect(hookNamesOperational(filterByNames(["call.*", type]), type)).toBe(true);
  expect(hookNamesOperational(filterByNames(["call.*"]), type)).toBe(false);
  expect(hookNamesOperational(unfiltered, type)).toBe(false);
  expect(hookNamesOperational(filterByNames(["call.success"]), "call.success")).toBe(false);
});

describe("isStillSubscribed", () => {
  const success = eventOf("call.success");
  const [matching, other] = [filterByNames(["terminal"]), filterByNames(["call.queued"])];

  test("by its watch, or by a hook that remains", () => {
    expect(isStillSubscribed(success, matching, [])).toBe(true);
    expect(isStillSubscribed(success, other, [other, matching])).toBe(true);
  });

  test("by neither", () => {
    expect(isStillSubscribed(success, null, [])).toBe(false);
    expect(isStillSubscribed(success, other, [other])).toBe(false);
  });
});

describe("sameFilter", () => {
  test("order and repetition do not count", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string(), { minLength: 1 }), (names) => {
        const filter = filterByNames(names);
        expect(sameFilter(filter, filterByNames([...names.toReversed(), ...names]))).toBe(true);
        expect(sameFilter(filter, filterByNames(names.slice(1)))).toBe(false);
      }),
    );
  });

  test("no names are a filter of their own", () => {
    expect(sameFilter(unfiltered, filterByNames(null))).toBe(true);
    expect(sameFilter(unfiltered, filterByNames(["call.*", "watch.*"]))).toBe(false);
    expect(sameFilter(filterByNames(["terminal"]), unfiltered)).toBe(false);
  });
});

describe("a filter with conditions", () => {
  const onFailures = filterOfHook(["terminal", "source.suspended"], whereFromJson({ status: "failure" }));

  test("selects the events that it names and whose conditions hold; operational events pass", () => {
    const failure = callEvent({ status: "failure", terminal: true }, { type: "call.failure" });
    const success = callEvent({ status: "success", terminal: true }, { type: "call.success" });
    const queued = callEvent({ status: "failure", terminal: false }, { type: "call.queued" });
    expect([failure, success, queued].map((event) => hookMatches(onFailures, event))).toEqual([true, false, false]);
    expect(hookMatches(onFailures, operationalEvent("source.suspended"))).toBe(true);
    expect(isStillSubscribed(failure, null, [onFailures])).toBe(true);
    expect(isStillSubscribed(success, null, [onFailures])).toBe(false);
  });

  test("is another one than with other conditions, or none", () => {
    const same = filterOfHook(["source.suspended", "terminal"], whereFromJson({ status: "failure" }));
    expect(sameFilter(onFailures, same)).toBe(true);
    expect(sameFilter(onFailures, filterByNames(onFailures.names))).toBe(false);
    expect(sameFilter(onFailures, filterOfHook(onFailures.names, whereFromJson({ status: "success" })))).toBe(false);
  });

  test("in words", () => {
    expect(describeFilter(hookFilterToJson(onFailures))).toBe('terminal, source.suspended if status is "failure"');
  });
});

describe("a filter", () => {
  const names = fc.option(fc.subarray([...hookFilterNames], { minLength: 1 }));
  const terms = fc.array(
    fc.record({
      field: fc.constantFrom("source", "status", "metadata.a"),
      test: fc.constantFrom("is", "in", "prefix", "not"),
      texts: fc.array(fc.string({ unit: "binary" })),
    }),
  );

  test("with conditions survives the store", () => {
    fc.assert(
      fc.property(names, terms, (given, where) => {
        const filter = filterOfHook(given, where);
        expect(filterFromRow(filterToRow(filter))).toEqual(filter);
      }),
    );
  });

  test("survives the store and the passage to another thread", () => {
    fc.assert(
      fc.property(names, (given) => {
        const filter = filterByNames(given);
        expect(filterFromRow(filterToRow(filter))).toEqual(filter);
        expect(structuredClone(filter)).toEqual(filter);
        expect(filterToJson(filter)).toEqual({ events: given });
      }),
    );
  });

  test("is stored as the JSON of its names, as rows of earlier versions are", () => {
    expect(filterToRow(filterByNames(["terminal", "call.queued"]))).toBe('["terminal","call.queued"]');
    expect(filterToRow(unfiltered)).toBeNull();
  });

  test("in words", () => {
    expect(describeFilter(filterToJson(filterByNames(["terminal", "call.queued"])))).toBe("terminal, call.queued");
    expect(describeFilter(filterToJson(unfiltered))).toBeNull();
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
    expect(selectTypes(filterByNames(filter))).toEqual({ types, orTerminal });
  });

  test("selects of the watch events exactly what a hook with that filter is sent", () => {
    fc.assert(
      fc.property(fc.option(fc.subarray([...hookFilterNames], { minLength: 1 })), (filter) => {
        const { types, orTerminal } = selectTypes(filterByNames(filter));
        for (const type of watchEventTypes) {
          const event = eventOf(type);
          expect(types === null || types.includes(type) || (orTerminal && terminalTypes.includes(type))).toBe(
            hookMatches(filterByNames(filter), event),
          );
        }
      }),
    );
  });
});
