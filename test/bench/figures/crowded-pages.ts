import { deliveryStatuses } from "../../../src/domain/deliveries/delivery.ts";
import { placingStates } from "../../../src/domain/calls/placing.ts";
import { watchStatuses } from "../../../src/domain/calls/watch.ts";
import type { ServiceStore } from "../../../src/ports/stores/service-store.ts";
import { askedActions, crowdedUntilMs } from "../../harness/crowded-account.ts";
import type { CrowdedRows } from "../../harness/crowded-account.ts";
import { FakeClock } from "../../harness/fake-clock.ts";
import { day, minute, startMs } from "../../harness/store-drafts.ts";
import { apiKey, createTestApi } from "../../http/test-api.ts";
import { account, apiKeyView, portalLink } from "../../http/views.ts";
import { timeEach } from "./timed-reads.ts";
import type { Timed } from "./timed-reads.ts";

/** Metadata that no watch has. */
const unknownPair = "no:such";
const operatorKey = "rb_operator_0123456789abcdef";

/** Ends of spans of the audit, as a form sends them. */
const [longAgo, newest] = [startMs - 20 * day, startMs].map((ms) => new Date(ms).toISOString().slice(0, 16));

/** Paths of the pages of an account, below the dashboard or a portal. */
function pathsOf({ watchId, deliveryId, eventId, callSid, endpointIds, hookId, placingId }: CrowdedRows): readonly string[] {
  return [
    "",
    "?range=day",
    "?range=week",
    "/watches",
    ...watchStatuses.map((status) => `/watches?status=${status}`),
    `/watches?call_sid=${callSid}`,
    "/watches?metadata=a:1",
    `/watches/${watchId}`,
    "/deliveries",
    ...deliveryStatuses.map((status) => `/deliveries?status=${status}`),
    ...endpointIds.map((id) => `/deliveries?endpoint_id=${id}`),
    `/deliveries?watch_id=${watchId}`,
    `/deliveries/${deliveryId}`,
    "/endpoints",
    ...endpointIds.flatMap((id) => [`/endpoints/${id}`, `/endpoints/${id}/edit`, `/endpoints/${id}/rotate`]),
    "/events",
    ...["terminal", "call.calling", "call.other", "endpoint.failing"].map((type) => `/events?type=${type}`),
    "/events?source=none&status=none",
    `/events/${eventId}`,
    ...[callSid, eventId, hookId, placingId, "a:1", unknownPair].map((q) => `/find?q=${q}`),
    "/calls",
    ...placingStates.map((state) => `/calls?state=${state}`),
    "/hooks",
    "/hooks/new",
    "/sources",
    "/keys",
    "/portal-links",
    "/audit",
    ...askedActions.map((action) => `/audit?action=${action}`),
    `/audit?until=${longAgo}`,
    `/audit?since=${newest}`,
    `/audit?since=${longAgo}&until=${longAgo}`,
    ...["watches", "deliveries", "endpoints", "calls", "hooks", "sources", "keys", "portal-links", "audit"].map((list) => `/${list}.csv`),
  ];
}

function operatorPathsOf({ accountId }: CrowdedRows): readonly string[] {
  return [
    "",
    "/accounts",
    "/accounts?by=name&page=3",
    `/accounts/${accountId}`,
    "/audit",
    `/audit?account_id=${accountId}`,
    ...askedActions.map((action) => `/audit?action=${action}`),
    `/audit?until=${longAgo}`,
    `/audit?since=${longAgo}&until=${longAgo}`,
    ...["accounts", "audit", "instances", "sources"].map((list) => `/${list}.csv`),
  ];
}

/**
 * Times every page of the dashboard, of a portal and of the operator over a store. Only the pages and the store are real: the time is that
 * of the server alone, and of a list as CSV until its first rows.
 */
export async function timePages(store: ServiceStore, rows: CrowdedRows, state: string): Promise<readonly Timed[]> {
  const own = { ...account, id: rows.accountId };
  const key = { ...apiKeyView, accountId: rows.accountId };
  const hashes = { tokenHash: "token", sessionHash: "session" };
  const link = { ...portalLink, accountId: rows.accountId, usedAtMs: startMs, expiresAtMs: crowdedUntilMs + minute };
  const { stream } = createTestApi({
    store,
    clock: new FakeClock(crowdedUntilMs),
    authentication: {
      findByKey: async (given) =>
        given === operatorKey ? { kind: "operator", key: { ...key, accountId: null } } : { kind: "account", account: own, key },
    },
    portals: { find: async () => ({ link, ...hashes, account: own, end: null }), isSessionOf: () => true },
  });
  const read = (path: string, given: string) => async () => {
    const response = await stream(path, { authorization: `Bearer ${given}` });
    const wanted = path.endsWith(unknownPair) ? [404] : [200, 303];
    if (!wanted.includes(response.status)) throw new Error(`${path} answers ${response.status}`);
    const isList = response.headers.get("content-type")?.startsWith("text/csv") === true;
    if (isList) await firstRowsOf(response);
    else await response.text();
  };
  return timeEach(
    [
      ...pathsOf(rows).map((path) => [`/dashboard${path}`, read(`/dashboard${path}`, apiKey)] as const),
      ...pathsOf(rows)
        .filter((path) => !/^\/(?:keys|portal-links|audit|hooks\/new)|\/(?:edit|rotate)$/.test(path))
        .map((path) => `/portal/${link.id}${path.startsWith("?") || path === "" ? `/${path}` : path}`)
        .map((path) => [path, read(path, apiKey)] as const),
      ...operatorPathsOf(rows).map((path) => [`/dashboard/operator${path}`, read(`/dashboard/operator${path}`, operatorKey)] as const),
    ],
    state,
  );
}

/** Reads until behind the line of names, as a browser that shows how a download begins. */
async function firstRowsOf(response: Response): Promise<void> {
  const reader = response.body?.getReader();
  if (reader === undefined) throw new Error("a list has a body");
  const decoder = new TextDecoder();
  let text = "";
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    text += decoder.decode(read.value, { stream: true });
    if (text.indexOf("\n") < text.length - 1) break;
  }
  await reader.cancel();
}
