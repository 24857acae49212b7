import type { z } from "@hono/zod-openapi";
import { watchIdOf } from "../../domain/events/event.ts";
import { unfiltered } from "../../domain/events/event-filter.ts";
import type { TemplateMethod } from "../../domain/webhooks/request-template.ts";
import { renderContent, storedTemplate } from "../../domain/webhooks/webhook-content.ts";
import type { ContentSettings } from "../../domain/webhooks/webhook-content.ts";
import type { previewRequestSchema } from "../schemas/template-preview.ts";
import type { HttpDependencies } from "./dependencies.ts";
import { invalidBody } from "./operation.ts";
import { eventsToTry } from "./sample-events.ts";

type PreviewRequest = z.infer<typeof previewRequestSchema>;

/** Request that an endpoint would be sent, and the watch of the event in it. */
export type Preview = {
  readonly kind: "preview";
  readonly watchId: string | null;
  readonly request: { readonly method: TemplateMethod; readonly content_type: string; readonly body: string };
};

/** Renders an event of the account in a format or with a template, by the code that renders what is sent. */
export async function previewOf(
  { store, clock, publicUrl }: Pick<HttpDependencies, "store" | "clock" | "publicUrl">,
  accountId: string,
  body: PreviewRequest,
): Promise<Preview> {
  const event =
    body.event_id === undefined
      ? (await eventsToTry(store, accountId, unfiltered, 1, clock.nowMs()))[0]
      : (await store.getEvent(accountId, body.event_id))?.event;
  if (event === undefined) throw invalidBody("/event_id", "is the id of no event of this account");
  const { method, headers, body: text } = renderContent(event, settingsOf(body), publicUrl);
  // Without events of its own the account is shown a synthetic one, whose watch does not exist.
  const watchId = event.accountId === accountId ? watchIdOf(event) : null;
  return { kind: "preview", watchId, request: { method, content_type: headers["content-type"] ?? "", body: text } };
}

function settingsOf({ format, request }: PreviewRequest): ContentSettings {
  if (request !== undefined) return { format: "template", request: storedTemplate(request) };
  return { format: format ?? "standard", request: null };
}
