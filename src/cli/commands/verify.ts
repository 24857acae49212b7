import { readFile } from "node:fs/promises";
import { readArguments, readStandardInput, UsageError } from "../command.ts";
import type { Command } from "../command.ts";
import { findSignatureFault } from "../receiver/signature-fault.ts";

/** `verify`: finds the fault of a signature. */
export const verifyCommand: Command = {
  summary: "find out why a webhook's signature is invalid",
  usage: `  --secret <whsec_…>   the endpoint's signing secret
  --id <text>          header webhook-id
  --timestamp <text>   header webhook-timestamp
  --signature <text>   header webhook-signature, whole
  --body-file <path>   the body as it arrived; - reads standard input
  --now <seconds>      judge the clock as of this unix time instead of now
Exit code 0 when the signature holds, 1 when it does not.`,
  async run(args, terminal) {
    const { values, json } = readArguments(args, { texts: ["secret", "id", "timestamp", "signature", "body-file", "now"] });
    const { secret, id, timestamp, signature, now } = values;
    const path = values["body-file"];
    if (secret === undefined || path === undefined) throw new UsageError("--secret and --body-file are needed");
    if (now !== undefined && !/^\d{1,10}$/.test(now)) throw new UsageError("--now must be unix seconds");
    const body = await readBody(path);
    const webhook = { secret, id: id ?? "", timestamp: timestamp ?? "", signature: signature ?? "", body };
    const { fault, detail } = findSignatureFault(webhook, now === undefined ? Date.now() : Number(now) * 1000);
    terminal.out(
      json ? JSON.stringify({ fault: fault === "none" ? null : fault, detail }) : fault === "none" ? detail : `${fault}: ${detail}`,
    );
    return fault === "none" ? 0 : 1;
  },
};

function readBody(path: string): Promise<Buffer> {
  return path === "-" ? readStandardInput() : readFile(path);
}
