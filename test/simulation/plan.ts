import type { CallScript } from "./call-script.ts";
import type { ReceiverTrouble } from "./receivers.ts";
import type { TriggerFate } from "./scripted-triggers.ts";
import type { UpstreamTrouble } from "./upstream.ts";

/** A callback URL of one account, and what its registrations say of the endpoint. */
export type PlannedUrl = {
  readonly account: number;
  readonly url: string;
  readonly format: "standard" | "flat" | "form" | "cloudevents" | null;
  readonly secret: string | null;
};

export type WatchWish = {
  readonly call: number;
  /** null: only a hook or the feed. */
  readonly url: number | null;
  readonly events: readonly string[] | null;
  readonly metadata: Readonly<Record<string, string>>;
  readonly expiresInMs: number | null;
};

/** Where a crash is likely to hurt: a group was run, an answer left, a webhook went out or was answered, a poll was answered, a trigger went out. */
export type Moment = "group" | "answer" | "send" | "send_end" | "poll" | "trigger";

/** One thing that happens. `of` is the id of the step whose watch or hook is meant. */
export type Step = { readonly id: number; readonly atMs: number } & (
  | { readonly kind: "register"; readonly account: number; readonly watch: WatchWish; readonly keyed: boolean }
  | { readonly kind: "batch"; readonly account: number; readonly watches: readonly WatchWish[]; readonly keyed: boolean }
  | {
      readonly kind: "hook";
      readonly account: number;
      readonly url: number;
      readonly events: readonly string[] | null;
      readonly keyed: boolean;
    }
  | { readonly kind: "delete_hook"; readonly account: number; readonly of: number }
  | { readonly kind: "delete_watch"; readonly account: number; readonly of: number; readonly purge: boolean }
  | { readonly kind: "patch"; readonly account: number; readonly url: number; readonly change: Readonly<Record<string, unknown>> }
  | { readonly kind: "rotate"; readonly account: number; readonly url: number; readonly graceSeconds: number; readonly keyed: boolean }
  | { readonly kind: "retry"; readonly account: number; readonly status: string; readonly pick: number }
  | { readonly kind: "recover"; readonly account: number; readonly url: number; readonly keyed: boolean }
  | { readonly kind: "test"; readonly account: number; readonly url: number; readonly keyed: boolean }
  | { readonly kind: "wait"; readonly account: number; readonly of: number; readonly seconds: number }
  | { readonly kind: "read_feed"; readonly account: number; readonly wait: number; readonly limit: number; readonly isKilled: boolean }
  | { readonly kind: "look"; readonly account: number; readonly at: "watches" | "deliveries" | "endpoints" | "sources" | "me" | "ready" }
  | { readonly kind: "flood"; readonly account: number; readonly count: number }
  | { readonly kind: "revoke_key"; readonly account: number }
  | { readonly kind: "clock"; readonly byMs: number }
  | {
      readonly kind: "place";
      readonly account: number;
      readonly url: number | null;
      readonly metadata: Readonly<Record<string, string>>;
      /** Of the first trigger. */
      readonly fate: TriggerFate;
      /** Two requests with the key, side by side. */
      readonly isPaired: boolean;
      /** The client asks again so long after the answer; null: it does not. */
      readonly repeatAfterMs: number | null;
      /** What a person does about a call that may ring. */
      readonly resolve: "once" | "twice" | "never";
    }
  /** At once, or so long after the next of these. */
  | { readonly kind: "crash"; readonly instance: number; readonly after: Moment | null; readonly delayMs: number; readonly downMs: number }
  | { readonly kind: "restart"; readonly instance: number; readonly graceMs: number; readonly downMs: number }
  | { readonly kind: "freeze"; readonly instance: number; readonly forMs: number }
  | { readonly kind: "disk"; readonly fault: "busy" | "full" | "full_after" | "slow" | "broken"; readonly forMs: number }
  | { readonly kind: "upstream"; readonly trouble: UpstreamTrouble; readonly forMs: number; readonly share: number }
  | {
      readonly kind: "receiver";
      /** The URL; with `isHost` all of its host. */
      readonly url: number;
      readonly isHost: boolean;
      readonly trouble: ReceiverTrouble;
      readonly forMs: number;
      readonly share: number;
      readonly seconds: number;
    }
);

export type StepKind = Step["kind"];

/** One world: everything that is to happen in it. What else is random in it follows from the seed and a name. */
export type Plan = {
  readonly seed: number;
  readonly storage: "memory" | "file";
  /** Of the service; more than one share a store, whose leases are a fake. */
  readonly instances: number;
  readonly environment: Readonly<Record<string, string>>;
  readonly accounts: number;
  readonly urls: readonly PlannedUrl[];
  readonly calls: readonly CallScript[];
  readonly steps: readonly Step[];
};

/** What the auditor must know of the environment. */
export type PlannedLimits = {
  readonly scheduleMs: readonly number[];
  readonly orderHoldMs: number;
  readonly maxPollsPerSecond: number;
  readonly endpointMaxInFlight: number;
  readonly maxInFlight: number;
  readonly maxActiveWatches: number;
  readonly apiMaxPerSecond: number;
  readonly timeoutMs: number;
  readonly retentionMs: number;
  readonly disableAfterMs: number;
};

/** The number that a step has called, and no other step. */
export function numberOf(stepId: number): string {
  return `+4420${String(stepId).padStart(6, "0")}`;
}

export const accountKeys = ["simulated-key-of-account-0", "simulated-key-of-account-1", "simulated-key-of-account-2"];

export function limitsOf({ environment }: Pick<Plan, "environment">): PlannedLimits {
  const number = (name: string) => Number(environment[name]);
  const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000 };
  const scheduleMs = (environment["RETRY_SCHEDULE"] ?? "").split(",").map((entry) => {
    const [, count, unit] = /^(\d+)(ms|s|m)$/.exec(entry) ?? [];
    return Number(count) * (units[unit ?? ""] ?? Number.NaN);
  });
  return {
    scheduleMs,
    orderHoldMs: number("ORDER_HOLD_MS"),
    maxPollsPerSecond: number("POLYAI_MAX_POLLS_PER_SECOND"),
    endpointMaxInFlight: number("ENDPOINT_MAX_IN_FLIGHT"),
    maxInFlight: number("DELIVERY_MAX_IN_FLIGHT"),
    maxActiveWatches: number("ACCOUNT_MAX_ACTIVE_WATCHES"),
    apiMaxPerSecond: number("API_MAX_PER_SECOND"),
    timeoutMs: number("DELIVERY_TIMEOUT_MS"),
    retentionMs: number("RETENTION_DAYS") * 86_400_000,
    disableAfterMs: number("ENDPOINT_DISABLE_AFTER_MS"),
  };
}
