import type { EventFilter } from "../../../domain/events/event-filter.ts";
import type { WhereTerm } from "../../../domain/events/where.ts";
import type { Quotas } from "../../../domain/quotas.ts";
import type { ApiKeyDraft } from "../../../ports/stores/account-store.ts";
import type { PlacingDraft } from "../../../ports/stores/placing-store.ts";
import type { EndpointDraft, SecretDraft, SettledPlacing, WatchDraft } from "../../../ports/stores/registration-store.ts";
import type { RequestOf } from "./port-shapes.ts";
import { bytes, flag, list, map, nullable, number, object, part, text, word } from "./shape.ts";
import { by, numberOrNull, textOrNull, texts } from "./value-shapes.ts";

/** Shapes of what registrations and commands write. */

export const filter = object<EventFilter>({
  names: nullable(texts),
  where: list(object<WhereTerm>({ field: text, test: word(), texts })),
});
const quotas = part<Quotas>({ maxActiveWatches: number, maxWatchesPerCall: number, maxEndpoints: number, maxHooks: number });

export const secretDraft = object<SecretDraft>({ id: text, sealed: bytes, fingerprints: texts });

export const sealedHeaders = object<NonNullable<EndpointDraft["headers"]>>({ names: texts, sealed: bytes, fingerprints: texts });

const endpointDraft = object<EndpointDraft>({
  id: text,
  url: text,
  origin: text,
  format: nullable(word()),
  request: textOrNull,
  defaultFormat: word(),
  late: word(),
  headers: nullable(sealedHeaders),
  givenSecret: nullable(secretDraft),
  generatedSecret: secretDraft,
});

export const watchDraft = object<WatchDraft>({
  id: text,
  accountId: text,
  sourceName: text,
  scope: text,
  callSid: text,
  callId: text,
  endpoint: nullable(endpointDraft),
  needsHook: flag,
  filter,
  metadata: map(text),
  trace: textOrNull,
  expiresAtMs: number,
  nowMs: number,
  polledAtMs: numberOrNull,
  restartsEndedCall: flag,
  quotas,
  by,
  placing: nullable(object<SettledPlacing>({ id: text, from: word(), by, lastDigits: textOrNull })),
});

export const placingDraft = object<PlacingDraft>({
  id: text,
  accountId: text,
  sourceName: text,
  idempotencyKey: text,
  keyHash: text,
  callHash: text,
  metadata: map(text),
  sealedRequest: bytes,
  leaseUntilMs: number,
  endpoint: nullable(endpointDraft),
  needsHook: flag,
  quotas,
  limits: nullable(part<NonNullable<PlacingDraft["limits"]>>({ perMinute: number, perDay: number })),
  isCheckOnly: flag,
  nowMs: number,
});

export const hookDraftFields = { id: text, accountId: text, endpoint: endpointDraft, filter, by, nowMs: number, quotas };

const environmentKeyFields = { id: text, name: text, fingerprints: texts, nowMs: number };
export const environmentKeyDraft = object<RequestOf<"ensureKey">>({ ...environmentKeyFields, accountId: text });
export const apiKeyDraft = object<ApiKeyDraft>({
  ...environmentKeyFields,
  accountId: textOrNull,
  by,
  scopes: list(word()),
  expiresAtMs: numberOrNull,
});

export const sourceDraftFields = {
  id: text,
  name: text,
  accountId: textOrNull,
  sealedCredential: bytes,
  kind: text,
  baseUrl: text,
  maxPollsPerSecond: number,
  agentId: textOrNull,
  environment: textOrNull,
  definition: textOrNull,
  statusMap: textOrNull,
};
