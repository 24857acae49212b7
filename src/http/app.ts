import { stackOf } from "../domain/error-text.ts";
import { OpenAPIHono } from "@hono/zod-openapi";
import type { Context, Hono, MiddlewareHandler } from "hono";
import { routePath } from "hono/route";
import { getPath } from "hono/utils/url";
import { addAccountRoutes } from "./routes/account.ts";
import { addAuditRoutes } from "./routes/audit.ts";
import { addCallRoutes } from "./routes/calls.ts";
import { createDashboard } from "./dashboard/dashboard.ts";
import { PageProblemError, pageProblemOf } from "./dashboard/page-error.ts";
import { isDashboardPath, problemPage } from "./dashboard/pages/error-page.ts";
import { addDeliveryRoutes } from "./routes/deliveries.ts";
import type { Env, HttpDependencies } from "./operations/dependencies.ts";
import { addGuidePages } from "./docs/guides.ts";
import { addDocsPage } from "./docs/docs.ts";
import { addStartPage } from "./docs/start-page.ts";
import { addEndpointRoutes } from "./routes/endpoints.ts";
import { addEventRoutes } from "./routes/events.ts";
import { addHealthRoutes } from "./routes/health.ts";
import { addHookRoutes } from "./routes/hooks.ts";
import { addMcpRoute } from "./mcp/mcp-route.ts";
import { addOpenApiRoute } from "./operations/openapi.ts";
import { problemOf, problemResponse } from "./operations/problem.ts";
import type { Problem } from "./operations/problem.ts";
import { authenticate, limitRate, notCached, refuseOptions, requestId } from "./operations/request-guards.ts";
import { addKeyRoutes } from "./routes/keys.ts";
import { addPortalLinkRoutes } from "./routes/portal-links.ts";
import { createPortal } from "./dashboard/portal/portal.ts";
import { addPlacingRoutes } from "./routes/placings.ts";
import { addTemplateRoutes } from "./routes/templates.ts";
import { addWatchRoutes } from "./routes/watches.ts";

/** Paths of probes with a trailing slash, which some load balancers add, by the path that answers. */
const probePaths: ReadonlyMap<string, string> = new Map([
  ["/healthz/", "/healthz"],
  ["/readyz/", "/readyz"],
]);

/** First page of a portal. Its path ends with a slash, so that a browser sends the cookie of the portal. */
const portalHome = /^\/portal\/[^/]+\/$/;

/** Creates the app with all routes. Errors are rendered only here. */
export function createApp(dependencies: HttpDependencies): OpenAPIHono<Env> {
  const { clock, logger, metrics } = dependencies;
  const app = new OpenAPIHono<Env>({ strict: true, getPath: pathOf });

  app.use(requestId);
  app.use(async (c, next) => {
    const startedMs = clock.monotonicMs();
    await next();
    const durationMs = clock.monotonicMs() - startedMs;
    const route = templateOf(c);
    metrics.httpAnswered(route, c.res.status, durationMs);
    c.res.headers.set("x-content-type-options", "nosniff");
    logger.debug(
      { method: c.req.method, route, status: c.res.status, duration_ms: Math.round(durationMs), request_id: c.get("requestId") },
      "http.answered",
    );
  });
  const limitAccount = limitRate(dependencies);
  app.use("/v1/*", notCached, refuseOptions, authenticate(dependencies), limitAccount, refuseShadowed(app));

  addWatchRoutes(app, dependencies);
  addEventRoutes(app, dependencies);
  addCallRoutes(app, dependencies);
  addPlacingRoutes(app, dependencies);
  addHookRoutes(app, dependencies);
  addEndpointRoutes(app, dependencies);
  addDeliveryRoutes(app, dependencies);
  addTemplateRoutes(app, dependencies);
  addAccountRoutes(app, dependencies);
  addKeyRoutes(app, dependencies);
  addAuditRoutes(app, dependencies);
  addMcpRoute(app, dependencies, [notCached, authenticate(dependencies), limitAccount]);
  addPortalLinkRoutes(app, dependencies);
  addHealthRoutes(app, dependencies);
  addOpenApiRoute(app, dependencies);
  addDocsPage(app, dependencies);
  addGuidePages(app);
  addStartPage(app);
  app.route("/dashboard", createDashboard(dependencies, limitAccount));
  app.route("/portal/:link", createPortal(dependencies, limitAccount) as unknown as Hono<Env>);
  app.get("/dashboard/", (c) => c.redirect("/dashboard", 308));

  app.notFound((c) => {
    const allowed = allowedMethods(app, c.req.path);
    if (allowed.length === 0)
      return answerProblem(c, { slug: "not-found", detail: "this path does not exist; GET /openapi.json lists all paths" });
    const allow = allowed.join(", ");
    const detail = `${c.req.method} is not allowed here; use ${allow}`;
    return answerProblem(c, { slug: "method-not-allowed", detail, headers: { allow } });
  });
  app.onError((error, c) => {
    if (error instanceof PageProblemError) return problemPage(c, error.problem);
    const problem = problemOf(error);
    if (problem !== null) return answerProblem(c, problem);
    logger.error({ request_id: c.get("requestId"), route: templateOf(c), error: stackOf(error) }, "http.failed");
    return answerProblem(c, { slug: "internal" });
  });
  return app;
}

