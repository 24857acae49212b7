import type { z } from "@hono/zod-openapi";
import type { ProblemSlug } from "../schemas/problem-catalogue.ts";
import type { BodyKind } from "./request-body.ts";

export type Answer =
  /** Answer with a body; JSON unless `contentType` is given. */
  | { readonly description: string; readonly schema: z.ZodType; readonly example: unknown; readonly contentType?: string }
  | { readonly description: string };

/** Operation of the API. The same schemas validate and document it. */
export type Operation<Params extends z.ZodType, Query extends z.ZodType, Body extends z.ZodType> = {
  readonly method: "get" | "post" | "put" | "patch" | "delete";
  /** Path with `{name}` for parameters, as in OpenAPI. */
  readonly path: string;
  readonly operationId: string;
  readonly tag: string;
  readonly summary: string;
  readonly description?: string;
  readonly params?: Params;
  readonly query?: Query;
  readonly body?: Body;
  readonly bodyKind?: BodyKind;
  readonly answers: Readonly<Record<number, Answer>>;
  /** Problems that other operations of this kind do not have. */
  readonly problems?: readonly ProblemSlug[];
  /** Whether the operation needs no API key. */
  readonly isPublic?: boolean;
};

export type Input<Params, Query, Body> = { readonly params: Params; readonly query: Query; readonly body: Body };
