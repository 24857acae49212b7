import type { Notice } from "../../ports/stores/call-store.ts";
import type { WatchDraft } from "../../ports/stores/registration-store.ts";
import type { SendJob } from "../../ports/stores/send-job.ts";
import type { ServiceStore } from "../../ports/stores/service-store.ts";

/** Adds a cost to a flow. */
type Charge = (flow: string, cost: number) => void;

/** Place of one operation in the fair queues of a store, read from its arguments. */
export type OperationFlow<Args extends readonly unknown[] = readonly unknown[], Result = unknown> = {
  /** Returns the flow that the operation waits in: an account's id, or one of `sharedFlows`. */
  readonly flowOf: (...args: Args) => string;
  /** Returns the cost as far as the arguments show it: a whole number of rows written, of at most 4 KiB each. Four rows read cost as much. */
  readonly costOf: (...args: Args) => number;
  /**
   * Whether the operation is refused once its flow uses more than its part of the queue. Only requests are, because a client
   * can repeat them. The engine bounds the number of its own operations in flight, so that none of them is refused for the
   * load of any account.
   */
  readonly isRefusable: boolean;
  /** Whether the operation must come after every operation that waits. */
  readonly isAfterAll?: boolean;
  /** Charges the rows that the operation wrote and its arguments did not show. */
  readonly chargeWritten?: (result: Result, charge: Charge) => void;
};

type Operations = Omit<ServiceStore, "fatal" | "close" | "underKey">;

/** Flows of work that belongs to no account. No account's id begins with an asterisk. */
export const sharedFlows = {
  /** Claims and releases of deliveries, whose rows belong to all accounts. */
  deliveries: "*deliveries",
  /** Work of the instance, one loop at a time: ownership of calls, sources, keys, retention. */
  instance: "*instance",
  /** Heartbeats of the instance, and what follows from them. */
  membership: "*membership",
  /** Lookups of API keys that were not found before, which anybody may send. */
  unknownKeys: "*unknown keys",
  /** Other requests without a known account: probes, metrics. */
  requests: "*requests",
  schedule: "*schedule",
} as const;

const pageBytes = 4096;
const one = () => 1;
const first = (accountId: string) => accountId;
const named = ({ accountId }: { readonly accountId: string }) => accountId;
const shared = (flow: string) => () => flow;
const read = (rows: number) => 1 + Math.ceil(rows / 4);
const readPage = ({ limit }: { readonly limit: number }) => read(limit);
const lengthOf = (rows: readonly unknown[]) => Math.max(1, rows.length);

/** A request of the account that is the first argument. */
const requestOf = { flowOf: first, costOf: one, isRefusable: true };
/** A request whose argument names its account. */
const request = { flowOf: named, costOf: one, isRefusable: true };
const pageRequest = { flowOf: named, costOf: readPage, isRefusable: true };
const instance = { flowOf: shared(sharedFlows.instance), costOf: one, isRefusable: false };
const sharedRequest = { flowOf: shared(sharedFlows.requests), costOf: one, isRefusable: true };

/**
 * The flow and cost of each operation of a store.
 *
 * - A commit waits in the flow of the account that the poll was made for, the one of the oldest active watch; with a scope,
 *   this is the account of the scope. A flow for each source would let one account's transitions hold up those of all that
 *   share it, and a flow for each call would give an account as many turns as it has calls. The events and deliveries of
 *   a commit are charged to the accounts of the watches, so an account pays for its watches on calls of another one.
 * - The record of an attempt waits in the flow of the account of its event.
 * - A batch of drafts belongs to one account.
 */
