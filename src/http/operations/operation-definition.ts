import type { z } from "@hono/zod-openapi";
import type { ProblemSlug } from "../schemas/problem-catalogue.ts";
import type { BodyKind } from "./request-body.ts";

export type Answer =
  /** JSON where nothing else is said. */
  | { readonly description: string; readonly schema: z.ZodType; readonly example: unknown; readonly contentType?: string }
  | { readonly description: string };

/** One operation: the schemas that validate are the ones that document. */
export type Operation<Params extends z.ZodType, Query extends z.ZodType, Body extends z.ZodType> = {
  readonly method: "get" | "post" | "put" | "patch" | "delete";
  /** With `{name}` for parameters, as OpenAPI writes it. */
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
  /** Besides those every operation of its kind has. */
  readonly problems?: readonly ProblemSlug[];
  /** True: no API key is asked for. */
  readonly isPublic?: boolean;
};

export type Input<Params, Query, Body> = { readonly params: Params; readonly query: Query; readonly body: Body };
