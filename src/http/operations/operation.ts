import type { OpenAPIHono, RouteConfig } from "@hono/zod-openapi";
import { z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { Env } from "./dependencies.ts";
import type { Input, Operation } from "./operation-definition.ts";
import { documentOf } from "./operation-document.ts";
import { requireRights } from "./key-rights.ts";
import { notFoundProblem, unprocessable } from "./problem.ts";
import type { ParameterError, PointerError, ProblemError } from "./problem.ts";
import { parseJson, readBody, refuseLargeBody, turnForBody } from "./request-body.ts";
import type { BodyKind } from "./request-body.ts";

const nothing = z.object({});
const noQuery = z.strictObject({});

/** Operation with its documentation. */
export type DefinedOperation<Params extends z.ZodType, Query extends z.ZodType, Body extends z.ZodType> = Operation<Params, Query, Body> & {
  readonly document: RouteConfig;
};

/**
 * Defines an operation for all apps of the process. Called when a module is loaded, not when an app is created: the
 * library keeps the metadata of every schema until the process ends.
 */
export function defineOperation<
  Params extends z.ZodType = typeof nothing,
  Query extends z.ZodType = typeof nothing,
  Body extends z.ZodType = z.ZodUndefined,
>(operation: Operation<Params, Query, Body>): DefinedOperation<Params, Query, Body> {
  return { ...operation, document: documentOf(operation as unknown as Operation<z.ZodType, z.ZodType, z.ZodType>) };
}

/** Adds an operation to the app and to its OpenAPI document. Invalid input is answered before the handler runs. */
export function addOperation<Params extends z.ZodType, Query extends z.ZodType, Body extends z.ZodType>(
  app: OpenAPIHono<Env>,
  operation: DefinedOperation<Params, Query, Body>,
  handle: (c: Context<Env>, input: Input<z.infer<Params>, z.infer<Query>, z.infer<Body>>) => Promise<Response> | Response,
): void {
  const { bodyKind = "json" } = operation;
  // Outside of /v1 a query is ignored, because probes, links and caches add parameters of their own.
  const parameterSchemas = operation.path.startsWith("/v1/") ? operation : null;
  registerOperation(app, operation, async (c) => {
    const parameters = parameterSchemas === null ? { params: {}, query: {} } : checkParameters(c, parameterSchemas);
    const body = operation.body === undefined ? refuseLargeBody(c) : await readChecked(c, operation.body, bodyKind);
    return handle(c, { ...parameters, body } as Input<z.infer<Params>, z.infer<Query>, z.infer<Body>>);
  });
}

async function readChecked<Schema extends z.ZodType>(c: Context<Env>, schema: Schema, kind: BodyKind): Promise<z.infer<Schema>> {
  const bytes = await readBody(c, kind);
  await turnForBody(c, bytes);
  return checkBody(schema, parseJson(c, bytes, kind));
}

/** Registers route and documentation together, so that neither exists without the other. The scope of the key is checked first. */
export function registerOperation<Params extends z.ZodType, Query extends z.ZodType, Body extends z.ZodType>(
  app: OpenAPIHono<Env>,
  operation: DefinedOperation<Params, Query, Body>,
  handler: (c: Context<Env>) => Promise<Response>,
): void {
  app.openAPIRegistry.registerPath(operation.document);
  app.on(operation.method.toUpperCase(), operation.path.replaceAll(/\{(\w+)\}/g, ":$1"), (c: Context<Env>) => {
    if (operation.scope !== null) requireRights(c.get("key"), operation.scope, operation.isForOperator);
    return handler(c);
  });
}

/** Parses path and query parameters by the operation's schemas. An invalid path parameter is a 404. */
export function checkParameters(
  c: Context,
  operation: { readonly params?: z.ZodType; readonly query?: z.ZodType; readonly ignores?: (c: Context) => readonly string[] },
): { readonly params: unknown; readonly query: unknown } {
  return {
    params: operation.params === undefined ? {} : checkPath(operation.params, c.req.param()),
    query: check(operation.query ?? noQuery, readQuery(c, operation.ignores?.(c) ?? []), parameterErrors),
  };
}

function checkPath<Schema extends z.ZodType>(schema: Schema, value: unknown): z.infer<Schema> {
  const result = schema.safeParse(value);
  if (!result.success) throw notFoundProblem(result.error.issues[0]?.message ?? "");
  return result.data;
}

export function checkBody<Schema extends z.ZodType>(schema: Schema, value: unknown): z.infer<Schema> {
  return check(schema, value, pointerErrors);
}

/** Parses a value by its schema. Throws a 422 that lists every fault. */
function check<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  errorsOf: (error: z.core.$ZodError) => readonly (PointerError | ParameterError)[],
): z.infer<Schema> {
  const result = schema.safeParse(value);
  if (!result.success) throw unprocessable(errorsOf(result.error));
  return result.data;
}

/** Maps schema errors to JSON pointers (RFC 6901) into the body as sent. */
export function pointerErrors(error: z.core.$ZodError): readonly PointerError[] {
  return error.issues.flatMap((issue) => {
    if (issue.code === "unrecognized_keys")
      return issue.keys.map((key) => ({ pointer: pointerTo([...issue.path, key]), detail: "is not a known key" }));
    return [{ pointer: pointerTo(issue.path), detail: issue.message }];
  });
}

/** Returns the 422 of a fault that is found after the check of the syntax. */
export function invalidBody(pointer: string, detail: string): ProblemError {
  return unprocessable([{ pointer, detail }]);
}

function pointerTo(path: readonly PropertyKey[]): string {
  return path.map((key) => `/${String(key).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

function parameterErrors(error: z.core.$ZodError): readonly ParameterError[] {
  return error.issues.flatMap((issue) => {
    if (issue.code === "unrecognized_keys") return issue.keys.map((key) => ({ parameter: key, detail: "is not a known parameter" }));
    // The first part of the path is the name of the parameter, also for a fault inside a list.
    return [{ parameter: String(issue.path[0] ?? ""), detail: issue.message }];
  });
}

/** Returns the part that all list queries have: the account and the page. */
export function pageRequestOf(c: Context<Env>, { limit, cursor }: { readonly limit: number; readonly cursor?: string | undefined }) {
  return { accountId: c.get("account").id, limit, cursor: cursor ?? null };
}

function readQuery(c: Context, ignored: readonly string[]): Record<string, string> {
  const start = c.req.url.indexOf("?");
  if (start === -1) return {};
  const parameters = new URLSearchParams(c.req.url.slice(start));
  for (const name of ignored) parameters.delete(name);
  const seen = new Set<string>();
  const twice = new Set<string>();
  for (const name of parameters.keys()) (seen.has(name) ? twice : seen).add(name);
  // A copy of the parameters would lose it, and no operation has one of this name.
  if (seen.has("__proto__")) throw unprocessable([{ parameter: "__proto__", detail: "is not a known parameter" }]);
  if (twice.size > 0) throw unprocessable([...twice].map((parameter) => ({ parameter, detail: "is given more than once" })));
  return Object.fromEntries(parameters);
}
