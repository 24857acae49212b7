import type { Clock } from "../../ports/clock.ts";
import type { NotStarted } from "../../ports/not-started.ts";
import type { Logger } from "../../ports/telemetry.ts";

/** Delay before a poll or attempt that could not be started is tried again. */
export const notStartedRetryMs = 1000;
/** Time without trouble after which the next trouble is logged again. */
const overAfterMs = 60_000;

/** Logs each kind of local trouble once, regardless of the number of polls and webhooks that could not be started. */
export class LocalTrouble {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #lastAtMonotonicMs = new Map<string, number>();

  constructor({ clock, logger }: { readonly clock: Clock; readonly logger: Logger }) {
    this.#clock = clock;
    this.#logger = logger;
  }

  report({ code }: NotStarted): void {
    const nowMs = this.#clock.monotonicMs();
    const lastMs = this.#lastAtMonotonicMs.get(code) ?? -Infinity;
    this.#lastAtMonotonicMs.set(code, nowMs);
    if (nowMs - lastMs < overAfterMs) return;
    this.#logger.warn({ error_code: code, remedy: remedies[code] ?? null }, "connection.not_started");
  }
}

const descriptors = "raise the limit of open files (ulimit -n)";
const memory = "give the process or the machine more memory";
const ports = "no local port is free: widen net.ipv4.ip_local_port_range, or look for what holds the ports";
const remedies: Readonly<Record<string, string>> = {
  EMFILE: descriptors,
  ENFILE: descriptors,
  ENOMEM: memory,
  ENOBUFS: memory,
  ERR_MEMORY_ALLOCATION_FAILED: memory,
  EADDRNOTAVAIL: ports,
  EADDRINUSE: ports,
  EBUSY: "name servers answer too slowly for the names that are looked up: see DNS_SERVERS",
};
