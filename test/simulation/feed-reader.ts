import type { Auditor } from "./auditor.ts";
import type { Client, Json } from "./client.ts";

/** Where a reader goes on, and what it has read until there. */
type Place = { readonly cursor: string | null; readonly ids: readonly string[] };

/** Reads an account's feed for good. Killed, it goes on from where it last wrote down, as a program does that was restarted. */
export class FeedReader {
  readonly #client: Client;
  readonly #auditor: Auditor;
  #kept: Place = { cursor: null, ids: [] };
  #current: Place = this.#kept;
  #isReading = false;

  constructor(client: Client, auditor: Auditor) {
    this.#client = client;
    this.#auditor = auditor;
  }

  /** What it has read in all, in order. */
  get ids(): readonly string[] {
    return this.#current.ids;
  }

  async read({ wait, limit, isKilled }: { readonly wait: number; readonly limit: number; readonly isKilled: boolean }): Promise<void> {
    if (this.#isReading) return;
    this.#isReading = true;
    await this.#page(limit, wait);
    if (isKilled) this.#current = this.#kept;
    else this.#kept = this.#current;
    this.#isReading = false;
  }

  /** Until there is nothing new. */
  async readToEnd(): Promise<void> {
    while (this.#isReading) await this.#client.sleep(1000);
    while ((await this.#page(50, 0)) > 0);
  }

  async #page(limit: number, wait: number): Promise<number> {
    const { cursor, ids } = this.#current;
    const after = cursor === null ? "" : `&after=${encodeURIComponent(cursor)}`;
    const answer = await this.#client.send({ method: "GET", path: `/v1/events?limit=${limit}&wait=${wait}${after}` });
    if (answer === null) return 0;
    // Retention deleted what this reader had not read yet. The start is behind that, so nothing comes twice.
    if (answer.status === 409 && this.#auditor.limits.retentionMs < 86_400_000) {
      this.#current = { cursor: null, ids };
      return 1;
    }
    if (answer.status !== 200) {
      this.#auditor.violate("feed", `a reader was answered ${answer.status} ${answer.text}`);
      return 0;
    }
    const data = answer.body["data"] as readonly Json[];
    this.#current = { cursor: answer.body["next_cursor"] as string, ids: [...ids, ...data.map(({ id }) => id as string)] };
    return data.length;
  }
}
