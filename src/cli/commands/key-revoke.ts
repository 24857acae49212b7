import { commandLine } from "../../domain/audit.ts";
import { isoTime } from "../../domain/events/payload.ts";
import { isEnvironmentKey } from "../../engine/administration/accounts.ts";
import { openAdministration } from "./administration.ts";
import { readArguments } from "../command.ts";
import type { Command } from "../command.ts";

/** `key revoke`: revokes an API key. */
export const keyRevokeCommand: Command = {
  summary: "revoke an API key; a running service refuses it within 5 s",
  usage: "  <key id>             key_…, as key list shows it",
  async run(args, terminal) {
    const { json, positionals } = readArguments(args, { positionals: ["<key id>"] });
    const [keyId = ""] = positionals;
    await using administration = await openAdministration();
    const { store, clock } = administration;
    const key = await store.revokeKey({ keyId, accountId: null, by: commandLine, nowMs: clock.nowMs() });
    if (key === null) throw new Error(`no key ${JSON.stringify(keyId)}; key list <account> shows the ids`);
    const revokedAt = isoTime(key.revokedAtMs);
    if (isEnvironmentKey(key))
      terminal.error("this is the key of RINGBACK_API_KEY: the next start with that variable makes it valid again");
    terminal.out(
      json
        ? JSON.stringify({ account_id: key.accountId, key_id: key.id, revoked_at: revokedAt })
        : `key ${key.id} of ${key.accountId === null ? "the operator" : `account ${key.accountId}`} was revoked at ${revokedAt}`,
    );
    return 0;
  },
};
