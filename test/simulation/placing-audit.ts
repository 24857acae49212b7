import type { Auditor } from "./auditor.ts";
import type { Client, Json } from "./client.ts";
import { mayHaveRung } from "./placing-rules.ts";
import type { KnownPlacing } from "./placing-rules.ts";

/** What an account's placings say when the world has come to rest, held against what rang and what was answered. */
export class PlacingAudit {
  readonly #auditor: Auditor;
  readonly #client: Client;

  constructor(auditor: Auditor, client: Client) {
    this.#auditor = auditor;
    this.#client = client;
  }

  async run(): Promise<void> {
    const shown = await this.#client.list("/v1/placings", 2);
    const said = await this.#unknownEvents();
    const byKey = Map.groupBy(shown, (placing) => placing["idempotency_key"] as string);
    for (const placing of this.#auditor.placings.byNumber.values()) {
      if (placing.account !== this.#client.account) continue;
      const own = byKey.get(placing.key) ?? [];
      this.#checkShown(placing, own);
      for (const each of own) this.#checkSaid(placing, each, said);
    }
    const unknown = await this.#client.list("/v1/placings?state=unknown");
    const expected = shown.filter(({ state }) => state === "unknown").map(({ id }) => id);
    if (unknown.map(({ id }) => id).join(" ") !== expected.join(" "))
      this.#auditor.violate("placings", "the filter by state shows other placings than the list");
  }

  #checkShown(placing: KnownPlacing, shown: readonly Json[]): void {
    const { number, key } = placing;
    const violate = (detail: string) => this.#auditor.violate("placings", `${key}: ${detail}`, number, placing.watchId);
    const live = shown.filter(({ state, call_sid: sid }) => state !== "resolved" || sid !== null);
    if (live.length > 1) violate(`two placings count: ${JSON.stringify(live)}`);
    if (live.some(({ state }) => state === "sending") && !this.#mayBeSwept(placing))
      violate("its trigger is still out, and no one sends it");
    const [current] = live;
    const dials = placing.dials.filter((dial) => !placing.freed.has(dial) && mayHaveRung(dial));
    if (dials.length > 0 && current === undefined) violate("it may have rung, and no placing says so");
    if (current?.["state"] === "placed" && !dials.some(({ sid }) => sid === current["call_sid"]))
      violate(`placed as ${String(current["call_sid"])}, which did not ring`);
    if (placing.watchId !== null && current?.["watch_id"] !== placing.watchId)
      violate(`answered 201 with ${placing.watchId}, and shown as ${JSON.stringify(current)}`);
    for (const id of placing.unknownIds) {
      if (placing.uncertain.has(id)) continue;
      const one = shown.find((each) => each["id"] === id);
      const sid = placing.resolutions.get(id);
      // The answer does not wait for a store that refuses the outcome.
      if (one?.["state"] === "sending" && this.#mayBeSwept(placing)) continue;
      const expected = sid === undefined ? "unknown" : "resolved";
      if (one?.["state"] !== expected || (sid !== undefined && one["call_sid"] !== sid))
        violate(`${id} was answered 502 and is ${expected} (${String(sid)}), and shown as ${JSON.stringify(one)}`);
    }
  }

  /** Whether a sweep has time left to record an outcome that the store refused at first. */
  #mayBeSwept({ dials }: KnownPlacing): boolean {
    const { scheduler, placings } = this.#auditor;
    return dials.some((dial) => scheduler.nowMs <= placings.unknownByMs(dial));
  }

  /** An outcome that was not known was said once, in time; a known one was not. */
  #checkSaid(placing: KnownPlacing, shown: Json, said: readonly Json[]): void {
    if (this.#auditor.limits.retentionMs < 86_400_000) return;
    const { scheduler, placings } = this.#auditor;
    const events = said.filter(({ data }) => (data as Json)["placing_id"] === shown["id"]);
    const count = shown["state"] === "placed" || (shown["state"] === "sending" && this.#mayBeSwept(placing)) ? 0 : 1;
    const violate = (detail: string) => this.#auditor.violate("call.unknown", `${placing.key}: ${detail}`, placing.number);
    if (events.length !== count) return violate(`${events.length} events of a placing that is ${String(shown["state"])}`);
    const data = events[0]?.["data"] as Json | undefined;
    if (data === undefined) return undefined;
    if (data["idempotency_key"] !== placing.key || JSON.stringify(data["metadata"]) !== JSON.stringify(placing.metadata))
      violate(`another placing's words: ${JSON.stringify(data)}`);
    const dial = placing.dials.find(mayHaveRung);
    const saidAtMs = Date.parse(String(data["observed_at"])) - scheduler.wallOffsetMs;
    if (dial !== undefined && placing.dials.length === 1 && saidAtMs > placings.unknownByMs(dial))
      violate(`said ${saidAtMs - placings.unknownByMs(dial)} ms too late`);
    return undefined;
  }

  async #unknownEvents(): Promise<readonly Json[]> {
    const events: Json[] = [];
    let after = "";
    for (;;) {
      const page = await this.#client.send({ method: "GET", path: `/v1/events?type=call.unknown&limit=200${after}` });
      const data = (page?.body["data"] ?? []) as readonly Json[];
      if (data.length === 0) return events;
      events.push(...data);
      after = `&after=${encodeURIComponent(String(page?.body["next_cursor"]))}`;
    }
  }
}
