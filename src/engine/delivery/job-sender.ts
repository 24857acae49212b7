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

/**
 * Signs jobs with the current settings of their endpoints, and sends those that were not dropped meanwhile. Settings and keys
 * may have to be read from the store.
 */
export class JobSender {
  readonly #options: JobSenderOptions;
  readonly #targets: CurrentTargets;
  readonly #signing = new Set<SendJob>();

  constructor(options: JobSenderOptions, targets: CurrentTargets) {
    this.#options = options;
    this.#targets = targets;
  }

  /** Sends a job; `null` if it was dropped before, or may not start any more. Rejects if the store cannot be read. */
  async send(job: SendJob): Promise<StartedExchange | null> {
    const { sender, timeoutMs, mayStart } = this.#options;
    this.#signing.add(job);
    let signed;
    try {
      signed = await this.#sign(job);
    } catch (error) {
      this.#signing.delete(job);
      throw error;
    }
    // A process that was suspended while it signed must not send a job that another instance has taken over.
    if (!this.#signing.delete(job) || signed === null || mayStart?.() === false) return null;
    const { webhook, startedAtMs } = signed;
    if (webhook.kind === "unreadable") {
      const { detail } = webhook;
      return { startedAtMs, outcome: { kind: "failed", code: "protocol", detail, statusCode: null, permanent: false }, durationMs: 0 };
    }
    const { url, headers, body } = webhook;
    return { startedAtMs, ...(await sender.send({ url, headers, body, timeoutMs, accountId: job.target.accountId })) };
  }

  /** Drops every matching job that is not in flight yet. */
  drop(matches: (job: SendJob) => boolean): void {
    for (const job of this.#signing) if (matches(job)) this.#signing.delete(job);
  }

  /** Signs a job; again if its endpoint changed meanwhile. Resolves with `null` if the job was dropped or may not start. */
  async #sign(job: SendJob): Promise<{ readonly webhook: ComposedWebhook; readonly startedAtMs: number } | null> {
    const { composer, clock } = this.#options;
    while (this.#signing.has(job)) {
      const latest = this.#targets.latest(job);
      const current = this.#targets.isStale(latest) ? await this.#targets.read(job) : latest;
      if (current === null) return null;
      const startedAtMs = clock.nowMs();
      const webhook = await composer.compose(current, startedAtMs);
      if (!this.#targets.isStale(current, { signed: true })) return { webhook, startedAtMs };
    }
    return null;
  }
}
