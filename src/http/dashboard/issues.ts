import { isoTime } from "../../domain/events/payload.ts";
import type { DeliveryView, EndpointView } from "../../ports/stores/read-store.ts";
import type { HttpDependencies } from "../operations/dependencies.ts";
import { pauseOf } from "../schemas/json.ts";
import { isFailing } from "./pages/endpoint-list.ts";

/** Number of newest endpoints that are read. Bounded, because an account may have more than a page can check. */
export const endpointsScanned = 50;
const pendingScanned = 50;
/** Number of failed deliveries that are read. Larger than the number shown, because tests are left out. */
const failedScanned = 20;
const failedShown = 5;
const endpointsShown = 20;

/** Problems of an account, as far as one page can check. */
export type AccountIssues = {
  /** Endpoints that are paused, disabled or failing. */
  readonly endpoints: readonly EndpointView[];
  /** Number of endpoints with issues that are not shown. */
  readonly endpointsHidden: number;
  /** Pending deliveries of all endpoints that were read. */
  readonly pendingCount: number;
  readonly oldestDueAt: string | null;
  /** Deliveries that are exhausted or failed, newest first. */
  readonly failures: readonly DeliveryView[];
};

/** Reads the newest endpoints and the endpoints of the newest pending deliveries, and collects their problems. */
export async function findIssues({ store }: Pick<HttpDependencies, "store">, accountId: string, nowMs: number): Promise<AccountIssues> {
  const deliveries = (status: "pending" | "exhausted" | "failed", limit: number) =>
    store.listDeliveries({ accountId, limit, cursor: null, endpointId: null, watchId: null, status });
  const [newest, pending, exhausted, failed] = await Promise.all([
    store.listEndpoints({ accountId, limit: endpointsScanned, cursor: null }),
    deliveries("pending", pendingScanned),
    deliveries("exhausted", failedScanned),
    deliveries("failed", failedScanned),
  ]);
  const known = new Set(newest.data.map(({ endpoint }) => endpoint.id));
  const others = new Set(pending.data.map(({ delivery }) => delivery.endpointId).filter((id) => !known.has(id)));
  const found = await Promise.all([...others].map((id) => store.getEndpoint(accountId, id)));
  const endpoints = [...newest.data, ...found.filter((view) => view !== null)];
  const dueAtMs = endpoints.flatMap(({ oldestDueAtMs }) => (oldestDueAtMs === null ? [] : [oldestDueAtMs]));
  const withIssues = endpoints.filter((view) => isFailing(view) || view.endpoint.state !== "enabled" || pauseOf(view, nowMs) !== null);
  const failures = [...exhausted.data, ...failed.data].filter(({ delivery }) => delivery.eventType !== "endpoint.test");
  return {
    endpoints: withIssues.slice(0, endpointsShown),
    endpointsHidden: Math.max(0, withIssues.length - endpointsShown),
    pendingCount: endpoints.reduce((sum, { backlog }) => sum + backlog, 0),
    oldestDueAt: dueAtMs.length === 0 ? null : isoTime(Math.min(...dueAtMs)),
    failures: failures.toSorted((a, b) => (a.delivery.id < b.delivery.id ? 1 : -1)).slice(0, failedShown),
  };
}
