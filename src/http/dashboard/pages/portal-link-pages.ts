import type { Context, Hono } from "hono";
import { html } from "hono/html";
import { portalRights } from "../../../domain/portal-link.ts";
import type { PortalLink } from "../../../domain/portal-link.ts";
import type { PortalOutcome } from "../../../ports/use-cases/portals.ts";
import { actorOf } from "../../operations/actor.ts";
import type { HttpDependencies } from "../../operations/dependencies.ts";
import { checkBody } from "../../operations/operation.ts";
import { createdLinkOf, portalRequestOf } from "../../operations/portal-link-answer.ts";
import { notFound } from "../../operations/problem.ts";
import { portalLinkJson, portalLinkRequestSchema } from "../../schemas/portal-links.ts";
import { csvAnswer } from "../csv.ts";
import type { CsvList } from "../csv.ts";
import type { DashboardEnv, Html } from "../dashboard-env.ts";
import { badge, csvLink, definitionList, pager, table } from "../elements.ts";
import { actionForm } from "../form.ts";
import { areaField, selectField } from "../forms/controls.ts";
import { formKeyField, onceFor } from "../forms/form-key.ts";
import { linesOf, numberOf, textOf, typedIn } from "../forms/given.ts";
import { faultsOf, orShownAgain, problemBox } from "../forms/shown-again.ts";
import { notice, redirectWith } from "../notice.ts";
import { page } from "../page.ts";
import type { PageProblem } from "../page-error.ts";
import { cursorOnly, readParameters } from "../query.ts";
import { needsScope } from "../session/scope-guard.ts";
import { timeOf } from "../time.ts";

const path = "/dashboard/portal-links";
const pageSize = 25;
const csvColumns = ["id", "can", "frame_ancestors", "created_at", "expires_at", "used_at", "revoked_at"];
const rightTexts: Readonly<Record<(typeof portalRights)[number], string>> = {
  look: "look: changes nothing",
  operate: "operate: watches, hooks and endpoints, without secrets",
};
const spans = [
  ["900", "15 minutes"],
  ["3600", "an hour"],
  ["28800", "8 hours"],
  ["86400", "a day"],
  ["604800", "7 days"],
] as const;

/** Pages of portal links: list, creation, end. The address of a link is shown once, by the form that creates it. */
export function addPortalLinkPages(dashboard: Hono<DashboardEnv>, dependencies: HttpDependencies): void {
  const { portals, store, idempotency, clock, publicUrl } = dependencies;
  const show = async (c: Context<DashboardEnv>, problem: PageProblem | null = null) => {
    const { cursor } = readParameters(c, cursorOnly);
    const { data, nextCursor } = await store.listPortalLinks({ accountId: c.get("account").id, limit: pageSize, cursor: cursor ?? null });
    return page(
      c,
      {
        title: "Portal links",
        body: html`<h1>Portal links</h1>
          ${notice(c)} ${problemBox(problem)}
          <p class="quiet">A link opens this account's dashboard once, for a person without a key. It ends with the key that made it.</p>
          ${linkTable(c, data, clock.nowMs())} ${pager(path, {}, { cursor, nextCursor })} ${csvLink(path, {})}
          <h2>Create a link</h2>
          ${creationForm(c, problem)}`,
      },
      problem,
    );
  };

  dashboard.get("/portal-links", needsScope("admin"), (c) => show(c));

  dashboard.get("/portal-links.csv", needsScope("admin"), (c) => {
    const { cursor } = readParameters(c, cursorOnly);
    const accountId = c.get("account").id;
    const list: CsvList<PortalLink> = {
      name: "portal-links",
      columns: csvColumns,
      read: (page) => store.listPortalLinks({ ...page, accountId }),
      json: portalLinkJson,
    };
    return csvAnswer(c, list, cursor ?? null);
  });

  dashboard.post("/portal-links", needsScope("admin"), (c) =>
    orShownAgain(
      async () => {
        const ancestors = linesOf(c, "frame_ancestors");
        const body = checkBody(portalLinkRequestSchema, {
          can: textOf(c, "can"),
          expires_in: numberOf(c, "expires_in"),
          ...(ancestors.length === 0 ? {} : { frame_ancestors: ancestors }),
        });
        const request = portalRequestOf(body, publicUrl);
        const by = actorOf(c, "dashboard");
        const shown = await onceFor(
          c,
          idempotency,
          (keyed) => portals.create(c.get("account"), c.get("key"), request, keyed, by),
          (outcome: PortalOutcome) => createdLinkOf(c, outcome, publicUrl),
        );
        return page(c, {
          title: "Link created",
          body: html`<h1>Link created</h1>
            <p class="notice good" role="status">Copy the address now: it is shown only here and opens one session.</p>
            ${definitionList([
              ["Address", html`<code class="secret">${shown.url}</code>`],
              ["Can", rightTexts[shown.can]],
              ["Ends", timeOf(shown.expires_at, clock.nowMs())],
              ["Link", html`<code>${shown.id}</code>`],
            ])}
            <p><a href="${path}">All portal links</a></p>`,
        });
      },
      (problem) => show(c, problem),
    ),
  );

  dashboard.post("/portal-links/:id/revoke", needsScope("admin"), async (c) => {
    if (!(await portals.revoke(c.get("account"), c.req.param("id"), actorOf(c, "dashboard")))) throw notFound("portal link");
    return redirectWith(c, path, "link-revoked");
  });
}

