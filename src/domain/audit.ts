/** Changes that are recorded. */
export const auditActions = [
  "call.placed",
  "placing.resolved",
  "watch.purged",
  "hook.created",
  "hook.deleted",
  "endpoint.changed",
  "endpoint.secret_rotated",
  "endpoint.recovered",
  "delivery.retried",
  "account.changed",
  "account.secret_set",
  "account.disabled",
  "account.enabled",
  "key.created",
  "key.revoked",
  "portal_link.created",
  "portal_link.revoked",
  "source.changed",
  "source.removed",
] as const;
export type AuditAction = (typeof auditActions)[number];

export const auditTargetKinds = [
  "call",
  "placing",
  "watch",
  "hook",
  "endpoint",
  "delivery",
  "account",
  "key",
  "portal_link",
  "source",
] as const;

export const actorKinds = ["key", "portal", "command_line", "dashboard"] as const;

/** Requester of a change. Passed with every request that may change something. */
export type Actor = {
  readonly kind: (typeof actorKinds)[number];
  /** Id of the key (that of a session, too) or of the portal link; `null` for the command line. */
  readonly id: string | null;
  readonly name: string | null;
  /** Address of the peer; `null` for the command line. */
  readonly address: string | null;
  /** Client that the request names (`X-Forwarded-For`), unproven. */
  readonly forwardedFor: string | null;
};

export const commandLine: Actor = { kind: "command_line", id: null, name: null, address: null, forwardedFor: null };

export type AuditValue = string | number | boolean | null;
/** Facts of a change. Never has a secret, a key, a header's value or a whole telephone number. */
export type AuditDetail = Readonly<Record<string, AuditValue | readonly string[]>>;

/** A change, before it has an id. */
export type AuditEntry = {
  /** `null`: the change concerns no account, or all of them. */
  readonly accountId: string | null;
  readonly action: AuditAction;
  readonly target: { readonly kind: (typeof auditTargetKinds)[number]; readonly id: string };
  readonly detail: AuditDetail;
  readonly nowMs: number;
};

/** Number of rows of an account that are kept. */
export const maxAuditRows = 100_000;

const shownDigits = 4;

/** Returns the last four digits of a telephone number; `null` if they are the whole number, or there is none. */
export function lastDigitsOf(number: string | null): string | null {
  const digits = number?.replaceAll(/\D/g, "") ?? "";
  return digits.length > shownDigits ? digits.slice(-shownDigits) : null;
}
