import { html } from "hono/html";
import { problemOf } from "../../operations/problem.ts";
import type { Html } from "../dashboard-env.ts";
import { pageProblemOf } from "../page-error.ts";
import type { PageProblem } from "../page-error.ts";

/**
 * Runs the action of a form. If it is refused, the page of the form is shown again with the problem and with what was typed, so that
 * nothing is lost. What does not exist, and a fault of the service, have a page of their own.
 */
export async function orShownAgain(
  act: () => Promise<Response>,
  show: (problem: PageProblem) => Response | Promise<Response>,
): Promise<Response> {
  try {
    return await act();
  } catch (error) {
    const problem = problemOf(error);
    if (problem === null) throw error;
    const { status } = pageProblemOf(problem);
    if (status === 404 || status === 500) throw error;
    return show(pageProblemOf(problem));
  }
}

/**
 * Returns what a problem says of a field: the errors of its name, and those at its pointer in the body of the API or below that.
 */
export function faultsOf(problem: PageProblem | null, name: string, pointer = `/${name}`): readonly string[] {
  return (problem?.errors ?? []).flatMap((error) => {
    if ("parameter" in error) return error.parameter === name ? [error.detail] : [];
    if (error.pointer === pointer) return [error.detail];
    return error.pointer.startsWith(`${pointer}/`) ? [`${error.pointer.slice(pointer.length + 1)} ${error.detail}`] : [];
  });
}

/** Renders what a form was refused with. */
export function problemBox(problem: PageProblem | null): Html | "" {
  if (problem === null) return "";
  const { title, detail, errors = [], headers } = problem;
  const waitSeconds = headers["retry-after"];
  return html`<div class="notice bad" role="alert">
    <p><strong>${title}.</strong> ${errors.length > 1 ? "" : detail}</p>
    ${
      errors.length > 1
        ? html`<ul>
            ${errors.map((error) => html`<li>${"parameter" in error ? error.parameter : error.pointer}: ${error.detail}</li>`)}
          </ul>`
        : ""
    }
    ${waitSeconds === undefined ? "" : html`<p>Wait ${waitSeconds} s before you try again.</p>`}
  </div>`;
}
