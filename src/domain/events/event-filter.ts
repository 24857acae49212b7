import { eventGroups, operationalEventTypes, watchEventTypes } from "./event.ts";
import type { EventType, RingbackEvent } from "./event.ts";
import { describeWhere, sameWhere, whereHolds, whereToJson } from "./where.ts";
import type { WhereTerm, WhereTest } from "./where.ts";

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
  /** Conditions that must all hold for an event of a watch. Empty for watches. */
  readonly where: readonly WhereTerm[];
};

type FilteredEvent = Pick<RingbackEvent, "type" | "data">;

/** The filter of a watch or hook that was registered without one. */
export const unfiltered: EventFilter = { names: null, where: [] };

const operational: ReadonlySet<string> = new Set(operationalEventTypes);
const endings: ReadonlySet<string> = new Set(["call.success", "call.failure"]);

/** Returns the filter of the API's `events`. `null` selects every event; for hooks, every event about a call or watch. */
export function filterByNames(names: readonly string[] | null): EventFilter {
  return names === null ? unfiltered : { names, where: [] };
}

/** Returns the filter of a hook. */
export function filterOfHook(names: readonly string[] | null, where: readonly WhereTerm[]): EventFilter {
  return { names, where };
}

/**
 * Whether a watch is sent an event. The four `watch.*` endings pass every filter, because the events that the filter names
 * will never come.
 */
export function watchMatches(filter: EventFilter, event: FilteredEvent): boolean {
  return filter.names === null || event.type.startsWith("watch.") || filter.names.some((name) => includesEvent(name, event));
}

/** Whether a hook is sent an event: its filter names the event, and its conditions hold. Operational events pass the conditions. */
export function hookMatches(filter: EventFilter, event: FilteredEvent): boolean {
  return hookNames(filter, event) && (!("watchId" in event.data) || whereHolds(filter.where, event.data));
}

/** Whether the filter of a hook names an event, or it names none and the event is about a call or watch. */
export function hookNames(filter: EventFilter, event: FilteredEvent): boolean {
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

/** Whether two filters select the same events. Order and repetition of names and terms do not count. */
export function sameFilter(a: EventFilter, b: EventFilter): boolean {
  if (!sameWhere(a.where, b.where)) return false;
  if (a.names === null || b.names === null) return a.names === b.names;
  const [left, right] = [new Set(a.names), new Set(b.names)];
  return left.size === right.size && [...left].every((name) => right.has(name));
}

/** Returns a filter as it is stored: JSON of the names, or of an object if it has conditions; `null` if it is `unfiltered`. */
export function filterToRow({ names, where }: EventFilter): string | null {
  if (where.length > 0) return JSON.stringify({ names, where });
  return names === null ? null : JSON.stringify(names);
}

/** Reads what `filterToRow` wrote. */
export function filterFromRow(text: string | null): EventFilter {
  if (text === null) return unfiltered;
  const stored = JSON.parse(text) as readonly string[] | EventFilter;
  return "where" in stored ? stored : { names: stored, where: [] };
}

/** Returns the names of a filter as the API shows them. */
export function filterToJson({ names }: EventFilter): { events: string[] | null } {
  return { events: names === null ? null : [...names] };
}

/** Returns the filter of a hook as the API shows it. */
export function hookFilterToJson(filter: EventFilter): { events: string[] | null; where: Record<string, WhereTest> | null } {
  return { ...filterToJson(filter), where: whereToJson(filter.where) };
}

/** Returns the text of a filter for a page; `null` if every event passes the filter. */
export function describeFilter({
  events: names,
  where = null,
}: {
  readonly events: readonly string[] | null;
  readonly where?: Readonly<Record<string, WhereTest>> | null;
}): string | null {
  if (where === null) return names === null ? null : names.join(", ");
  return `${names === null ? "every event about a call or watch" : names.join(", ")} if ${describeWhere(where)}`;
}

/**
 * Condition of a query for events: one of `types`; if `null`, any type but the operational ones. With `orTerminal`, terminal
 * events match too.
 */
export type TypeSelection = { readonly types: readonly string[] | null; readonly orTerminal: boolean };

/** Returns the types that a filter names. Groups become their members; `terminal` is a property of events, not a set of types. */
export function selectTypes({ names }: Pick<EventFilter, "names">): TypeSelection {
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
  if (types === null) return !operational.has(type);
  return types.includes(type) || (orTerminal && (type.startsWith("watch.") || endings.has(type)));
}

function includesEvent(name: string, { type, data }: FilteredEvent): boolean {
  if (name === "terminal") return "terminal" in data && data.terminal === true;
  if (name === "call.*" || name === "watch.*") return !operational.has(type) && type.startsWith(name.slice(0, -1));
  return name === type;
}