/** Answers a problem: a page under the dashboard, else a problem document. */
function answerProblem(c: Context<Env>, problem: Problem): Response | Promise<Response> {
  return isDashboardPath(c.req.path) ? problemPage(c, pageProblemOf(problem)) : problemResponse(c, problem);
}

function pathOf(request: Request): string {
  const path = getPath(request);
  if (portalHome.test(path)) return path.slice(0, -1);
  return probePaths.get(path) ?? path;
}

/** Returns the path pattern of the route that answers. The pattern contains no values of the request. */
function templateOf(c: Context): string {
  // The handler is added after the middleware, so it is the last match.
  const template = routePath(c, -1);
  return template.endsWith("*") ? "unknown" : template;
}

/**
 * Refuses a method that a path without parameters does not have. Such a path takes precedence over a template that matches it as
 * well (OpenAPI 3.1, section 4.8.8.1), whose handler would take the last part for an id.
 */
function refuseShadowed(app: OpenAPIHono<Env>): MiddlewareHandler<Env> {
  // The routes are added after this middleware.
  let methodsByPath: ReadonlyMap<string, ReadonlySet<string>> | null = null;
  return (c, next) => {
    methodsByPath ??= methodsByLiteralPath(app);
    const methods = methodsByPath.get(c.req.path);
    const method = c.req.method === "HEAD" ? "GET" : c.req.method;
    return methods === undefined || methods.has(method) ? next() : Promise.resolve(c.notFound());
  };
}

function methodsByLiteralPath(app: OpenAPIHono<Env>): ReadonlyMap<string, ReadonlySet<string>> {
  const literal = app.routes.filter(({ method, path }) => method !== "ALL" && !path.includes(":") && !path.includes("*"));
  const byPath = Map.groupBy(literal, ({ path }) => path);
  return new Map([...byPath].map(([path, routes]) => [path, new Set(routes.map(({ method }) => method))]));
}

function allowedMethods(app: OpenAPIHono<Env>, path: string): readonly string[] {
  const routes = routesAt(app, path);
  const literal = routes.filter((route) => route.path === path);
  const methods = (literal.length > 0 ? literal : routes).map((route) => route.method);
  return [...new Set(methods.flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method])))];
}

function routesAt(app: OpenAPIHono<Env>, path: string) {
  const segments = path.split("/");
  return app.routes.filter(({ method, path: template }) => {
    const parts = template.split("/");
    if (method === "ALL" || parts.length !== segments.length || template.includes("*")) return false;
    return parts.every((part, index) => part === segments[index] || (part.startsWith(":") && segments[index] !== ""));
  });
}