function stateOf(link: PortalLink, nowMs: number): "revoked" | "expired" | "open" | "unused" {
  if (link.revokedAtMs !== null) return "revoked";
  if (link.expiresAtMs <= nowMs) return "expired";
  return link.usedAtMs === null ? "unused" : "open";
}

function linkTable(c: Context<DashboardEnv>, links: readonly PortalLink[], nowMs: number): Html {
  return table({
    caption: "Portal links",
    columns: ["Link", "State", "Can", "Framed by", "Created", "Used", "Ends", "Action"],
    rows: links.map((view) => {
      const link = portalLinkJson(view);
      const state = stateOf(view, nowMs);
      return [
        html`<code>${link.id}</code>`,
        badge(state),
        link.can,
        link.frame_ancestors.length === 0 ? null : link.frame_ancestors.join(" "),
        timeOf(link.created_at, nowMs),
        timeOf(link.used_at, nowMs),
        timeOf(link.revoked_at ?? link.expires_at, nowMs),
        state === "open" || state === "unused"
          ? actionForm(c, {
              scope: "admin",
              action: `${path}/${encodeURIComponent(link.id)}/revoke`,
              label: "End",
              buttonName: `End the link ${link.id}`,
            })
          : null,
      ];
    }),
    empty: "No portal links.",
  });
}

function creationForm(c: Context<DashboardEnv>, problem: PageProblem | null): Html {
  return actionForm(c, {
    scope: "admin",
    action: path,
    label: "Create the link",
    fields: html`${formKeyField()}
      <div class="stacked">
        ${selectField({
          name: "can",
          label: "What it can do",
          choices: portalRights.map((right) => [right, rightTexts[right]] as const),
          chosen: typedIn(c, "can", "look"),
          faults: faultsOf(problem, "can"),
        })}
        ${selectField({
          name: "expires_in",
          label: "How long it lives",
          choices: spans,
          chosen: typedIn(c, "expires_in", "3600"),
          faults: faultsOf(problem, "expires_in"),
        })}
        ${areaField({
          name: "frame_ancestors",
          label: "Origins whose pages may frame it, one a line",
          hint: "Only https, as in https://crm.example.com. None if empty.",
          value: typedIn(c, "frame_ancestors"),
          faults: faultsOf(problem, "frame_ancestors"),
        })}
      </div>`,
  });
}
