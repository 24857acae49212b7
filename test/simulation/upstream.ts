import { seen } from "../harness/observations.ts";
import type { CallSource, NotStarted, Observation, PollAnswer, PollTarget } from "./engine-adapter.ts";
import type { CallScript } from "./call-script.ts";
import { Random } from "./random.ts";
import type { Lifetime, Scheduler } from "./scheduler.ts";
import { ScriptedTriggers } from "./scripted-triggers.ts";
import type { TriggerParts } from "./scripted-triggers.ts";

export type UpstreamTrouble =
  | "server_error"
  | "timeout"
  | "reset"
  | "dns"
  | "not_json"
  | "unauthorized"
  | "forbidden"
  | "rate_limited"
  | "rate_limited_for"
  | "slow"
  | "not_started";

type Episode = { readonly source: string; readonly trouble: UpstreamTrouble; readonly untilMs: number; readonly share: number };

export type PollSeen = {
  readonly source: string;
  readonly sid: string;
  readonly lifetime: Lifetime;
  readonly arrivedAtMs: number;
  answeredAtMs: number | null;
  observation: Observation | NotStarted | null;
};

const pollTimeoutMs = 10_000;

/** The upstream as its users see it: what a call is at a moment, and how the source answers then. */
export class Upstream {
  readonly #seed: number;
  readonly #scheduler: Scheduler;
  readonly #calls = new Map<string, CallScript>();
  readonly #endedAtMs = new Map<string, number>();
  readonly #polls = new Map<string, number>();
  readonly #triggers: ScriptedTriggers;
  #episodes: Episode[] = [];
  #healedAtMs: number | null = null;
  readonly onPoll: (poll: PollSeen) => void;
  readonly onAnswer: (poll: PollSeen) => void;

  constructor(
    seed: number,
    scheduler: Scheduler,
    calls: readonly CallScript[],
    observer: { readonly onPoll: (poll: PollSeen) => void; readonly onAnswer: (poll: PollSeen) => void },
    triggers: Omit<TriggerParts, "seed" | "scheduler" | "addCall">,
  ) {
    this.#triggers = new ScriptedTriggers({ ...triggers, seed, scheduler, addCall: (call) => this.addCall(call) });
    this.#seed = seed;
    this.#scheduler = scheduler;
    for (const call of calls) this.#calls.set(`${call.source} ${call.sid}`, call);
    this.onPoll = observer.onPoll;
    this.onAnswer = observer.onAnswer;
  }

  addCall(call: CallScript): void {
    this.#calls.set(`${call.source} ${call.sid}`, call);
  }

  trouble(episode: Omit<Episode, "untilMs"> & { readonly forMs: number }): void {
    this.#episodes.push({ ...episode, untilMs: this.#scheduler.nowMs + episode.forMs });
  }

  /** From now on it answers well, and every call that ends at all ends soon. */
  heal(): void {
    this.#episodes = [];
    this.#triggers.heal();
    this.#healedAtMs = this.#scheduler.nowMs;
  }

  /** Returns how the call ended; `null` if it has not ended or never existed. */
  endingOf(source: string, sid: string): CallScript["ending"] {
    const call = this.#calls.get(`${source} ${sid}`);
    return call === undefined || call.isRejected || this.#phaseAt(call, this.#scheduler.nowMs) !== "ended" ? null : call.ending;
  }

