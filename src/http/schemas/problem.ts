import { z } from "@hono/zod-openapi";
import { problemCatalogue, problemType } from "./problem-catalogue.ts";
import type { ProblemSlug } from "./problem-catalogue.ts";

/** Returns the example of a problem, as `problemBody` renders it. */
export function problemExample(slug: ProblemSlug): Readonly<Record<string, unknown>> {
  const { status, title, detail, members } = problemCatalogue[slug];
  return { type: problemType(slug), title, status, detail, request_id: "0d9f3a52-6f0c-4f55-9f6e-0d6f5f6f3f57", ...members };
}

export const problemSchema = z
  .object({
    type: z.string().openapi({ description: "Stable kind of the problem: `urn:ringback:problem:<slug>`." }),
    title: z.string().openapi({ description: "The kind in words." }),
    status: z.number().int().openapi({ description: "Status code of the answer." }),
    detail: z.string().openapi({ description: "What is wrong and what to do, for people." }),
    request_id: z.string().openapi({ description: "Id of the request, as in `X-Request-Id`." }),
    errors: z
      .array(
        z.object({
          pointer: z.string().optional().openapi({ description: "JSON pointer into the body as sent; in a batch into the item." }),
          parameter: z.string().optional().openapi({ description: "Name of a parameter of the query, of a header or of the path." }),
          detail: z.string().openapi({ description: "What is wrong with it." }),
        }),
      )
      .optional()
      .openapi({ description: "Each fault with a JSON pointer into the body or the name of a parameter." }),
    watch_id: z.string().optional().openapi({ description: "`watch-differs`: id of the existing watch." }),
    endpoint_id: z.string().optional().openapi({ description: "`endpoint-differs`: id of the existing endpoint." }),
    scope: z.string().optional().openapi({ description: "`scope-missing`: the scope that the key does not have." }),
    placing_id: z.string().optional().openapi({ description: "`call-unknown`: id of the placing." }),
    upstream_status: z.number().int().optional().openapi({ description: "`call-refused`: status code of the upstream." }),
    ready: z.literal(false).optional().openapi({ description: "`not-ready`." }),
    degraded: z.array(z.string()).optional().openapi({ description: "`not-ready`: other problems." }),
  })
  .openapi("Problem", {
    description: "RFC 9457 problem details. `type` is stable: `urn:ringback:problem:<slug>`.",
    example: problemExample("invalid-request"),
  });
