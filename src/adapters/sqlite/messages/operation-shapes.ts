import type { AnswerDraft, IdempotencyClaim } from "../../../ports/stores/idempotency-store.ts";
import type { EndpointPatch } from "../../../ports/stores/endpoint-store.ts";
import type { HookDraft } from "../../../ports/stores/registration-store.ts";
import type { SourceDraft } from "../../../ports/stores/source-store.ts";
import type { OperationPort } from "../operations.ts";
import type { ClaimedValue, DraftResult } from "../writer-thread/group.ts";
import { bytes, flag, kinds, list, map, nothing, nullable, number, object, pair, part, patch, text, word } from "./shape.ts";
import type { Parts, Shape } from "./shape.ts";
import * as s from "./store-shapes.ts";

type Operation<PortFunction> = PortFunction extends (...args: infer Args) => Promise<infer Result>
  ? { readonly args: Parts<Args>; readonly result: Shape<Result> }
  : never;
type Request<Name extends keyof OperationPort> = Parameters<OperationPort[Name]>[0];
type Result<Name extends keyof OperationPort> = Awaited<ReturnType<OperationPort[Name]>>;

const endpointConflict = { endpointId: text, fields: list(word<"format" | "headers" | "signing_secret">()) };
const quotaExceeded = { quota: word<"maxActiveWatches" | "maxEndpoints" | "maxHooks">(), limit: number };

