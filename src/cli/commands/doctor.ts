import { readConfig, readStoreConfig } from "../../service/config.ts";
import { readArguments } from "../command.ts";
import type { Command } from "../command.ts";
import { checkDatabase } from "../doctor/database-checks.ts";
import { bad, good } from "../doctor/finding.ts";
import type { Finding } from "../doctor/finding.ts";
import { checkNames, checkPorts } from "../doctor/machine-checks.ts";
import { checkSources } from "../doctor/source-checks.ts";
import { checkCallback, checkWebhook } from "../doctor/webhook-checks.ts";
import { printable } from "../printable.ts";

/** `doctor`: checks everything that the service needs, in the environment that it would have. */
export const doctorCommand: Command = {
  summary: "check configuration, database, sources, clock, DNS, ports and webhooks, with a remedy for what is bad",
  usage: `  --to <url>           also check whether webhooks may be sent to this callback URL
Run it with the environment of the service. Nothing is sent to receivers; every source is polled once. Exit code 1 if something is bad.`,
  async run(args, terminal) {
    const { values, json } = readArguments(args, { texts: ["to"] });
    const findings: Finding[] = [];
    const add = (found: readonly Finding[]) => {
      findings.push(...found);
      if (!json) for (const finding of found) terminal.out(lineOf(finding));
    };
    await examine(values.to, add);
    if (json) terminal.out(JSON.stringify(findings));
    return findings.every(({ ok }) => ok) ? 0 : 1;
  },
};

async function examine(callback: string | undefined, add: (found: readonly Finding[]) => void): Promise<void> {
  const read = readConfig();
  const stored = readStoreConfig();
  if (read.kind === "invalid")
    add(read.faults.map((fault) => bad("configuration", fault, "correct the variable; the guide to the configuration has them all")));
  else {
    add([good("configuration", "every variable is valid")]);
    add(read.config.warnings.map((warning) => good("configuration", `warning: ${warning}`)));
  }
  // The database can be checked beside faults of other variables.
  if (stored.kind === "invalid") return;
  const hasApiKey = read.kind === "config" && read.secrets.apiKey !== null;
  const { findings, administration } = await checkDatabase(stored.config, hasApiKey || read.kind === "invalid");
  await using closed = administration;
  add(findings);
  if (read.kind === "invalid") return;
  const { config, secrets } = read;
  add(await checkSources(config, secrets, closed));
  const machine = [checkNames(config), checkWebhook(config), ...(callback === undefined ? [] : [checkCallback(callback, config)])];
  add(await checkPorts(config));
  add(await Promise.all(machine));
}

function lineOf(finding: Finding): string {
  const line = `${finding.check}: ${finding.detail}`;
  return printable(finding.ok ? `ok   ${line}` : `bad  ${line} (remedy: ${finding.remedy})`);
}