export const operationFlows: {
  readonly [Name in keyof Operations]: OperationFlow<Parameters<Operations[Name]>, Awaited<ReturnType<Operations[Name]>>>;
} = {
  commitCall: {
    flowOf: named,
    costOf: ({ changes }) => lengthOf(changes),
    isRefusable: false,
    chargeWritten: (result, charge) => (result.kind === "committed" ? chargeEvents(result, charge) : undefined),
  },
  // Hundreds of events and deliveries: a group of SQLite has one portion at most, however many crowded calls an account has.
  commitPortion: {
    flowOf: named,
    costOf: () => 500,
    isRefusable: false,
    chargeWritten: (result, charge) => (result.kind === "committed" ? chargeEvents(result, charge) : undefined),
  },
  recordAttempt: {
    flowOf: named,
    costOf: one,
    isRefusable: false,
    chargeWritten: (result, charge) => (result.kind === "recorded" ? chargeEvents(result, charge) : undefined),
  },
  registerWatches: { flowOf: flowOfDrafts, costOf: costOfDrafts, isRefusable: true },
  registerHook: request,
  patchWatch: request,
  removeWatch: request,
  removeHook: request,
  patchEndpoint: request,
  rotateSecret: request,
  claimManualRetry: request,
  createTest: request,
  recover: request,
  // An account waits for its own marks and the others go between their portions. A portion is as many rows as a request may change at once.
  sweepMark: {
    flowOf: named,
    costOf: () => 100,
    isRefusable: false,
    chargeWritten: (result, charge) => (result.kind === "swept" ? chargeEvents(result, charge) : undefined),
  },

  createPlacing: request,
  // Ends a placing whose trigger was sent, so that its key does not stay in use.
  dropPlacing: { ...request, isRefusable: false },
  freePlacing: request,
  losePlacings: { ...instance, costOf: ({ limit }) => limit },
  findPlacing: request,
  getPlacing: requestOf,
  listPlacings: pageRequest,

  findStoredAnswer: request,
  keepAnswer: request,
  getWatch: requestOf,
  getEvent: requestOf,
  getDelivery: requestOf,
  getEndpoint: requestOf,
  countAttempts: { ...request, costOf: ({ endpointIds }) => read(endpointIds.length) },
  // A week has 168 hours, each with a few kinds.
  readActivity: { ...request, costOf: () => read(400) },
  getHook: requestOf,
  getCall: request,
  listAudit: pageRequest,
  listWatches: pageRequest,
  listWatchesByMetadata: pageRequest,
  listWatchEvents: pageRequest,
  listTimeline: pageRequest,
  listDeliveries: pageRequest,
  listEndpoints: pageRequest,
  listHooks: pageRequest,
  listRecentEvents: pageRequest,
  readFeed: pageRequest,

  // A flood of unknown keys keeps the look-up of a known one waiting for one of its own.
  findAccountByKey: {
    flowOf: (_fingerprints, knownAccountId) => knownAccountId ?? sharedFlows.unknownKeys,
    costOf: one,
    isRefusable: true,
  },
  // Stores the answer of a request that was accepted before.
  completeAnswer: { ...sharedRequest, isRefusable: false },
  checkWritable: sharedRequest,
  readStats: sharedRequest,

  // The deliveries are of all accounts, so they must not wait as long as one account's requests of the same size.
  claimDue: { flowOf: shared(sharedFlows.deliveries), costOf: ({ limit }) => 1 + Math.ceil(limit / 8), isRefusable: false },
  releaseDeliveries: { flowOf: shared(sharedFlows.deliveries), costOf: lengthOf, isRefusable: false },

  // Read before a webhook is signed.
  readTargets: { flowOf: shared(sharedFlows.deliveries), costOf: (endpointIds) => read(endpointIds.length), isRefusable: false },
  getAccount: { ...requestOf, isRefusable: false },
  loadWatchedCalls: { ...instance, costOf: readPage },
  parkCalls: { ...instance, costOf: lengthOf },
  releaseCalls: { ...instance, costOf: lengthOf },
  publishSourceEvent: { ...instance, costOf: ({ limit }) => limit },
  publishOverdue: { ...instance, costOf: ({ limit }) => limit },
  deleteExpired: { ...instance, costOf: ({ limit }) => limit },
  // A portion takes as long as some tens of rows that are written.
  recountPortion: { ...instance, costOf: () => 50 },
  // Operations that were requested before carry times of before the step.
  moveSchedule: { flowOf: shared(sharedFlows.schedule), costOf: () => 1000, isRefusable: false, isAfterAll: true },
  listSources: instance,
  listMarkedAccounts: instance,
  setSource: instance,
  removeSource: instance,
  listStatusAges: instance,
  appendStatusAges: { ...instance, costOf: lengthOf },
  ensureAccount: instance,
  createAccount: instance,
  setAccount: instance,
  setAccountState: instance,
  removeAccount: instance,
  listDisabledAccounts: instance,
  listAccounts: { ...instance, costOf: () => 1000 },
  recordActivity: { ...instance, costOf: lengthOf },
  findAccount: instance,
  findOldestAccount: instance,
  ensureKey: instance,
  createKey: { ...request, flowOf: ({ accountId }) => accountId ?? sharedFlows.instance },
  listKeys: { ...request, flowOf: (accountId) => accountId ?? sharedFlows.instance },
  pageKeys: pageRequest,
  createPortalLink: request,
  listPortalLinks: pageRequest,
  revokePortalLink: request,
  // Anybody may ask for a link.
  findPortalLink: { flowOf: shared(sharedFlows.unknownKeys), costOf: one, isRefusable: true },
  usePortalLink: request,
  endSession: sharedRequest,
  isSessionEnded: sharedRequest,
  // Pages of the operator.
  listAllAudit: { ...sharedRequest, costOf: readPage },
  revokeKey: { ...request, flowOf: ({ accountId }) => accountId ?? sharedFlows.instance },
  noteKeyUses: { ...instance, costOf: lengthOf },
  announceExpiringKeys: { ...instance, costOf: ({ limit }) => limit },
  setDefaultSecret: request,
  readKeyIds: instance,
  listSealed: { ...instance, costOf: readPage },
  replaceSealed: { ...instance, costOf: lengthOf },
  ensureHashKey: instance,
  setServerKeys: instance,
  findServersWithoutKey: instance,
};

function flowOfDrafts(drafts: readonly WatchDraft[]): string {
  return drafts[0]?.accountId ?? sharedFlows.requests;
}

function costOfDrafts(drafts: readonly WatchDraft[]): number {
  let bytes = 0;
  for (const { endpoint, metadata } of drafts) {
    bytes += endpoint === null ? 0 : endpoint.url.length + (endpoint.headers?.sealed.byteLength ?? 0);
    for (const key in metadata) bytes += key.length + (metadata[key]?.length ?? 0);
  }
  return lengthOf(drafts) + Math.floor(bytes / pageBytes);
}

function chargeEvents({ notices, jobs }: { readonly notices: readonly Notice[]; readonly jobs: readonly SendJob[] }, charge: Charge): void {
  for (const { accountId } of notices) charge(accountId, 1);
  for (const { event } of jobs) charge(event.accountId, 1);
}
