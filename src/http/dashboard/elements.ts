import { html } from "hono/html";
import type { Html } from "./dashboard-env.ts";

type Content = Html | string | number;

const toneByState: Readonly<Record<string, "good" | "bad" | "wait">> = {
  // Watches and calls.
  active: "wait",
  completed: "good",
  ended: "bad",
  success: "good",
  failure: "bad",
  // Deliveries and what an attempt led to.
  pending: "wait",
  delivered: "good",
  exhausted: "bad",
  failed: "bad",
  expired: "bad",
  retry: "wait",
  deferred: "wait",
  gone: "bad",
  // Endpoints and sources.
  enabled: "good",
  failing: "bad",
  paused: "wait",
  disabled: "bad",
  ok: "good",
  unproven: "wait",
  slowed: "wait",
  suspended: "bad",
  circuit_open: "bad",
};

/** A state, in a word and a colour. */
export function badge(state: string): Html {
  const tone = Object.hasOwn(toneByState, state) ? toneByState[state] : "off";
  return html`<span class="badge ${tone}">${state}</span>`;
}

/** What is known of one thing; facts without a value are left out. */
export function definitionList(list: readonly (readonly [label: string, value: Content | null])[]): Html {
  return html`<dl>
    ${list.map(([label, value]) =>
      value === null
        ? ""
        : html`<dt>${label}</dt>
            <dd>${value}</dd>`,
    )}
  </dl>`;
}

export type Table = {
  /** What it lists, for those who do not see the page. */
  readonly caption: string;
  readonly columns: readonly string[];
  /** The first cell names its row; null: there is nothing to say. */
  readonly rows: readonly (readonly (Content | null)[])[];
  /** Said where there are no rows. */
  readonly empty: string;
};

/** On a narrow screen each row becomes a card; the roles keep it a table for those who do not see it. */
export function table({ caption, columns, rows, empty }: Table): Html {
  if (rows.length === 0) return html`<p class="quiet">${empty}</p>`;
  return html`<table role="table" aria-label="${caption}">
    <thead role="rowgroup">
      <tr role="row">
        ${columns.map((column) => html`<th role="columnheader" scope="col">${column}</th>`)}
      </tr>
    </thead>
    <tbody role="rowgroup">
      ${rows.map(
        (row) =>
          html`<tr role="row">
            ${row.map((cell, index) => cellOf(cell, columns[index] ?? "", index === 0))}
          </tr>`,
      )}
    </tbody>
  </table>`;
}

function cellOf(cell: Content | null, label: string, isFirst: boolean): Html {
  if (isFirst) return html`<th role="rowheader" scope="row" data-label="${label}"><div>${cell}</div></th>`;
  if (cell === null) return html`<td role="cell" class="none" data-label="${label}">–</td>`;
  return html`<td role="cell" data-label="${label}"><div>${cell}</div></td>`;
}

/** Links through the pages of a list, with the filters in force. */
export function pager(
  path: string,
  filters: Readonly<Record<string, string | undefined>>,
  page: { readonly cursor: string | undefined; readonly nextCursor: string | null },
): Html | "" {
  const first = page.cursor === undefined ? null : html`<a href="${pathWith(path, filters)}">First page</a>`;
  const next =
    page.nextCursor === null ? null : html`<a href="${pathWith(path, { ...filters, cursor: page.nextCursor })}" rel="next">Next page</a>`;
  return first === null && next === null ? "" : html`<nav class="actions" aria-label="Pages">${first} ${next}</nav>`;
}

/** A path of ours with the parameters that are set. */
export function pathWith(path: string, parameters: Readonly<Record<string, string | undefined>>): string {
  const set = Object.entries(parameters).filter((entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== "");
  return set.length === 0 ? path : `${path}?${new URLSearchParams(set).toString()}`;
}

/** A text as it came, line breaks and all. */
export function preformatted(text: string): Html {
  // A parser drops the first line break after the tag: let that not be one of the text's.
  return html`<pre>${`\n${text}`}</pre>`;
}

/** A URL or another text that has no place to break a line; never a link, for strangers wrote it. */
export function longText(text: string): Html {
  return html`<span class="long">${text}</span>`;
}

/** A call SID in a table: it need not have a place to break either. */
export function sidText(callSid: string): Html {
  return html`<span class="sid">${callSid}</span>`;
}

/** A link to the page of one thing, named by its id unless a text is given. */
export function linkTo(kind: "watches" | "deliveries" | "endpoints", id: string, text: Content = id): Html {
  return html`<a href="${`/dashboard/${kind}/${encodeURIComponent(id)}`}">${text}</a>`;
}

/** A choice of one of a few, or of none. */
export function selectOf(name: string, choices: readonly string[], chosen: string | undefined): Html {
  return html`<select id="${name}" name="${name}">
    <option value="">any</option>
    ${choices.map((choice) =>
      choice === chosen ? html`<option value="${choice}" selected>${choice}</option>` : html`<option value="${choice}">${choice}</option>`,
    )}
  </select>`;
}
