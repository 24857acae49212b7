import type { Auditor } from "./auditor.ts";
import type { Client, Json } from "./client.ts";
import { wantsEvent } from "./exchange-rules.ts";
import type { FeedReader } from "./feed-reader.ts";
import type { KnownWatch } from "./ledger.ts";
import { registrationName } from "./ledger.ts";
import { checkToldOnce } from "./hook-rules.ts";
import { PlacingAudit } from "./placing-audit.ts";
import type { Upstream } from "./upstream.ts";
import { factsOfEvent, isSame } from "./webhook-facts.ts";

export type FinalAuditParts = {
  readonly auditor: Auditor;
  readonly upstream: Upstream;
  readonly client: Client;
  readonly reader: FeedReader;
};

type ShownEvent = Json & { readonly id: string; readonly type: string; readonly data: Json; readonly deliveries: readonly ShownDelivery[] };
type ShownDelivery = { readonly id: string; readonly endpoint_id: string; readonly status: string };

/** What an account's lists say when the world has come to rest, held against what its clients and receivers know. */
export class FinalAudit {
  readonly #parts: FinalAuditParts;
  readonly #auditor: Auditor;
  readonly #urlById = new Map<string, string>();
  /** How many watches and deliveries the lists show, by status; for the operator's gauges. */
  readonly watchCounts = new Map<string, number>();
  readonly deliveryCounts = new Map<string, number>();

  constructor(parts: FinalAuditParts) {
    this.#parts = parts;
    this.#auditor = parts.auditor;
  }

