import type { RouteConfig } from "@hono/zod-openapi";
import { z } from "@hono/zod-openapi";
import type { Answer, Operation } from "./operation.ts";
import { problemSchema } from "./schemas/problem.ts";

type Header = "retry-after" | "www-authenticate" | "x-request-id";

const headerDescriptions: Readonly<Record<Header, string>> = {
  "retry-after": "Seconds to wait before the next try.",
  "www-authenticate": "`Bearer`.",
  "x-request-id": "The one sent along, if it was 1 to 128 of `A-Za-z0-9_.-`, else one made here.",
};

const problems: Readonly<Record<number, { readonly description: string; readonly header?: Header }>> = {
  400: { description: "The body is not JSON." },
  401: { description: "No valid API key.", header: "www-authenticate" },
  403: { description: "A quota of the account is used up." },
  404: { description: "There is no such thing in this account." },
  409: { description: "It conflicts with what is there." },
  413: { description: "The body is too large." },
  415: { description: "The body is not `application/json`." },
  422: { description: "The request is not valid; `errors` says where." },
  429: { description: "Too many requests.", header: "retry-after" },
  500: { description: "A fault of ours." },
  503: { description: "Nothing was accepted or changed; try again.", header: "retry-after" },
};

const ofEveryOperation = [422, 500];
const ofThoseWithKey = [401, 429, 503];
const ofThoseWithBody = [400, 413, 415];

/** What the OpenAPI document says of an operation. */
export function documentOf(operation: Operation<z.ZodType, z.ZodType, z.ZodType>): RouteConfig {
  const { method, path, operationId, tag, summary, description, params, query, body, bodyKind } = operation;
  const isPublic = operation.isPublic === true;
  const statuses = new Set([
    ...ofEveryOperation,
    ...(isPublic ? [] : ofThoseWithKey),
    ...(body === undefined ? [] : ofThoseWithBody),
    ...(operation.problems ?? []),
  ]);
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
    responses: {
      ...Object.fromEntries(Object.entries(operation.answers).map(([status, answer]) => [status, documentAnswer(answer)])),
      ...Object.fromEntries([...statuses].map((status) => [status, documentProblem(status)])),
    },
  };
}

function documentAnswer(answer: Answer) {
  const { description } = answer;
  return { description, headers: headers(), ...("schema" in answer ? { content: { "application/json": { schema: answer.schema } } } : {}) };
}

function documentProblem(status: number) {
  const { description, header } = problems[status] ?? { description: "A problem." };
  return { description, headers: headers(header), content: { "application/problem+json": { schema: problemSchema } } };
}

function headers(header?: Header) {
  const names: readonly Header[] = header === undefined ? ["x-request-id"] : [header, "x-request-id"];
  return z.object(Object.fromEntries(names.map((name) => [name, z.string().openapi({ description: headerDescriptions[name] })])));
}
