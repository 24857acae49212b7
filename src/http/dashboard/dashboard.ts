import { Hono } from "hono";
import type { MiddlewareHandler } from "hono";
import type { HttpDependencies } from "../operations/dependencies.ts";
import { refuseOptions } from "../operations/request-guards.ts";
import type { DashboardEnv } from "./dashboard-env.ts";
import { addAccountPages } from "./account-pages.ts";
import { guard } from "./session/session-guard.ts";
import { addOperatorPages } from "./operator/operator-pages.ts";
import { pageHeaders } from "./page.ts";
import { OpenStreams } from "./session/open-streams.ts";
import { Sessions } from "./session/session.ts";
import { addSignIn, signInPath } from "./session/sign-in.ts";

/**
 * Creates the dashboard, to be mounted at `/dashboard`. Its pages are rendered on the server and work without a script.
 * Text from outside (reasons, metadata, answers, URLs) is shown as text; links lead only to the dashboard's own pages.
 * Errors are thrown as in the API, or as a `PageProblemError`, and rendered as a page by the app. `limitRate` is that of
 * the API, so that requests of both count together.
 */
export function createDashboard(dependencies: HttpDependencies, limitRate: MiddlewareHandler): Hono<DashboardEnv> {
  const dashboard = new Hono<DashboardEnv>({ strict: true });
  const sessions = new Sessions(dependencies);
  const streams = new OpenStreams();
  dashboard.use(pageHeaders(dependencies.publicUrl), refuseOptions, guard(sessions, dependencies.publicUrl));
  // The sign-in has a limit of its own, because the account is not known yet.
  dashboard.use((c, next) => (c.req.path === signInPath ? next() : limitRate(c, next)));

  addSignIn(dashboard, { sessions, streams }, dependencies);
  addAccountPages(dashboard, dependencies, streams);
  addOperatorPages(dashboard, dependencies);
  return dashboard;
}
