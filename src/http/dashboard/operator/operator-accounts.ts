import { z } from "@hono/zod-openapi";
import type { Hono } from "hono";
import { html } from "hono/html";
import type { AccountOverview } from "../../../ports/stores/account-store.ts";
import type { DeliveryView, ReadStore } from "../../../ports/stores/read-store.ts";
import { isoTime } from "../../../domain/events/payload.ts";
import type { HttpDependencies } from "../../operations/dependencies.ts";
import { notFound } from "../../operations/problem.ts";
import { csvAnswer } from "../csv.ts";
import type { DashboardEnv, Html } from "../dashboard-env.ts";
import { badge, csvLink, definitionList, optionsOf, pager, pathWith, table } from "../elements.ts";
import { livePart } from "../live/live-part.ts";
import { page } from "../page.ts";
import { plainDeliveryTable } from "../pages/delivery-list.ts";
import { plainEndpointTable } from "../pages/endpoint-list.ts";
import { freshnessTable } from "../pages/source-page.ts";
import { choiceField, cursorOnly, readParameters } from "../query.ts";
import { timeOf } from "../time.ts";
import { operatorPath } from "./operator-path.ts";

const path = `${operatorPath}/accounts`;
const pageSize = 50;
const undeliveredShown = 20;
const orders = ["watches", "endpoints", "polls", "placed", "request", "name"] as const;
type Order = (typeof orders)[number];
const orderLabels: Readonly<Record<Order, string>> = {
  watches: "active watches",
  endpoints: "endpoints",
  polls: "polls a minute",
  placed: "calls placed today",
  request: "last request",
  name: "name",
};
const querySchema = z.object({ by: choiceField(orders), page: z.coerce.number().int().min(1).max(100_000).catch(1) });
const csvColumns = [
  "account_id",
  "name",
  "disabled_at",
  "active_watches",
  "endpoints",
  "hooks",
  "polls_per_minute",
  "placed_today",
  "last_request_at",
];

/** Pages of accounts, for the operator. */
export function addAccountPagesOfOperator(
  dashboard: Hono<DashboardEnv>,
  { store, live, clock, endpointMaxInFlight }: HttpDependencies,
): void {
  dashboard.get("/operator/accounts", async (c) => {
    const { by = "watches", page: number } = readParameters(c, querySchema);
    const nowMs = clock.nowMs();
    const sorted = accountsByUse(await store.listAccounts(nowMs), by);
    const shown = sorted.slice((number - 1) * pageSize, number * pageSize);
    return page(c, {
      title: "Accounts",
      isGauge: true,
      body: html`<h1>Accounts</h1>
        <form method="get" action="${path}" class="filter">
          <div>
            <label for="by">First</label>
            <select id="by" name="by">
              ${optionsOf(
                orders.map((order) => [order, orderLabels[order]] as const),
                by,
              )}
            </select>
          </div>
          <button type="submit">Sort</button>
        </form>
        ${livePart("list", accountTable(shown, nowMs))} ${numberedPager(by, number, sorted.length)} ${csvLink(path, { by })}`,
    });
  });

  dashboard.get("/operator/accounts.csv", (c) => {
    const { by = "watches" } = readParameters(c, querySchema);
    const read = async () => ({ data: accountsByUse(await store.listAccounts(clock.nowMs()), by), nextCursor: null });
    return csvAnswer(c, { name: "accounts", columns: csvColumns, read, json: accountRow }, null);
  });

  dashboard.get("/operator/accounts/:id", async (c) => {
    const { cursor } = readParameters(c, cursorOnly);
    const account = await store.getAccount(c.req.param("id"));
    if (account === null) throw notFound("account");
    const [{ data, nextCursor }, undelivered] = await Promise.all([
      store.listEndpoints({ accountId: account.id, limit: pageSize, cursor: cursor ?? null }),
      readUndelivered(store, account.id),
    ]);
    const nowMs = clock.nowMs();
    return page(c, {
      title: account.name,
      ...(cursor === undefined ? { isGauge: true } : {}),
      body: html`<h1>${account.name}</h1>
        ${definitionList([
          [
            "State",
            account.disabledAtMs === null ? badge("enabled") : html`${badge("disabled")} ${timeOf(isoTime(account.disabledAtMs), nowMs)}`,
          ],
          ["Account", html`<code>${account.id}</code>`],
          ["Source default", account.usesDefaultSource ? "may be used" : "may not be used"],
          ["Places calls", placingText(account.placing)],
          ["Created", timeOf(new Date(account.createdAtMs).toISOString(), nowMs)],
        ])}
        <p><a href="${pathWith(`${operatorPath}/audit`, { account_id: account.id })}">Audit of this account</a></p>
        <h2>Sources</h2>
        ${livePart("sources", freshnessTable(live.sources(account), live, nowMs))}
        <h2>Webhooks that have not arrived</h2>
        ${livePart("undelivered", plainDeliveryTable(undelivered, nowMs))}
        <p class="quiet">The newest ${undeliveredShown} that are pending, exhausted or failed.</p>
        <h2>Endpoints</h2>
        ${livePart("endpoints", plainEndpointTable(data, nowMs, endpointMaxInFlight))}
        ${pager(`${path}/${account.id}`, {}, { cursor, nextCursor })}`,
    });
  });
}