  /** The source's port for one process. */
  sourceFor(name: string, lifetime: Lifetime): CallSource {
    const open = new Set<(answer: PollAnswer) => void>();
    const { trigger, close } = this.#triggers.triggerFor(name, lifetime);
    return {
      trigger,
      poll: (target, takeToken) =>
        new Promise<PollAnswer>((resolve) => {
          open.add(resolve);
          this.#poll(name, target, lifetime, takeToken, (answer) => {
            if (open.delete(resolve)) resolve(answer);
          });
        }),
      sidFault: () => null,
      close: () => {
        for (const resolve of open) resolve(answerOf({ kind: "failed", code: "connect", detail: "closed" }, 0));
        open.clear();
        close();
        return Promise.resolve();
      },
    };
  }

  #poll(
    source: string,
    { callSid: sid }: PollTarget,
    lifetime: Lifetime,
    takeToken: () => boolean,
    settle: (answer: PollAnswer) => void,
  ): void {
    const count = (this.#polls.get(sid) ?? 0) + 1;
    this.#polls.set(sid, count);
    const random = new Random(this.#seed, "poll", source, sid, count);
    const poll: PollSeen = { source, sid, lifetime, arrivedAtMs: this.#scheduler.nowMs, answeredAtMs: null, observation: null };
    this.onPoll(poll);
    // A connection that was kept too long: asked again at once where the rate allows it.
    if (random.chance(0.01) && takeToken()) {
      this.onPoll({ ...poll });
    }
    const trouble = this.#troubleOf(source, random);
    const latencyMs = trouble === "timeout" ? pollTimeoutMs : trouble === "slow" ? random.int(1000, 9000) : random.latencyMs(25, 800);
    const decideAfterMs = Math.floor(latencyMs / 2);
    this.#scheduler.schedule(
      decideAfterMs,
      () => {
        const observation = this.#observe(source, sid, trouble, random);
        this.#scheduler.schedule(
          latencyMs - decideAfterMs,
          () => {
            poll.answeredAtMs = this.#scheduler.nowMs;
            poll.observation = observation;
            this.onAnswer(poll);
            settle(answerOf(observation, latencyMs));
          },
          lifetime,
        );
      },
      lifetime,
    );
  }

  #troubleOf(source: string, random: Random): UpstreamTrouble | null {
    this.#episodes = this.#episodes.filter(({ untilMs }) => untilMs > this.#scheduler.nowMs);
    for (const episode of this.#episodes) if (episode.source === source && random.chance(episode.share)) return episode.trouble;
    return null;
  }

  #observe(source: string, sid: string, trouble: UpstreamTrouble | null, random: Random): Observation | NotStarted {
    switch (trouble) {
      case "not_started":
        return { kind: "not_started", code: "EMFILE" };
      case "server_error":
        return { kind: "failed", code: "server_error", detail: "answered 500" };
      case "timeout":
        return { kind: "failed", code: "timeout", detail: "no answer" };
      case "reset":
        return { kind: "failed", code: "reset", detail: "connection reset" };
      case "dns":
        return { kind: "failed", code: "dns", detail: "no such name" };
      case "not_json":
        return { kind: "failed", code: "not_json", detail: "answered a page" };
      case "unauthorized":
        return { kind: "unauthorized", statusCode: 401 };
      case "forbidden":
        return { kind: "unauthorized", statusCode: 403 };
      case "rate_limited":
        return { kind: "rate_limited", retryAfterMs: null };
      case "rate_limited_for":
        return { kind: "rate_limited", retryAfterMs: random.int(1, 12) * 1000 };
      case "slow":
      case null: {
        const call = this.#calls.get(`${source} ${sid}`);
        return call === undefined ? { kind: "not_found" } : this.#statusOf(call);
      }
    }
  }

  #statusOf(call: CallScript): Observation {
    if (call.isRejected) return { kind: "rejected" };
    const phase = this.#phaseAt(call, this.#scheduler.nowMs);
    if (phase === "unborn") return { kind: "not_found" };
    if (phase !== "ended") return seen(phase.status, phase.reason);
    if (call.ending === null || this.#isForgotten(call)) return { kind: "not_found" };
    return seen(call.ending.status, call.ending.reason);
  }

  #isForgotten(call: CallScript): boolean {
    const endedAtMs = this.#endedAtMs.get(call.sid) ?? this.#scheduler.nowMs;
    return call.forgottenAfterMs !== null && this.#scheduler.nowMs - endedAtMs > call.forgottenAfterMs;
  }

  #phaseAt(call: CallScript, nowMs: number): "unborn" | "ended" | CallScript["phases"][number] {
    if (nowMs < call.bornAtMs) return "unborn";
    let untilMs = call.bornAtMs;
    const healedMs = this.#healedAtMs === null ? Infinity : this.#healedAtMs + 3000;
    for (const phase of call.phases) {
      untilMs += phase.forMs;
      if (nowMs < untilMs && nowMs < healedMs) return phase;
    }
    if (!this.#endedAtMs.has(call.sid)) this.#endedAtMs.set(call.sid, Math.min(untilMs, nowMs));
    return "ended";
  }
}

function answerOf(observation: Observation | NotStarted, durationMs: number): PollAnswer {
  return { observation, upstreamDateMs: null, durationMs, correlationId: null };
}