  async run(): Promise<void> {
    const { client } = this.#parts;
    const endpoints = await client.list("/v1/endpoints");
    for (const endpoint of endpoints) this.#urlById.set(endpoint["id"] as string, endpoint["url"] as string);
    const watches = await client.list("/v1/watches", 7);
    for (const watch of watches) count(this.watchCounts, watch["status"]);
    this.#checkKnown(watches);
    const eventIds: string[] = [];
    for (const watch of watches) eventIds.push(...(await this.#checkWatch(watch)));
    await this.#checkDeliveries(endpoints);
    await this.#checkHooks();
    await new PlacingAudit(this.#auditor, client).run();
    await this.#checkFeed(eventIds);
  }

  get #isShortRetention(): boolean {
    return this.#auditor.limits.retentionMs < 86_400_000;
  }

  /** Whether a watch was erased, with its events and their deliveries. */
  #isPurged(watchId: unknown): boolean {
    const watch = this.#auditor.ledger.watches.get(String(watchId));
    return watch !== undefined && watch.isPurgeAsked && watch.deletedAtMs !== null;
  }

  /** Checks that every registration answered 201 is listed, and that every listed watch was requested. */
  #checkKnown(shown: readonly Json[]): void {
    const { ledger } = this.#auditor;
    const { account } = this.#parts.client;
    const shownIds = new Set(shown.map(({ id }) => id as string));
    if (shownIds.size !== shown.length) this.#auditor.violate("lists", "a list of watches shows one twice");
    for (const watch of ledger.watches.values()) {
      if (watch.account !== account) continue;
      if (this.#isPurged(watch.id) && shownIds.has(watch.id))
        this.#auditor.violate("purge", "a purged watch is still listed", watch.id, watch.sid);
      if (!watch.isPurgeAsked && !this.#isShortRetention && !shownIds.has(watch.id))
        this.#auditor.violate("nothing answered 201 is lost", `watch ${watch.id} of ${watch.sid} is gone`, watch.id, watch.sid);
    }
    const active = new Set<string>();
    for (const watch of shown) {
      const id = watch["id"] as string;
      const name = registrationName(account, watch["call_sid"] as string, watch["callback_url"] as string | null);
      if (!ledger.watches.has(id) && !ledger.lostRegistrations.has(name))
        this.#auditor.violate("lists", `a watch without a registration: ${JSON.stringify(watch)}`, id);
      if (watch["status"] !== "active") continue;
      if (active.has(name)) this.#auditor.violate("registration", `two active watches for ${name}`, id);
      active.add(name);
    }
  }

  async #checkWatch(watch: Json): Promise<readonly string[]> {
    const { client } = this.#parts;
    const id = watch["id"] as string;
    const sid = watch["call_sid"] as string;
    const events = (await client.list(`/v1/watches/${id}/events`, 3)) as readonly ShownEvent[];
    // Its retention ended between the two lists.
    if (events.length === 0 && this.#isShortRetention) return [];
    if (events.length !== watch["sequence"] && !this.#isShortRetention)
      this.#auditor.violate("sequence", `${events.length} events, sequence ${String(watch["sequence"])}`, id, sid);
    let previous: string | null = null;
    for (const [index, { data, type }] of events.entries()) {
      if (data["sequence"] !== index + 1)
        this.#auditor.violate("sequence", `event ${index + 1} has sequence ${String(data["sequence"])}`, id, sid);
      const expected = type.startsWith("watch.") ? data["status"] : previous;
      // An ending repeats the last known status; as the first event of a watch it has no predecessor.
      if (data["previous_status"] !== expected || (type.startsWith("watch.") && index > 0 && data["status"] !== previous))
        this.#auditor.violate("previous_status", `${String(data["previous_status"])} where ${String(previous)} came before`, id, sid);
      previous = data["status"] as string | null;
      if (data["terminal"] === true && index !== events.length - 1)
        this.#auditor.violate("sequence", "an event after the terminal one", id, sid);
    }
    this.#checkEnd(watch, events);
    for (const event of events) this.#checkEvent(watch, event);
    return events.map((event) => event.id);
  }

  #checkEnd(watch: Json, events: readonly ShownEvent[]): void {
    const { upstream } = this.#parts;
    const { ledger, limits } = this.#auditor;
    const id = watch["id"] as string;
    const sid = watch["call_sid"] as string;
    const last = events.at(-1);
    const violate = (detail: string) => this.#auditor.violate("terminal event", detail, id, sid);
    switch (watch["status"]) {
      case "active":
        return violate(`the watch is still active: ${String(watch["explain"])}`);
      case "completed": {
        const ending = upstream.endingOf("default", sid);
        if (last?.data["terminal"] !== true) return violate("completed without a terminal event");
        if (ending === null || last.data["status"] !== ending.status || last.data["reason"] !== ending.reason)
          violate(
            `the event says ${String(last.data["status"])} (${String(last.data["reason"])}), the call ended as ${JSON.stringify(ending)}`,
          );
        return undefined;
      }
      case "ended": {
        const reason = String(watch["end_reason"]);
        if (last?.type !== `watch.${reason}` || last.data["terminal"] !== true) return violate(`ended as ${reason} without its event`);
        const denied = this.#auditor.rejectedPolls.has(sid);
        if (reason !== "expired" && !denied) violate(`ended as ${reason} though the upstream denied nothing`);
        if (reason === "lost" && limits.maxPollsPerSecond === 0) violate("lost");
        return undefined;
      }
      default: {
        const known = ledger.watches.get(id);
        const url = watch["callback_url"] as string | null;
        const isGone = watch["end_reason"] === "gone";
        if (isGone ? !(ledger.endpoints.get(url ?? "")?.hasEverBeenGone ?? false) : known !== undefined && known.deleteAskedAtMs === null)
          violate(`canceled (${String(watch["end_reason"])}) without a request`);
        return undefined;
      }
    }
  }

  /** What an event says is what its webhooks said, and who wanted it at its own URL has a delivery of it. */
  #checkEvent(watch: Json, event: ShownEvent): void {
    const { ledger } = this.#auditor;
    const id = watch["id"] as string;
    const sent = ledger.factsById.get(event.id);
    const facts = factsOfEvent(event);
    if (sent !== undefined && !isSame(sent, facts))
      this.#auditor.violate("same id, same facts", `sent ${JSON.stringify(sent)}, shown ${JSON.stringify(facts)}`, id, event.id);
    const known: KnownWatch | undefined = ledger.watches.get(id);
    const url = watch["callback_url"] as string | null;
    if (url === null || known === undefined || !wantsEvent(known.events, facts)) return;
    // After a 410 or a deletion that came before the watch's portion of a transition nothing is sent to its endpoint.
    const isUnwanted = ledger.endpoints.get(url)?.hasEverBeenGone === true || known.deleteAskedAtMs !== null;
    if (isUnwanted && event.deliveries.length === 0) return;
    if (!event.deliveries.some((delivery) => delivery.endpoint_id === watch["endpoint_id"]))
      this.#auditor.violate("nothing lost", `event #${facts["sequence"]} has no delivery to ${url}`, id, event.id, url);
  }

  async #checkDeliveries(endpoints: readonly Json[]): Promise<void> {
    const { ledger } = this.#auditor;
    const deliveries = await this.#parts.client.list("/v1/deliveries", 50);
    const backlog = new Map<string, number>();
    for (const delivery of deliveries) {
      count(this.deliveryCounts, delivery["status"]);
      const url = this.#urlById.get(delivery["endpoint_id"] as string) ?? "";
      const eventId = delivery["event_id"] as string;
      const about = [delivery["watch_id"] as string | null, eventId, url];
      const watchId = delivery["watch_id"] ?? ledger.factsById.get(eventId)?.["watch_id"];
      if (this.#isPurged(watchId))
        this.#auditor.violate("purge", "a delivery of a purged watch is still listed", String(watchId), ...about);
      const exchanges = ledger.deliveries.get(`${eventId} ${url}`)?.exchanges ?? [];
      const type = delivery["event_type"] as string;
      const status = delivery["status"] as string;
      if (status === "pending") backlog.set(url, (backlog.get(url) ?? 0) + 1);
      if (status === "delivered" && !exchanges.some(({ isTaken }) => isTaken))
        this.#auditor.violate("delivered means taken", `${type} is delivered, and its receiver never took it`, ...about);
      // Deliveries of a deleted watch are not sent any more.
      const isDeleted = (ledger.watches.get(delivery["watch_id"] as string)?.deleteAskedAtMs ?? null) !== null && status !== "pending";
      if (
        !isDeleted &&
        ["pending", "exhausted", "failed", "expired"].includes(status) &&
        type !== "endpoint.test" &&
        !(status === "expired" && this.#isShortRetention)
      )
        this.#auditor.violate(
          "backlog drains",
          `${type} is ${status} though its receiver is willing: ${String(delivery["explain"])}`,
          ...about,
        );
      if (status === "canceled" && type !== "endpoint.test") this.#checkCanceled(delivery, url);
    }
    for (const endpoint of endpoints)
      if (endpoint["backlog"] !== (backlog.get(endpoint["url"] as string) ?? 0))
        this.#auditor.violate(
          "lists",
          `backlog ${String(endpoint["backlog"])}, ${backlog.get(endpoint["url"] as string) ?? 0} are pending`,
          endpoint["url"] as string,
        );
  }

