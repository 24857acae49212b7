import type { InstanceSignal, PeerNotifier } from "../../../ports/peer-notifier.ts";
import type { Logger } from "../../../ports/telemetry.ts";
import { waitAtMost } from "../../wait-at-most.ts";
import { connectClient } from "../connection/session.ts";
import type { Database } from "../connection/database.ts";
import pRetry from "p-retry";
import type pg from "pg";

export type NotificationsOptions = {
  readonly connectionString: string;
  /** Sends notifications, unless this instance has no peers. */
  readonly db: Pick<Database, "run" | "owner">;
  /** Called with the signals of another instance. */
  readonly onSignal: (what: ReadonlySet<InstanceSignal>) => void;
};

const channel = "ringback";
/** Signals within this time are sent as one message. */
const lingerMs = 10;
const reconnect = { retries: Infinity, minTimeout: 500, maxTimeout: 15_000, randomize: true } as const;
const closeWithinMs = 1000;

/**
 * LISTEN and NOTIFY between instances, on a separate connection. Signals only speed up the instances: the sweeps find
 * changes whose signal was lost or cannot be received at all (a pooler in transaction mode).
 */
export class Notifications implements PeerNotifier {
  readonly #options: NotificationsOptions;
  readonly #closed = new AbortController();
  readonly #pending = new Set<InstanceSignal>();
  #client: pg.Client | null = null;
  #timer: NodeJS.Timeout | null = null;
  #sending: Promise<void> = Promise.resolve();

  constructor(options: NotificationsOptions) {
    this.#options = options;
  }

  /** Listens until `close`, reconnecting with a growing delay. */
  start(logger: Logger): void {
    void this.#listen(logger);
  }

  signal(what: InstanceSignal): void {
    if (this.#closed.signal.aborted) return;
    this.#pending.add(what);
    this.#timer ??= setTimeout(() => this.#send(), lingerMs);
  }

  /** Sends pending signals, if possible, and closes the connection. Takes at most twice `closeWithinMs`. */
  async close(): Promise<void> {
    if (this.#closed.signal.aborted) return;
    if (this.#timer !== null) this.#send();
    this.#closed.abort();
    await waitAtMost(closeWithinMs, this.#sending);
    if (this.#client !== null) await waitAtMost(closeWithinMs, this.#client.end());
  }

  #send(): void {
    const { db } = this.#options;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const signals = [...this.#pending].join(",");
    this.#pending.clear();
    // A join or leave also concerns instances that this one has not seen yet.
    if (!db.owner.hasPeers && !signals.includes("instances")) return;
    const sent = db.run("select pg_notify($1, $2)", channel, `${db.owner.token ?? ""}:${signals}`);
    this.#sending = sent.then(
      () => undefined,
      () => undefined,
    );
  }

  async #listen(logger: Logger): Promise<void> {
    const { signal } = this.#closed;
    while (!signal.aborted) {
      try {
        const { ended } = await pRetry(() => this.#connect(), { ...reconnect, signal, unref: true });
        await ended;
        if (!signal.aborted) logger.warn({}, "notifications.lost");
      } catch (error) {
        if (!signal.aborted) logger.error({ error: String(error) }, "notifications.failed");
        return;
      }
    }
  }

  /** Resolves once the connection listens; `ended` resolves when the connection is lost. */
  async #connect(): Promise<{ readonly ended: Promise<void> }> {
    const client = await connectClient(this.#options.connectionString, "ringback listen");
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    client.on("end", resolve);
    client.on("notification", ({ payload }) => this.#receive(payload ?? ""));
    try {
      await client.query(`listen ${channel}`);
    } catch (error) {
      await client.end().catch(() => undefined);
      throw error;
    }
    this.#client = client;
    return { ended };
  }

  #receive(payload: string): void {
    const [token = "", signals = ""] = payload.split(":");
    if (token === String(this.#options.db.owner.token ?? "")) return;
    this.#options.onSignal(new Set(signals.split(",") as InstanceSignal[]));
  }
}
