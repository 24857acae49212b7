import type { Auditor } from "./auditor.ts";
import { isWanted, registrationName } from "./ledger.ts";
import type { KnownDelivery, KnownHook } from "./ledger.ts";

/** An event that hooks were sent, and the time within which it was made. */
type SentEvent = { readonly type: string; readonly terminal: boolean; readonly notBeforeMs: number; readonly notAfterMs: number };

/**
 * Checks that each hook of an account receives a transition of a call once, regardless of the number of watches. Hooks with one
 * URL share its deliveries, so their receiver does not see which hook an event is for: there must be a hook for each event
 * that its URL receives about one transition, one event a hook. Worlds with a short retention forget calls, so a transition
 * may come back in them.
 */
export function checkToldOnce(auditor: Auditor, account: number): void {
  const { ledger, limits } = auditor;
  if (limits.retentionMs < 86_400_000) return;
  const hooks = [...ledger.hooks.values()].filter((hook) => hook.account === account);
  const byUrl = Map.groupBy(hooks, ({ url }) => url);
  for (const [url, ofUrl] of byUrl) {
    const received = [...ledger.deliveries.values()].filter((delivery) => delivery.url === url && isForHooks(auditor, account, delivery));
    const lost = ledger.lostHooks.filter((lostUrl) => lostUrl === url).length;
    for (const deliveries of Map.groupBy(received, transitionOf).values()) {
      const events = deliveries.map((delivery) => sentEventOf(auditor, delivery));
      const [first] = deliveries;
      if (events.length - assignedCount(events, ofUrl) > lost)
        auditor.violate(
          "hooks",
          `received ${first?.facts["type"]} of ${first?.facts["call_sid"]} as ${events.length} events for ${ofUrl.length} hooks`,
          url,
          first?.facts["call_sid"],
        );
    }
  }
}

/** Whether an event about a call was sent to a URL because of hooks alone. */
function isForHooks({ ledger }: Auditor, account: number, { facts, url, exchanges }: KnownDelivery): boolean {
  const type = facts["type"] ?? "";
  if (!type.startsWith("call.") || type === "call.overdue" || type === "call.unknown" || exchanges.length === 0) return false;
  const watch = ledger.watches.get(facts["watch_id"] ?? "");
  if (watch === undefined) return !ledger.lostRegistrations.has(registrationName(account, facts["call_sid"], url));
  // A purge erases what its hooks were sent, and the call may begin again.
  if (watch.isPurgeAsked) return false;
  return watch.url !== url || !isWanted(watch.events, type, facts["terminal"] === "true");
}

/** A call ends once; it may come to any other status more than once. */
function transitionOf({ facts }: KnownDelivery): string {
  const sid = facts["call_sid"] ?? "";
  return facts["terminal"] === "true" ? sid : `${sid} ${facts["type"]} ${facts["status"]} ${facts["observed_at"]}`;
}

function sentEventOf({ ledger }: Auditor, { facts, exchanges }: KnownDelivery): SentEvent {
  return {
    type: facts["type"] ?? "",
    terminal: facts["terminal"] === "true",
    notBeforeMs: ledger.watches.get(facts["watch_id"] ?? "")?.askedAtMs ?? 0,
    notAfterMs: exchanges[0]?.startedAtMs ?? Infinity,
  };
}

/** Returns how many events can be for a hook of their own (a maximum matching, by augmenting paths). */
function assignedCount(events: readonly SentEvent[], hooks: readonly KnownHook[]): number {
  const eventOf = new Map<KnownHook, SentEvent>();
  const assign = (event: SentEvent, tried: Set<KnownHook>): boolean =>
    hooks.some((hook) => {
      if (tried.has(hook) || !mayBeFor(event, hook)) return false;
      tried.add(hook);
      const other = eventOf.get(hook);
      if (other !== undefined && !assign(other, tried)) return false;
      eventOf.set(hook, event);
      return true;
    });
  return events.filter((event) => assign(event, new Set())).length;
}

function mayBeFor(event: SentEvent, hook: KnownHook): boolean {
  const isThere = hook.askedAtMs <= event.notAfterMs && (hook.deletedAtMs === null || hook.deletedAtMs >= event.notBeforeMs);
  return isThere && isWanted(hook.events, event.type, event.terminal);
}
