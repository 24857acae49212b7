import { lifeTo, queueingTimeout } from "../../simulator/scenarios.ts";
import type { Scenario } from "../../simulator/scenarios.ts";
import type { UpstreamKind } from "../../simulator/upstream-api.ts";
import { readWebhook } from "../receiver/received-webhook.ts";
import type { Delivery } from "../receiver/receiver.ts";

/** Call of the demo, with the exact events that its receiver must get. */
export type DemoCall = {
  /** Name of the call and path of its callback URL. */
  readonly name: string;
  readonly story: string;
  readonly upstream: UpstreamKind;
  readonly scenario: Scenario;
  /** Event types by sequence. */
  readonly expected: readonly string[];
  readonly reason: string;
};

const toSuccess = ["call.queued", "call.calling", "call.success"];
const toFailure = ["call.queued", "call.calling", "call.failure"];
const usual = { upstream: "polyai-legacy", expected: toSuccess, reason: "" } as const;

/** Each phase lasts at least 2 s. That is time for several polls, so that the observed transitions do not depend on the machine. */
export const demoCalls: readonly DemoCall[] = [
  { ...usual, name: "success", story: "a call that succeeds", scenario: lifeTo("success", { callingMs: 2_000, endMs: 4_500 }) },
  {
    ...usual,
    name: "failure",
    story: "a call that fails, with its reason",
    scenario: lifeTo("failure", { callingMs: 2_000, endMs: 4_000 }),
    expected: toFailure,
    reason: queueingTimeout,
  },
  {
    ...usual,
    name: "flaky",
    story: "a call whose receiver answers 500 twice before it accepts the first webhook",
    scenario: lifeTo("success", { callingMs: 2_000, endMs: 5_000 }),
  },
  {
    ...usual,
    name: "agents",
    story: "a call of the other PolyAI API, by a second service",
    upstream: "polyai-agents",
    scenario: lifeTo("success", { callingMs: 2_000, endMs: 4_500 }),
  },
  {
    ...usual,
    name: "crash",
    story: "a call whose service is killed (SIGKILL) with a webhook pending, and restarted",
    scenario: lifeTo("success", { callingMs: 3_000, endMs: 11_000 }),
  },
];

/** Record of received webhooks, compared with the plan. */
export class DemoRecord {
  /** Accepted webhooks (answered 2xx), by call and webhook id. */
  readonly #takenByCall = new Map<string, Map<string, Delivery>>();
  readonly #faults: string[] = [];
  attempts = 0;

  add(delivery: Delivery, taken: boolean): void {
    this.attempts++;
    const name = delivery.path.slice(1);
    if (!demoCalls.some((call) => call.name === name)) this.#faults.push(`a webhook arrived at ${delivery.path}, which is not registered`);
    if (delivery.verification.kind !== "verified") this.#faults.push(`${name}: a webhook with an invalid signature`);
    if (!taken) return;
    const webhooks = this.#takenByCall.get(name) ?? new Map<string, Delivery>();
    this.#takenByCall.set(name, webhooks.set(delivery.webhookId, delivery));
  }

  /** Whether the expected number of webhooks was accepted for each of these calls. */
  isComplete(calls: readonly DemoCall[] = demoCalls): boolean {
    return calls.every((call) => (this.#takenByCall.get(call.name)?.size ?? 0) >= call.expected.length);
  }

  get taken(): number {
    return [...this.#takenByCall.values()].reduce((sum, webhooks) => sum + webhooks.size, 0);
  }

  /** Differences from the plan; empty if the demo succeeded. */
  faults(): readonly string[] {
    return [...this.#faults, ...demoCalls.flatMap((call) => this.#faultsOf(call))];
  }

  #faultsOf(call: DemoCall): readonly string[] {
    const webhooks = [...(this.#takenByCall.get(call.name)?.values() ?? [])].map((delivery) => readWebhook(delivery));
    const received = webhooks.map((webhook) => `#${webhook?.sequence ?? "?"} ${webhook?.type ?? "?"}`).toSorted();
    const expected = call.expected.map((type, index) => `#${index + 1} ${type}`);
    const faults =
      received.join() === expected.join()
        ? []
        : [`${call.name}: expected ${expected.join(", ")}; received ${received.join(", ") || "nothing"}`];
    const end = webhooks.find((webhook) => webhook?.terminal === true);
    return end && end.reason !== (call.reason || null)
      ? [...faults, `${call.name}: the reason of its end is ${JSON.stringify(end.reason)}`]
      : faults;
  }
}
