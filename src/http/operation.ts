import type { OpenAPIHono, RouteConfig } from "@hono/zod-openapi";
import { z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { Env } from "./dependencies.ts";
import { unprocessable } from "./problem.ts";
import type { ParameterError, PointerError, ProblemError } from "./problem.ts";
import { readJson } from "./request-guards.ts";
import { problemSchema } from "./schemas/problem.ts";

type Answer = { readonly description: string; readonly schema?: z.ZodType; readonly contentType?: string; readonly headers?: readonly string[] };

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
  readonly bodyKind?: "json" | "batch" | "optional";
  readonly answers: Readonly<Record<number, Answer>>;
  /** Statuses answered with a problem besides those every operation has. */
  readonly problems?: readonly number[];
  /** False: no API key. */
  readonly isPublic?: boolean;
};

export type Input<Params, Query, Body> = { readonly params: Params; readonly query: Query; readonly body: Body };

const problemTitles: Readonly<Record<number, string>> = {
  400: "The body is not JSON.",
  401: "No valid API key.",
  403: "A quota of the account is used up.",
  404: "There is no such thing in this account.",
  409: "It conflicts with what is there.",
  413: "The body is too large.",
  415: "The body is not `application/json`.",
  422: "The request is not valid; `errors` says where.",
  429: "Too many requests; `Retry-After` says when to try again.",
  503: "Nothing was accepted or changed; try again.",
};

const nothing = z.object({});

/** Adds an operation to the app and to its document. Bad input is answered before the handler runs. */
export function addOperation<
  Params extends z.ZodType = typeof nothing,
  Query extends z.ZodType = typeof nothing,
  Body extends z.ZodType = z.ZodUndefined,
>(
  app: OpenAPIHono<Env>,
  operation: Operation<Params, Query, Body>,
  handle: (c: Context<Env>, input: Input<z.infer<Params>, z.infer<Query>, z.infer<Body>>) => Promise<Response> | Response,
): void {
  app.openAPIRegistry.registerPath(documentOf(operation as unknown as Operation<z.ZodType, z.ZodType, z.ZodType>));
  app.on(operation.method.toUpperCase(), operation.path.replaceAll(/\{(\w+)\}/g, ":$1"), async (c) => {
    const params = operation.params === undefined ? {} : check(operation.params, c.req.param(), parameterErrors);
    const query = check(operation.query ?? z.strictObject({}), readQuery(c), parameterErrors);
    const body = operation.body === undefined ? undefined : check(operation.body, await readJson(c, bodyOptions(operation.bodyKind)), pointerErrors);
    return handle(c, { params, query, body } as Input<z.infer<Params>, z.infer<Query>, z.infer<Body>>);
  });
}

/** The value as the schema reads it; throws 422 with every fault. */
export function check<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  errorsOf: (error: z.core.$ZodError) => readonly (PointerError | ParameterError)[],
): z.infer<Schema> {
  const result = schema.safeParse(value);
  if (!result.success) throw unprocessable(errorsOf(result.error));
  return result.data;
}

/** RFC 6901 pointers into the body as it was sent. */
export function pointerErrors(error: z.core.$ZodError): readonly PointerError[] {
  return error.issues.flatMap((issue) => {
    const pointer = issue.path.map((key) => `/${String(key).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
    if (issue.code === "unrecognized_keys")
      return issue.keys.map((key) => ({ pointer: `${pointer}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`, detail: "is not a known key" }));
    return [{ pointer, detail: issue.message }];
  });
}

function parameterErrors(error: z.core.$ZodError): readonly ParameterError[] {
  return error.issues.flatMap((issue) => {
    if (issue.code === "unrecognized_keys") return issue.keys.map((key) => ({ parameter: key, detail: "is not a known parameter" }));
    return [{ parameter: issue.path.join("."), detail: issue.message }];
  });
}

function readQuery(c: Context<Env>): Record<string, string> {
  const entries = Object.entries(c.req.queries());
  const twice = entries.filter(([, values]) => values.length > 1);
  if (twice.length > 0) throw unprocessable(twice.map(([parameter]) => ({ parameter, detail: "is given more than once" })));
  return Object.fromEntries(entries.map(([name, values]) => [name, values[0] ?? ""]));
}

function bodyOptions(kind: "json" | "batch" | "optional" = "json") {
  return { batch: kind === "batch", optional: kind === "optional" };
}

function documentOf(operation: Operation<z.ZodType, z.ZodType, z.ZodType>): RouteConfig {
  const { method, path, operationId, tag, summary, description, params, query, body, bodyKind } = operation;
  const isPublic = operation.isPublic === true;
  const statuses = new Set([...(isPublic ? [] : [401, 422, 429, 503]), ...(body === undefined ? [] : [400, 413, 415, 422]), ...(operation.problems ?? [])]);
  if (isPublic && statuses.size === 0) statuses.add(422);
  const answers = Object.entries(operation.answers).map(([status, answer]) => [status, documentAnswer(answer)] as const);
  const problems = [...statuses].toSorted((a, b) => a - b).map((status) => [status, documentProblem(status)] as const);
  return {
    method,
    path,
    operationId,
    tags: [tag],
    summary,
    ...(description === undefined ? {} : { description }),
    security: isPublic ? [] : [{ bearer: [] }, { apiKey: [] }],
    request: {
      ...(params === undefined ? {} : { params: params as z.ZodObject }),
      ...(query === undefined ? {} : { query: query as z.ZodObject }),
      ...(body === undefined ? {} : { body: { required: bodyKind !== "optional", content: { "application/json": { schema: body } } } }),
    },
    responses: Object.fromEntries([...answers, ...problems]),
  };
}

function documentAnswer({ description, schema, contentType = "application/json" }: Answer) {
  return schema === undefined ? { description } : { description, content: { [contentType]: { schema } } };
}

function documentProblem(status: number) {
  const description = problemTitles[status] ?? "A problem.";
  return { description, content: { "application/problem+json": { schema: problemSchema } } };
}

/** A body that cannot be what the operation needs, found after its syntax was checked. */
export function invalidBody(pointer: string, detail: string): ProblemError {
  return unprocessable([{ pointer, detail }]);
}
