import type { Evidence } from "./evidence.ts";
import { registrationName } from "./ledger.ts";
import type { Lifetime } from "./scheduler.ts";
import type { Dial } from "./scripted-triggers.ts";

/** What is known of one key of `POST /v1/calls`. */
export type KnownPlacing = {
  readonly key: string;
  readonly number: string;
  readonly account: number;
  readonly url: string | null;
  readonly metadata: Readonly<Record<string, string>>;
  readonly askedAtMs: number;
  /** Triggers whose request left, in order. */
  readonly dials: Dial[];
  /** Those that a person freed the key of: none of them rang. */
  readonly freed: Set<Dial>;
  /** Requests under the key that are not answered yet. */
  asking: number;
  watchId: string | null;
  /** Placings that a 502 named. */
  readonly unknownIds: Set<string>;
  /** How a person settled them: by the SID, or with null. */
  readonly resolutions: Map<string, string | null>;
  /** Ids of which it is not known whether a resolution counted. */
  readonly uncertain: Set<string>;
};

/** Words of answers after which nothing rings. */
const refusals = [
  "call-refused",
  "source-refused",
  "upstream-rate-limited",
  "upstream-unreachable",
  "source-suspended",
  "source-saturated",
  "may-not-place",
  "placing-limit",
  "quota-exceeded",
  "endpoint-differs",
];

/** What the owner of a number and who asked for a call may expect: at most one call a key, and an answer that says what was sent. */
export class PlacingRules {
  readonly #evidence: Evidence;
  readonly byNumber = new Map<string, KnownPlacing>();
  /** When each process was there for requests. */
  readonly ups: { readonly lifetime: Lifetime; readonly atMs: number }[] = [];

  constructor(evidence: Evidence) {
    this.#evidence = evidence;
  }

  asked(placing: Pick<KnownPlacing, "key" | "number" | "account" | "url" | "metadata">): KnownPlacing {
    const askedAtMs = this.#evidence.scheduler.nowMs;
    const known = {
      ...placing,
      askedAtMs,
      dials: [],
      freed: new Set<Dial>(),
      asking: 0,
      watchId: null,
      unknownIds: new Set<string>(),
      resolutions: new Map<string, string | null>(),
      uncertain: new Set<string>(),
    };
    this.byNumber.set(placing.number, known);
    return known;
  }

  dialled(dial: Dial): void {
    const { timeline } = this.#evidence;
    timeline.note(`trigger for ${dial.number} leaves ${dial.lifetime.name}`, dial.number);
    const placing = this.byNumber.get(dial.number);
    if (placing === undefined)
      return this.#evidence.violate("one dial a key", `a trigger for ${dial.number}, which no one asked for`, dial.number);
    if (this.mayRing(placing))
      this.#evidence.violate("one dial a key", `a second trigger for ${placing.key} after one that may have rung`, dial.number);
    placing.dials.push(dial);
    return undefined;
  }

  /** Whether its answer is lost or not, a call that rings may have a watch. */
  rang({ number, sid }: Dial): void {
    const placing = this.byNumber.get(number);
    if (placing === undefined || sid === null) return;
    this.#evidence.timeline.note(`${number} rings as ${sid}`, number, sid);
    this.#evidence.ledger.lostRegistrations.add(registrationName(placing.account, sid, placing.url));
  }

  answeredDial({ number, answer }: Dial): void {
    this.#evidence.timeline.note(`trigger for ${number} ended: ${JSON.stringify(answer?.outcome)}`, number);
  }

  mayRing(placing: KnownPlacing): boolean {
    return placing.dials.some((dial) => !placing.freed.has(dial) && mayHaveRung(dial));
  }

  /** Judges an answer to `POST /v1/calls`, also one after which the client asks again. */
  answered(placing: KnownPlacing, status: number, text: string): void {
    const { number, key } = placing;
    if (status === 502 && text.includes("call-unknown")) {
      if (!this.mayRing(placing) && !this.#mayBeLost(placing))
        this.#evidence.violate("an answer says what was sent", `${key} is unknown, though nothing left the process`, number);
      return;
    }
    // Another request under the key may have been sent since.
    if (placing.asking > 1 || status < 400 || !refusals.some((slug) => text.includes(`problem:${slug}"`))) return;
    if (this.mayRing(placing)) this.#evidence.violate("an answer says what was sent", `${key} is refused, and may ring: ${text}`, number);
  }

  /** Whether the process may have ended, stood still or lost its store between an intent and its end. */
  #mayBeLost({ askedAtMs }: KnownPlacing): boolean {
    const { clockSteps } = this.#evidence;
    return (
      clockSteps.length > 0 ||
      this.#evidence.hasDiskTroubleSince(askedAtMs) ||
      this.ups.some(
        ({ lifetime, atMs }) =>
          atMs >= askedAtMs || lifetime.frozenUntilMs >= askedAtMs || (lifetime.endedAtMs !== null && lifetime.endedAtMs >= askedAtMs),
      )
    );
  }

  /** Latest time at which a trigger without an outcome must have been called unknown; infinite where it cannot be said. */
  unknownByMs({ lifetime, leftAtMs, answer }: Dial): number {
    const isStill = this.ups.some((up) => up.lifetime.frozenUntilMs >= 0);
    if (isStill || this.#evidence.clockSteps.length > 0) return Infinity;
    let fromMs = answer?.atMs ?? leftAtMs;
    const { endedAtMs } = lifetime;
    if (endedAtMs !== null) {
      const isOtherUp = this.ups.some(
        (up) => up.lifetime !== lifetime && up.atMs <= endedAtMs && (up.lifetime.endedAtMs ?? Infinity) > endedAtMs + unknownWithinMs,
      );
      const nextMs = Math.min(...this.ups.flatMap(({ atMs }) => (atMs >= endedAtMs ? [atMs] : [])));
      fromMs = Math.max(fromMs, isOtherUp ? endedAtMs : nextMs);
    }
    return this.#evidence.recordedAtMs(fromMs) + unknownWithinMs;
  }
}

const unknownWithinMs = 60_000;

export function mayHaveRung({ answer }: Dial): boolean {
  return answer === null || answer.outcome.kind === "placed" || answer.outcome.kind === "unknown";
}
