import type { OpenAPIHono, RouteConfig } from "@hono/zod-openapi";
import { z } from "@hono/zod-openapi";
import type { KeyScope } from "../../domain/secrets/key-scopes.ts";
import type { Env } from "./dependencies.ts";
import type { Answer, Operation } from "./operation-definition.ts";
import { problemCatalogue, saysWhenToRetry } from "../schemas/problem-catalogue.ts";
import type { ProblemSlug } from "../schemas/problem-catalogue.ts";
import { problemExample, problemSchema } from "../schemas/problem.ts";

const headers = {
  "X-Request-Id": "The one sent along, if it was 1 to 128 of `A-Za-z0-9_.-`, else one made here.",
  "Retry-After": "Seconds to wait before the next try.",
  "WWW-Authenticate": "`Bearer`.",
  RateLimit: "What is left of the account's requests a second (draft-ietf-httpapi-ratelimit-headers); absent without a limit.",
  "RateLimit-Policy": "The account's limit of requests a second; absent without one.",
  "Idempotency-Replayed":
    "`true`: this is the stored answer of the first request with this `Idempotency-Key`; nothing was done. A problem among them names the first request.",
} as const;
type Header = keyof typeof headers;

const idempotencyKey = z.object({
  "Idempotency-Key": z.string().optional().openapi({
    description:
      "1 to 255 visible ASCII characters, quoted or not. For 24 h the same request with the same key is answered with the stored answer (2xx or 409), byte for byte, and not carried out again.",
    example: "7d0b6a3e-5b0c-4d53-9d8e-0f2f6c1f7b1a",
  }),
});

const ofEveryOperation: readonly ProblemSlug[] = [
  "bad-request",
  "request-timeout",
  "payload-too-large",
  "expectation-failed",
  "invalid-request",
  "headers-too-large",
  "internal",
];
const ofThoseWithKey: readonly ProblemSlug[] = [
  "unauthorized",
  "scope-missing",
  "operator-key",
  "account-disabled",
  "rate-limited",
  "store-unavailable",
  "store-overloaded",
];
const ofThoseWithBody: readonly ProblemSlug[] = ["malformed-json", "unsupported-media-type"];
const ofPosts: readonly ProblemSlug[] = ["idempotency-in-progress", "idempotency-mismatch", "too-many-stored-answers"];

/** Registers the components that operations refer to: response headers, and an example of every problem. */
export function registerComponents(app: OpenAPIHono<Env>): void {
  const registry = app.openAPIRegistry;
  for (const [name, description] of Object.entries(headers))
    registry.registerComponent("headers", name, { description, schema: { type: "string" } });
  for (const slug of Object.keys(problemCatalogue) as ProblemSlug[]) {
    // No operation returns this problem: it is the answer to a method that the path does not support.
    if (slug === "method-not-allowed") continue;
    registry.registerComponent("examples", slug, { summary: problemCatalogue[slug].meaning, value: problemExample(slug) });
  }
}

/** Whether an operation honours `Idempotency-Key`. */
function takesKey({ method, withoutKey }: Pick<Operation<z.ZodType, z.ZodType, z.ZodType>, "method" | "withoutKey">): boolean {
  return method === "post" && withoutKey !== true;
}

/** Lists every problem that an operation may answer. */
function problemsOf({ body, scope, problems = [], ...operation }: Operation<z.ZodType, z.ZodType, z.ZodType>): readonly ProblemSlug[] {
  return [
    ...ofEveryOperation,
    ...(scope === null ? [] : ofThoseWithKey),
    ...(body === undefined ? [] : ofThoseWithBody),
    ...(takesKey(operation) ? ofPosts : []),
    ...problems,
  ];
}

/** Documents an operation for OpenAPI. */
export function documentOf(operation: Operation<z.ZodType, z.ZodType, z.ZodType>): RouteConfig {
  const { method, path, operationId, tag, summary, description, params, query, body, bodyKind, answers } = operation;
  const { scope } = operation;
  const isPublic = scope === null;
  const always: readonly Header[] = isPublic ? ["X-Request-Id"] : ["X-Request-Id", "RateLimit", "RateLimit-Policy"];
  const stored: readonly Header[] = takesKey(operation) ? ["Idempotency-Replayed"] : [];
  const byStatus = Map.groupBy(problemsOf(operation), (slug) => problemCatalogue[slug].status);
  return {
    method,
    path,
    operationId,
    tags: [tag],
    summary,
    ...(description === undefined && isPublic ? {} : { description: describe(description, scope) }),
    security: isPublic ? [] : [{ bearer: [] }, { apiKey: [] }],
    request: {
      ...(params === undefined ? {} : { params: params as z.ZodObject }),
      ...(query === undefined ? {} : { query: query as z.ZodObject }),
      ...(takesKey(operation) ? { headers: idempotencyKey } : {}),
      ...(body === undefined ? {} : { body: { required: bodyKind !== "optional", content: { "application/json": { schema: body } } } }),
    },
    responses: Object.fromEntries([
      ...Object.entries(answers).map(([status, answer]) => [status, documentAnswer(answer, [...always, ...stored])]),
      ...[...byStatus].map(([status, slugs]) => {
        const problems = documentProblems(slugs, [...always, ...(status === 409 ? stored : [])]);
        const answer = answers[status];
        return [status, answer === undefined ? problems : joined(documentAnswer(answer, always), problems)];
      }),
    ]),
  };
}

function describe(description: string | undefined, scope: KeyScope | null): string {
  const scopeNote = scope === null ? null : `Needs a key with the scope \`${scope}\`.`;
  return [description, scopeNote].filter((text) => typeof text === "string").join(" ");
}

function documentAnswer(answer: Answer, names: readonly Header[]) {
  const { description } = answer;
  if (!("schema" in answer)) return { description, headers: refer(names) };
  const { schema, example, contentType = "application/json" } = answer;
  return { description, headers: refer(names), content: { [contentType]: { schema, example } } };
}

/** Joins an answer with the problems of its status. */
function joined(answer: ReturnType<typeof documentAnswer>, problems: ReturnType<typeof documentProblems>) {
  return {
    description: `${answer.description} ${problems.description}`,
    headers: { ...answer.headers, ...problems.headers },
    content: { ...("content" in answer ? answer.content : {}), ...problems.content },
  };
}

function documentProblems(slugs: readonly ProblemSlug[], names: readonly Header[]) {
  const more: readonly Header[] = [
    ...(slugs.some(saysWhenToRetry) ? (["Retry-After"] as const) : []),
    ...(slugs.includes("unauthorized") ? (["WWW-Authenticate"] as const) : []),
  ];
  const examples = Object.fromEntries(slugs.map((slug) => [slug, { $ref: `#/components/examples/${slug}` }]));
  return {
    description: slugs.map((slug) => `\`${slug}\`: ${problemCatalogue[slug].meaning}`).join(" "),
    headers: refer([...names, ...more]),
    content: { "application/problem+json": { schema: problemSchema, examples } },
  };
}

function refer(names: readonly Header[]) {
  return Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));
}
