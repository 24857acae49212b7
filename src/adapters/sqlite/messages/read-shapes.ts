import type { AuditAction } from "../../../domain/audit.ts";
import { flag, list, map, nullable, number, object, text, word, bytes, kinds } from "./shape.ts";
import type { OperationShapes, RequestOf, ResultOf } from "./port-shapes.ts";
import { claim, storedAnswerFields } from "./claim-shapes.ts";
import * as values from "./value-shapes.ts";
import * as views from "./view-shapes.ts";

const attemptSum = object<ResultOf<"countAttempts">[number]["hour"]>({ succeeded: number, failed: number });

const auditFilter = { action: nullable(word<AuditAction>()), sinceMs: values.numberOrNull, untilMs: values.numberOrNull };

/** Shapes of the operations that write nothing. */
export const readShapes = {
  countAttempts: {
    args: [object<RequestOf<"countAttempts">>({ accountId: text, endpointIds: values.texts, nowMs: number })],
    result: list(object<ResultOf<"countAttempts">[number]>({ endpointId: text, hour: attemptSum, day: attemptSum })),
  },
  findAccount: { args: [text], result: nullable(views.account) },
  findAccountByKey: {
    args: [values.texts, values.textOrNull],
    result: nullable(object<NonNullable<ResultOf<"findAccountByKey">>>({ account: nullable(views.account), key: views.apiKey })),
  },
  findOldestAccount: { args: [], result: nullable(views.account) },
  findPlacing: {
    args: [object<RequestOf<"findPlacing">>({ accountId: text, keyHash: text })],
    result: nullable(object<NonNullable<ResultOf<"findPlacing">>>({ placing: views.placing, hasWatch: flag })),
  },
  findServersWithoutKey: {
    args: [text],
    result: object<ResultOf<"findServersWithoutKey">>({ lacking: number, starting: number }),
  },
  findStoredAnswer: {
    args: [claim],
    result: nullable(kinds<NonNullable<ResultOf<"findStoredAnswer">>>({ stored: storedAnswerFields, other_request: {} })),
  },
  getAccount: { args: [text], result: nullable(views.account) },
  getCall: {
    args: [object<RequestOf<"getCall">>({ accountId: text, sourceName: text, callSid: text })],
    result: nullable(object<NonNullable<ResultOf<"getCall">>>({ callSid: text, sourceName: text, status: values.callStatus })),
  },
  getDelivery: {
    args: [text, text],
    result: nullable(object<NonNullable<ResultOf<"getDelivery">>>({ view: views.deliveryView, attempts: list(values.attempt) })),
  },
  getEndpoint: { args: [text, text], result: nullable(views.endpointView) },
  getEvent: { args: [text, text], result: nullable(views.eventView) },
  getHook: { args: [text, text], result: nullable(views.hookView) },
  getPlacing: {
    args: [text, text],
    result: nullable(
      object<NonNullable<ResultOf<"getPlacing">>>({
        placing: views.placing,
        sealedRequest: nullable(bytes),
        keyHash: values.textOrNull,
      }),
    ),
  },
  getWatch: { args: [text, text], result: nullable(views.watchView) },
  listAllAudit: {
    args: [object<RequestOf<"listAllAudit">>({ limit: number, cursor: values.textOrNull, ...auditFilter })],
    result: views.pageOf(views.auditRow),
  },
  listAudit: {
    args: [
      object<RequestOf<"listAudit">>({
        limit: number,
        cursor: values.textOrNull,
        accountId: text,
        ...auditFilter,
      }),
    ],
    result: views.pageOf(views.auditRow),
  },
  listDeliveries: {
    args: [
      object<RequestOf<"listDeliveries">>({
        limit: number,
        cursor: values.textOrNull,
        accountId: text,
        endpointId: values.textOrNull,
        watchId: values.textOrNull,
        status: nullable(word()),
      }),
    ],
    result: views.pageOf(views.deliveryView),
  },
  listAccounts: { args: [number], result: list(views.accountOverview) },
  listDisabledAccounts: { args: [], result: values.texts },
  listEndpoints: {
    args: [object<RequestOf<"listEndpoints">>({ limit: number, cursor: values.textOrNull, accountId: text })],
    result: views.pageOf(views.endpointView),
  },
  listHooks: {
    args: [object<RequestOf<"listHooks">>({ limit: number, cursor: values.textOrNull, accountId: text })],
    result: views.pageOf(views.hookView),
  },
  listKeys: { args: [values.textOrNull], result: list(views.apiKeyView) },
  listMarkedAccounts: { args: [number], result: values.texts },
  listPlacings: {
    args: [object<RequestOf<"listPlacings">>({ limit: number, cursor: values.textOrNull, accountId: text, state: nullable(word()) })],
    result: views.pageOf(views.placing),
  },
  listRecentEvents: {
    args: [object<RequestOf<"listRecentEvents">>({ accountId: text, limit: number, types: nullable(values.texts), orTerminal: flag })],
    result: list(values.event),
  },
  listSealed: {
    args: [object<RequestOf<"listSealed">>({ place: word(), keyId: text, afterId: values.textOrNull, limit: number })],
    result: list(object<ResultOf<"listSealed">[number]>({ place: word(), id: text, sealed: bytes })),
  },
  listSources: { args: [], result: list(views.storedSource) },
  listStatusAges: { args: [], result: list(values.statusAges) },
  listTimeline: {
    args: [
      object<RequestOf<"listTimeline">>({
        limit: number,
        cursor: values.textOrNull,
        accountId: text,
        watchId: text,
        deliveriesOfEach: number,
      }),
    ],
    result: nullable(views.pageOf(views.timelineEvent)),
  },
  listWatchEvents: {
    args: [object<RequestOf<"listWatchEvents">>({ limit: number, cursor: values.textOrNull, accountId: text, watchId: text })],
    result: nullable(views.pageOf(views.eventView)),
  },
  listWatches: {
    args: [
      object<RequestOf<"listWatches">>({
        limit: number,
        cursor: values.textOrNull,
        accountId: text,
        status: nullable(word()),
        callSid: values.textOrNull,
      }),
    ],
    result: views.pageOf(views.watchView),
  },
  listWatchesByMetadata: {
    args: [
      object<RequestOf<"listWatchesByMetadata">>({
        limit: number,
        cursor: values.textOrNull,
        accountId: text,
        status: nullable(word()),
        callSid: values.textOrNull,
        metadata: map(text),
      }),
    ],
    result: views.pageOf(views.watchView),
  },
  loadWatchedCalls: {
    args: [object<RequestOf<"loadWatchedCalls">>({ afterCallId: values.textOrNull, limit: number })],
    result: list(values.watchedCall),
  },
  isSessionEnded: { args: [text], result: flag },
  findPortalLink: {
    args: [text, number],
    result: nullable(
      object<NonNullable<ResultOf<"findPortalLink">>>({
        link: views.portalLink,
        account: views.account,
        tokenHash: text,
        sessionHash: values.textOrNull,
        end: nullable(word()),
      }),
    ),
  },
  listPortalLinks: {
    args: [object<RequestOf<"listPortalLinks">>({ limit: number, cursor: values.textOrNull, accountId: text })],
    result: views.pageOf(views.portalLink),
  },
  pageKeys: {
    args: [object<RequestOf<"pageKeys">>({ limit: number, cursor: values.textOrNull, accountId: text })],
    result: views.pageOf(views.apiKeyView),
  },
  readFeed: {
    args: [
      object<RequestOf<"readFeed">>({
        accountId: text,
        limit: number,
        cursor: values.textOrNull,
        sinceMs: values.numberOrNull,
        callSid: values.textOrNull,
        types: nullable(values.texts),
        orTerminal: flag,
      }),
    ],
    result: object<ResultOf<"readFeed">>({ data: list(views.eventView), cursors: values.texts, nextCursor: text }),
  },
  readActivity: {
    args: [object<RequestOf<"readActivity">>({ accountId: text, sinceMs: number, stepMs: number })],
    result: list(object<ResultOf<"readActivity">[number]>({ atMs: number, kind: number, n: number })),
  },
  readKeyIds: { args: [], result: values.texts },
  readStats: {
    args: [],
    result: object<ResultOf<"readStats">>({
      watchesByStatus: map(number),
      deliveriesByStatus: map(number),
      endpointsByState: object<ResultOf<"readStats">["endpointsByState"]>({ enabled: number, paused: number, disabled: number }),
      oldestDueDeliveryAtMs: values.numberOrNull,
      storeBytes: number,
    }),
  },
  readTargets: { args: [values.texts], result: list(values.sendTarget) },
} satisfies Partial<OperationShapes>;
