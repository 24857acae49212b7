import type { AuditDetail, AuditEntry } from "../../../domain/audit.ts";
import { isoTime } from "../../../domain/events/payload.ts";
import { encodeId } from "../../../domain/ids.ts";
import type { DeliveryStore } from "../../../ports/stores/delivery-store.ts";
import type { EndpointStore } from "../../../ports/stores/endpoint-store.ts";
import type { HookDraft, RegistrationStore } from "../../../ports/stores/registration-store.ts";

/** Names the host alone, because the path and the query of a URL may hold a token. */
export function hookCreated({ id, accountId, endpoint, filter, nowMs }: HookDraft, endpointId: string): AuditEntry {
  const detail = { host: new URL(endpoint.url).host, endpoint_id: endpointId, events: filter.names };
  return { accountId, action: "hook.created", target: { kind: "hook", id }, detail, nowMs };
}

export function hookDeleted({ accountId, hookId, nowMs }: Parameters<RegistrationStore["removeHook"]>[0], endpointKey: number): AuditEntry {
  const detail = { endpoint_id: encodeId("ep", endpointKey) };
  return { accountId, action: "hook.deleted", target: { kind: "hook", id: hookId }, detail, nowMs };
}

export function watchPurged({ accountId, watchId, nowMs }: Parameters<RegistrationStore["removeWatch"]>[0]): AuditEntry {
  return { accountId, action: "watch.purged", target: { kind: "watch", id: watchId }, detail: {}, nowMs };
}

export function endpointChanged(
  { accountId, endpointId, nowMs }: Parameters<EndpointStore["patchEndpoint"]>[0],
  detail: AuditDetail,
): AuditEntry {
  return { accountId, action: "endpoint.changed", target: { kind: "endpoint", id: endpointId }, detail, nowMs };
}

/** A new registration names a disabled endpoint, which enables it. */
export function endpointEnabled({ accountId, nowMs }: Pick<HookDraft, "accountId" | "nowMs">, endpointId: string): AuditEntry {
  const detail = { changed: ["state"], state: "enabled" };
  return { accountId, action: "endpoint.changed", target: { kind: "endpoint", id: endpointId }, detail, nowMs };
}

/** Counts are `null` if there are more than are counted, as in the answer. */
export function endpointRecovered(
  { accountId, endpointId, sinceMs, untilMs, nowMs }: Parameters<DeliveryStore["recover"]>[0],
  { recovered, hurried, more }: { readonly recovered: number; readonly hurried: number; readonly more: boolean },
): AuditEntry {
  const counts = more ? { recovered: null, hurried: null } : { recovered, hurried };
  const detail = { since: isoTime(sinceMs), until: isoTime(untilMs), ...counts };
  return { accountId, action: "endpoint.recovered", target: { kind: "endpoint", id: endpointId }, detail, nowMs };
}

export function deliveryRetried({ accountId, deliveryId, nowMs }: Parameters<DeliveryStore["claimManualRetry"]>[0]): AuditEntry {
  return { accountId, action: "delivery.retried", target: { kind: "delivery", id: deliveryId }, detail: {}, nowMs };
}
