import { z } from "@hono/zod-openapi";
import type { HookRequest } from "../../ports/use-cases/registration.ts";
import { invalidBody } from "../operations/operation.ts";
import { hookFilterFields, hookFilterOf } from "./event-filter.ts";
import { endpointFields, endpointRequestOf, isBlank, urlField } from "./fields.ts";
import { checkTemplate } from "./request-template.ts";

const urlKeys = ["url", "target_url", "targetUrl", "hookUrl"] as const;

// Keys whose blank value is read as if the key were left out, because no-code tools send every field of a form.
const optionalKeys: ReadonlySet<string> = new Set([...urlKeys, ...Object.keys(hookFilterFields), ...Object.keys(endpointFields)]);

function withoutBlanks(body: unknown): unknown {
  if (typeof body !== "object" || body === null || Array.isArray(body)) return body;
  return Object.fromEntries(Object.entries(body).filter(([key, value]) => !optionalKeys.has(key) || !isBlank(value)));
}

// Unknown keys are not refused but listed in the answer, because automation tools send extra keys.
const aliasField = urlField.optional().openapi({ description: "Read as `url` if that is left out." });

const hookRequestObject = z
  .looseObject(
    {
      url: urlField.optional().openapi({ description: "URL that is sent the events." }),
      target_url: aliasField,
      targetUrl: aliasField,
      hookUrl: aliasField,
      ...hookFilterFields,
      ...endpointFields,
    },
    "must be an object",
  )
  .superRefine(checkTemplate)
  .openapi("HookRequest", {
    description: "One of `url`, `target_url`, `targetUrl` and `hookUrl` is required. Other keys are ignored and named in the answer.",
    example: { url: "https://hooks.zapier.com/hooks/standard/1/abc/", events: ["terminal"] },
  });
export const hookRequestSchema = z.preprocess(withoutBlanks, hookRequestObject);

/** Returns the request for a hook, and the keys of the body that were not read. Throws a 422 for a body without a URL. */
export function hookRequestOf(body: z.infer<typeof hookRequestSchema>): {
  readonly request: HookRequest;
  readonly ignored: readonly string[];
} {
  const urlKey = urlKeys.find((key) => body[key] !== undefined);
  if (urlKey === undefined) throw invalidBody("/url", "is required (also read as target_url, targetUrl or hookUrl)");
  const { filter, keys } = hookFilterOf(body);
  const request = {
    url: body[urlKey] ?? "",
    urlKey,
    filter,
    ...endpointRequestOf(body),
  };
  const read = new Set([urlKey, ...keys, ...Object.keys(endpointFields)]);
  const ignored = Object.keys(body).filter((key) => !read.has(key));
  return { request, ignored };
}
