import type { SendJob } from "../../ports/stores/send-job.ts";
import type { WebhookExchange, WebhookSender } from "../../ports/webhook-sender.ts";
import type { WebhookComposer } from "./webhook-composer.ts";

export type JobSenderOptions = {
  readonly composer: WebhookComposer;
  readonly sender: WebhookSender;
  readonly timeoutMs: number;
  /** Whether this instance may start work now; `Dispatcher.resume` is called when it may again. */
  readonly mayStart?: () => boolean;
};

/** Signs jobs and sends those that were not dropped meanwhile. Signing may have to read a key from the store. */
export class JobSender {
  readonly #options: JobSenderOptions;
  readonly #signing = new Set<SendJob>();

  constructor(options: JobSenderOptions) {
    this.#options = options;
  }

  /**
   * Sends a job; `null` if it was dropped before. `startedAtMs` is wall time. Rejects if the key cannot be read from the
   * store.
   */
  async send(job: SendJob, startedAtMs: number): Promise<WebhookExchange | null> {
    const { composer, sender, timeoutMs, mayStart } = this.#options;
    this.#signing.add(job);
    let webhook;
    try {
      webhook = await composer.compose(job, startedAtMs);
    } catch (error) {
      this.#signing.delete(job);
      throw error;
    }
    // A process that was suspended while it signed must not send a job that another instance has taken over.
    if (!this.#signing.delete(job) || mayStart?.() === false) return null;
    if (webhook.kind === "unreadable") {
      const { detail } = webhook;
      return { outcome: { kind: "failed", code: "protocol", detail, statusCode: null, permanent: false }, durationMs: 0 };
    }
    const { url, headers, body } = webhook;
    return sender.send({ url, headers, body, timeoutMs, accountId: job.target.accountId });
  }

  /** Drops every matching job that is not in flight yet. */
  drop(matches: (job: SendJob) => boolean): void {
    for (const job of this.#signing) if (matches(job)) this.#signing.delete(job);
  }
}
