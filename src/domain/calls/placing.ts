/** States of a call that was asked for. `sending`: its trigger is out, or the process that sent it has ended. */
export const placingStates = ["sending", "placed", "unknown", "resolved"] as const;
export type PlacingState = (typeof placingStates)[number];

/** A call that a client asked for with `POST /v1/calls`. */
export type Placing = {
  readonly id: string;
  readonly accountId: string;
  readonly sourceName: string;
  /** The client's key, as it was sent. */
  readonly idempotencyKey: string;
  /** Keyed hash of the whole request, by which another request under the same key is refused. */
  readonly callHash: string;
  readonly state: PlacingState;
  /** `null` until the SID is known, and for a call that did not ring. */
  readonly callSid: string | null;
  readonly watchId: string | null;
  readonly metadata: Readonly<Record<string, string>>;
  readonly createdAtMs: number;
};

/** Limits of the calls that an account may place. */
export type PlacingRights = {
  readonly mayPlace: boolean;
  /** Beginnings that numbers must have, as in `+44`; `null` for any number. */
  readonly prefixes: readonly string[] | null;
  readonly perMinute: number;
  readonly perDay: number;
};

export const defaultPlacingsPerMinute = 60;
export const defaultPlacingsPerDay = 1000;

/** The rights of an account that was made without any. */
export const mayNotPlace: PlacingRights = {
  mayPlace: false,
  prefixes: null,
  perMinute: defaultPlacingsPerMinute,
  perDay: defaultPlacingsPerDay,
};

/** Longest wait for a turn of the source's rate. */
export const turnWaitMs = 10_000;
/** Longest exchange of a trigger. */
export const triggerTimeoutMs = 15_000;
/**
 * Time within which the process that made an intent settles it. An intent that is older belongs to a process that has ended, so
 * it is not sent again.
 */
export const placingLeaseMs = turnWaitMs + triggerTimeoutMs + 5000;
/** Shortest time for which the key of a placing counts. */
export const placingKeptMs = 7 * 24 * 60 * 60 * 1000;

/** Spans in which placings are counted. */
export const placingSpans = [
  { limit: "perMinute", ms: 60_000, words: "a minute" },
  { limit: "perDay", ms: 24 * 60 * 60 * 1000, words: "a day" },
] as const;

const grouping = /[\s.()[\]-]/g;
const international = /^\+\d{1,32}$/;
const prefixSyntax = /^\+\d{1,15}$/;

/**
 * Returns why an account may not have this number called; `null` if it may. With prefixes, a number is judged without blanks,
 * dots, dashes and brackets, and a country code beside it is refused because it could lead elsewhere.
 */
export function numberFault(number: string, hasCountryCode: boolean, prefixes: readonly string[] | null): string | null {
  if (prefixes === null) return null;
  if (hasCountryCode) return "must have no country code beside it, because the account may call some numbers alone";
  const plain = number.replaceAll(grouping, "");
  if (!international.test(plain)) return "must be + and digits, because the account may call some numbers alone";
  return prefixes.some((prefix) => plain.startsWith(prefix))
    ? null
    : `must begin with ${prefixes.join(" or ")}, as the operator set for the account`;
}

/** Returns the prefixes in a list such as `+44,+1`; `null` if one is none. */
export function parsePrefixes(text: string): readonly string[] | null {
  const prefixes = text.split(",").map((prefix) => prefix.trim());
  return prefixes.every((prefix) => prefixSyntax.test(prefix)) ? [...new Set(prefixes)] : null;
}

/** Outcomes of an intent, for the metrics. */
export const placingOutcomes = [
  "placed",
  "unknown",
  "refused",
  "unauthorized",
  "rate_limited",
  "not_sent",
  "no_turn",
  "stopping",
  "suspended",
] as const;
