import { problemKindOf } from "../schemas/problem-catalogue.ts";
import { retryAfter } from "../operations/problem.ts";
import type { Problem } from "../operations/problem.ts";

/** Problems of the dashboard alone; the API never answers them. */
const pageProblemCatalogue = {
  "sign-in-needed": { status: 401, title: "Sign in" },
  "session-over": { status: 401, title: "Sign in" },
  "key-unknown": { status: 401, title: "Sign in" },
  "foreign-form": { status: 403, title: "Refused" },
  "form-outdated": { status: 403, title: "Refused" },
  "too-many-sign-ins": { status: 429, title: "Too many requests" },
} as const satisfies Record<string, { readonly status: number; readonly title: string }>;

/** Problem that is rendered only as a page; status and title follow from the slug. */
export type PageProblem = {
  readonly slug: keyof typeof pageProblemCatalogue;
  readonly detail: string;
  readonly headers?: Readonly<Record<string, string>>;
};

/** Thrown by the dashboard, rendered once by the app. */
export class PageProblemError extends Error {
  readonly problem: PageProblem;
  constructor(problem: PageProblem) {
    super(problem.slug);
    this.name = "PageProblemError";
    this.problem = problem;
  }
}

/** Problem of a request without a session. `slug` distinguishes an invalid key from a first visit. */
export function notSignedIn(slug: "sign-in-needed" | "session-over" | "key-unknown"): PageProblemError {
  const detail = {
    "sign-in-needed": "Sign in with an API key of your account.",
    "session-over": "The session has ended: its 12 hours have passed, or its key was revoked. Sign in again.",
    "key-unknown": "This key is not valid: it is unknown or was revoked.",
  }[slug];
  return new PageProblemError({ slug, detail, headers: { "www-authenticate": 'Bearer realm="ringback"' } });
}

export function tooManySignIns(retryAfterMs: number): PageProblemError {
  const detail = "Too many invalid keys, including this one. Wait a minute before you try another. A valid key is always accepted.";
  return new PageProblemError({ slug: "too-many-sign-ins", detail, headers: retryAfter(retryAfterMs) });
}

/** Returns status and title of a problem of the dashboard or of the API. */
export function shownKindOf({ slug }: PageProblem | Problem): { readonly status: number; readonly title: string } {
  return isPageSlug(slug) ? pageProblemCatalogue[slug] : problemKindOf(slug);
}

function isPageSlug(slug: PageProblem["slug"] | Problem["slug"]): slug is PageProblem["slug"] {
  return Object.hasOwn(pageProblemCatalogue, slug);
}
