import { z } from "@hono/zod-openapi";
import type { Context, Hono } from "hono";
import { html } from "hono/html";
import { placingStates } from "../../../domain/calls/placing.ts";
import type { Placing } from "../../../domain/calls/placing.ts";
import { actorOf } from "../../operations/actor.ts";
import type { HttpDependencies } from "../../operations/dependencies.ts";
import { checkBody } from "../../operations/operation.ts";
import { storedPlaceAnswer } from "../../operations/placing-answer.ts";
import { notFound, ProblemError } from "../../operations/problem.ts";
import { refusalError } from "../../operations/refusal.ts";
import { placingJson, resolveSchema } from "../../schemas/placing.ts";
import { csvAnswer } from "../csv.ts";
import type { CsvList } from "../csv.ts";
import type { DashboardEnv, Html } from "../dashboard-env.ts";
import { badge, csvLink, linkTo, longText, pager, selectOf, sidText, table } from "../elements.ts";
import { actionForm, mayUse } from "../form.ts";
import { textField } from "../forms/controls.ts";
import { textOf, typedIn } from "../forms/given.ts";
import { faultsOf, orShownAgain, problemBox } from "../forms/shown-again.ts";
import { notice, redirectWith } from "../notice.ts";
import { page } from "../page.ts";
import type { PageProblem } from "../page-error.ts";
import { addPlacingForms, placingForms } from "../placing-forms.ts";
import { choiceField, cursorField, readParameters } from "../query.ts";
import { needsScope } from "../session/scope-guard.ts";
import { timeOf } from "../time.ts";

const path = "/dashboard/calls";
const pageSize = 25;
const unknownShown = 20;
const querySchema = z.object({ state: choiceField(placingStates), cursor: cursorField });
const csvColumns = ["id", "idempotency_key", "source", "state", "call_sid", "watch_id", "metadata", "created_at"];

/** Pages of calls that were placed: list, forms that place one, and what a person does about those whose outcome is not known. */
export function addCallPages(dashboard: Hono<DashboardEnv>, dependencies: HttpDependencies): void {
  const { placing, store, clock } = dependencies;
  const show = async (c: Context<DashboardEnv>, problem: PageProblem | null = null) => {
    const { state, cursor } = readParameters(c, querySchema);
    const accountId = c.get("account").id;
    const [{ data, nextCursor }, unknown] = await Promise.all([
      store.listPlacings({ accountId, limit: pageSize, cursor: cursor ?? null, state: state ?? null }),
      store.listPlacings({ accountId, limit: unknownShown, cursor: null, state: "unknown" }),
    ]);
    const nowMs = clock.nowMs();
    return page(
      c,
      {
        title: "Calls",
        body: html`<h1>Placed calls</h1>
          ${notice(c)} ${problemBox(problem)} ${unknownCalls(c, unknown.data, { hasMore: unknown.nextCursor !== null, nowMs, problem })}
          <form method="get" action="${path}" class="filter">
            <div>
              <label for="state">State</label>
              ${selectOf("state", placingStates, state)}
            </div>
            <button type="submit">Filter</button>
          </form>
          ${placingTable(data, nowMs)} ${pager(path, { state }, { cursor, nextCursor })} ${csvLink(path, { state })}
          ${placingForms(c, dependencies, problem)}`,
      },
      problem,
    );
  };

  dashboard.get("/calls", (c) => show(c));

  dashboard.get("/calls.csv", (c) => {
    const { state, cursor } = readParameters(c, querySchema);
    const accountId = c.get("account").id;
    const list: CsvList<Placing> = {
      name: "calls",
      columns: csvColumns,
      read: (page) => store.listPlacings({ ...page, accountId, state: state ?? null }),
      json: placingJson,
    };
    return csvAnswer(c, list, cursor ?? null);
  });

  addPlacingForms(dashboard, dependencies, show);

  const resolve = async (c: Context<DashboardEnv>, placingId: string) => {
    const callSid = c.get("form").get("outcome") === "silent" ? null : textOf(c, "call_sid");
    const body = checkBody(resolveSchema, { call_sid: callSid });
    const answerOf = storedPlaceAnswer(dependencies);
    const options = { keyed: null, answerOf, by: actorOf(c, "dashboard") };
    const outcome = await placing.resolve(c.get("account"), placingId, body.call_sid, options);
    if (outcome.kind === "resolved") return redirectWith(c, path, body.call_sid === null ? "call-silent" : "call-found");
    if (outcome.kind === "key_taken") throw new Error("a form without a key has no earlier use of it");
    if (outcome.kind === "unknown") throw notFound("placing");
    if (outcome.kind === "settled") throw new ProblemError({ slug: "placing-settled" });
    throw refusalError(outcome);
  };

  dashboard.post("/calls/:id/resolve", needsScope("place"), (c) =>
    orShownAgain(
      () => resolve(c, c.req.param("id")),
      (problem) => show(c, problem),
    ),
  );
}

