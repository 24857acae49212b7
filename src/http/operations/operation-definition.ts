import type { z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { KeyScope } from "../../domain/secrets/key-scopes.ts";
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
  /** Returns the parameters of the query that a request ignores, with any values. */
  readonly ignores?: (c: Context) => readonly string[];
  readonly body?: Body;
  readonly bodyKind?: BodyKind;
  readonly answers: Readonly<Record<number, Answer>>;
  /** Problems that other operations of this kind do not have. */
  readonly problems?: readonly ProblemSlug[];
  /** Whether a POST needs an `Idempotency-Key`. */
  readonly needsKey?: boolean;
  /** Whether a POST gives away rights of the API key that asks. Then a repeat under an `Idempotency-Key` needs a key with the same rights. */
  readonly givesRights?: boolean;
  /** Whether a POST ignores `Idempotency-Key`, because it carries another protocol. */
  readonly withoutKey?: boolean;
  /** Scope that the API key must have; `null` if the operation needs no key. */
  readonly scope: KeyScope | null;
  /** Whether a key of the operator may ask, which has no account. */
  readonly isForOperator?: boolean;
};

export type Input<Params, Query, Body> = { readonly params: Params; readonly query: Query; readonly body: Body };
