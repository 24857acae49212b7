import type { Delivery } from "./receiver.ts";

/** The facts of a webhook in any of the formats; null where it does not say. */
export type ReceivedWebhook = {
  readonly type: string;
  readonly callSid: string | null;
  readonly watchId: string | null;
  readonly sequence: number | null;
  readonly status: string | null;
  readonly previousStatus: string | null;
  readonly reason: string | null;
  readonly terminal: boolean;
};

/** Reads a delivery's body: `standard`, `flat` and `cloudevents` are JSON, `form` is urlencoded. null when it is none of them. */
export function readWebhook(delivery: Delivery): ReceivedWebhook | null {
  const { headers } = delivery;
  const fields = parseFields(delivery.body.toString("utf8"), headers["content-type"] ?? "");
  if (fields === null) return null;
  const nested = fields["data"];
  const data = isRecord(nested) ? nested : fields;
  const type = text(fields["type"]) ?? headers["ce-type"]?.replace(/^ai\.ringback\./, "");
  if (type === undefined) return null;
  const sequence = text(data["sequence"]);
  return {
    type,
    callSid: text(data["call_sid"]),
    watchId: text(data["watch_id"]),
    sequence: sequence === null ? null : Number(sequence),
    status: text(data["status"]),
    previousStatus: text(data["previous_status"]),
    reason: text(data["reason"]),
    terminal: String(data["terminal"]) === "true",
  };
}

/** One line for people: when, whether the signature holds, what happened to which call. */
export function describeDelivery(delivery: Delivery): string {
  const webhook = readWebhook(delivery);
  const time = new Date(delivery.receivedAtMs).toISOString().slice(11, 23);
  const again = delivery.attempt > 1 ? ` (attempt ${delivery.attempt})` : "";
  const facts = webhook === null ? `${delivery.body.length} bytes that are no webhook of ours` : describeWebhook(webhook);
  return `${time}  ${describeVerification(delivery)}  ${facts}${again}`;
}

function describeWebhook(webhook: ReceivedWebhook): string {
  const from = webhook.previousStatus ?? "(new)";
  const change = webhook.status === null ? "" : `  ${from} -> ${webhook.status}`;
  const number = webhook.sequence === null ? "  " : `#${webhook.sequence}`;
  const reason = webhook.reason ? `  "${printable(webhook.reason)}"` : "";
  return `${webhook.type.padEnd(15)} ${number}  ${webhook.callSid ?? "-"}${change}${reason}`;
}

function describeVerification(delivery: Delivery): string {
  switch (delivery.verification.kind) {
    case "verified":
      return "verified  ";
    case "unchecked":
      return "unchecked ";
    case "refused":
      return `NOT VERIFIED (${delivery.verification.detail})`;
  }
}

function parseFields(body: string, contentType: string): Readonly<Record<string, unknown>> | null {
  if (contentType.startsWith("application/x-www-form-urlencoded")) return Object.fromEntries(new URLSearchParams(body));
  try {
    const parsed: unknown = JSON.parse(body);
    return isRecord(parsed) ? parsed : null;
  } catch {
    return null;
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Numbers as text, so that the `form` format reads like the others; empty is null there. */
function text(value: unknown): string | null {
  if (typeof value === "number") return String(value);
  return typeof value === "string" && value !== "" ? value : null;
}

/** What an upstream says goes to a terminal: no control characters. */
function printable(value: string): string {
  return value.replace(/\p{Cc}/gu, "?");
}
