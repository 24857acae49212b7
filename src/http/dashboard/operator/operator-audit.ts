import { z } from "@hono/zod-openapi";
import type { Hono } from "hono";
import { html } from "hono/html";
import type { AuditRow } from "../../../ports/stores/audit-store.ts";
import type { PageRequest } from "../../../ports/stores/read-store.ts";
import type { HttpDependencies } from "../../operations/dependencies.ts";
import { auditRowJson } from "../../schemas/audit.ts";
import { csvAnswer } from "../csv.ts";
import type { DashboardEnv, Html } from "../dashboard-env.ts";
import { csvLink, pager } from "../elements.ts";
import { page } from "../page.ts";
import { auditColumns, auditFields, auditFilterOf, auditQuery, auditTable } from "../pages/audit-page.ts";
import { idField, readParameters } from "../query.ts";
import { operatorPath } from "./operator-path.ts";

const path = `${operatorPath}/audit`;
const pageSize = 50;
const querySchema = z.object({ ...auditQuery, account_id: idField });
type Query = Omit<z.infer<typeof querySchema>, "cursor">;

/** Page of what was changed in every account, and of shared sources; newest first. */
export function addAuditPageOfOperator(dashboard: Hono<DashboardEnv>, { store, clock }: HttpDependencies): void {
  const read = ({ account_id: accountId, ...filter }: Query, request: PageRequest) =>
    accountId === undefined
      ? store.listAllAudit({ ...request, ...auditFilterOf(filter) })
      : store.listAudit({ ...request, ...auditFilterOf(filter), accountId });

  dashboard.get("/operator/audit", async (c) => {
    const { cursor, ...filter } = readParameters(c, querySchema);
    const { data, nextCursor } = await read(filter, { limit: pageSize, cursor: cursor ?? null });
    return page(c, {
      title: "Audit",
      body: html`<h1>Audit of all accounts</h1>
        <form method="get" action="${path}" class="filter">
          ${auditFields(filter)}
          <div>
            <label for="account_id">Account</label>
            <input id="account_id" name="account_id" value="${filter.account_id ?? ""}" placeholder="acc_…" size="20" maxlength="64" />
          </div>
          <button type="submit">Filter</button>
        </form>
        ${auditTable(data, clock.nowMs(), accountOf)} ${pager(path, filter, { cursor, nextCursor })} ${csvLink(path, filter)}`,
    });
  });

  dashboard.get("/operator/audit.csv", (c) => {
    const { cursor, ...filter } = readParameters(c, querySchema);
    return csvAnswer(
      c,
      {
        name: "audit",
        columns: ["account_id", ...auditColumns],
        read: (request) => read(filter, request),
        json: (row: AuditRow) => ({ account_id: row.accountId, ...auditRowJson(row) }),
      },
      cursor ?? null,
    );
  });
}

function accountOf({ accountId }: AuditRow): Html | string {
  if (accountId === null) return "operator";
  return html`<a href="${`${operatorPath}/accounts/${encodeURIComponent(accountId)}`}"><code>${accountId}</code></a>`;
}
