import { parsePrefixes } from "../../domain/calls/placing.ts";
import type { PlacingRights } from "../../domain/calls/placing.ts";
import { UsageError } from "../command.ts";

/** Flags of an account that `create` and `set` share. */
export const accountFlags = {
  texts: ["place-to", "place-per-minute", "place-per-day"],
  switches: ["default-source", "no-default-source", "may-place", "no-may-place"],
} as const;

export const accountUsage = `  --default-source       it may use the source default, the one of the environment; --no-default-source takes that away
  --may-place            it may place calls; --no-may-place takes that away
  --place-to <list>      beginnings that numbers must have, as in +44,+1; any lifts the limit
  --place-per-minute <n> calls that it may place a minute, 60 unless set
  --place-per-day <n>    calls that it may place a day, 1000 unless set`;

type Flags = { readonly [Name in (typeof accountFlags.texts)[number]]?: string } & {
  readonly [Name in (typeof accountFlags.switches)[number]]?: boolean;
};
type Changes = { usesDefaultSource?: boolean } & { -readonly [Name in keyof PlacingRights]?: PlacingRights[Name] };

const maxPlacings = 1_000_000;

/** Returns what the flags change. Throws a `UsageError` for flags that contradict each other, and for invalid values. */
export function readAccountFlags(values: Flags): Readonly<Changes> {
  const changes: Changes = {};
  const usesDefaultSource = eitherOf(values, "default-source", "no-default-source");
  if (usesDefaultSource !== null) changes.usesDefaultSource = usesDefaultSource;
  const mayPlace = eitherOf(values, "may-place", "no-may-place");
  if (mayPlace !== null) changes.mayPlace = mayPlace;
  const to = values["place-to"];
  if (to !== undefined) {
    const prefixes = to === "any" ? null : parsePrefixes(to);
    if (to !== "any" && prefixes === null)
      throw new UsageError("--place-to must be any, or beginnings of numbers with + and 1 to 15 digits, as in +44,+1");
    changes.prefixes = prefixes;
  }
  const perMinute = values["place-per-minute"];
  if (perMinute !== undefined) changes.perMinute = readCount(perMinute, "place-per-minute");
  const perDay = values["place-per-day"];
  if (perDay !== undefined) changes.perDay = readCount(perDay, "place-per-day");
  return changes;
}

function eitherOf(values: Flags, yes: (typeof accountFlags.switches)[number], no: (typeof accountFlags.switches)[number]): boolean | null {
  if (values[yes] === true && values[no] === true) throw new UsageError(`give either --${yes} or --${no}`);
  return values[yes] === true ? true : values[no] === true ? false : null;
}

function readCount(text: string, flag: string): number {
  const count = /^\d{1,7}$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > maxPlacings) throw new UsageError(`--${flag} must be a whole number from 1 to ${maxPlacings}`);
  return count;
}
