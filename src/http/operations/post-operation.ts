import type { OpenAPIHono, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { KeyedRequest, IdempotencyKeyInUse, IdempotencyKeys, StorableAnswer } from "../../ports/use-cases/idempotency.ts";
import type { Env } from "./dependencies.ts";
import { answerInUse, idempotentRequestOf, keyRequired } from "./idempotency.ts";
import { maxStoredAnswerBytes } from "./most-answer-bytes.ts";
import { checkBody, checkParameters, defineOperation, registerOperation } from "./operation.ts";
import type { DefinedOperation } from "./operation.ts";
import type { Input, Operation } from "./operation-definition.ts";
import { ProblemError, problemAnswer } from "./problem.ts";
import { parseJson, readBody, turnForBody } from "./request-body.ts";

/** Valid POST request, ready to run. */
export type Post<Outcome> = {
  /** Runs the request, under its key if it has one. */
  readonly act: (keyed: KeyedRequest<Outcome> | null) => Promise<Outcome | IdempotencyKeyInUse>;
  /** Answers an outcome; throws a `ProblemError` for a refusal. May be called before the commit, so it only computes. */
  readonly answer: (outcome: Outcome) => { readonly status: number; readonly body: unknown };
  /** Returns the bytes that the answer may have, judged from the request. Left out for an answer that is small. */
  readonly mostAnswerBytes?: () => number;
};
type Answered = StorableAnswer & { readonly headers?: Readonly<Record<string, string>> };

/** Defines a POST operation for all apps of the process, as `defineOperation` does. */
export function definePostOperation<Body extends z.ZodType, Params extends z.ZodType = z.ZodObject, Query extends z.ZodType = z.ZodObject>(
  operation: Omit<Operation<Params, Query, Body>, "method"> & { readonly body: Body },
): DefinedOperation<Params, Query, Body> & { readonly body: Body } {
  return { ...defineOperation<Params, Query, Body>({ ...operation, method: "post" }), body: operation.body };
}

/** Adds an operation that honours `Idempotency-Key`: every POST. */
export function addPostOperation<
  Body extends z.ZodType,
  Outcome extends { readonly kind: string },
  Params extends z.ZodType,
  Query extends z.ZodType,
>(
  app: OpenAPIHono<Env>,
  idempotency: IdempotencyKeys,
  operation: DefinedOperation<Params, Query, Body> & { readonly body: Body },
  handle: (c: Context<Env>, input: Input<z.infer<Params>, z.infer<Query>, z.infer<Body>>) => Post<Outcome> | Promise<Post<Outcome>>,
): void {
  const { bodyKind = "json" } = operation;
  registerOperation(app, operation, async (c) => {
    const parameters = checkParameters(c, operation);
    const bytes = await readBody(c, bodyKind);
    const request = idempotentRequestOf(c, bytes, operation.givesRights);
    if (request === null && operation.needsKey === true) throw keyRequired();
    // The stored answer comes before the validation, because a request that was valid at first may be invalid now.
    const taken = request === null ? null : await idempotency.take(request);
    if (taken?.kind === "key_taken") return answerInUse(c, taken);
    using held = taken;
    await turnForBody(c, bytes);
    // A batch that another one of the account has outrun costs no more than its bytes.
    if (bodyKind === "batch") c.get("rate")?.refuseInDebt();
    const body = checkBody(operation.body, parseJson(c, bytes, bodyKind));
    const { act, answer, mostAnswerBytes } = await handle(c, { ...parameters, body } as Input<
      z.infer<Params>,
      z.infer<Query>,
      z.infer<Body>
    >);
    const answerOf = (outcome: Outcome): Answered => answeredOf(c, () => answer(outcome));
    if (held === null) return send(c, answerOf((await act(null)) as Outcome));
    if (mostAnswerBytes !== undefined && mostAnswerBytes() > maxStoredAnswerBytes)
      throw new ProblemError({ slug: "batch-too-large-for-key" });
    // The answer is rendered once, so that the stored answer equals the sent one.
    let stored: Answered | null = null;
    const outcome = await act({
      request: held.request,
      answerOf: (result) => {
        stored = answerOf(result);
        return isStorable(stored.status) ? { status: stored.status, contentType: stored.contentType, body: stored.body } : null;
      },
    });
    return outcome.kind === "key_taken" ? answerInUse(c, outcome as IdempotencyKeyInUse) : send(c, stored ?? answerOf(outcome as Outcome));
  });
}

/** Whether an answer is stored: 2xx and 409 are, other 4xx and 5xx are not. */
function isStorable(status: number): boolean {
  return (status >= 200 && status < 300) || status === 409;
}

function answeredOf(c: Context<Env>, answer: () => { readonly status: number; readonly body: unknown }): Answered {
  try {
    const { status, body } = answer();
    return { status, contentType: "application/json", body: JSON.stringify(body) };
  } catch (error) {
    if (error instanceof ProblemError) return problemAnswer(error.problem, c.get("requestId"));
    throw error;
  }
}

function send(c: Context<Env>, { status, contentType, body, headers }: Answered): Response {
  return c.body(body, status as 200, { ...headers, "content-type": contentType });
}
