import { isoTime } from "../../domain/events/payload.ts";
import type { DeliveryView, EndpointView } from "../../ports/stores/read-store.ts";
import type { HttpDependencies } from "../operations/dependencies.ts";
import { pauseOf } from "../schemas/json.ts";
import { isFailing } from "./pages/endpoint-list.ts";

/** Of the newest endpoints; an account may have more than can be looked at for one page. */
export const endpointsScanned = 50;
const pendingScanned = 50;
/** Tests are among them, which nobody waits for. */
const givenUpScanned = 20;
const givenUpShown = 5;
const endpointsShown = 20;

/** What is wrong in an account, as far as one page may look. */
export type AccountIssues = {
  /** Not enabled, pausing or failing. */
  readonly endpoints: readonly EndpointView[];
  /** How many more of them there are. */
  readonly endpointsHidden: number;
  /** Over all endpoints looked at, troubled or not. */
  readonly owed: number;
  readonly oldestDueAt: string | null;
  /** Deliveries that are exhausted or failed, newest first. */
  readonly givenUp: readonly DeliveryView[];
};

/** Looks at the newest endpoints and at those that the newest pending deliveries go to, however old they are. */
export async function findIssues({ store }: Pick<HttpDependencies, "store">, accountId: string, nowMs: number): Promise<AccountIssues> {
  const deliveries = (status: "pending" | "exhausted" | "failed", limit: number) =>
    store.listDeliveries({ accountId, limit, cursor: null, endpointId: null, watchId: null, status });
  const [newest, pending, exhausted, failed] = await Promise.all([
    store.listEndpoints({ accountId, limit: endpointsScanned, cursor: null }),
    deliveries("pending", pendingScanned),
    deliveries("exhausted", givenUpScanned),
    deliveries("failed", givenUpScanned),
  ]);
  const known = new Set(newest.data.map(({ endpoint }) => endpoint.id));
  const others = new Set(pending.data.map(({ delivery }) => delivery.endpointId).filter((id) => !known.has(id)));
  const found = await Promise.all([...others].map((id) => store.getEndpoint(accountId, id)));
  const endpoints = [...newest.data, ...found.filter((view) => view !== null)];
  const dueAtMs = endpoints.flatMap(({ oldestDueAtMs }) => (oldestDueAtMs === null ? [] : [oldestDueAtMs]));
  const troubled = endpoints.filter((view) => isFailing(view) || view.endpoint.state !== "enabled" || pauseOf(view, nowMs) !== null);
  const givenUp = [...exhausted.data, ...failed.data].filter(({ delivery }) => delivery.eventType !== "endpoint.test");
  return {
    endpoints: troubled.slice(0, endpointsShown),
    endpointsHidden: Math.max(0, troubled.length - endpointsShown),
    owed: endpoints.reduce((sum, { backlog }) => sum + backlog, 0),
    oldestDueAt: dueAtMs.length === 0 ? null : isoTime(Math.min(...dueAtMs)),
    givenUp: givenUp.toSorted((a, b) => (a.delivery.id < b.delivery.id ? 1 : -1)).slice(0, givenUpShown),
  };
}