/** What the arguments and the result of each operation are made of. The compiler checks that every function of the port is here. */
export const operationShapes: { readonly [Name in keyof OperationPort]: Operation<OperationPort[Name]> } = {
  checkWritable: { args: [], result: nothing },
  claimDue: {
    args: [
      object<Request<"claimDue">>({
        nowMs: number,
        limit: number,
        failingLimit: number,
        defaultCapacity: number,
        capacityByEndpoint: list(pair(text, number)),
        capacityByHost: list(pair(text, number)),
      }),
    ],
    result: object<Result<"claimDue">>({ jobs: s.jobs, nextDueAtMs: s.numberOrNull }),
  },
  claimManualRetry: {
    args: [object<Request<"claimManualRetry">>({ accountId: text, deliveryId: text, nowMs: number })],
    result: kinds<Result<"claimManualRetry">>({
      claimed: { job: s.job, view: s.deliveryView },
      unknown: {},
      endpoint_disabled: {},
      watch_deleted: {},
      in_flight: {},
    }),
  },
  commitCall: {
    args: [
      object<Request<"commitCall">>({
        callId: text,
        accountId: text,
        expectedVersion: number,
        nowMs: number,
        lastGoodPollAtMs: s.numberOrNull,
        confirmed: flag,
        changes: list(s.callChange),
      }),
    ],
    result: kinds<Result<"commitCall">>({
      committed: { call: nullable(s.watchedCall), notices: s.notices, jobs: s.jobs },
      stale: { call: nullable(s.watchedCall) },
    }),
  },
  completeAnswer: { args: [object<Request<"completeAnswer">>({ id: text, sealed: bytes })], result: nothing },
  createAccount: {
    args: [s.account, s.apiKeyDraft],
    result: kinds<Result<"createAccount">>({ created: {}, name_taken: { account: s.account } }),
  },
  createKey: { args: [s.apiKeyDraft], result: nothing },
  createTest: {
    args: [object<Request<"createTest">>({ accountId: text, endpointId: text, nowMs: number })],
    result: kinds<Result<"createTest">>({ claimed: { job: s.job }, unknown: {}, endpoint_disabled: {} }),
  },
  deleteExpired: {
    args: [object<Request<"deleteExpired">>({ beforeMs: number, nowMs: number, limit: number })],
    result: object<Result<"deleteExpired">>({ deleted: number, more: flag }),
  },
  ensureAccount: { args: [s.account], result: s.account },
  ensureHashKey: { args: [word(), bytes], result: bytes },
  ensureKey: {
    args: [s.apiKeyDraft],
    result: kinds<Result<"ensureKey">>({ ensured: {}, belongs_to_another: { accountId: text } }),
  },
  findAccount: { args: [text], result: nullable(s.account) },
  findAccountByKey: {
    args: [s.texts],
    result: nullable(object<NonNullable<Result<"findAccountByKey">>>({ account: s.account, keyId: text })),
  },
  findOldestAccount: { args: [], result: nullable(s.account) },
  findServersWithoutKey: {
    args: [text],
    result: object<Result<"findServersWithoutKey">>({ lacking: number, starting: number }),
  },
  findStoredAnswer: {
    args: [object<IdempotencyClaim>({ id: text, accountId: text, nowMs: number, expiresAtMs: number })],
    result: nullable(
      kinds<NonNullable<Result<"findStoredAnswer">>>({
        stored: {
          sealed: bytes,
          delivery: nullable(object<{ readonly id: string; readonly leased: boolean }>({ id: text, leased: flag })),
        },
      }),
    ),
  },
  getAccount: { args: [text], result: nullable(s.account) },
  getCall: {
    args: [object<Request<"getCall">>({ accountId: text, sourceName: text, callSid: text })],
    result: nullable(object<NonNullable<Result<"getCall">>>({ callSid: text, sourceName: text, status: s.callStatus })),
  },
  getDelivery: {
    args: [text, text],
    result: nullable(object<NonNullable<Result<"getDelivery">>>({ view: s.deliveryView, attempts: list(s.attempt) })),
  },
  getEndpoint: { args: [text, text], result: nullable(s.endpointView) },
  getEvent: { args: [text, text], result: nullable(s.eventView) },
  getHook: { args: [text, text], result: nullable(s.hookView) },
  getWatch: { args: [text, text], result: nullable(s.watchView) },
  listDeliveries: {
    args: [
      object<Request<"listDeliveries">>({
        limit: number,
        cursor: s.textOrNull,
        accountId: text,
        endpointId: s.textOrNull,
        watchId: s.textOrNull,
        status: nullable(word()),
      }),
    ],
    result: s.pageOf(s.deliveryView),
  },
  listEndpoints: {
    args: [object<Request<"listEndpoints">>({ limit: number, cursor: s.textOrNull, accountId: text })],
    result: s.pageOf(s.endpointView),
  },
  listHooks: {
    args: [object<Request<"listHooks">>({ limit: number, cursor: s.textOrNull, accountId: text })],
    result: s.pageOf(s.hookView),
  },
  listKeys: { args: [text], result: list(s.apiKeyView) },
  listRecentEvents: {
    args: [object<Request<"listRecentEvents">>({ accountId: text, limit: number, types: nullable(s.texts), orTerminal: flag })],
    result: list(s.event),
  },
  listSealed: {
    args: [object<Request<"listSealed">>({ place: word(), keyId: text, afterId: s.textOrNull, limit: number })],
    result: list(object<Result<"listSealed">[number]>({ place: word(), id: text, sealed: bytes })),
  },
  listSources: { args: [], result: list(s.storedSource) },
  listWatchEvents: {
    args: [object<Request<"listWatchEvents">>({ limit: number, cursor: s.textOrNull, accountId: text, watchId: text })],
    result: nullable(s.pageOf(s.eventView)),
  },
  listWatches: {
    args: [
      object<Request<"listWatches">>({
        limit: number,
        cursor: s.textOrNull,
        accountId: text,
        status: nullable(word()),
        callSid: s.textOrNull,
      }),
    ],
    result: s.pageOf(s.watchView),
  },
  loadWatchedCalls: {
    args: [object<Request<"loadWatchedCalls">>({ afterCallId: s.textOrNull, limit: number })],
    result: list(s.watchedCall),
  },
  moveSchedule: { args: [number], result: nothing },
  patchEndpoint: {
    args: [
      object<Request<"patchEndpoint">>({
        accountId: text,
        endpointId: text,
        patch: patch<EndpointPatch>({
          format: word(),
          headers: nullable(s.sealedHeaders),
          maxInFlight: number,
          maxPerSecond: s.numberOrNull,
          signatures: list(word()),
          late: word(),
          state: word(),
        }),
        nowMs: number,
      }),
    ],
    result: nullable(s.endpointView),
  },
  publishSourceEvent: {
    args: [object<Request<"publishSourceEvent">>({ type: word(), sourceName: text, state: text, reason: s.textOrNull, nowMs: number })],
    result: object<Result<"publishSourceEvent">>({ jobs: s.jobs, notices: s.notices }),
  },
  readFeed: {
    args: [
      object<Request<"readFeed">>({
        accountId: text,
        limit: number,
        cursor: s.textOrNull,
        sinceMs: s.numberOrNull,
        callSid: s.textOrNull,
        types: nullable(s.texts),
        orTerminal: flag,
      }),
    ],
    result: object<Result<"readFeed">>({ data: list(s.eventView), nextCursor: text }),
  },
  readKeyIds: { args: [], result: s.texts },
  readStats: {
    args: [],
    result: object<Result<"readStats">>({
      watchesByStatus: map(number),
      deliveriesByStatus: map(number),
      oldestDueDeliveryAtMs: s.numberOrNull,
      storeBytes: number,
    }),
  },
  readTargets: { args: [s.texts], result: list(s.sendTarget) },
  recordAttempt: {
    args: [
      object<Request<"recordAttempt">>({
        deliveryId: text,
        accountId: text,
        leaseToken: number,
        attemptNumber: number,
        mode: word(),
        startedAtMs: number,
        durationMs: number,
        outcome: s.attemptOutcome,
        nowMs: number,
        jitter: number,
      }),
    ],
    result: kinds<Result<"recordAttempt">>({
      recorded: {
        attempt: s.attempt,
        delivery: s.deliveryState,
        endpoint: object({ state: word(), health: s.endpointHealth, hostPausedUntilMs: s.numberOrNull }),
        endpointChange: word(),
        jobs: s.jobs,
        endpointNextDueAtMs: s.numberOrNull,
        unwatchedCallIds: s.texts,
        notices: s.notices,
      },
      fenced: {},
    }),
  },
  recountPortion: {
    args: [],
    result: object<Result<"recountPortion">>({
      done: flag,
      corrections: list(
        object<Result<"recountPortion">["corrections"][number]>({ counter: text, accountId: s.textOrNull, difference: number }),
      ),
    }),
  },
  recover: {
    args: [object<Request<"recover">>({ accountId: text, endpointId: text, sinceMs: number, untilMs: number, nowMs: number })],
    result: kinds<Result<"recover">>({ recovered: { count: number }, unknown: {}, endpoint_disabled: {} }),
  },
  registerHook: {
    args: [object<HookDraft>(s.hookDraftFields)],
    result: kinds<Result<"registerHook">>({
      created: { view: s.hookView, showsGeneratedSecret: flag },
      existing: { view: s.hookView },
      endpoint_differs: endpointConflict,
      quota_exceeded: quotaExceeded,
    }),
  },
  registerWatches: {
    args: [list(s.watchDraft)],
    result: list(
      kinds<Result<"registerWatches">[number]>({
        created: { view: s.watchView, showsGeneratedSecret: flag, call: nullable(s.watchedCall), notices: s.notices, jobs: s.jobs },
        existing: { view: s.watchView },
        watch_differs: { watchId: text, fields: list(word()) },
        endpoint_differs: endpointConflict,
        quota_exceeded: quotaExceeded,
        callback_required: {},
      }),
    ),
  },
  releaseCalls: {
    args: [list(part<Request<"releaseCalls">[number]>({ callId: text, lastGoodPollAtMs: s.numberOrNull }))],
    result: nothing,
  },
  releaseDeliveries: {
    args: [list(part<Request<"releaseDeliveries">[number]>({ deliveryId: text, leaseToken: number })), number],
    result: nothing,
  },
  removeHook: {
    args: [object<Request<"removeHook">>({ accountId: text, hookId: text, nowMs: number })],
    result: object<Result<"removeHook">>({ endpointId: s.textOrNull, canceledLeased: s.texts }),
  },
  removeWatch: {
    args: [object<Request<"removeWatch">>({ accountId: text, watchId: text, purge: flag, nowMs: number })],
    result: kinds<Result<"removeWatch">>({
      removed: { callId: text, call: nullable(s.watchedCall), notices: s.notices },
      unknown: {},
    }),
  },
  replaceSealed: {
    args: [
      list(
        object<Request<"replaceSealed">[number]>({ place: word(), id: text, sealed: bytes, resealed: bytes, fingerprint: s.textOrNull }),
      ),
    ],
    result: number,
  },
  revokeKey: {
    args: [object<Request<"revokeKey">>({ keyId: text, nowMs: number })],
    result: nullable(object<NonNullable<Result<"revokeKey">>>({ key: s.apiKeyView, accountId: text })),
  },
  rotateSecret: {
    args: [
      object<Request<"rotateSecret">>({
        accountId: text,
        endpointId: text,
        secret: s.secretDraft,
        previousValidUntilMs: number,
        nowMs: number,
      }),
    ],
    result: flag,
  },
  setDefaultSecret: {
    args: [object<Request<"setDefaultSecret">>({ accountId: text, secret: s.secretDraft, nowMs: number })],
    result: nothing,
  },
  setServerKeys: { args: [s.texts], result: nothing },
  setSource: {
    args: [object<SourceDraft>({ ...s.sourceDraftFields, nowMs: number }), s.numberOrNull],
    result: kinds<Result<"setSource">>({ set: { source: s.storedSource }, conflict: {} }),
  },
};

export const claim = object<IdempotencyClaim>({ id: text, accountId: text, nowMs: number, expiresAtMs: number });

/** Answer of a claimed operation. */
export const claimedValue = kinds<ClaimedValue>({
  ran: {},
  running: {},
  stored: { sealed: bytes, delivery: nullable(object<{ readonly id: string; readonly leased: boolean }>({ id: text, leased: flag })) },
});

export const draftResults = list(
  kinds<DraftResult>({
    draft: { draft: nullable(object<AnswerDraft>({ sealed: bytes, deliveryId: s.textOrNull })) },
    failed: { message: text },
  }),
);
