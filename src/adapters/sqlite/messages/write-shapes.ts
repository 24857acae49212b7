import type { KeyUse } from "../../../ports/stores/account-store.ts";
import type { EndpointPatch } from "../../../ports/stores/endpoint-store.ts";
import type { HookDraft, WatchPatch } from "../../../ports/stores/registration-store.ts";
import type { SourceDraft } from "../../../ports/stores/source-store.ts";
import type { OperationShapes, RequestOf, ResultOf } from "./port-shapes.ts";
import { bytes, flag, kinds, list, map, nothing, nullable, number, object, pair, part, patch, text, word } from "./shape.ts";
import * as drafts from "./draft-shapes.ts";
import * as values from "./value-shapes.ts";
import * as views from "./view-shapes.ts";

const endpointConflict = { endpointId: text, fields: list(word<"format" | "request" | "headers" | "signing_secret">()) };
const quotaExceeded = { quota: word<"maxActiveWatches" | "maxWatchesPerCall" | "maxEndpoints" | "maxHooks">(), limit: number };

/** Shapes of the operations that write. */
export const writeShapes = {
  appendStatusAges: { args: [list(values.statusAges)], result: list(values.statusAges) },
  announceExpiringKeys: {
    args: [object<RequestOf<"announceExpiringKeys">>({ beforeMs: number, nowMs: number, limit: number })],
    result: object<ResultOf<"announceExpiringKeys">>({ announced: number, jobs: values.jobs, notices: values.notices }),
  },
  checkWritable: { args: [], result: nothing },
  claimDue: {
    args: [
      object<RequestOf<"claimDue">>({
        nowMs: number,
        limit: number,
        failingLimit: number,
        defaultCapacity: number,
        capacityByEndpoint: list(pair(text, number)),
        capacityByHost: list(pair(text, number)),
      }),
    ],
    result: object<ResultOf<"claimDue">>({ jobs: values.jobs, nextDueAtMs: values.numberOrNull }),
  },
  claimManualRetry: {
    args: [object<RequestOf<"claimManualRetry">>({ by: values.by, accountId: text, deliveryId: text, nowMs: number })],
    result: kinds<ResultOf<"claimManualRetry">>({
      claimed: { job: values.job, view: views.deliveryView },
      unknown: {},
      endpoint_disabled: {},
      watch_deleted: {},
      in_flight: {},
    }),
  },
  commitCall: {
    args: [
      object<RequestOf<"commitCall">>({
        callId: text,
        accountId: text,
        expectedVersion: number,
        nowMs: number,
        lastGoodPollAtMs: values.numberOrNull,
        confirmed: flag,
        changes: list(values.callChange),
      }),
    ],
    result: kinds<ResultOf<"commitCall">>({
      committed: { call: nullable(values.watchedCall), notices: values.notices, jobs: values.jobs },
      stale: { call: nullable(values.watchedCall) },
    }),
  },
  commitPortion: {
    args: [object<RequestOf<"commitPortion">>({ callId: text, accountId: text, expectedVersion: number, nowMs: number })],
    result: kinds<ResultOf<"commitPortion">>({
      committed: { call: nullable(values.watchedCall), notices: values.notices, jobs: values.jobs },
      stale: { call: nullable(values.watchedCall) },
    }),
  },
  completeAnswer: { args: [object<RequestOf<"completeAnswer">>({ id: text, sealed: bytes })], result: nothing },
  createAccount: {
    args: [views.account, drafts.apiKeyDraft],
    result: kinds<ResultOf<"createAccount">>({ created: {}, name_taken: { account: views.account } }),
  },
  createKey: { args: [drafts.apiKeyDraft], result: object<ResultOf<"createKey">>({ kind: word() }) },
  createPlacing: {
    args: [drafts.placingDraft],
    result: kinds<ResultOf<"createPlacing">>({
      created: {},
      checked: {},
      key_used: {},
      limited: { limit: word(), retryAfterMs: number },
      endpoint_differs: endpointConflict,
      quota_exceeded: quotaExceeded,
      callback_required: {},
    }),
  },
  createPortalLink: {
    args: [
      object<RequestOf<"createPortalLink">>({
        id: text,
        accountId: text,
        keyId: text,
        can: word(),
        frameAncestors: values.texts,
        expiresAtMs: number,
        tokenHash: text,
        by: values.by,
        nowMs: number,
      }),
    ],
    result: kinds<ResultOf<"createPortalLink">>({ created: {}, too_many: {} }),
  },
  createTest: {
    args: [object<RequestOf<"createTest">>({ accountId: text, endpointId: text, nowMs: number })],
    result: kinds<ResultOf<"createTest">>({ claimed: { job: values.job }, unknown: {}, endpoint_disabled: {} }),
  },
  deleteExpired: {
    args: [object<RequestOf<"deleteExpired">>({ beforeMs: number, nowMs: number, limit: number })],
    result: object<ResultOf<"deleteExpired">>({ deleted: number, more: flag }),
  },
  dropPlacing: { args: [object<RequestOf<"dropPlacing">>({ accountId: text, placingId: text })], result: nothing },
  ensureAccount: { args: [views.account], result: views.account },
  ensureHashKey: { args: [word(), bytes], result: bytes },
  ensureKey: {
    args: [drafts.environmentKeyDraft],
    result: kinds<ResultOf<"ensureKey">>({ ensured: {}, belongs_to_another: { accountId: values.textOrNull } }),
  },
  freePlacing: {
    args: [object<RequestOf<"freePlacing">>({ by: values.by, accountId: text, placingId: text, isCheckOnly: flag, nowMs: number })],
    result: flag,
  },
  keepAnswer: { args: [object<RequestOf<"keepAnswer">>({ accountId: text, watchId: values.textOrNull })], result: flag },
  losePlacings: {
    args: [object<RequestOf<"losePlacings">>({ placingId: values.textOrNull, leasedUntilMs: number, nowMs: number, limit: number })],
    result: object<ResultOf<"losePlacings">>({ placings: list(views.placing), jobs: values.jobs, notices: values.notices }),
  },
  moveSchedule: { args: [number], result: nothing },
  noteKeyUses: { args: [list(object<KeyUse>({ keyId: text, usedAtMs: number }))], result: nothing },
  patchEndpoint: {
    args: [
      object<RequestOf<"patchEndpoint">>({
        by: values.by,
        accountId: text,
        endpointId: text,
        patch: patch<EndpointPatch>({
          format: word(),
          request: text,
          headers: nullable(drafts.sealedHeaders),
          maxInFlight: number,
          maxPerSecond: values.numberOrNull,
          signatures: list(word()),
          late: word(),
          state: word(),
        }),
        nowMs: number,
      }),
    ],
    result: nullable(views.endpointView),
  },
  patchWatch: {
    args: [
      object<RequestOf<"patchWatch">>({
        accountId: text,
        watchId: text,
        patch: patch<WatchPatch>({ filter: drafts.filter, metadata: map(text), expiresAtMs: number }),
      }),
    ],
    result: kinds<ResultOf<"patchWatch">>({
      patched: { view: views.watchView, callId: text, call: nullable(values.watchedCall) },
      unknown: {},
      ended: {},
    }),
  },
  publishOverdue: {
    args: [object<RequestOf<"publishOverdue">>({ registeredUntilMs: number, nowMs: number, limit: number })],
    result: object<ResultOf<"publishOverdue">>({ jobs: values.jobs, notices: values.notices, more: flag }),
  },
  publishSourceEvent: {
    args: [
      object<RequestOf<"publishSourceEvent">>({
        type: word(),
        sourceName: text,
        state: text,
        reason: values.textOrNull,
        nowMs: number,
        afterAccountId: values.textOrNull,
        limit: number,
      }),
    ],
    result: object<ResultOf<"publishSourceEvent">>({ jobs: values.jobs, notices: values.notices, lastAccountId: values.textOrNull }),
  },
  recordAttempt: {
    args: [
      object<RequestOf<"recordAttempt">>({
        deliveryId: text,
        accountId: text,
        leaseToken: number,
        attemptNumber: number,
        mode: word(),
        startedAtMs: number,
        durationMs: number,
        outcome: values.attemptOutcome,
        nowMs: number,
        jitter: number,
      }),
    ],
    result: kinds<ResultOf<"recordAttempt">>({
      recorded: {
        attempt: values.attempt,
        delivery: values.deliveryState,
        endpoint: object({ state: word(), health: values.endpointHealth, hostPausedUntilMs: values.numberOrNull }),
        endpointChange: word(),
        jobs: values.jobs,
        endpointNextDueAtMs: values.numberOrNull,
        unwatchedCallIds: values.texts,
        notices: values.notices,
      },
      fenced: {},
    }),
  },
  recountPortion: {
    args: [],
    result: object<ResultOf<"recountPortion">>({
      done: flag,
      corrections: list(
        object<ResultOf<"recountPortion">["corrections"][number]>({ counter: text, accountId: values.textOrNull, difference: number }),
      ),
    }),
  },
  recover: {
    args: [
      object<RequestOf<"recover">>({ by: values.by, accountId: text, endpointId: text, sinceMs: number, untilMs: number, nowMs: number }),
    ],
    result: kinds<ResultOf<"recover">>({
      recovered: { recovered: values.numberOrNull, hurried: values.numberOrNull, more: flag },
      unknown: {},
      endpoint_disabled: {},
    }),
  },
  registerHook: {
    args: [object<HookDraft>(drafts.hookDraftFields)],
    result: kinds<ResultOf<"registerHook">>({
      created: { view: views.hookView, showsGeneratedSecret: flag },
      existing: { view: views.hookView },
      endpoint_differs: endpointConflict,
      quota_exceeded: quotaExceeded,
    }),
  },
  registerWatches: {
    args: [list(drafts.watchDraft)],
    result: list(
      kinds<ResultOf<"registerWatches">[number]>({
        created: {
          view: views.watchView,
          showsGeneratedSecret: flag,
          enabledEndpoint: flag,
          call: nullable(values.watchedCall),
          notices: values.notices,
          jobs: values.jobs,
        },
        existing: { view: views.watchView },
        watch_differs: { watchId: text, fields: list(word()) },
        endpoint_differs: endpointConflict,
        quota_exceeded: quotaExceeded,
        callback_required: {},
        placing_settled: {},
      }),
    ),
  },
  releaseCalls: {
    args: [list(part<RequestOf<"releaseCalls">[number]>({ callId: text, lastGoodPollAtMs: values.numberOrNull })), word()],
    result: nothing,
  },
  releaseDeliveries: {
    args: [list(part<RequestOf<"releaseDeliveries">[number]>({ deliveryId: text, leaseToken: number })), number],
    result: nothing,
  },
  removeHook: {
    args: [object<RequestOf<"removeHook">>({ by: values.by, accountId: text, hookId: text, nowMs: number })],
    result: object<ResultOf<"removeHook">>({ endpointId: values.textOrNull, canceledLeased: values.texts }),
  },
  removeWatch: {
    args: [object<RequestOf<"removeWatch">>({ by: values.by, accountId: text, watchId: text, purge: flag, nowMs: number })],
    result: kinds<ResultOf<"removeWatch">>({
      removed: { callId: text, call: nullable(values.watchedCall), notices: values.notices },
      unknown: {},
    }),
  },
  parkCalls: {
    args: [list(object<RequestOf<"parkCalls">[number]>({ callId: text, lastGoodPollAtMs: values.numberOrNull }))],
    result: list(values.watchedCall),
  },
  recordActivity: {
    args: [
      list(
        object<RequestOf<"recordActivity">[number]>({
          accountId: text,
          minute: number,
          polls: number,
          lastRequestAtMs: values.numberOrNull,
        }),
      ),
    ],
    result: nothing,
  },
  replaceSealed: {
    args: [
      list(
        object<RequestOf<"replaceSealed">[number]>({
          place: word(),
          id: text,
          sealed: bytes,
          resealed: bytes,
          fingerprint: values.textOrNull,
        }),
      ),
    ],
    result: number,
  },
  revokeKey: {
    args: [object<RequestOf<"revokeKey">>({ by: values.by, keyId: text, accountId: values.textOrNull, nowMs: number })],
    result: nullable(views.apiKeyView),
  },
  revokePortalLink: {
    args: [object<RequestOf<"revokePortalLink">>({ accountId: text, linkId: text, by: values.by, nowMs: number })],
    result: flag,
  },
  endSession: {
    args: [object<RequestOf<"endSession">>({ sessionHash: text, keyId: text, expiresAtMs: number })],
    result: nothing,
  },
  usePortalLink: {
    args: [object<RequestOf<"usePortalLink">>({ linkId: text, accountId: text, sessionHash: text, nowMs: number })],
    result: flag,
  },
  rotateSecret: {
    args: [
      object<RequestOf<"rotateSecret">>({
        by: values.by,
        accountId: text,
        endpointId: text,
        secret: drafts.secretDraft,
        previousValidUntilMs: number,
        nowMs: number,
      }),
    ],
    result: flag,
  },
  setAccount: {
    args: [
      object<RequestOf<"setAccount">>({
        by: values.by,
        nowMs: number,
        accountId: text,
        changes: patch<RequestOf<"setAccount">["changes"]>({
          usesDefaultSource: flag,
          mayPlace: flag,
          prefixes: nullable(values.texts),
          perMinute: number,
          perDay: number,
        }),
      }),
    ],
    result: nullable(views.account),
  },
  setAccountState: {
    args: [object<RequestOf<"setAccountState">>({ by: values.by, accountId: text, isDisabled: flag, nowMs: number })],
    result: kinds<ResultOf<"setAccountState">>({
      changed: { account: views.account },
      unchanged: { account: views.account },
      unknown: {},
      being_removed: {},
    }),
  },
  setDefaultSecret: {
    args: [object<RequestOf<"setDefaultSecret">>({ by: values.by, accountId: text, secret: drafts.secretDraft, nowMs: number })],
    result: nothing,
  },
  setServerKeys: { args: [values.texts], result: nothing },
  removeAccount: {
    args: [object<RequestOf<"removeAccount">>({ accountId: text, nowMs: number })],
    result: kinds<ResultOf<"removeAccount">>({ removing: {}, being_removed: {}, unknown: {} }),
  },
  removeSource: {
    args: [object<RequestOf<"removeSource">>({ by: values.by, name: text, force: flag, nowMs: number })],
    result: kinds<ResultOf<"removeSource">>({
      removed: { activeWatches: number },
      busy: { activeWatches: number, placings: number },
      unknown: {},
    }),
  },
  setSource: {
    args: [object<SourceDraft>({ ...drafts.sourceDraftFields, by: values.by, nowMs: number }), values.numberOrNull],
    result: kinds<ResultOf<"setSource">>({ set: { source: views.storedSource }, conflict: {} }),
  },
  sweepMark: {
    args: [object<RequestOf<"sweepMark">>({ accountId: text, nowMs: number })],
    result: kinds<ResultOf<"sweepMark">>({
      swept: {
        markKind: word(),
        done: flag,
        rows: number,
        unwatchedCallIds: values.texts,
        resumedCalls: list(values.watchedCall),
        notices: values.notices,
        jobs: values.jobs,
      },
      nothing: {},
    }),
  },
} satisfies Partial<OperationShapes>;
