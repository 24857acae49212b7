import { request } from "undici";
import { expect } from "vitest";

type Sample = { readonly name: string; readonly labels: Readonly<Record<string, string>>; readonly value: number };

/** Every sample of the exposition, histograms by their count and sum alone. */
export async function scrape(port: number): Promise<readonly Sample[]> {
  const { body, headers } = await request(`http://127.0.0.1:${port}/metrics`);
  expect(headers["content-type"]).toMatch(/^text\/plain/);
  const lines = (await body.text()).split("\n").filter((line) => line !== "" && !line.startsWith("#") && !line.includes("_bucket{"));
  return lines.map((line) => {
    const match = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line);
    const labels = [...(match?.[2] ?? "").matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name, value]);
    return { name: match?.[1] ?? line, labels: Object.fromEntries(labels) as Record<string, string>, value: Number(match?.[3]) };
  });
}

/** Of the first sample with these labels; undefined where there is none. */
export const valueOf = (samples: readonly Sample[], name: string, labels: Readonly<Record<string, string>> = {}) =>
  samples.find((sample) => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value))?.value;
