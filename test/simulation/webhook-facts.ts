import type { WebhookRequest } from "./engine-adapter.ts";

/** Content of a webhook or an event in any format: every value as text, null as "". */
export type Facts = Readonly<Record<string, string>>;

export type ReadWebhook = { readonly id: string; readonly format: string; readonly facts: Facts };

/** Reads a webhook as a receiver does. */
export function readWebhook({ headers, body }: WebhookRequest): ReadWebhook {
  const id = headers["webhook-id"] ?? "";
  const ceType = headers["ce-type"];
  if (ceType !== undefined)
    return { id, format: "cloudevents", facts: { type: ceType.replace(/^ai\.ringback\./, ""), ...flatten(JSON.parse(body) as object) } };
  if ((headers["content-type"] ?? "").startsWith("application/x-www-form-urlencoded"))
    return { id, format: "form", facts: withoutId(Object.fromEntries(new URLSearchParams(body))) };
  const parsed = JSON.parse(body) as Record<string, unknown>;
  if (typeof parsed["data"] === "object" && parsed["data"] !== null) return { id, format: "standard", facts: factsOfEvent(parsed) };
  return { id, format: "flat", facts: withoutId(flatten(parsed)) };
}

/** The same of an event as the API shows it. */
export function factsOfEvent({ type, data }: Readonly<Record<string, unknown>>): Facts {
  return { type: String(type), ...flatten(data as object) };
}

/** Compares facts across formats, without `timestamp`, which some formats omit because it equals `observed_at`. */
export function isSame(a: Facts, b: Facts): boolean {
  const keys = (facts: Facts) =>
    Object.keys(facts)
      .filter((key) => key !== "timestamp")
      .toSorted();
  const [left, right] = [keys(a), keys(b)];
  return left.length === right.length && left.every((key, index) => key === right[index] && a[key] === b[key]);
}

function withoutId(facts: Record<string, string>): Facts {
  const { id: _id, ...rest } = facts;
  return rest;
}

function flatten(value: object): Record<string, string> {
  const flat: Record<string, string> = {};
  for (const [key, entry] of Object.entries(value))
    if ((key === "metadata" || key === "details") && typeof entry === "object" && entry !== null)
      for (const [name, text] of Object.entries(entry as Record<string, unknown>)) flat[`${key}_${name}`] = textOf(text);
    else flat[key] = textOf(entry);
  return flat;
}

function textOf(value: unknown): string {
  return value === null || value === undefined
    ? ""
    : typeof value === "object"
      ? JSON.stringify(value)
      : String(value as string | number | boolean);
}
