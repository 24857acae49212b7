import type { EventFilter } from "../../../domain/events/event-filter.ts";
import type { Quotas } from "../../../domain/quotas.ts";
import type { ApiKeyDraft } from "../../../ports/stores/account-store.ts";
import type { EndpointDraft, SecretDraft, WatchDraft } from "../../../ports/stores/registration-store.ts";
import { bytes, flag, map, nullable, number, object, part, text, word } from "./shape.ts";
import { numberOrNull, textOrNull, texts } from "./value-shapes.ts";

/** Shapes of what registrations and commands write. */

export const filter = object<EventFilter>({ names: nullable(texts) });
const quotas = part<Quotas>({ maxActiveWatches: number, maxEndpoints: number, maxHooks: number });

export const secretDraft = object<SecretDraft>({ id: text, sealed: bytes, fingerprints: texts });

export const sealedHeaders = object<NonNullable<EndpointDraft["headers"]>>({ names: texts, sealed: bytes, fingerprints: texts });

const endpointDraft = object<EndpointDraft>({
  id: text,
  url: text,
  origin: text,
  format: nullable(word()),
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
  filter,
  metadata: map(text),
  expiresAtMs: number,
  nowMs: number,
  polledAtMs: numberOrNull,
  restartsEndedCall: flag,
  quotas,
});

export const hookDraftFields = { id: text, accountId: text, endpoint: endpointDraft, filter, nowMs: number, quotas };

export const apiKeyDraft = object<ApiKeyDraft>({ id: text, accountId: text, name: text, fingerprints: texts, nowMs: number });

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
};
