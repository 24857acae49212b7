import type { SendJob } from "../../ports/stores/send-job.ts";
import type { WebhookExchange, WebhookSender } from "../../ports/webhook-sender.ts";
import type { WebhookComposer } from "./webhook-composer.ts";

export type JobSenderOptions = {
  readonly composer: WebhookComposer;
  readonly sender: WebhookSender;
  readonly timeoutMs: number;
  /** Whether this instance may begin work now; `Dispatcher.resume` says when it may again. */
  readonly mayStart?: () => boolean;
};

/** A job's way to the wire: it is signed, for which a key may have to be read, and sent unless it was dropped meanwhile. */
export class JobSender {
  readonly #options: JobSenderOptions;
  readonly #signing = new Set<SendJob>();

  constructor(options: JobSenderOptions) {
    this.#options = options;
  }

  /** null: it was dropped and nothing was sent. Rejects when the store cannot be asked for the key. `startedAtMs`: wall time. */
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
    // A process that was frozen while it signed must not send what others have taken over.
    if (!this.#signing.delete(job) || mayStart?.() === false) return null;
    if (webhook.kind === "unreadable") {
      const { detail } = webhook;
      return { outcome: { kind: "failed", code: "protocol", detail, statusCode: null, permanent: false }, durationMs: 0 };
    }
    const { url, headers, body } = webhook;
    return sender.send({ url, headers, body, timeoutMs, accountId: job.target.accountId });
  }

  /** What matches and is not on the wire never gets there. */
  drop(matches: (job: SendJob) => boolean): void {
    for (const job of this.#signing) if (matches(job)) this.#signing.delete(job);
  }
}
