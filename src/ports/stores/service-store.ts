import type { OperationalEventType } from "../../domain/events/event.ts";
import type { AccountStore } from "./account-store.ts";
import type { CallStore, Notice } from "./call-store.ts";
import type { DeliveryStore } from "./delivery-store.ts";
import type { EndpointStore } from "./endpoint-store.ts";
import type { IdempotencyStore } from "./idempotency-store.ts";
import type { ReadStore } from "./read-store.ts";
import type { RegistrationStore } from "./registration-store.ts";
import type { SealedStore } from "./sealed-store.ts";
import type { SendJob } from "./send-job.ts";
import type { SourceStore } from "./source-store.ts";

/** Deletion of old data, in small batches. */
export interface RetentionStore {
  /**
   * Deletes at most `limit` rows of each kind: watches that ended before `beforeMs` and have no pending deliveries, and
   * expired answers. Deliveries that a disabled endpoint has had pending since before `beforeMs` become `expired`.
   */
  deleteExpired(request: {
    readonly beforeMs: number;
    readonly nowMs: number;
    readonly limit: number;
  }): Promise<{ readonly deleted: number; readonly more: boolean }>;
}

/** A counter that differed from the rows that it counts. */
export type CounterCorrection = {
  /** `endpoints`, `watches <status>`, `deliveries <status>`, or `unleased of <endpoint id>`: its pending deliveries without a lease. */
  readonly counter: string;
  /** `null` if it counts the rows of all accounts or of an endpoint. */
  readonly accountId: string | null;
  /** Number of rows less the value of the counter. This difference was added to the counter. */
  readonly difference: number;
};

/** Counters that writes keep up to date, for quotas and gauges. */
export interface CounterStore {
  /** Counts the next portion of rows. The call that counts the last corrects the counters that differ; the next begins again. */
  recountPortion(): Promise<{ readonly done: boolean; readonly corrections: readonly CounterCorrection[] }>;
}

/** Events about the service itself, for hooks that subscribe to them. */
export interface OperationalStore {
  /**
   * Publishes one event to each account that may use the source and has a hook for the type. The source `default` is open
   * to accounts created for it, `sandbox` to all, a stored source to its account, or to all if it is shared.
   */
  publishSourceEvent(event: {
    readonly type: Extract<OperationalEventType, "source.suspended" | "source.resumed">;
    readonly sourceName: string;
    readonly state: string;
    readonly reason: string | null;
    readonly nowMs: number;
  }): Promise<{ readonly jobs: readonly SendJob[]; readonly notices: readonly Notice[] }>;
}

/** Gauges that a scrape of the metrics reads. */
export type StoreStats = {
  readonly watchesByStatus: Readonly<Record<string, number>>;
  readonly deliveriesByStatus: Readonly<Record<string, number>>;
  readonly oldestDueDeliveryAtMs: number | null;
  readonly storeBytes: number;
};

/** State of the store as a whole. */
export interface StoreLifecycle {
  /** Resolves if a write can be committed; rejects with `StoreUnavailableError` otherwise. */
  checkWritable(): Promise<void>;
  readStats(): Promise<StoreStats>;
  /** Resolves with the error once this process can never use the store again (I/O error, disk full) and must end (exit 70). */
  readonly fatal: Promise<Error>;
  /** Finishes accepted operations, then closes. May be called twice. */
  close(): Promise<void>;
}

/** All operations of a store adapter; consumers take the part that they need. */
export interface ServiceStore
  extends
    CallStore,
    RegistrationStore,
    DeliveryStore,
    ReadStore,
    AccountStore,
    EndpointStore,
    IdempotencyStore,
    SourceStore,
    SealedStore,
    RetentionStore,
    CounterStore,
    OperationalStore,
    StoreLifecycle {}

/** Operations of the command line, beside a service that may be running on the same database. */
export interface AdministrationStore extends AccountStore, SourceStore, SealedStore, Pick<StoreLifecycle, "close"> {}
