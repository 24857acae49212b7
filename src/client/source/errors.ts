import type { components } from "./schema.js";

type Problem = components["schemas"]["Problem"];

/** An answer that is a problem (RFC 9457). `slug` completes `urn:ringback:problem:`. */
export class RingbackError extends Error {
  override readonly name = "RingbackError";
  readonly status: number;
  readonly slug: string;
  readonly problem: Problem | null;

  constructor(status: number, problem: Problem | null) {
    super(problem === null ? `the service answered ${status} without a problem` : `${problem.status} ${problem.title}: ${problem.detail}`);
    this.status = status;
    this.slug = problem?.type.split(":").at(-1) ?? "";
    this.problem = problem;
  }
}
