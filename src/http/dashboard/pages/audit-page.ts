import { z } from "@hono/zod-openapi";
import type { Hono } from "hono";
import { html } from "hono/html";
import { auditActions } from "../../../domain/audit.ts";
import type { AuditRow } from "../../../ports/stores/audit-store.ts";
import type { HttpDependencies } from "../../operations/dependencies.ts";
import { auditRowJson } from "../../schemas/audit.ts";
import { csvAnswer } from "../csv.ts";
import type { CsvList } from "../csv.ts";
import type { DashboardEnv, Html } from "../dashboard-env.ts";
import { csvLink, linkTo, pager, selectOf, sidText, table } from "../elements.ts";
import { utcOf } from "../forms/given.ts";
import { page } from "../page.ts";
import { choiceField, cursorField, readParameters, timeText } from "../query.ts";
import { needsScope } from "../session/scope-guard.ts";
import { timeOf } from "../time.ts";

const path = "/dashboard/audit";
const pageSize = 50;
export const auditQuery = { action: choiceField(auditActions), since: timeText, until: timeText, cursor: cursorField };
const querySchema = z.object(auditQuery);
export const auditColumns = [
  "id",
  "at",
  "action",
  "target.kind",
  "target.id",
  "actor.kind",
  "actor.id",
  "actor.name",
  "address",
  "forwarded_for",
  "detail",
];
/** Length of ids that stand in one line. SIDs are longer. */
const shortId = 20;
const linkedKinds = { watch: "watches", endpoint: "endpoints", delivery: "deliveries" } as const;

export type AuditFilter = {
  readonly action?: AuditRow["action"] | undefined;
  readonly since?: string | undefined;
  readonly until?: string | undefined;
};

/** Page of what was changed in the account, and by whom; newest first. */
export function addAuditPage(dashboard: Hono<DashboardEnv>, { store, clock }: HttpDependencies): void {
  dashboard.get("/audit", needsScope("admin"), async (c) => {
    const { cursor, ...filter } = readParameters(c, querySchema);
    const { data, nextCursor } = await store.listAudit({
      accountId: c.get("account").id,
      limit: pageSize,
      cursor: cursor ?? null,
      ...auditFilterOf(filter),
    });
    return page(c, {
      title: "Audit",
      body: html`<h1>Audit</h1>
        <p class="quiet">What keys, portals, the dashboard and the command line changed. Watches made or ended are not in it.</p>
        <form method="get" action="${path}" class="filter">
          ${auditFields(filter)}
          <button type="submit">Filter</button>
        </form>
        ${auditTable(data, clock.nowMs())} ${pager(path, filter, { cursor, nextCursor })} ${csvLink(path, filter)}`,
    });
  });

  dashboard.get("/audit.csv", needsScope("admin"), (c) => {
    const { cursor, ...filter } = readParameters(c, querySchema);
    const accountId = c.get("account").id;
    const list: CsvList<AuditRow> = {
      name: "audit",
      columns: auditColumns,
      read: (page) => store.listAudit({ ...page, accountId, ...auditFilterOf(filter) }),
      json: auditRowJson,
    };
    return csvAnswer(c, list, cursor ?? null);
  });
}

export function auditFilterOf({ action, since, until }: AuditFilter) {
  return {
    action: action ?? null,
    sinceMs: since === undefined ? null : utcOf("since", since),
    untilMs: until === undefined ? null : utcOf("until", until),
  };
}

/** Renders the fields of the filter. */
export function auditFields({ action, since = "", until = "" }: AuditFilter): Html {
  return html`<div>
      <label for="action">Action</label>
      ${selectOf("action", auditActions, action)}
    </div>
    <div>
      <label for="since">From (UTC)</label>
      <input id="since" name="since" type="datetime-local" value="${since}" />
    </div>
    <div>
      <label for="until">To (UTC)</label>
      <input id="until" name="until" type="datetime-local" value="${until}" />
    </div>`;
}

/** Renders rows. `account` renders the account of a row; left out on the page of one account, whose targets are linked. */
export function auditTable(rows: readonly AuditRow[], nowMs: number, account?: (row: AuditRow) => Html | string): Html {
  return table({
    caption: "Audit",
    columns: ["Time", ...(account === undefined ? [] : ["Account"]), "Action", "Target", "By", "Address", "Detail"],
    rows: rows.map((row) => {
      const { at, action, target, actor, address, forwarded_for: forwardedFor, detail } = auditRowJson(row);
      const kind = target.kind in linkedKinds ? linkedKinds[target.kind as keyof typeof linkedKinds] : null;
      const shown = target.id.length <= shortId ? html`<code>${target.id}</code>` : sidText(target.id);
      return [
        timeOf(at ?? "", nowMs),
        ...(account === undefined ? [] : [account(row)]),
        action,
        html`${target.kind.replace("_", " ")}<br />${kind === null || account !== undefined ? shown : linkTo(kind, target.id, shown)}`,
        html`${actor.kind.replace("_", " ")}
        ${actor.name ?? ""}${actor.id === null ? "" : html`<br /><code class="quiet">${actor.id}</code>`}`,
        address === null
          ? null
          : html`${address}${forwardedFor === null ? "" : html`<br /><span class="quiet">for ${sidText(forwardedFor)}</span>`}`,
        Object.keys(detail).length === 0 ? null : detailText(detail),
      ];
    }),
    empty: "No change matches.",
  });
}

function valueText(value: unknown): string {
  if (value === null || (Array.isArray(value) && value.length === 0)) return "none";
  return Array.isArray(value) ? value.join(", ") : String(value);
}

function detailText(detail: Readonly<Record<string, unknown>>): Html {
  return html`${Object.entries(detail).map(
    ([key, value]) => html`<div><span class="quiet">${key}</span> ${sidText(valueText(value))}</div>`,
  )}`;
}
