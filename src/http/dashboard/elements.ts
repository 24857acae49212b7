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
  // Deliveries and decisions of attempts.
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
  // Placings, keys and portal links.
  sending: "wait",
  placed: "good",
  unknown: "bad",
  valid: "good",
  unused: "wait",
  open: "good",
};

/** Renders the title of a list, and what leads to the form that adds to it. */
export function heading(title: string, action: { readonly path: string; readonly label: string } | null): Html {
  return html`<div class="heading">
    <h1>${title}</h1>
    ${action === null ? "" : html`<a class="button" href="${action.path}">${action.label}</a>`}
  </div>`;
}

/** Renders a state as a word with a colour. */
export function badge(state: string): Html {
  const tone = Object.hasOwn(toneByState, state) ? toneByState[state] : "off";
  return html`<span class="badge ${tone}">${state}</span>`;
}

/** Renders a text of which some is code, in backticks. */
export function withCode(text: string): Html {
  return html`${text.split("`").map((part, index) => (index % 2 === 0 ? part : html`<code>${part}</code>`))}`;
}

/** Renders a definition list; terms without a value are left out. */
export function definitionList(list: readonly (readonly [label: string | Html, value: Content | null])[]): Html {
  return html`<dl>
    ${list.map(([label, value]) =>
      value === null
        ? ""
        : html`<dt>${label}</dt>
            <dd>${value}</dd>`,
    )}
  </dl>`;
}

/** Renders a few numbers in large type. */
export function tiles(list: readonly (readonly [label: string, value: Content])[]): Html {
  return html`<dl class="tiles">
    ${list.map(
      ([label, value]) =>
        html`<div>
          <dt>${label}</dt>
          <dd>${value}</dd>
        </div>`,
    )}
  </dl>`;
}

export type Table = {
  /** Caption for screen readers. */
  readonly caption: string;
  readonly columns: readonly string[];
  /** Cells of a row; the first one is its header, `null` is an empty cell. */
  readonly rows: readonly (readonly (Content | null)[])[];
  /** Text shown if there are no rows. */
  readonly empty: string;
};

/** Renders a table. On a narrow screen each row becomes a card; because of the roles, screen readers still read a table. */
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

/** Renders the links between the pages of a list. The links keep the filters of the list. */
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

/** Renders the link to a whole list as CSV, with its filters. */
export function csvLink(path: string, filters: Readonly<Record<string, string | undefined>>): Html {
  return html`<p><a href="${pathWith(`${path}.csv`, filters)}" download>Download as CSV</a></p>`;
}

/** Builds a path with the parameters that have a value. */
export function pathWith(path: string, parameters: Readonly<Record<string, string | undefined>>): string {
  const set = Object.entries(parameters).filter((entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== "");
  return set.length === 0 ? path : `${path}?${new URLSearchParams(set).toString()}`;
}

/** Renders text unchanged, with its line breaks. One that may be long is scrolled, with the keyboard too. */
export function preformatted(text: string, isLong = false): Html {
  // The HTML parser drops the first line break after the tag, so one is added.
  if (isLong) return html`<pre tabindex="0">${`\n${text}`}</pre>`;
  return html`<pre>${`\n${text}`}</pre>`;
}

/** Characters that change the text direction of the rest of a line. */
const directionMarks = /[\u202a-\u202e\u2066-\u2069]/g;

/** Writes the marks that turn the direction of writing as `\u` escapes. */
export function withVisibleMarks(text: string): string {
  return text.replaceAll(directionMarks, (mark) => `\\u${mark.charCodeAt(0).toString(16)}`);
}

/** Renders a URL or other long text, which may break anywhere. Never renders a link, because the text comes from outside. */
export function longText(text: string): Html {
  return html`<span class="long">${text}</span>`;
}

/** Renders a call SID in one line. One that is too long for it is cut on the screen alone. */
export function sidText(callSid: string): Html {
  return html`<span class="sid" title="${callSid}">${callSid}</span>`;
}

type Resource = "watches" | "events" | "deliveries" | "endpoints" | "hooks";

/** Returns the path of the page of a resource. */
export function pathOf(kind: Resource, id: string): string {
  return `/dashboard/${kind}/${encodeURIComponent(id)}`;
}

/** Renders a link to the page of a resource, labelled with its id unless a text is given. */
export function linkTo(kind: Resource, id: string, text: Content = id): Html {
  return html`<a href="${pathOf(kind, id)}">${text}</a>`;
}

/** Renders a choice between a few values or none. */
export function selectOf(name: string, choices: readonly string[], chosen: string | undefined): Html {
  return html`<select id="${name}" name="${name}">
    <option value="">any</option>
    ${optionsOf(choices, chosen)}
  </select>`;
}

/** Renders the options of a choice, each with its value or a label of its own. */
export function optionsOf(
  choices: readonly string[] | readonly (readonly [value: string, label: string])[],
  chosen: string | undefined,
): readonly Html[] {
  return choices.map((choice) => {
    const [value, label] = typeof choice === "string" ? [choice, choice] : choice;
    return value === chosen ? html`<option value="${value}" selected>${label}</option>` : html`<option value="${value}">${label}</option>`;
  });
}
