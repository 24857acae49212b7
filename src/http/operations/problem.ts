import type { Context } from "hono";
import { CursorGoneError, CursorInvalidError, StoreOverloadedError, isTransientStoreError } from "../../domain/errors.ts";
import { problemCatalogue, problemType, saysWhenToRetry, unknownDetail } from "../schemas/problem-catalogue.ts";
import type { ProblemSlug } from "../schemas/problem-catalogue.ts";

export type PointerError = { readonly pointer: string; readonly detail: string };
export type ParameterError = { readonly parameter: string; readonly detail: string };

/** Problem details (RFC 9457); status and title follow from the slug. */
export type Problem = {
  readonly slug: ProblemSlug;
  /** The detail of its kind by default. */
  readonly detail?: string;
  readonly errors?: readonly (PointerError | ParameterError)[];
  /** Extension members besides `errors`. */
  readonly extensions?: Readonly<Record<string, unknown>>;
  /** Headers of the answer. A retryable problem has a `Retry-After` of one second unless it is given here. */
  readonly headers?: Readonly<Record<string, string>>;
};

/** Thrown by handlers and middleware, rendered once by the app. */
export class ProblemError extends Error {
  readonly problem: Problem;
  constructor(problem: Problem) {
    super(problem.slug);
    this.name = "ProblemError";
    this.problem = problem;
  }
}

const maxErrors = 100;
const maxDetailLength = 500;

/** Returns the 404 with a detail made by `unknownDetail`. */
export const notFoundProblem = (detail: string) => new ProblemError({ slug: "not-found", detail });
export const notFound = (what: string) => notFoundProblem(unknownDetail(what));

export const unprocessable = (
  errors: readonly (PointerError | ParameterError)[],
  slug:
    | "invalid-request"
    | "no-source"
    | "blocked-address"
    | "cannot-place"
    | "idempotency-mismatch"
    | "idempotency-key-required" = "invalid-request",
) => new ProblemError({ slug, detail: summaryOf(errors), errors: errors.slice(0, maxErrors) });

const waitingRetryMs = 5000;

export const tooMany = (
  slug: "rate-limited" | "source-saturated",
  detail: string,
  retryAfterMs: number,
  headers: Readonly<Record<string, string>> = {},
) => new ProblemError({ slug, detail, headers: { ...retryAfter(retryAfterMs), ...headers } });

/** Returns the problem of a request that would wait beyond the account's limit. */
export const tooManyWaiting = () => new ProblemError({ slug: "too-many-waiting", headers: retryAfter(waitingRetryMs) });

/** Returns a `Retry-After` header with whole seconds, at least 1. */
export function retryAfter(ms: number): { readonly "retry-after": string } {
  return { "retry-after": String(Math.max(1, Math.ceil(ms / 1000))) };
}

function summaryOf(errors: readonly (PointerError | ParameterError)[]): string {
  const texts = errors.slice(0, 3).map((error) => `${"pointer" in error ? error.pointer || "the body" : error.parameter}: ${error.detail}`);
  const summary = texts.join("; ");
  // The pointer comes from the client and may be long. `errors` contains it in full.
  return summary.length <= maxDetailLength ? summary : `${summary.slice(0, maxDetailLength).toWellFormed()}…`;
}

/** Maps an error to the problem that is sent to the client; `null` if the error is a bug. */
export function problemOf(error: unknown): Problem | null {
  if (error instanceof ProblemError) return error.problem;
  if (error instanceof CursorInvalidError) return unprocessable([{ parameter: "cursor", detail: error.message }]).problem;
  if (error instanceof CursorGoneError) return { slug: "cursor-gone" };
  if (isTransientStoreError(error)) return { slug: error instanceof StoreOverloadedError ? "store-overloaded" : "store-unavailable" };
  return null;
}

/** Returns status, title, detail and headers of a problem, with the defaults of its kind. */
export function completeProblem({ slug, detail, headers: given }: Problem) {
  const kind = problemCatalogue[slug];
  const headers: Readonly<Record<string, string>> = { ...(saysWhenToRetry(slug) ? retryAfter(1000) : {}), ...given };
  return { status: kind.status, title: kind.title, detail: detail ?? kind.detail, headers };
}

/** Renders the body of a problem, for an answer or for an item of a batch. */
export function problemBody(problem: Problem, requestId: string): Record<string, unknown> {
  const { status, title, detail } = completeProblem(problem);
  return {
    type: problemType(problem.slug),
    title,
    status,
    detail,
    request_id: requestId,
    ...problem.extensions,
    ...(problem.errors === undefined ? {} : { errors: problem.errors }),
  };
}

/** Renders a problem as a response. */
export function problemAnswer(problem: Problem, requestId: string) {
  const { status, headers } = completeProblem(problem);
  const body = JSON.stringify(problemBody(problem, requestId));
  return { status, contentType: "application/problem+json", body, headers };
}

export function problemResponse(c: Context, problem: Problem): Response {
  const { status, contentType, body, headers } = problemAnswer(problem, c.get("requestId") as string);
  return c.body(body, status as 400, { ...headers, "content-type": contentType });
}
