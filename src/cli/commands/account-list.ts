import { isoTime } from "../../domain/events/payload.ts";
import type { AccountOverview } from "../../ports/stores/account-store.ts";
import { readArguments } from "../command.ts";
import type { Command } from "../command.ts";
import { openAdministration } from "./administration.ts";

/** `account list`: lists the accounts with what they use. */
export const accountListCommand: Command = {
  summary: "list the accounts with what they have and do",
  usage: `  no flags of its own
Polls are those of the last minute that the service has recorded, and placings those since midnight UTC.`,
  async run(args, terminal) {
    const { json } = readArguments(args, {});
    await using administration = await openAdministration();
    const accounts = await administration.store.listAccounts(administration.clock.nowMs());
    if (json) terminal.out(JSON.stringify(accounts.map(overviewJson)));
    else if (accounts.length === 0) terminal.out("no accounts yet: account create makes one");
    else for (const account of accounts) terminal.out(describe(account));
    return 0;
  },
};

function overviewJson(account: AccountOverview) {
  return {
    account_id: account.id,
    name: account.name,
    disabled: account.disabledAtMs !== null,
    active_watches: account.activeWatches,
    endpoints: account.endpoints,
    hooks: account.hooks,
    polls_per_minute: account.pollsPerMinute,
    placed_today: account.placedToday,
    last_request_at: isoTime(account.lastRequestAtMs),
  };
}

function describe(account: AccountOverview): string {
  const { id, name, disabledAtMs, activeWatches, endpoints, hooks, pollsPerMinute, placedToday, lastRequestAtMs } = account;
  const used = `${activeWatches} active watches  ${endpoints} endpoints  ${hooks} hooks  ${pollsPerMinute} polls/min  ${placedToday} placed today`;
  const last = lastRequestAtMs === null ? "no request yet" : `last request ${isoTime(lastRequestAtMs)}`;
  return `${name}  ${id}  ${used}  ${last}${disabledAtMs === null ? "" : `  disabled at ${isoTime(disabledAtMs)}`}`;
}
