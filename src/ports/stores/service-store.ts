import type { EndpointState } from "../../domain/deliveries/endpoint.ts";
import type { OperationalEventType } from "../../domain/events/event.ts";
import type { AccountStore } from "./account-store.ts";
import type { AuditStore } from "./audit-store.ts";
import type { CallStore, Notice } from "./call-store.ts";
import type { DeliveryStore } from "./delivery-store.ts";
import type { EndpointStore } from "./endpoint-store.ts";
import type { FreshnessStore } from "./freshness-store.ts";
import type { IdempotencyStore } from "./idempotency-store.ts";
import type { MarkStore } from "./mark-store.ts";
import type { PlacingStore } from "./placing-store.ts";
import type { SessionStore } from "./session-store.ts";
import type { PortalStore } from "./portal-store.ts";
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

type Published = { readonly jobs: readonly SendJob[]; readonly notices: readonly Notice[] };

/** Events about the service itself, for the feed and for hooks that subscribe to them. */
export interface OperationalStore {
  /**
   * Publishes one event to each of the next `limit` accounts that may use the source. The source `default` is open to
   * accounts created for it, `sandbox` to all, a stored source to its account, or to all if it is shared. `lastAccountId` is
   * where the next call goes on; `null` at the end.
   */
  publishSourceEvent(event: {
    readonly type: Extract<OperationalEventType, "source.suspended" | "source.resumed">;
    readonly sourceName: string;
    readonly state: string;
    readonly reason: string | null;
    readonly nowMs: number;
    readonly afterAccountId: string | null;
    readonly limit: number;
  }): Promise<Published & { readonly lastAccountId: string | null }>;
  /**
   * Publishes `call.overdue`, once for each watch: of at most `limit` active watches that were registered up to
   * `registeredUntilMs`. `more` if there may be others.
   */
  publishOverdue(request: {
    readonly registeredUntilMs: number;
    readonly nowMs: number;
    readonly limit: number;
  }): Promise<Published & { readonly more: boolean }>;
}

/** Gauges that a scrape of the metrics reads. */
export type StoreStats = {
  readonly watchesByStatus: Readonly<Record<string, number>>;
  readonly deliveriesByStatus: Readonly<Record<string, number>>;
  /** Endpoints by their own state: a pause that an answer asked for does not change it. */
  readonly endpointsByState: Readonly<Record<EndpointState, number>>;
  readonly oldestDueDeliveryAtMs: number | null;
  readonly storeBytes: number;
};

/** State of the store as a whole. */
export interface StoreLifecycle {
  /** Resolves if a write can be committed; rejects with `StoreUnavailableError` otherwise. */
  checkWritable(): Promise<void>;
  /** Reads the gauges of the metrics, over all accounts. Rejects with `StoreUnavailableError`. */
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
    FreshnessStore,
    SealedStore,
    RetentionStore,
    CounterStore,
    MarkStore,
    OperationalStore,
    AuditStore,
    PortalStore,
    SessionStore,
    PlacingStore,
    StoreLifecycle {}

/** Operations of the command line, beside a service that may be running on the same database. */
export interface AdministrationStore
  extends AccountStore, SourceStore, SealedStore, Pick<MarkStore, "sweepMark">, Pick<StoreLifecycle, "close"> {}