/** Reads the newest deliveries that have not arrived. */
async function readUndelivered(store: ReadStore, accountId: string): Promise<readonly DeliveryView[]> {
  const statuses = ["pending", "exhausted", "failed"] as const;
  const page = { accountId, limit: undeliveredShown, cursor: null, endpointId: null, watchId: null };
  const lists = await Promise.all(statuses.map((status) => store.listDeliveries({ ...page, status })));
  const found = lists.flatMap(({ data }) => data).filter(({ delivery }) => delivery.eventType !== "endpoint.test");
  return found.toSorted((a, b) => b.delivery.createdAtMs - a.delivery.createdAtMs).slice(0, undeliveredShown);
}

function placingText({
  mayPlace,
  prefixes,
  perMinute,
  perDay,
}: {
  readonly mayPlace: boolean;
  readonly prefixes: readonly string[] | null;
  readonly perMinute: number;
  readonly perDay: number;
}): string {
  if (!mayPlace) return "of the sandbox alone";
  return `to ${prefixes === null ? "any number" : `numbers that begin with ${prefixes.join(" or ")}`}, ${perMinute} a minute, ${perDay} a day`;
}

/** Returns the accounts in an order of use, those of most use first; by name for `name`. */
export function accountsByUse(accounts: readonly AccountOverview[], by: Order): readonly AccountOverview[] {
  const useOf = (account: AccountOverview): number => {
    switch (by) {
      case "watches":
        return account.activeWatches;
      case "endpoints":
        return account.endpoints;
      case "polls":
        return account.pollsPerMinute;
      case "placed":
        return account.placedToday;
      case "request":
        return account.lastRequestAtMs ?? 0;
      case "name":
        return 0;
    }
  };
  return accounts.toSorted((a, b) => useOf(b) - useOf(a) || (a.name < b.name ? -1 : 1));
}

function accountRow(account: AccountOverview) {
  return {
    account_id: account.id,
    name: account.name,
    disabled_at: isoTime(account.disabledAtMs),
    active_watches: account.activeWatches,
    endpoints: account.endpoints,
    hooks: account.hooks,
    polls_per_minute: account.pollsPerMinute,
    placed_today: account.placedToday,
    last_request_at: isoTime(account.lastRequestAtMs),
  };
}

export function accountTable(accounts: readonly AccountOverview[], nowMs: number): Html {
  return table({
    caption: "Accounts",
    columns: ["Name", "State", "Active watches", "Endpoints", "Hooks", "Polls a minute", "Placed today", "Last request"],
    rows: accounts.map((account) => [
      html`<a href="${`${path}/${encodeURIComponent(account.id)}`}">${account.name}</a><br /><code class="quiet">${account.id}</code>`,
      badge(account.disabledAtMs === null ? "enabled" : "disabled"),
      account.activeWatches,
      account.endpoints,
      account.hooks,
      account.pollsPerMinute,
      account.placedToday,
      timeOf(isoTime(account.lastRequestAtMs), nowMs) ?? "never",
    ]),
    empty: "No accounts.",
  });
}

/** Renders links to the pages beside this one: an order of use has no stable cursor. */
function numberedPager(by: Order, number: number, total: number): Html | "" {
  const link = (to: number, label: string) => html`<a href="${pathWith(path, { by, page: String(to) })}">${label}</a>`;
  if (total <= pageSize && number === 1) return "";
  return html`<nav class="actions" aria-label="Pages">
    ${number > 1 ? link(number - 1, "Previous page") : ""} ${number * pageSize < total ? link(number + 1, "Next page") : ""}
  </nav>`;
}
