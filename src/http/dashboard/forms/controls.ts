import { html } from "hono/html";
import type { Html } from "../dashboard-env.ts";
import { optionsOf } from "../elements.ts";

type Control = {
  readonly name: string;
  readonly label: string;
  /** Id of the control; the name unless the page has another control of that name. */
  readonly id?: string;
  /** Help for the person who fills it in, read aloud with the control. */
  readonly hint?: Html | string;
  readonly required?: boolean;
  /** Faults of the typed text, shown beside the control and read aloud with it. */
  readonly faults?: readonly string[];
};

/** Renders a field of one line. */
export function textField({
  type = "text",
  value = "",
  maxLength = 2048,
  ...control
}: Control & { readonly type?: "text" | "password" | "datetime-local"; readonly value?: string; readonly maxLength?: number }): Html {
  const id = control.id ?? control.name;
  return labelled(
    control,
    html`<input
      id="${id}"
      name="${control.name}"
      type="${type}"
      value="${value}"
      maxlength="${maxLength}"
      autocomplete="off"
      aria-describedby="${describedBy(control)}"
      ${marksOf(control)}
    />`,
  );
}

/** Renders a field of several lines. The HTML parser drops the first line break after the tag, which the formatter adds. */
export function areaField({
  value = "",
  rows = 3,
  ...control
}: Control & { readonly value?: string | undefined; readonly rows?: number }): Html {
  const id = control.id ?? control.name;
  return labelled(
    control,
    html`<textarea
      id="${id}"
      name="${control.name}"
      rows="${rows}"
      spellcheck="false"
      aria-describedby="${describedBy(control)}"
      ${marksOf(control)}
    >
${value}</textarea>`,
  );
}

/** Renders a choice of one value. */
export function selectField({
  choices,
  chosen,
  ...control
}: Control & {
  readonly choices: readonly string[] | readonly (readonly [value: string, label: string])[];
  readonly chosen?: string;
}): Html {
  const id = control.id ?? control.name;
  return labelled(
    control,
    html`<select id="${id}" name="${control.name}" aria-describedby="${describedBy(control)}" ${marksOf(control)}>
      ${optionsOf(choices, chosen)}
    </select>`,
  );
}

/** Renders a box to tick. */
export function checkField({
  name,
  label,
  value = "true",
  id = name,
  checked = false,
}: Pick<Control, "name" | "label" | "id"> & { readonly value?: string; readonly checked?: boolean }): Html {
  return html`<div class="check">
    <input type="checkbox" id="${id}" name="${name}" value="${value}" ${checked ? html`checked` : ""} />
    <label for="${id}">${label}</label>
  </div>`;
}

/** Renders a group of boxes, of which any number may be ticked. */
export function checkGroup({
  name,
  legend,
  choices,
  checked,
  areShort = false,
  faults = [],
}: {
  readonly name: string;
  readonly legend: string;
  /** Faults, as of a control. */
  readonly faults?: readonly string[];
  /** Whether the labels are short, so that several fit beside each other. */
  readonly areShort?: boolean;
  readonly choices: readonly (readonly [value: string, label: string])[];
  readonly checked: readonly string[];
}): Html {
  return html`<fieldset aria-describedby="${faults.length === 0 ? "" : `${name}_fault`}">
    <legend>${legend}</legend>
    ${faultText(name, faults)}
    <div class="${areShort ? "columns" : ""}">
      ${choices.map(([value, label]) => checkField({ name, value, label, id: `${name}_${value}`, checked: checked.includes(value) }))}
    </div>
  </fieldset>`;
}

function labelled({ name, label, id = name, hint, faults = [] }: Control, control: Html): Html {
  return html`<div class="field">
    <label for="${id}">${label}</label>
    ${hint === undefined ? "" : html`<div id="${`${id}_hint`}" class="quiet">${hint}</div>`} ${control} ${faultText(id, faults)}
  </div>`;
}

function faultText(id: string, faults: readonly string[]): Html | "" {
  if (faults.length === 0) return "";
  return html`<div id="${`${id}_fault`}" class="fault">${faults.map((fault) => html`<p>${fault}</p>`)}</div>`;
}

function describedBy({ name, id = name, hint, faults = [] }: Control): string {
  return [...(faults.length === 0 ? [] : [`${id}_fault`]), ...(hint === undefined ? [] : [`${id}_hint`])].join(" ");
}

function marksOf({ required = false, faults = [] }: Control): Html {
  return html`${required ? html`required` : ""} ${faults.length === 0 ? "" : html`aria-invalid="true"`}`;
}
