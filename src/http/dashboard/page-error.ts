import { problemKindOf } from "../schemas/problem-catalogue.ts";
import { retryAfter } from "../operations/problem.ts";
import type { Problem } from "../operations/problem.ts";

/** What only people at the dashboard meet: no answer of the API, and in no document of it. */
const pageProblemCatalogue = {
  "sign-in-needed": { status: 401, title: "Sign in" },
  "session-over": { status: 401, title: "Sign in" },
  "key-unknown": { status: 401, title: "Sign in" },
  "foreign-form": { status: 403, title: "Refused" },
  "form-outdated": { status: 403, title: "Refused" },
  "too-many-sign-ins": { status: 429, title: "Too many requests" },
} as const satisfies Record<string, { readonly status: number; readonly title: string }>;

/** A problem that is only ever rendered as a page; status and title are the slug's. */
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

/** Nobody is signed in. `slug` tells whether that is somebody's mistake or how every visit begins. */
export function notSignedIn(slug: "sign-in-needed" | "session-over" | "key-unknown"): PageProblemError {
  const detail = {
    "sign-in-needed": "Sign in with an API key of your account.",
    "session-over": "The session is over: its 12 hours have passed, or its key was revoked. Sign in again.",
    "key-unknown": "This key is not valid: it is unknown or was revoked.",
  }[slug];
  return new PageProblemError({ slug, detail, headers: { "www-authenticate": 'Bearer realm="ringback"' } });
}

export function tooManySignIns(retryAfterMs: number): PageProblemError {
  const detail = "Too many keys were wrong, this one with them: wait a minute before you try another. A valid key is taken at once.";
  return new PageProblemError({ slug: "too-many-sign-ins", detail, headers: retryAfter(retryAfterMs) });
}

/** Status and title of what a page shows, be it a problem of the dashboard or of the API. */
export function shownKindOf({ slug }: PageProblem | Problem): { readonly status: number; readonly title: string } {
  return isPageSlug(slug) ? pageProblemCatalogue[slug] : problemKindOf(slug);
}

function isPageSlug(slug: PageProblem["slug"] | Problem["slug"]): slug is PageProblem["slug"] {
  return Object.hasOwn(pageProblemCatalogue, slug);
}
