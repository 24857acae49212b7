import { decodeId, encodeId } from "../../domain/ids.ts";
import type { Attempt } from "../../domain/deliveries/attempt.ts";
import type { DeliveryState } from "../../domain/deliveries/delivery.ts";

type ColumnValue = string | number | boolean | null;

/** A column that statements write: its name, its type in Postgres, and its value for one thing to write. */
export type Column<Source> = {
  readonly name: string;
  readonly type: "text" | "integer" | "bigint" | "boolean";
  valueOf(source: Source): ColumnValue;
};

type StateColumn = Omit<Column<never>, "valueOf"> & {
  /**
   * Value written by a first attempt that only settles its delivery as delivered: the decided one, a constant in SQL, or
   * none. The statement of those attempts binds only the decided values.
   */
  readonly onPlainSuccess: "decided" | "unchanged" | { readonly constant: string };
};

type StateField = Exclude<keyof DeliveryState, "id">;

/**
 * Columns of deliveries that attempts change, by the field of `DeliveryState`. Both stores write and read by this table, so
 * that a further field is one entry and a migration.
 */
const columnByField: Readonly<Record<StateField, StateColumn>> = {
  status: { name: "status", type: "text", onPlainSuccess: { constant: "'delivered'" } },
  attemptCount: { name: "attempt_count", type: "integer", onPlainSuccess: { constant: "1" } },
  stepsSpent: { name: "steps_spent", type: "integer", onPlainSuccess: "unchanged" },
  nextAttemptAtMs: { name: "next_attempt_at", type: "bigint", onPlainSuccess: { constant: "null" } },
  scheduledAtMs: { name: "scheduled_at", type: "bigint", onPlainSuccess: "unchanged" },
  lastRecovery: { name: "last_recovery", type: "integer", onPlainSuccess: "unchanged" },
  firstAttemptAtMs: { name: "first_attempt_at", type: "bigint", onPlainSuccess: "decided" },
  firstFailedAtMs: { name: "first_failed_at", type: "bigint", onPlainSuccess: "unchanged" },
  settledAtMs: { name: "settled_at", type: "bigint", onPlainSuccess: "decided" },
};

const stateEntries = Object.entries(columnByField) as readonly [StateField, StateColumn][];

export const stateColumns: readonly (Column<DeliveryState> & StateColumn)[] = stateEntries.map(([field, column]) => ({
  ...column,
  valueOf: (state) => state[field],
}));

/** Reads the state of a delivery. Needs the columns of deliveries. */
export function deliveryStateOf(row: Readonly<Record<string, unknown>>): DeliveryState {
  const state: Record<string, unknown> = { ...emptyState, id: encodeId("dlv", row["id"] as number) };
  for (const [field, { name }] of stateEntries) state[field] = row[name];
  return state as DeliveryState;
}

/** Gives every state the same shape, which halves the time of a read. */
const emptyState = Object.fromEntries(["id", ...Object.keys(columnByField)].map((field) => [field, null]));

/** A delivery to insert, besides the position of its event, its status (`pending`) and its lease. */
export type NewDeliveryRow = {
  readonly id: string;
  readonly accountId: string;
  readonly endpointId: string;
  readonly watchId: string | null;
  readonly sequence: number | null;
  readonly terminal: boolean;
  readonly nextAttemptAtMs: number;
  readonly dueAtMs: number | null;
  readonly createdAtMs: number;
};

/** Columns of a new delivery. `ofEvent`: the event has a column of this name and value, and Postgres copies it from there. */
export const newDeliveryColumns: readonly (Column<NewDeliveryRow> & { readonly ofEvent: boolean })[] = [
  { name: "id", type: "bigint", ofEvent: false, valueOf: ({ id }) => decodeId(id) },
  { name: "account_id", type: "bigint", ofEvent: true, valueOf: ({ accountId }) => decodeId(accountId) },
  { name: "endpoint_id", type: "bigint", ofEvent: false, valueOf: ({ endpointId }) => decodeId(endpointId) },
  { name: "watch_id", type: "bigint", ofEvent: true, valueOf: ({ watchId }) => (watchId === null ? null : decodeId(watchId)) },
  { name: "sequence", type: "integer", ofEvent: true, valueOf: ({ sequence }) => sequence },
  { name: "terminal", type: "boolean", ofEvent: true, valueOf: ({ terminal }) => terminal },
  { name: "next_attempt_at", type: "bigint", ofEvent: false, valueOf: ({ nextAttemptAtMs }) => nextAttemptAtMs },
  { name: "due_at", type: "bigint", ofEvent: false, valueOf: ({ dueAtMs }) => dueAtMs },
  { name: "created_at", type: "bigint", ofEvent: false, valueOf: ({ createdAtMs }) => createdAtMs },
];

/** Columns of an attempt, besides the id of its delivery. */
export const attemptColumns: readonly Column<Attempt>[] = [
  { name: "number", type: "integer", valueOf: ({ number }) => number },
  { name: "started_at", type: "bigint", valueOf: ({ startedAtMs }) => startedAtMs },
  { name: "duration_ms", type: "integer", valueOf: ({ durationMs }) => Math.round(durationMs) },
  { name: "status_code", type: "integer", valueOf: ({ statusCode }) => statusCode },
  { name: "error_code", type: "text", valueOf: ({ error }) => error?.code ?? null },
  { name: "error_detail", type: "text", valueOf: ({ error }) => error?.detail ?? null },
  { name: "response_excerpt", type: "text", valueOf: ({ responseExcerpt }) => responseExcerpt },
  { name: "decision", type: "text", valueOf: ({ decision }) => decision },
];

/** Lists the names of columns, each behind a prefix: `namesOf(columns, "u.")` is `u.id, u.status`. */
export function namesOf(columns: readonly { readonly name: string }[], prefix = ""): string {
  return columns.map(({ name }) => prefix + name).join(", ");
}

/** Adapts a column to rows of another type: `adapt(column, ({ state }) => state)`. */
export function adapt<Source, Inner>(column: Column<Inner>, innerOf: (source: Source) => Inner): Column<Source> {
  return { name: column.name, type: column.type, valueOf: (source) => column.valueOf(innerOf(source)) };
}
