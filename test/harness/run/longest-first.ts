import { BaseSequencer } from "vitest/node";
import type { TestSpecification } from "vitest/node";

/** Rooms whose files take long, the longest first. Those of `instances` mostly wait: for leases to end, for processes to start. */
const longRooms = ["/test/instances/", "/test/conformance/", "/test/faults/", "/test/e2e/"];

/** The order of test files: what waits begins first and runs beside what computes, and no long one is left for the end. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return files.toSorted((a, b) => rankOf(a) - rankOf(b));
  }
}

function rankOf({ moduleId }: TestSpecification): number {
  const room = longRooms.findIndex((name) => moduleId.includes(name));
  return room === -1 ? longRooms.length : room;
}
