import type { Plan, Step } from "./plan.ts";
import type { Life } from "./world.ts";

const maxLines = 120;

/** A failing life as a person reads it: seed, promise, what was planned, and what happened around those concerned. */
export function describeFailure({ plan, violations, timeline }: Life): string {
  const [violation] = violations;
  if (violation === undefined) return `seed ${plan.seed}: clean`;
  const lines = timeline.linesAbout(violation.about);
  const shown = lines.length > maxLines ? [`(${lines.length - maxLines} lines before)`, ...lines.slice(-maxLines)] : lines;
  return [
    `seed ${plan.seed}: ${violation.rule}: ${violation.detail}`,
    `world: ${plan.accounts} accounts, ${plan.instances} instances, ${plan.calls.length} calls, ${plan.storage}, ${environmentOf(plan)}`,
    ...plan.steps.map((step) => `  ${stepLine(step)}`),
    "timeline:",
    ...shown.map((line) => (line.length > 300 ? `${line.slice(0, 300)}…` : line)),
  ].join("\n");
}

function environmentOf({ environment }: Plan): string {
  const secret = new Set(["RINGBACK_API_KEY", "RINGBACK_ENCRYPTION_KEY", "POLYAI_AUTH_TOKEN"]);
  return Object.entries(environment)
    .filter(([name]) => !secret.has(name))
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");
}

function stepLine({ id, atMs, kind, ...rest }: Step): string {
  return `${(atMs / 1000).toFixed(3)} #${id} ${kind} ${JSON.stringify(rest)}`;
}
