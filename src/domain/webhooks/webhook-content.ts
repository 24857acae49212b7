import { isDeepStrictEqual } from "node:util";
import type { RingbackEvent } from "../events/event.ts";
import { payloadFormats, renderPayload } from "../events/payload.ts";
import type { Payload } from "../events/payload.ts";
import { compileTemplate } from "./request-template.ts";
import type { CompiledTemplate, RequestTemplate, TemplateMethod } from "./request-template.ts";
import { shippedTemplates } from "./shipped-templates.ts";

/** Formats of an endpoint: the bodies of events, and templates. */
export const endpointFormats = [...payloadFormats, "slack", "teams", "template"] as const;
export type EndpointFormat = (typeof endpointFormats)[number];

/** Settings of the webhooks of an endpoint. `request` is the stored text of its template; `null` unless the format is `template`. */
export type ContentSettings = { readonly format: EndpointFormat; readonly request: string | null };

/** Method, body and content headers of a webhook. */
export type WebhookContent = Payload & { readonly method: TemplateMethod };

const compiledSlack = compileTemplate(shippedTemplates.slack);
const compiledTeams = compileTemplate(shippedTemplates.teams);

/** Returns a template as it is stored. */
export function storedTemplate({ method, content_type, body }: RequestTemplate): string {
  return JSON.stringify({ method, content_type, body });
}

/** Reads a template that `storedTemplate` returned. */
export function parseTemplate(stored: string): RequestTemplate {
  return JSON.parse(stored) as RequestTemplate;
}

/** Compiles a stored template. Callers that send many events keep the result. */
export function compileStored(stored: string): CompiledTemplate {
  return compileTemplate(parseTemplate(stored));
}

/** Whether two stored templates ask for the same request. The order of keys is none of a JSON object. */
export function isSameTemplate(one: string, other: string): boolean {
  return one === other || isDeepStrictEqual(parseTemplate(one), parseTemplate(other));
}

/**
 * Returns what an endpoint is sent of an event. `publicUrl` is the beginning of a CloudEvents source; `null` if unset.
 * `compile` may keep compiled templates.
 */
export function renderContent(
  event: RingbackEvent,
  { format, request }: ContentSettings,
  publicUrl: string | null,
  compile: (stored: string) => CompiledTemplate = compileStored,
): WebhookContent {
  switch (format) {
    case "slack":
      return filled(compiledSlack, event);
    case "teams":
      return filled(compiledTeams, event);
    case "template":
      if (request === null) throw new Error("an endpoint with the format template has no template");
      return filled(compile(request), event);
    default:
      return { method: "POST", ...renderPayload(event, format, publicUrl) };
  }
}

function filled({ method, contentType, fill }: CompiledTemplate, event: RingbackEvent): WebhookContent {
  return { method, body: fill(event), headers: { "content-type": contentType } };
}
