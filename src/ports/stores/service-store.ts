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

/** Retention, in small batches: each call deletes at most `limit` of a kind and says whether more is to do. */
export interface RetentionStore {
  /** Deletes what ended before `beforeMs` and owes nothing, and stored answers that count no more; settles as `expired` what a disabled endpoint was owed since before then. */
  deleteExpired(request: {
    readonly beforeMs: number;
    readonly nowMs: number;
    readonly limit: number;
  }): Promise<{ readonly deleted: number; readonly more: boolean }>;
}

/** Events about the service itself, for hooks that name them. */
export interface OperationalStore {
  /**
   * One event for every account that may use the source and has a hook that names the type: of `default` those made for
   * it, of `sandbox` all, of a source that was set its account or, when it is shared, all.
   */
  publishSourceEvent(event: {
    readonly type: Extract<OperationalEventType, "source.suspended" | "source.resumed">;
    readonly sourceName: string;
    readonly state: string;
    readonly reason: string | null;
    readonly nowMs: number;
  }): Promise<{ readonly jobs: readonly SendJob[]; readonly notices: readonly Notice[] }>;
}

/** Gauges read when metrics are scraped. */
export type StoreStats = {
  readonly watchesByStatus: Readonly<Record<string, number>>;
  readonly deliveriesByStatus: Readonly<Record<string, number>>;
  readonly oldestDueDeliveryAtMs: number | null;
  readonly storeBytes: number;
};

export interface StoreLifecycle {
  /** Rejects with `StoreUnavailableError` while nothing can be committed. */
  checkWritable(): Promise<void>;
  readStats(): Promise<StoreStats>;
  /** Resolves with the error once the store can never be used again in this process (I/O error, disk full): the process must end (exit 70). */
  readonly fatal: Promise<Error>;
  /** Finishes what was accepted, then closes. May be called twice. */
  close(): Promise<void>;
}

/** Everything a store adapter gives; consumers take the part they need. */
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
    OperationalStore,
    StoreLifecycle {}

/** What the command line needs, on the database of a service that may be running meanwhile. */
export interface AdministrationStore extends AccountStore, SourceStore, SealedStore, Pick<StoreLifecycle, "close"> {}