/** Renders the calls that may ring, each with what to do about it. */
function unknownCalls(
  c: Context<DashboardEnv>,
  placings: readonly Placing[],
  { hasMore, nowMs, problem }: { readonly hasMore: boolean; readonly nowMs: number; readonly problem: PageProblem | null },
): Html | "" {
  if (placings.length === 0) return "";
  return html`<h2>Calls that may ring</h2>
    <p>
      The upstream did not say whether these calls were placed. Look for each one there, by its source and time. If it is there, its SID
      makes the watch that was asked for. If nothing rang, say so: then its Idempotency-Key is free, and the call may be placed again.
    </p>
    <ul class="cards">
      ${placings.map((view) => {
        const placing = placingJson(view);
        return html`<li>
          <div class="line">
            ${badge(placing.state)} <span>source ${placing.source}</span> ${timeOf(placing.created_at, nowMs)}
            <code>${placing.id}</code>
          </div>
          <p class="quiet">Idempotency-Key ${longText(placing.idempotency_key)} ${metadataText(placing.metadata)}</p>
          ${resolveForms(c, placing.id, problem)}
        </li>`;
      })}
    </ul>
    ${hasMore ? html`<p class="quiet">The ${unknownShown} newest are shown.</p>` : ""}`;
}

function resolveForms(c: Context<DashboardEnv>, placingId: string, problem: PageProblem | null): Html | "" {
  if (!mayUse(c, "place")) return html`<p class="quiet">An API key with the scope place can settle it.</p>`;
  const action = `${path}/${encodeURIComponent(placingId)}/resolve`;
  const isSent = c.req.param("id") === placingId;
  return html`<div class="stacked">
    ${actionForm(c, {
      scope: "place",
      action,
      label: "It has this SID",
      fields: textField({
        name: "call_sid",
        id: `sid_${placingId}`,
        label: "SID of the call",
        maxLength: 128,
        required: true,
        value: isSent ? typedIn(c, "call_sid") : "",
        faults: isSent ? faultsOf(problem, "call_sid") : [],
      }),
    })}
    ${actionForm(c, {
      scope: "place",
      action,
      label: "Nothing rang",
      buttonName: `Nothing rang for ${placingId}`,
      danger: true,
      fields: html`<input type="hidden" name="outcome" value="silent" />`,
    })}
  </div>`;
}

function placingTable(placings: readonly Placing[], nowMs: number): Html {
  return table({
    caption: "Placed calls",
    columns: ["Asked for", "State", "Source", "Call", "Idempotency-Key", "Metadata"],
    rows: placings.map((view) => {
      const placing = placingJson(view);
      const { call_sid: callSid, watch_id: watchId } = placing;
      return [
        timeOf(placing.created_at, nowMs),
        badge(placing.state),
        placing.source,
        callSid === null ? (placing.state === "resolved" ? "nothing rang" : null) : callOf(callSid, watchId),
        longText(placing.idempotency_key),
        Object.keys(placing.metadata).length === 0 ? null : metadataText(placing.metadata),
      ];
    }),
    empty: "No placed call matches.",
  });
}

function callOf(callSid: string, watchId: string | null): Html {
  return watchId === null ? sidText(callSid) : linkTo("watches", watchId, sidText(callSid));
}

function metadataText(metadata: Readonly<Record<string, string>>): Html {
  return html`${Object.entries(metadata).map(([key, value]) => html`<div><code>${key}</code> ${longText(value)}</div>`)}`;
}
