import { flag, list, map, nullable, number, object, text, word, bytes, kinds } from "./shape.ts";
import type { OperationShapes, RequestOf, ResultOf } from "./port-shapes.ts";
import { claim, storedAnswerFields } from "./claim-shapes.ts";
import * as values from "./value-shapes.ts";
import * as views from "./view-shapes.ts";

/** Shapes of the operations that write nothing. */
export const readShapes = {
  findAccount: { args: [text], result: nullable(views.account) },
  findAccountByKey: {
    args: [values.texts],
    result: nullable(object<NonNullable<ResultOf<"findAccountByKey">>>({ account: views.account, keyId: text })),
  },
  findOldestAccount: { args: [], result: nullable(views.account) },
  findServersWithoutKey: {
    args: [text],
    result: object<ResultOf<"findServersWithoutKey">>({ lacking: number, starting: number }),
  },
  findStoredAnswer: {
    args: [claim],
    result: nullable(kinds<NonNullable<ResultOf<"findStoredAnswer">>>({ stored: storedAnswerFields })),
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
  getWatch: { args: [text, text], result: nullable(views.watchView) },
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
  listEndpoints: {
    args: [object<RequestOf<"listEndpoints">>({ limit: number, cursor: values.textOrNull, accountId: text })],
    result: views.pageOf(views.endpointView),
  },
  listHooks: {
    args: [object<RequestOf<"listHooks">>({ limit: number, cursor: values.textOrNull, accountId: text })],
    result: views.pageOf(views.hookView),
  },
  listKeys: { args: [text], result: list(views.apiKeyView) },
  listRecentEvents: {
    args: [object<RequestOf<"listRecentEvents">>({ accountId: text, limit: number, types: nullable(values.texts), orTerminal: flag })],
    result: list(values.event),
  },
  listSealed: {
    args: [object<RequestOf<"listSealed">>({ place: word(), keyId: text, afterId: values.textOrNull, limit: number })],
    result: list(object<ResultOf<"listSealed">[number]>({ place: word(), id: text, sealed: bytes })),
  },
  listSources: { args: [], result: list(views.storedSource) },
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
  loadWatchedCalls: {
    args: [object<RequestOf<"loadWatchedCalls">>({ afterCallId: values.textOrNull, limit: number })],
    result: list(values.watchedCall),
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
    result: object<ResultOf<"readFeed">>({ data: list(views.eventView), nextCursor: text }),
  },
  readKeyIds: { args: [], result: values.texts },
  readStats: {
    args: [],
    result: object<ResultOf<"readStats">>({
      watchesByStatus: map(number),
      deliveriesByStatus: map(number),
      oldestDueDeliveryAtMs: values.numberOrNull,
      storeBytes: number,
    }),
  },
  readTargets: { args: [values.texts], result: list(values.sendTarget) },
} satisfies Partial<OperationShapes>;
