import type { CallScript } from "./call-script.ts";
import type { CallTrigger, TriggerOutcome } from "./engine-adapter.ts";
import { Random } from "./random.ts";
import type { Lifetime, Scheduler } from "./scheduler.ts";

/** What comes of a trigger. `refused_connection` and `no_name`: nothing of the request leaves. */
export type TriggerFate =
  | "placed"
  | "slow"
  | "refused"
  | "unauthorized"
  | "rate_limited"
  | "server_error"
  | "redirect"
  | "no_sid"
  | "reset_before"
  | "reset_amid"
  | "reset_after"
  | "timeout"
  | "refused_connection"
  | "no_name";

/** Of the first trigger of a number. */
export const firstTriggerFates = [
  [8, "placed"],
  [2, "slow"],
  [2, "refused"],
  [1, "unauthorized"],
  [1, "rate_limited"],
  [2, "server_error"],
  [1, "redirect"],
  [1, "no_sid"],
  [2, "reset_before"],
  [1, "reset_amid"],
  [1, "reset_after"],
  [2, "timeout"],
  [2, "refused_connection"],
  [1, "no_name"],
] as const satisfies readonly (readonly [number, TriggerFate])[];

/** One trigger whose request left the process. */
export type Dial = {
  readonly source: string;
  readonly number: string;
  readonly lifetime: Lifetime;
  readonly leftAtMs: number;
  /** The call, if the upstream began one. */
  sid: string | null;
  /** What the process learned of it; `null` until then, and for good if the process ends before. */
  answer: { readonly outcome: TriggerOutcome; readonly atMs: number } | null;
};

export type TriggerParts = {
  readonly seed: number;
  readonly scheduler: Scheduler;
  /** The fate of the first trigger of each number. */
  readonly fates: ReadonlyMap<string, TriggerFate>;
  readonly addCall: (call: CallScript) => void;
  readonly onDial: (dial: Dial) => void;
  readonly onRing: (dial: Dial) => void;
  readonly onAnswer: (dial: Dial) => void;
};

const timeoutMs = 15_000;
const refusedFates: ReadonlySet<TriggerFate> = new Set(["refused", "unauthorized", "rate_limited"]);
const unsentFates: ReadonlySet<TriggerFate> = new Set(["refused_connection", "no_name"]);
/** What the upstream may do after it has begun a call. Of the others it is not known whether it did. */
const ringingFates: ReadonlySet<TriggerFate> = new Set(["placed", "slow", "no_sid", "reset_amid", "reset_after"]);

/** The upstream's side of placing: takes triggers, begins calls, and answers as scripted. */
export class ScriptedTriggers {
  readonly #parts: TriggerParts;
  readonly #counts = new Map<string, number>();
  #isHealed = false;

  constructor(parts: TriggerParts) {
    this.#parts = parts;
  }

  heal(): void {
    this.#isHealed = true;
  }

  /** The port for one process. `close` answers what is out as a connection that is cut. */
  triggerFor(source: string, lifetime: Lifetime): { readonly trigger: CallTrigger; readonly close: () => void } {
    const open = new Set<(outcome: TriggerOutcome) => void>();
    const trigger: CallTrigger = {
      prepare: ({ to_number: number }) => ({
        kind: "ready",
        number: String(number),
        numberPath: ["to_number"],
        hasCountryCode: false,
        send: () =>
          new Promise((resolve) => {
            open.add(resolve);
            this.#send(source, String(number), lifetime, (outcome) => {
              if (open.delete(resolve)) resolve(outcome);
            });
          }),
      }),
    };
    const close = () => {
      for (const resolve of open) resolve({ kind: "unknown", reason: "the connection was cut" });
      open.clear();
    };
    return { trigger, close };
  }

  #send(source: string, number: string, lifetime: Lifetime, settle: (outcome: TriggerOutcome) => void): void {
    const { seed, scheduler, fates, onDial, onAnswer } = this.#parts;
    const count = (this.#counts.get(number) ?? 0) + 1;
    this.#counts.set(number, count);
    const random = new Random(seed, "trigger", number, count);
    const fate = this.#isHealed ? "placed" : ((count === 1 ? fates.get(number) : undefined) ?? random.weighted(firstTriggerFates));
    const latencyMs = fate === "timeout" ? timeoutMs : fate === "slow" ? random.int(1000, 12_000) : random.latencyMs(60, 2000);
    if (unsentFates.has(fate)) {
      scheduler.schedule(latencyMs, () => settle({ kind: "not_sent", detail: fate }), lifetime);
      return;
    }
    const dial: Dial = { source, number, lifetime, leftAtMs: scheduler.nowMs, sid: null, answer: null };
    onDial(dial);
    const arrivesAfterMs = fate === "timeout" ? random.int(5, 2000) : Math.floor(latencyMs / 2);
    const rings = ringingFates.has(fate) || (!refusedFates.has(fate) && random.chance(0.5));
    // What has left the process arrives, also if the process has ended meanwhile.
    if (rings) scheduler.schedule(arrivesAfterMs, () => this.#ring(dial, count));
    scheduler.schedule(
      Math.max(latencyMs, arrivesAfterMs + 1),
      () => {
        const outcome = outcomeOf(fate, dial.sid);
        dial.answer = { outcome, atMs: scheduler.nowMs };
        onAnswer(dial);
        settle(outcome);
      },
      lifetime,
    );
  }

  #ring(dial: Dial, count: number): void {
    const { seed, scheduler, addCall, onRing } = this.#parts;
    const random = new Random(seed, "placed call", dial.number, count);
    const sid = `OUT-placed-${dial.number.slice(1)}-${count}`;
    dial.sid = sid;
    addCall({
      sid,
      source: dial.source,
      bornAtMs: scheduler.nowMs,
      phases: [
        { status: "queued", reason: "", forMs: random.int(200, 8000) },
        { status: "calling", reason: "", forMs: random.int(200, 15_000) },
      ],
      ending: random.pick([
        { status: "success", reason: "" },
        { status: "failure", reason: "busy" },
      ]),
      forgottenAfterMs: null,
      isRejected: false,
    });
    onRing(dial);
  }
}

function outcomeOf(fate: TriggerFate, sid: string | null): TriggerOutcome {
  switch (fate) {
    case "refused":
      return { kind: "refused", statusCode: 400, words: "not a number" };
    case "unauthorized":
      return { kind: "unauthorized" };
    case "rate_limited":
      return { kind: "rate_limited", retryAfterMs: 2000 };
    case "placed":
    case "slow":
    case "reset_after":
      return sid === null ? { kind: "unknown", reason: fate } : { kind: "placed", callSid: sid };
    default:
      return { kind: "unknown", reason: fate };
  }
}
