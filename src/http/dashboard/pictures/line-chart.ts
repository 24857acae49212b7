import { html, raw } from "hono/html";
import type { Html } from "../dashboard-env.ts";

/** Values over time. `null`: nothing to show at that time. The place in the list decides colour and dashes. */
export type Series = { readonly name: string; readonly values: readonly (number | null)[] };

export type LineChart = {
  readonly title: string;
  /** Sentence that says what the picture shows, for those who do not see it, and above it. */
  readonly summary: string;
  readonly series: readonly Series[];
  /** Beginning of each value's span, as a text. */
  readonly times: readonly string[];
  readonly textOf: (value: number) => string;
  /** Highest value of the scale, at least. */
  readonly leastTop?: number;
  /** Fixed top of the scale. */
  readonly top?: number;
  /** Whether 0 says that nothing happened: a span of zeros has no row in the table then. */
  readonly isCount?: boolean;
  /** Lowest value of a scale whose steps are powers; a linear one begins at 0. */
  readonly logFrom?: number;
};

/** Units of the picture. It is stretched to the width of the page, so that no text is inside. */
const [width, height] = [600, 100];
const steps = [1, 2, 5, 10];

/** Renders lines over time as a picture, with its numbers in a table. */
export function lineChart(chart: LineChart): Html {
  const { title, summary, series, times, textOf, isCount = false } = chart;
  const top = topOf(chart);
  const y = scaleOf(chart, top);
  const count = Math.max(1, times.length - 1);
  const x = (index: number) => (index * width) / count;
  const rows = times.flatMap((time, index) => {
    const values = series.map(({ values }) => values[index] ?? null);
    return values.every((value) => value === null || (isCount && value === 0)) ? [] : [{ time, values }];
  });
  return html`<figure class="chart">
    <figcaption>
      <h3>${title}</h3>
      <p>${summary}</p>
    </figcaption>
    <div class="plot">
      <div class="scale" aria-hidden="true"><span>${textOf(top)}</span><span>${textOf(chart.logFrom ?? 0)}</span></div>
      <svg viewBox="${`0 0 ${width} ${height}`}" preserveAspectRatio="none" role="img" aria-label="${`${title}. ${summary}`}">
        <path class="grid" d="${`M0 0H${width}M0 ${height / 2}H${width}M0 ${height}H${width}`}" />
        ${series.map(({ values }, index) =>
          raw(`<path class="line s${index}" d="${pathOf(values, x, y)}" /><path class="dot s${index}" d="${dotsOf(values, x, y)}" />`),
        )}
      </svg>
    </div>
    <div class="times" aria-hidden="true">
      ${[times[0], times[Math.floor(count / 2)], times.at(-1)].map((time) => html`<span>${time ?? ""}</span>`)}
    </div>
    <ul class="legend" aria-hidden="true">
      ${series.map(({ name }, index) => html`<li class="${`s${index}`}">${name}</li>`)}
    </ul>
    <details>
      <summary>Numbers: ${title.toLowerCase()}</summary>
      ${
        rows.length === 0
          ? html`<p class="quiet">None in this time.</p>`
          : html`<table class="numbers">
              <caption>
                ${title}, as far as there was anything
              </caption>
              <tr>
                <th scope="col">From (UTC)</th>
                ${series.map(({ name }) => html`<th scope="col">${name}</th>`)}
              </tr>
              ${rows.map(
                ({ time, values }) =>
                  html`<tr>
                    <th scope="row">${time}</th>
                    ${values.map((value) => html`<td>${value === null ? "–" : textOf(value)}</td>`)}
                  </tr>`,
              )}
            </table>`
      }
    </details>
  </figure>`;
}

/** Returns the top of the scale: a round number at or above every value. */
function topOf({ series, leastTop = 1, top }: LineChart): number {
  if (top !== undefined) return top;
  const highest = Math.max(leastTop, ...series.flatMap(({ values }) => values.filter((value) => value !== null)));
  const power = 10 ** Math.floor(Math.log10(highest));
  return (steps.find((step) => step * power >= highest) ?? 10) * power;
}

function scaleOf({ logFrom }: LineChart, top: number): (value: number) => number {
  const part =
    logFrom === undefined
      ? (value: number) => value / top
      : (value: number) => Math.log(Math.max(value, logFrom) / logFrom) / Math.log(Math.max(top, logFrom * 2) / logFrom);
  return (value) => height - Math.max(0, Math.min(1, part(value))) * height;
}

/** Returns a path with a dot for each value that no line leads to. */
function dotsOf(values: readonly (number | null)[], x: (index: number) => number, y: (value: number) => number): string {
  return values
    .map((value, index) => {
      if (value === null || (values[index - 1] ?? null) !== null || (values[index + 1] ?? null) !== null) return "";
      return `M${x(index).toFixed(1)} ${y(value).toFixed(1)}h.01`;
    })
    .join("");
}

/** Returns the path of a line with gaps. */
function pathOf(values: readonly (number | null)[], x: (index: number) => number, y: (value: number) => number): string {
  return values
    .map((value, index) => {
      if (value === null) return "";
      const point = `${x(index).toFixed(1)} ${y(value).toFixed(1)}`;
      return (values[index - 1] ?? null) === null ? `M${point}` : `L${point}`;
    })
    .join("");
}
