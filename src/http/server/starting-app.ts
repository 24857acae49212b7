import { problemBody } from "../operations/problem.ts";
import type { Problem } from "../operations/problem.ts";
import { requestIdOf } from "../operations/request-guards.ts";

const notReady: Problem = {
  slug: "not-ready",
  detail: "the service waits for its database",
  extensions: { ready: false, degraded: [] },
};
const unavailable: Problem = {
  slug: "store-unavailable",
  detail: "the service waits for its database; nothing was accepted or changed",
};

/** Answers requests while the service waits for the database. The process is then alive but not ready. */
export function answerWaiting(request: Request): Response {
  const pathname = new URL(request.url).pathname.replace(/^\/(healthz|readyz)\/$/, "/$1");
  const requestId = requestIdOf(request.headers.get("x-request-id"));
  const headers = { "x-request-id": requestId, "retry-after": "1" };
  if (pathname === "/healthz") return Response.json({ status: "ok" }, { headers });
  const problem = pathname === "/readyz" ? notReady : unavailable;
  const type = "application/problem+json";
  return Response.json(problemBody(problem, requestId), { status: 503, headers: { ...headers, "content-type": type } });
}
