import type { Exchange } from "./receivers.ts";
import type { Facts } from "./webhook-facts.ts";

/** What a client was answered of a watch. */
export type KnownWatch = {
  readonly id: string;
  readonly account: number;
  readonly sid: string;
  readonly url: string | null;
  readonly events: readonly string[] | null;
  /** Time of the first request that may have made it. */
  readonly askedAtMs: number;
  /** When its deletion was first asked for, and answered 204; null: it was not. */
  deleteAskedAtMs: number | null;
  deletedAtMs: number | null;
  isPurgeAsked: boolean;
};

export type KnownHook = {
  readonly id: string;
  readonly account: number;
  readonly url: string;
  readonly events: readonly string[] | null;
  /** Time of the first request that may have made it. */
  readonly askedAtMs: number;
  deleteAskedAtMs: number | null;
  deletedAtMs: number | null;
};

/** A secret and when it may sign: from its answer on it must. */
export type KnownSecret = { readonly secret: string; readonly fromMs: number; untilMs: number | null };

/** What one account knows of one of its callback URLs. */
export type KnownEndpoint = {
  readonly url: string;
  readonly account: number;
  id: string | null;
  readonly secrets: KnownSecret[];
  /** Some answer that showed a secret was lost. */
  isSecretUnknown: boolean;
  /** Its owner paused or disabled it, and nothing was asked since that may enable it. */
  closed: { readonly state: "paused" | "disabled"; readonly atMs: number } | null;
  /** It may have been disabled, by its owner, by a 410 or by failures. */
  mayBeDisabled: boolean;
  /** Lowest `max_per_second` that was asked for; `null` if none was. */
  slowestPerSecond: number | null;
  /** Its owner may have paused it. */
  mayBePaused: boolean;
  /** It answered 410, and nothing was asked since that may enable it. */
  gone: { readonly sinceMs: number; readonly exchange: Exchange } | null;
  hasEverBeenGone: boolean;
  /** Number of requests in flight that may enable the endpoint or restart its schedules. */
  openings: number;
  /** Number of such requests so far. */
  openingsAsked: number;
  /** Rotations under way. */
  rotations: number;
  /** Time at which a recovery or an enabling may have restarted its schedules. */
  renewedAtMs: number;
  /** It asked to be left alone: not before then, known to the service from `sinceMs` on. */
  floors: { untilMs: number; readonly sinceMs: number; readonly exchange: Exchange }[];
  maxInFlight: number;
  /** What a PATCH made of it, and when it was answered; null: not known. */
  format: { readonly name: string; readonly fromMs: number } | null;
  /** Changes of its format under way, and the number of all so far. */
  formatChanges: number;
  formatChangesAsked: number;
  lastTakenAtMs: number;
  readonly open: Set<Exchange>;
};

/** What was known of the endpoint when an attempt began. */
export type AttemptContext = {
  /** End of the last attempt of the endpoint that delivered. */
  readonly lastTakenAtMs: number;
  /** End of the last request that may have begun all schedules of the endpoint again. */
  readonly renewedAtMs: number;
  /** Such a request was under way, so the attempt may be of any kind. */
  readonly isUnknown: boolean;
  /** The attempt breaks another rule unless it is one that was asked for. */
  readonly isManual: boolean;
};

/** One event on its way to one URL, as its receiver sees it. */
export type KnownDelivery = {
  readonly id: string;
  readonly url: string;
  /** Of a delivery that was only listed: its watch. */
  facts: Facts;
  readonly exchanges: Exchange[];
  readonly contexts: Map<Exchange, AttemptContext>;
  /** Attempts that were asked for, and those that were taken for such. */
  manualAsked: number;
  manualUsed: number;
  /** Time at which its last try began, also if nothing left the process. */
  lastTryAtMs: number;
};

/** All that is known outside of the service. */
export class Ledger {
  readonly watches = new Map<string, KnownWatch>();
  readonly hooks = new Map<string, KnownHook>();
  readonly endpoints = new Map<string, KnownEndpoint>();
  readonly deliveries = new Map<string, KnownDelivery>();
  readonly factsById = new Map<string, Facts>();
  readonly bodies = new Map<string, string>();
  /** Registrations with a lost answer, whose watches no client may know. */
  readonly lostRegistrations = new Set<string>();
  /** URLs of registrations of hooks that were not answered, one for each hook that no client may know. */
  readonly lostHooks: string[] = [];
  /** What an `Idempotency-Key` was answered. */
  readonly keyedAnswers = new Map<string, string>();
  /** By watch and URL: the deliveries of a lane that were attempted. */
  readonly lanes = new Map<string, KnownDelivery[]>();

  endpoint(account: number, url: string, maxInFlight: number): KnownEndpoint {
    let endpoint = this.endpoints.get(url);
    if (endpoint === undefined) {
      endpoint = {
        url,
        account,
        id: null,
        secrets: [],
        isSecretUnknown: false,
        closed: null,
        mayBeDisabled: false,
        mayBePaused: false,
        slowestPerSecond: null,
        gone: null,
        hasEverBeenGone: false,
        openings: 0,
        openingsAsked: 0,
        rotations: 0,
        renewedAtMs: -1,
        floors: [],
        maxInFlight,
        format: null,
        formatChanges: 0,
        formatChangesAsked: 0,
        lastTakenAtMs: -1,
        open: new Set(),
      };
      this.endpoints.set(url, endpoint);
    }
    return endpoint;
  }

  endpointById(id: string): KnownEndpoint | null {
    for (const endpoint of this.endpoints.values()) if (endpoint.id === id) return endpoint;
    return null;
  }

  delivery(id: string, url: string, facts: Facts): KnownDelivery {
    const key = `${id} ${url}`;
    let delivery = this.deliveries.get(key);
    if (delivery === undefined) {
      delivery = { id, url, facts, exchanges: [], contexts: new Map(), manualAsked: 0, manualUsed: 0, lastTryAtMs: -1 };
      this.deliveries.set(key, delivery);
      const watchId = facts["watch_id"] ?? "";
      if (watchId !== "") {
        const lane = this.lanes.get(`${watchId} ${url}`) ?? [];
        lane.push(delivery);
        this.lanes.set(`${watchId} ${url}`, lane);
      }
    } else if (delivery.exchanges.length === 0) delivery.facts = facts;
    return delivery;
  }

  lane(watchId: string, url: string): readonly KnownDelivery[] {
    return this.lanes.get(`${watchId} ${url}`) ?? [];
  }
}

/** Whether a watch's filter lets an event through to its own URL. */
export function isWanted(filter: readonly string[] | null, type: string, terminal: boolean): boolean {
  if (filter === null || type.startsWith("watch.")) return true;
  return filter.some(
    (name) => name === type || (name === "terminal" && terminal) || (name.endsWith(".*") && type.startsWith(name.slice(0, -1))),
  );
}

/** Names a registration, whichever request it came with. */
export function registrationName(account: number, sid: string | undefined, url: string | null | undefined): string {
  return `${account} ${sid ?? ""} ${url ?? ""}`;
}
