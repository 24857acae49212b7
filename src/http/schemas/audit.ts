import { isoTime } from "../../domain/events/payload.ts";
import type { AuditRow } from "../../ports/stores/audit-store.ts";

export function auditRowJson({ id, atMs, action, target, actor, detail }: AuditRow) {
  return {
    id,
    at: isoTime(atMs),
    action,
    target,
    actor: { kind: actor.kind, id: actor.id, name: actor.name },
    address: actor.address,
    forwarded_for: actor.forwardedFor,
    detail: JSON.parse(detail) as Record<string, unknown>,
  };
}
