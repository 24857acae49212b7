import type { EndpointPatch } from "../../../ports/stores/endpoint-store.ts";
import type { HookDraft } from "../../../ports/stores/registration-store.ts";
import type { SourceDraft } from "../../../ports/stores/source-store.ts";
import type { OperationShapes, RequestOf, ResultOf } from "./port-shapes.ts";
import { bytes, flag, kinds, list, nothing, nullable, number, object, pair, part, patch, text, word } from "./shape.ts";
import * as drafts from "./draft-shapes.ts";
import * as values from "./value-shapes.ts";
import * as views from "./view-shapes.ts";

const endpointConflict = { endpointId: text, fields: list(word<"format" | "headers" | "signing_secret">()) };
const quotaExceeded = { quota: word<"maxActiveWatches" | "maxEndpoints" | "maxHooks">(), limit: number };

/** Shapes of the operations that write. */
export const writeShapes = {
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
    args: [object<RequestOf<"claimManualRetry">>({ accountId: text, deliveryId: text, nowMs: number })],
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
  completeAnswer: { args: [object<RequestOf<"completeAnswer">>({ id: text, sealed: bytes })], result: nothing },
  createAccount: {
    args: [views.account, drafts.apiKeyDraft],
    result: kinds<ResultOf<"createAccount">>({ created: {}, name_taken: { account: views.account } }),
  },
  createKey: { args: [drafts.apiKeyDraft], result: nothing },
  createTest: {
    args: [object<RequestOf<"createTest">>({ accountId: text, endpointId: text, nowMs: number })],
    result: kinds<ResultOf<"createTest">>({ claimed: { job: values.job }, unknown: {}, endpoint_disabled: {} }),
  },
  deleteExpired: {
    args: [object<RequestOf<"deleteExpired">>({ beforeMs: number, nowMs: number, limit: number })],
    result: object<ResultOf<"deleteExpired">>({ deleted: number, more: flag }),
  },
  ensureAccount: { args: [views.account], result: views.account },
  ensureHashKey: { args: [word(), bytes], result: bytes },
  ensureKey: {
    args: [drafts.apiKeyDraft],
    result: kinds<ResultOf<"ensureKey">>({ ensured: {}, belongs_to_another: { accountId: text } }),
  },
  moveSchedule: { args: [number], result: nothing },
  patchEndpoint: {
    args: [
      object<RequestOf<"patchEndpoint">>({
        accountId: text,
        endpointId: text,
        patch: patch<EndpointPatch>({
          format: word(),
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
  publishSourceEvent: {
    args: [
      object<RequestOf<"publishSourceEvent">>({ type: word(), sourceName: text, state: text, reason: values.textOrNull, nowMs: number }),
    ],
    result: object<ResultOf<"publishSourceEvent">>({ jobs: values.jobs, notices: values.notices }),
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
    args: [object<RequestOf<"recover">>({ accountId: text, endpointId: text, sinceMs: number, untilMs: number, nowMs: number })],
    result: kinds<ResultOf<"recover">>({ recovered: { count: number }, unknown: {}, endpoint_disabled: {} }),
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
          call: nullable(values.watchedCall),
          notices: values.notices,
          jobs: values.jobs,
        },
        existing: { view: views.watchView },
        watch_differs: { watchId: text, fields: list(word()) },
        endpoint_differs: endpointConflict,
        quota_exceeded: quotaExceeded,
        callback_required: {},
      }),
    ),
  },
  releaseCalls: {
    args: [list(part<RequestOf<"releaseCalls">[number]>({ callId: text, lastGoodPollAtMs: values.numberOrNull }))],
    result: nothing,
  },
  releaseDeliveries: {
    args: [list(part<RequestOf<"releaseDeliveries">[number]>({ deliveryId: text, leaseToken: number })), number],
    result: nothing,
  },
  removeHook: {
    args: [object<RequestOf<"removeHook">>({ accountId: text, hookId: text, nowMs: number })],
    result: object<ResultOf<"removeHook">>({ endpointId: values.textOrNull, canceledLeased: values.texts }),
  },
  removeWatch: {
    args: [object<RequestOf<"removeWatch">>({ accountId: text, watchId: text, purge: flag, nowMs: number })],
    result: kinds<ResultOf<"removeWatch">>({
      removed: { callId: text, call: nullable(values.watchedCall), notices: values.notices },
      unknown: {},
    }),
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
    args: [object<RequestOf<"revokeKey">>({ keyId: text, nowMs: number })],
    result: nullable(object<NonNullable<ResultOf<"revokeKey">>>({ key: views.apiKeyView, accountId: text })),
  },
  rotateSecret: {
    args: [
      object<RequestOf<"rotateSecret">>({
        accountId: text,
        endpointId: text,
        secret: drafts.secretDraft,
        previousValidUntilMs: number,
        nowMs: number,
      }),
    ],
    result: flag,
  },
  setDefaultSecret: {
    args: [object<RequestOf<"setDefaultSecret">>({ accountId: text, secret: drafts.secretDraft, nowMs: number })],
    result: nothing,
  },
  setServerKeys: { args: [values.texts], result: nothing },
  setSource: {
    args: [object<SourceDraft>({ ...drafts.sourceDraftFields, nowMs: number }), values.numberOrNull],
    result: kinds<ResultOf<"setSource">>({ set: { source: views.storedSource }, conflict: {} }),
  },
} satisfies Partial<OperationShapes>;
