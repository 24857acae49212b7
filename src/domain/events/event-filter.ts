import { eventGroups, operationalEventTypes, watchEventTypes } from "./event.ts";
import type { EventType } from "./event.ts";

/** Every name the `events` of a watch or hook may hold; the operational ones only make sense for hooks. */
export const watchFilterNames: readonly string[] = [...watchEventTypes, ...eventGroups];
export const hookFilterNames: readonly string[] = [...watchFilterNames, ...operationalEventTypes];

type Filtered = { readonly type: EventType; readonly terminal: boolean | null };

const operational: ReadonlySet<string> = new Set(operationalEventTypes);

/** A watch's filter; null is all. Its four `watch.*` endings pass every filter: they say that what was asked for will never come. */
export function watchMatches(filter: readonly string[] | null, event: Filtered): boolean {
  return filter === null || event.type.startsWith("watch.") || filter.some((name) => names(name, event));
}

/** A hook gets exactly what its filter names; null is every event about a call or watch. Operational events must be named. */
export function hookMatches(filter: readonly string[] | null, event: Filtered): boolean {
  if (event.type === "endpoint.test") return false;
  if (filter === null) return !operational.has(event.type);
  return filter.some((name) => names(name, event));
}

/** Whether what an endpoint is owed is asked for by its watch (null: of another endpoint, or none) or by a hook that is left. */
export function isStillSubscribed(
  event: Filtered,
  watch: { readonly events: readonly string[] | null } | null,
  hookFilters: readonly (readonly string[] | null)[],
): boolean {
  return (watch !== null && watchMatches(watch.events, event)) || hookFilters.some((filter) => hookMatches(filter, event));
}

/** What a list of names asks a query for: events of one of `types` (null: of any), or with `orTerminal` any terminal one. */
export type TypeSelection = { readonly types: readonly string[] | null; readonly orTerminal: boolean };

/** Groups become their members; `terminal` is a property of the event, not a set of types. */
export function selectTypes(filter: readonly string[] | null): TypeSelection {
  if (filter === null) return { types: null, orTerminal: false };
  const types = filter.flatMap((name) => {
    if (name === "terminal") return [];
    if (name === "call.*" || name === "watch.*") return watchEventTypes.filter((type) => type.startsWith(name.slice(0, -1)));
    return [name];
  });
  return { types: [...new Set(types)], orTerminal: filter.includes("terminal") };
}

function names(name: string, event: Filtered): boolean {
  if (name === "terminal") return event.terminal === true;
  if (name === "call.*" || name === "watch.*") return event.type.startsWith(name.slice(0, -1));
  return name === event.type;
}
