import { BaseSequencer } from "vitest/node";
import type { TestSpecification } from "vitest/node";

/** Files that mostly wait, for leases to end and processes to start. The first takes longest. */
const waiting = [
  "/test/instances/one-service",
  "/test/instances/idle",
  "/test/e2e/placing.test",
  "/test/adapters/postgres/connections",
  "/test/e2e/stop.",
  "/test/e2e/start-unsuitable",
  "/test/instances/",
  "/test/adapters/webhook/sender",
  "/test/http/dashboard/portal-walk",
  "/test/cli/commands/account-removal",
  "/test/adapters/http-client/dialler",
  "/test/adapters/webhook/connections",
];
/** Long files that compute and folders of such files, the longest first. */
const computing = [
  "/test/conformance/postgres",
  "/test/conformance/",
  "/test/engine/delivery/",
  "/test/simulation/",
  "/test/generated-clients/",
  "/test/client/",
  "/test/adapters/sqlite/",
  "/test/faults/",
  "/test/e2e/",
];

/** Orders test files so that waiting ones run beside computing ones, and no long one is left for the end. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const waits = ({ moduleId }: TestSpecification) => waiting.some((name) => moduleId.includes(name));
    const beside = files.filter((file) => !waits(file)).toSorted(by(computing));
    // Two computing files take about as long as one that waits.
    return files
      .filter(waits)
      .toSorted(by(waiting))
      .flatMap((file) => [file, ...beside.splice(0, 2)])
      .concat(beside);
  }
}

const by = (names: readonly string[]) => (a: TestSpecification, b: TestSpecification) => rankOf(a, names) - rankOf(b, names);

function rankOf({ moduleId }: TestSpecification, names: readonly string[]): number {
  const rank = names.findIndex((name) => moduleId.includes(name));
  return rank === -1 ? names.length : rank;
}
