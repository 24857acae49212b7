import type { AuditDetail } from "../../../domain/audit.ts";
import { isSameTemplate } from "../../../domain/webhooks/webhook-content.ts";
import type { EndpointStore } from "../../../ports/stores/endpoint-store.ts";
import { patchedColumns } from "../patched-columns.ts";
import { integerOrNull } from "../rows.ts";
import type { Row } from "../rows.ts";

/** Columns of an endpoint that decide what a patch changes. */
export const changeableColumns =
  "format, request, header_names, headers_fingerprint, max_in_flight, max_per_second, signatures, late, state, paused_until";

function isSameRequest(before: unknown, after: unknown): boolean {
  if (typeof before !== "string" || typeof after !== "string") return before === after;
  return isSameTemplate(before, after);
}

/** Returns what a patch changes of the endpoint as it was: the names of the fields, and values that are no secret. `null` for nothing. */
export function endpointChanges(
  before: Row,
  { patch, nowMs }: Pick<Parameters<EndpointStore["patchEndpoint"]>[0], "patch" | "nowMs">,
): AuditDetail | null {
  const changed = new Set<string>();
  const values: Record<string, AuditDetail[string]> = {};
  const { fingerprints = [] } = patch.headers ?? {};
  for (const [column, value] of patchedColumns(patch)) {
    if (column === "sealed_headers" || column === "header_names") continue;
    if (column === "headers_fingerprint") {
      const stored = before[column];
      if (stored === value || (typeof stored === "string" && fingerprints.includes(stored))) continue;
      changed.add("headers");
      values["headers"] = patch.headers?.names ?? [];
    } else if (column === "request") {
      // A template has up to 8 KiB, and the endpoint shows it.
      if (!isSameRequest(before[column], value)) changed.add(column);
    } else if (before[column] !== value && !(value instanceof Uint8Array)) {
      changed.add(column);
      values[column] = column === "signatures" ? (patch.signatures ?? []) : value;
    }
  }
  // A pause that an answer began ends when the client enables the endpoint.
  const isPaused = before["state"] === "enabled" && (integerOrNull(before, "paused_until") ?? 0) > nowMs;
  if (patch.state !== undefined && (before["state"] !== patch.state || (patch.state === "enabled" && isPaused))) {
    changed.add("state");
    values["state"] = patch.state;
  }
  return changed.size === 0 ? null : { changed: [...changed], ...values };
}
