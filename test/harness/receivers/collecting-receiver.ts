import { EventEmitter, once } from "node:events";
import { onTestFinished } from "vitest";
import { startReceiver } from "../../../src/cli/receiver/receiver.ts";
import type { Delivery, ScriptedAnswer } from "../../../src/cli/receiver/receiver.ts";
import { signingSecret } from "../service/environment.ts";

const deadlineMs = 60_000;

/** Body of a webhook in the format `standard`. */
export type Webhook = {
  readonly type: string;
  readonly data: {
    readonly watch_id: string;
    readonly call_sid: string;
    readonly sequence: number;
    readonly status: string;
    readonly terminal: boolean;
  };
};

const bodies = new WeakMap<Delivery, Webhook>();

/** Parses a body once. */
export function bodyOf(delivery: Delivery): Webhook {
  let body = bodies.get(delivery);
  if (body === undefined) {
    body = JSON.parse(delivery.body.toString()) as Webhook;
    bodies.set(delivery, body);
  }
  return body;
}

/** A receiver that keeps every webhook and verifies it with `signingSecret`. Ends with the test. */
export async function collectingReceiver(answers?: (delivery: Delivery) => ScriptedAnswer | null) {
  const arrivals = new EventEmitter();
  const deliveries: Delivery[] = [];
  const receiver = await startReceiver({
    secrets: [signingSecret],
    ...(answers === undefined ? {} : { answers }),
    onDelivery: (delivery) => {
      deliveries.push(delivery);
      arrivals.emit("delivery");
    },
  });
  onTestFinished(() => receiver.close());
  return {
    url: receiver.url,
    deliveries,
    /** Types of the webhooks of a path, in the order of arrival. */
    typesAt: (path: string) => deliveries.filter((delivery) => delivery.path === path).map((delivery) => bodyOf(delivery).type),
    /** Resolves once `isDone`, which is looked at after every webhook. */
    until: async (isDone: () => boolean): Promise<void> => {
      while (!isDone()) await once(arrivals, "delivery", { signal: AbortSignal.timeout(deadlineMs) });
    },
  };
}
