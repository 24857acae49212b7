import type { Row } from "../../sql/rows.ts";

/** A value bound to a parameter of a statement; arrays are bound as arrays of Postgres. */
export type Value = string | number | boolean | Uint8Array | null | readonly (string | number | boolean | Uint8Array | null)[];

/**
 * Statements on one connection or on any connection of the pool. Each text becomes a named statement, so that a connection
 * parses it once; `?1` stands for `$1`. bigint and numeric columns are read as numbers: all values of the schema are safe integers.
 */
export interface Queries {
  all(sql: string, ...values: readonly Value[]): Promise<Row[]>;
  get(sql: string, ...values: readonly Value[]): Promise<Row | undefined>;
  /** Returns the number of rows changed. */
  run(sql: string, ...values: readonly Value[]): Promise<number>;
}

/** Identity of this process among the instances that share the database; set by the store of instances. */
export type InstanceIdentity = {
  /** The fencing token. `null` before the instance joined and after it left; writes that need ownership are then refused. */
  token: number | null;
  /** Whether another instance was alive at the last heartbeat: limits then count the leases of all instances. */
  hasPeers: boolean;
  /** Ids of the encryption keys that the process was started with; stored in its row of `instances`. */
  keyIds?: readonly string[];
  /** Called after a write was refused because the instance was evicted; resolves once the instance has a new token. */
  rejoin?: () => Promise<void>;
};

/** Default limits of deliveries in flight, counted over all instances. */
export type InFlightLimits = { readonly endpointMaxInFlight: number; readonly hostMaxInFlight: number };
