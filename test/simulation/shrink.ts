import type { Plan, Step } from "./plan.ts";

/** Whether a smaller plan still breaks the same promise. */
export type StillFails = (plan: Plan) => Promise<boolean>;

/**
 * The fewest accounts, steps and calls that still fail: groups of steps are left out, large ones first, until none can be
 * spared. What else is random in a world follows from the seed and names, so a step left out changes little for the others.
 */
export async function shrink(plan: Plan, stillFails: StillFails, maxLives = 400): Promise<Plan> {
  let smallest = plan;
  let lives = 0;
  const attempt = async (candidate: Plan): Promise<boolean> => {
    if (lives >= maxLives) return false;
    lives += 1;
    if (!(await stillFails(candidate))) return false;
    smallest = candidate;
    return true;
  };
  for (let account = plan.accounts - 1; account > 0; account--) await attempt(withoutAccount(smallest, account));
  for (let size = Math.ceil(smallest.steps.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2))
    for (let from = 0; from < smallest.steps.length;) {
      const steps = smallest.steps.filter((_, index) => index < from || index >= from + size);
      if (!(await attempt({ ...smallest, steps }))) from += size;
    }
  for (const [index] of plan.steps.entries()) {
    const step = smallest.steps[index];
    if (step?.kind !== "batch" || step.watches.length < 2) continue;
    for (const watch of step.watches) {
      const steps = smallest.steps.map((one): Step => (one === step ? { ...step, watches: [watch] } : one));
      if (await attempt({ ...smallest, steps })) break;
    }
  }
  return smallest;
}

/** The last account goes, and with it what it does; what others do keeps its place. */
function withoutAccount(plan: Plan, account: number): Plan {
  const steps = plan.steps.filter((step) => !("account" in step) || step.account !== account);
  return { ...plan, accounts: account, steps };
}
