import { eventGroups, operationalEventTypes, watchEventTypes } from "./event.ts";
import type { EventType, RingbackEvent } from "./event.ts";

/** Every name that the `events` of a watch may hold: types and groups. */
export const watchFilterNames: readonly string[] = [...watchEventTypes, ...eventGroups];
/** Every name that the `events` of a hook may hold: operational types too. */
export const hookFilterNames: readonly string[] = [...watchFilterNames, ...operationalEventTypes];

/**
 * The events that a watch or hook asks for. A plain object, because filters pass between threads (structured clone). Only
 * the functions below read its fields, so that a further kind of filter changes only this file, the schema of the API and
 * the stored text.
 */
export type EventFilter = {
  /** Type names or the groups `call.*`, `watch.*`, `terminal`; `null` if the filter names none. */
  readonly names: readonly string[] | null;
};

type FilteredEvent = Pick<RingbackEvent, "type" | "data">;

/** The filter of a watch or hook that was registered without one. */
export const unfiltered: EventFilter = { names: null };

const operational: ReadonlySet<string> = new Set(operationalEventTypes);
const endings: ReadonlySet<string> = new Set(["call.success", "call.failure"]);

/** Returns the filter of the API's `events`. `null` selects every event; for hooks, every event about a call or watch. */
export function filterByNames(names: readonly string[] | null): EventFilter {
  return names === null ? unfiltered : { names };
}

/**
 * Whether a watch is sent an event. The four `watch.*` endings pass every filter, because the events that the filter names
 * will never come.
 */
export function watchMatches(filter: EventFilter, event: FilteredEvent): boolean {
  return filter.names === null || event.type.startsWith("watch.") || filter.names.some((name) => includesEvent(name, event));
}

/** Whether a hook is sent an event: its filter names the event, or it names none and the event is about a call or watch. */
export function hookMatches(filter: EventFilter, event: FilteredEvent): boolean {
  if (event.type === "endpoint.test") return false;
  if (filter.names === null) return !operational.has(event.type);
  return filter.names.some((name) => includesEvent(name, event));
}

/** Whether a hook may be sent operational events of this type. */
export function hookNamesOperational(filter: EventFilter, type: EventType): boolean {
  return operational.has(type) && filter.names?.includes(type) === true;
}

/**
 * Whether a pending event still has a subscriber at its endpoint. `watchFilter` is `null` if its watch names another
 * endpoint or none; `hookFilters` belong to the remaining hooks of the endpoint.
 */
export function isStillSubscribed(event: FilteredEvent, watchFilter: EventFilter | null, hookFilters: readonly EventFilter[]): boolean {
  return (watchFilter !== null && watchMatches(watchFilter, event)) || hookFilters.some((filter) => hookMatches(filter, event));
}

/** Whether two filters name the same events. Order and repetition of the names do not count. */
export function sameFilter(a: EventFilter, b: EventFilter): boolean {
  if (a.names === null || b.names === null) return a.names === b.names;
  const [left, right] = [new Set(a.names), new Set(b.names)];
  return left.size === right.size && [...left].every((name) => right.has(name));
}

/** Returns a filter as it is stored: JSON text; `null` if it is `unfiltered`. */
export function filterToRow({ names }: EventFilter): string | null {
  return names === null ? null : JSON.stringify(names);
}

/** Reads what `filterToRow` wrote. */
export function filterFromRow(text: string | null): EventFilter {
  return text === null ? unfiltered : { names: JSON.parse(text) as readonly string[] };
}

/** Returns a filter as the API shows it. */
export function filterToJson({ names }: EventFilter): { events: string[] | null } {
  return { events: names === null ? null : [...names] };
}

/** Returns the text of a filter for a page; `null` if every event passes the filter. */
export function describeFilter({ events: names }: ReturnType<typeof filterToJson>): string | null {
  return names === null ? null : names.join(", ");
}

/** Condition of a query for events: one of `types` (any type if `null`). With `orTerminal`, terminal events match too. */
export type TypeSelection = { readonly types: readonly string[] | null; readonly orTerminal: boolean };

/** Returns the types that a filter names. Groups become their members; `terminal` is a property of events, not a set of types. */
export function selectTypes({ names }: EventFilter): TypeSelection {
  if (names === null) return { types: null, orTerminal: false };
  const types = names.flatMap((name) => {
    if (name === "terminal") return [];
    if (name === "call.*" || name === "watch.*") return watchEventTypes.filter((type) => type.startsWith(name.slice(0, -1)));
    return [name];
  });
  return { types: [...new Set(types)], orTerminal: names.includes("terminal") };
}

/** Whether an event of this type passes a filter of the feed. */
export function feedMatches(selection: TypeSelection, type: string): boolean {
  const { types, orTerminal } = selection;
  return types === null || types.includes(type) || (orTerminal && (type.startsWith("watch.") || endings.has(type)));
}

function includesEvent(name: string, { type, data }: FilteredEvent): boolean {
  if (name === "terminal") return "terminal" in data && data.terminal === true;
  if (name === "call.*" || name === "watch.*") return type.startsWith(name.slice(0, -1));
  return name === type;
}
