import { callEvent } from "../harness/events.ts";
import { healthy, startMs } from "../harness/deliveries.ts";
import { mayNotPlace } from "../../src/domain/calls/placing.ts";
import { filterByNames } from "../../src/domain/events/event-filter.ts";
import type { Attempt } from "../../src/domain/deliveries/attempt.ts";
import type { Delivery } from "../../src/domain/deliveries/delivery.ts";
import type { Endpoint } from "../../src/domain/deliveries/endpoint.ts";
import type { Watch } from "../../src/domain/calls/watch.ts";
import { keyScopes } from "../../src/domain/secrets/key-scopes.ts";
import type { PortalLink } from "../../src/domain/portal-link.ts";
import type { AuditRow } from "../../src/ports/stores/audit-store.ts";
import type { Account, ApiKeyView } from "../../src/ports/stores/account-store.ts";
import type { DeliveryView, EndpointSummary, EndpointView, EventView, HookView, WatchView } from "../../src/ports/stores/read-store.ts";

export const account: Account = {
  id: "acc_1",
  name: "default",
  usesDefaultSource: true,
  sealedSigningKey: new Uint8Array(),
  publicKey: "whpk_5vJ3u0o4rJ7hYb6v8Ez1m2cT9qXw0aLk3nPdRfGsHiI=",
  placing: mayNotPlace,
  disabledAtMs: null,
  disablings: 0,
  createdAtMs: startMs,
};

export const apiKeyView: ApiKeyView = {
  id: "key_1",
  accountId: account.id,
  name: "crm",
  scopes: keyScopes,
  expiresAtMs: null,
  createdAtMs: startMs,
  lastUsedAtMs: null,
  revokedAtMs: null,
};

export const portalLink: PortalLink = {
  id: "ptl_1",
  accountId: account.id,
  keyId: "key_1",
  can: "look",
  frameAncestors: [],
  createdAtMs: startMs,
  expiresAtMs: startMs + 3_600_000,
  usedAtMs: null,
  revokedAtMs: null,
};

export const auditRow: AuditRow = {
  id: "aud_1",
  accountId: account.id,
  atMs: startMs,
  action: "endpoint.changed",
  target: { kind: "endpoint", id: "ep_1" },
  actor: { kind: "key", id: "key_1", name: "crm", address: "203.0.113.7", forwardedFor: null },
  detail: '{"changed":["state"],"state":"paused"}',
};

const endpointSummary: EndpointSummary = {
  id: "ep_1",
  state: "enabled",
  reason: null,
  format: "standard",
  request: null,
  pausedUntilMs: null,
};

/** The names of a filter, as the API spells it. */
type WithNames = { readonly events?: readonly string[] | null };

export function watchView(
  { events = null, ...watch }: Partial<Watch> & WithNames = {},
  over: Partial<Omit<WatchView, "watch">> = {},
): WatchView {
  return {
    call: { status: null, reason: "", details: null, terminal: false, observedAtMs: null, lastGoodPollAtMs: null },
    endpoint: endpointSummary,
    pendingDeliveries: 0,
    ...over,
    watch: {
      id: "wch_1",
      accountId: account.id,
      sourceName: "default",
      callId: "call_1",
      callSid: "OUT-1",
      endpointId: "ep_1",
      callbackUrl: "https://crm.example.com/hooks/calls",
      status: "active",
      endReason: null,
      filter: filterByNames(events),
      metadata: {},
      trace: null,
      sequence: 0,
      createdAtMs: startMs,
      expiresAtMs: startMs + 86_400_000,
      endedAtMs: null,
      ...watch,
    },
  };
}

export const eventView: EventView = {
  event: callEvent(),
  deliveries: [{ id: "dlv_1", endpointId: "ep_1", status: "pending", attemptCount: 1, nextAttemptAtMs: startMs + 5000 }],
};

export function deliveryView(delivery: Partial<Delivery> = {}): DeliveryView {
  return {
    endpoint: endpointSummary,
    endpointUrl: "https://crm.example.com/hooks/calls",
    dueAtMs: startMs + 5000,
    blockedBySequence: null,
    leased: false,
    lastAttempt: { statusCode: attempt.statusCode, error: attempt.error, startedAtMs: attempt.startedAtMs },
    delivery: {
      id: "dlv_1",
      accountId: account.id,
      eventId: "evt_1",
      eventType: "call.failure",
      watchId: "wch_1",
      callSid: "OUT-1",
      endpointId: "ep_1",
      status: "pending",
      attemptCount: 1,
      stepsSpent: 1,
      nextAttemptAtMs: startMs + 5000,
      firstAttemptAtMs: startMs,
      firstFailedAtMs: startMs,
      scheduledAtMs: null,
      lastRecovery: null,
      settledAtMs: null,
      createdAtMs: startMs,
      ...delivery,
    },
  };
}

export const attempt: Attempt = {
  number: 1,
  startedAtMs: startMs,
  durationMs: 48.3,
  statusCode: 500,
  error: { code: "status", detail: "the receiver answered 500" },
  responseExcerpt: "oops",
  decision: "retry",
};

export function endpointView(endpoint: Partial<Endpoint> = {}, over: Partial<Omit<EndpointView, "endpoint">> = {}): EndpointView {
  return {
    hostPausedUntilMs: null,
    hostPausedSinceMs: null,
    hookIds: [],
    backlog: 0,
    oldestDueAtMs: null,
    ...over,
    endpoint: {
      id: "ep_1",
      accountId: account.id,
      url: "https://crm.example.com/hooks/calls",
      origin: "https://crm.example.com:443",
      format: "standard",
      request: null,
      headerNames: ["x-api-key"],
      signatures: ["v1"],
      late: "send",
      maxInFlight: null,
      maxPerSecond: null,
      state: "enabled",
      reason: null,
      sinceMs: null,
      health: healthy,
      createdAtMs: startMs,
      ...endpoint,
    },
  };
}

export function hookView({ events = null, ...hook }: Partial<HookView> & WithNames = {}): HookView {
  return {
    id: "hk_1",
    accountId: account.id,
    url: "https://hooks.zapier.com/hooks/standard/1/abc/",
    filter: filterByNames(events),
    endpoint: { ...endpointSummary, format: "flat" },
    createdAtMs: startMs,
    ...hook,
  };
}
