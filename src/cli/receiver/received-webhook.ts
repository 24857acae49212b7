import { plain } from "../paint.ts";
import type { Paint } from "../paint.ts";
import { printable } from "../printable.ts";
import type { Delivery } from "./receiver.ts";

/** Facts of a webhook in any format; `null` if the format lacks one. */
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

/** Parses a webhook: `standard`, `flat` and `cloudevents` are JSON, `form` is urlencoded. Returns `null` for anything else. */
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

/** Formats a webhook in one line: time, signature, call and transition. What strangers wrote into it is escaped before it is painted. */
export function describeDelivery(delivery: Delivery, paint: Paint = plain): string {
  const webhook = readWebhook(delivery);
  const time = new Date(delivery.receivedAtMs).toISOString().slice(11, 23);
  const again = delivery.attempt > 1 ? ` (attempt ${delivery.attempt})` : "";
  const facts = webhook === null ? `${delivery.body.length} bytes that are not a webhook of Ringback` : describeWebhook(webhook);
  const signature = paint(styles[delivery.verification.kind], printable(describeVerification(delivery)));
  return `${paint("dim", time)}  ${signature}  ${styleOf(webhook, paint)(printable(facts))}${again}`;
}

const styles = { verified: "green", unchecked: "yellow", refused: "red" } as const;

/** Returns how the facts of a webhook are shown: an end of a call in the colour of its outcome. */
function styleOf(webhook: ReceivedWebhook | null, paint: Paint): (text: string) => string {
  if (webhook?.terminal !== true) return (text) => text;
  const style = webhook.type === "call.success" ? "green" : webhook.type === "call.failure" ? "red" : "yellow";
  return (text) => paint(style, text);
}

function describeWebhook(webhook: ReceivedWebhook): string {
  const from = webhook.previousStatus ?? "(new)";
  const change = webhook.status === null ? "" : `  ${from} -> ${webhook.status}`;
  const number = webhook.sequence === null ? "  " : `#${webhook.sequence}`;
  const reason = webhook.reason ? `  "${webhook.reason}"` : "";
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

/** Reads a value as text; `null` for an empty text, because `form` writes `null` as one. */
function text(value: unknown): string | null {
  if (typeof value === "number") return String(value);
  return typeof value === "string" && value !== "" ? value : null;
}