  #checkCanceled(delivery: Json, url: string): void {
    const { ledger } = this.#auditor;
    const watch = ledger.watches.get(delivery["watch_id"] as string);
    const isHook = [...ledger.hooks.values()].some((hook) => hook.url === url && hook.deleteAskedAtMs !== null);
    const isGone = ledger.endpoints.get(url)?.hasEverBeenGone ?? false;
    if (watch?.deleteAskedAtMs === null && !isHook && !isGone)
      this.#auditor.violate("nothing lost", `a ${String(delivery["event_type"])} was canceled without a request`, watch.id, url);
  }

  async #checkHooks(): Promise<void> {
    const { ledger } = this.#auditor;
    const { account } = this.#parts.client;
    const shown = new Set((await this.#parts.client.list("/v1/hooks")).map(({ id }) => id as string));
    for (const hook of ledger.hooks.values()) {
      if (hook.account !== account) continue;
      const isGone = ledger.endpoints.get(hook.url)?.hasEverBeenGone ?? false;
      if (hook.deletedAtMs !== null && shown.has(hook.id))
        this.#auditor.violate("hooks", "a deleted hook is still listed", hook.id, hook.url);
      if (hook.deleteAskedAtMs === null && !isGone && !shown.has(hook.id))
        this.#auditor.violate("nothing answered 201 is lost", `hook ${hook.id} is gone`, hook.id, hook.url);
    }
    checkToldOnce(this.#auditor, account);
  }

  /** The feed is complete, in order, and the same for a reader that was killed now and then. */
  async #checkFeed(eventIds: readonly string[]): Promise<void> {
    const { reader, client } = this.#parts;
    await reader.readToEnd();
    const events: Json[] = [];
    let after = "";
    for (;;) {
      const page = await client.send({ method: "GET", path: `/v1/events?limit=200${after}` });
      const data = (page?.body["data"] ?? []) as readonly Json[];
      if (data.length === 0) break;
      events.push(...data);
      after = `&after=${encodeURIComponent(String(page?.body["next_cursor"]))}`;
    }
    const ids = events.map(({ id }) => id as string);
    const known = new Set(ids);
    for (const event of events) {
      const watchId = (event["data"] as Json)["watch_id"];
      if (this.#isPurged(watchId))
        this.#auditor.violate("purge", "the feed shows an event of a purged watch", event["id"] as string, String(watchId));
    }
    const missing = eventIds.filter((id) => !known.has(id));
    if (missing.length > 0 && !this.#isShortRetention)
      this.#auditor.violate("feed", `${missing.length} events of watches are not in the feed`, ...missing);
    const read = reader.ids;
    const stillThere = read.filter((id) => known.has(id));
    const unread = ids.filter((id) => !read.includes(id));
    if (new Set(read).size !== read.length)
      this.#auditor.violate("feed", "a reader was shown an event twice", ...read.filter((id, index) => read.indexOf(id) !== index));
    if (unread.length > 0 && !this.#isShortRetention)
      this.#auditor.violate("feed", `a reader was never shown ${unread.length} of ${ids.length} events`, ...unread);
    if (stillThere.some((id, index) => id !== ids[index])) this.#auditor.violate("feed", "a reader saw another order than the feed has");
  }
}

function count(counts: Map<string, number>, status: unknown): void {
  const name = String(status);
  counts.set(name, (counts.get(name) ?? 0) + 1);
}
