import { keyNameFault } from "../../domain/secrets/key-name.ts";
import { keyScopes, sortedScopes } from "../../domain/secrets/key-scopes.ts";
import type { KeyScope } from "../../domain/secrets/key-scopes.ts";
import type { KeySettings } from "../../engine/administration/accounts.ts";
import { createdKeyJson, describeCreatedKey } from "./account-create.ts";
import { openAdministration } from "./administration.ts";
import { readArguments, UsageError } from "../command.ts";
import type { Command } from "../command.ts";

const unitMs = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
/** Times beyond a hundred years are typing errors. */
const maxExpiryMs = 36_525 * unitMs.d;

/** `key create`: creates another API key, for a rotation or another client. */
export const keyCreateCommand: Command = {
  summary: "create another API key for an account, or one of the operator, and print it, once",
  usage: `  <account>            id or name
  --operator           in place of an account: a key that opens the dashboard over all accounts, to look
  --name <name>        name of the key, for people
  --scope <list>       what it may do: ${keyScopes.join(",")}; all of them unless given
  --expires <time>     when it ends from now, as in 90d; units s, m, h, d`,
  async run(args, terminal) {
    const { values, json, positionals } = readArguments(args, {
      texts: ["name", "scope", "expires"],
      switches: ["operator"],
      optional: ["<account>"],
    });
    const isOperator = values.operator === true;
    if (isOperator === positionals.length > 0) throw new UsageError("give either <account> or --operator");
    if (isOperator && values.scope !== undefined) throw new UsageError("--scope: a key of the operator has none to choose, it reads");
    const settings = readSettings(values);
    await using administration = await openAdministration();
    const account = isOperator ? null : await administration.account(positionals[0] ?? "");
    const expiresInMs = values.expires === undefined ? null : readExpiry(values.expires);
    const end = expiresInMs === null ? {} : { expiresAtMs: administration.clock.nowMs() + expiresInMs };
    const created = await (await administration.accounts()).createKey(account?.id ?? null, { ...settings, ...end });
    const owner = account === null ? "a key of the operator" : `another key for account ${account.name}`;
    terminal.out(json ? JSON.stringify(createdKeyJson(created)) : `${owner}\n${describeCreatedKey(created)}`);
    return 0;
  },
};

function readSettings({
  name,
  scope,
  expires,
}: {
  readonly name?: string;
  readonly scope?: string;
  readonly expires?: string;
}): KeySettings {
  if (expires !== undefined) readExpiry(expires);
  const fault = name === undefined ? null : keyNameFault(name);
  if (fault !== null) throw new UsageError(`--name ${fault}`);
  return { ...(name === undefined ? {} : { name }), ...(scope === undefined ? {} : { scopes: readScopes(scope) }) };
}

function readScopes(list: string): readonly KeyScope[] {
  const names = list.split(",").map((name) => name.trim());
  const unknown = names.find((name) => !(keyScopes as readonly string[]).includes(name));
  if (unknown !== undefined)
    throw new UsageError(`--scope: ${JSON.stringify(unknown)} is not a scope; the scopes are ${keyScopes.join(", ")}`);
  return sortedScopes(names as readonly KeyScope[]);
}

/** Parses a span as in `90d` to milliseconds. */
function readExpiry(text: string): number {
  const [, digits = "", unit = "s"] = /^(\d{1,10})([smhd])$/.exec(text) ?? [];
  const ms = Number(digits) * unitMs[unit as keyof typeof unitMs];
  if (ms < 1 || ms > maxExpiryMs) throw new UsageError("--expires must be a number and s, m, h or d, as in 90d, of at most 100 years");
  return ms;
}
