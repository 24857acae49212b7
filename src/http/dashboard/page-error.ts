import { completeProblem, retryAfter } from "../operations/problem.ts";
import type { Problem } from "../operations/problem.ts";
import { bearerChallenge } from "../operations/request-guards.ts";

/** Problem as a page shows it. */
export type PageProblem = ReturnType<typeof completeProblem> & {
  readonly errors?: Problem["errors"];
  /** Whether this is the first visit. The page then shows a hint instead of an error. */
  readonly isFirstVisit?: boolean;
};

/** Problem that the API never answers. Thrown by the dashboard, rendered once by the app. */
export class PageProblemError extends Error {
  readonly problem: PageProblem;
  constructor(problem: PageProblem) {
    super(problem.title);
    this.name = "PageProblemError";
    this.problem = problem;
  }
}

/** Returns a problem of the API as a page shows it. */
export function pageProblemOf(problem: Problem): PageProblem {
  return { ...completeProblem(problem), errors: problem.errors };
}

const signInTexts = {
  firstVisit: "Sign in with an API key of your account.",
  sessionOver:
    "The session has ended: its 12 hours have passed, its key was revoked or expired, or its account was disabled. Sign in again.",
  keyUnknown: "This key is not valid: it is unknown, expired or was revoked.",
};

/** Problem of a request without a session. */
export function notSignedIn(reason: keyof typeof signInTexts): PageProblemError {
  const isFirstVisit = reason === "firstVisit";
  return new PageProblemError({ status: 401, title: "Sign in", detail: signInTexts[reason], headers: bearerChallenge, isFirstVisit });
}

export function tooManySignIns(retryAfterMs: number): PageProblemError {
  const detail = "Too many invalid keys, including this one. Wait a minute before you try another. A valid key is always accepted.";
  return new PageProblemError({ status: 429, title: "Too many requests", detail, headers: retryAfter(retryAfterMs) });
}

/** Problem of a form that is not accepted. */
export function refusedForm(detail: string): PageProblemError {
  return new PageProblemError({ status: 403, title: "Refused", detail, headers: {} });
}
