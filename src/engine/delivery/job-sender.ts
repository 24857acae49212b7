import { SlotSet } from "../../domain/slot-set.ts";
import type { Clock } from "../../ports/clock.ts";
import type { SendJob } from "../../ports/stores/send-job.ts";
import type { WebhookExchange, WebhookSender } from "../../ports/webhook-sender.ts";
import type { CurrentTargets } from "./current-targets.ts";
import type { ComposedWebhook, WebhookComposer } from "./webhook-composer.ts";

export type JobSenderOptions = {
  readonly composer: WebhookComposer;
  readonly sender: WebhookSender;
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** Whether this instance may start work now; `Dispatcher.resume` is called when it may again. */
  readonly mayStart?: () => boolean;
};

/** An exchange and the wall time at which it started. */
export type StartedExchange = WebhookExchange & { readonly startedAtMs: number };

/** A job that is in `#signing` until it is sent or dropped. */
type Signing = { readonly job: SendJob; slot: number };

/**
 * Signs jobs with the current settings of their endpoints, and sends those that were not dropped meanwhile. Settings and keys
 * may have to be read from the store.
 */
export class JobSender {
  readonly #options: JobSenderOptions;
  readonly #targets: CurrentTargets;
  readonly #signing = new SlotSet<Signing>();

  constructor(options: JobSenderOptions, targets: CurrentTargets) {
    this.#options = options;
    this.#targets = targets;
  }

  /** Sends a job; `null` if it was dropped before, or may not start any more. Rejects if the store cannot be read. */
  async send(job: SendJob): Promise<StartedExchange | null> {
    const { sender, timeoutMs, mayStart } = this.#options;
    const signing: Signing = { job, slot: -1 };
    this.#signing.add(signing);
    let webhook;
    try {
      webhook = await this.#sign(signing);
    } catch (error) {
      this.#signing.delete(signing);
      throw error;
    }
    // A process that was suspended while it signed must not send a job that another instance has taken over.
    if (!this.#signing.delete(signing) || webhook === null || mayStart?.() === false) return null;
    const { signedAtMs: startedAtMs } = webhook;
    if (webhook.kind === "unreadable") {
      const { detail } = webhook;
      return { startedAtMs, outcome: { kind: "failed", code: "protocol", detail, statusCode: null, permanent: false }, durationMs: 0 };
    }
    const { url, method, headers, secretValues, body } = webhook;
    const { accountId } = job.target;
    return { startedAtMs, ...(await sender.send({ url, method, headers, secretValues, body, timeoutMs, accountId })) };
  }

  /** Drops every matching job that is not in flight yet. */
  drop(matches: (job: SendJob) => boolean): void {
    for (const signing of this.#signing) if (matches(signing.job)) this.#signing.delete(signing);
  }

  /** Signs a job; again if its endpoint changed meanwhile. Resolves with `null` if the job was dropped or may not start. */
  async #sign(signing: Signing): Promise<ComposedWebhook | null> {
    const { composer, clock } = this.#options;
    const { job } = signing;
    while (signing.slot >= 0) {
      const latest = this.#targets.latest(job);
      const current = this.#targets.isStale(latest) ? await this.#targets.read(job) : latest;
      if (current === null) return null;
      const webhook = await composer.compose(current, clock);
      if (!this.#targets.isStale(current, { signed: true })) return webhook;
    }
    return null;
  }
}
