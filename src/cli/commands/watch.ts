import { readVariable } from "../../service/config.ts";
import { readArguments, UsageError } from "../command.ts";
import type { Command } from "../command.ts";
import { showUntilEnd } from "./live-watch.ts";
import { ServiceClient } from "../demo/service-client.ts";
import { printable, printableJson } from "../printable.ts";
import type { JsonObject, ServiceAnswer } from "../demo/service-client.ts";

/** `watch`: registers a watch at a running service. */
export const watchCommand: Command = {
  summary: "watch a call: have a running service notify a URL of its changes, and show them",
  usage: `  <sid>                the call, OUT-…
  --to <url>           where the webhooks go; left out, the account's hooks alone
  --no-wait            exit at once; otherwise the call is shown until it ends
  --url <url>          the service; http://127.0.0.1:<PORT> unless given
  --key <key>          API key; RINGBACK_API_KEY unless given
  --source <name>      default unless given; sandbox for a scripted call
  --event <type>       only this type or group; may be given several times
  --metadata <k=v>     echoed in every webhook; may be given several times`,
  async run(args, terminal) {
    const { values, json, positionals } = readArguments(args, {
      texts: ["to", "url", "key", "source"],
      lists: ["event", "metadata"],
      switches: ["no-wait"],
      positionals: ["<sid>"],
    });
    const { url, key } = readService(values.url, values.key);
    await using service = new ServiceClient(url, key);
    const answer = await service.post("/v1/watches", {
      call_sid: positionals[0],
      // JSON omits `undefined`, so that a missing flag becomes a missing key.
      callback_url: values.to ?? null,
      source: values.source,
      events: values.event,
      metadata: values.metadata && readMetadata(values.metadata),
    });
    const done = answer.statusCode === 200 || answer.statusCode === 201;
    const print = done ? terminal.out : terminal.error;
    print(json ? printableJson(answer.body) : done ? describeWatch(answer.body) : describeProblem(answer));
    if (!done) return 1;
    if (values["no-wait"] === true) return 0;
    // Awaited, because the client is closed when this function returns.
    return await showUntilEnd(service, answer.body, terminal, { json, describeProblem });
  },
};

function readService(urlFlag: string | undefined, keyFlag: string | undefined): { readonly url: URL; readonly key: string } {
  const key = keyFlag ?? readVariable("RINGBACK_API_KEY");
  if (key === null) throw new UsageError("--key or RINGBACK_API_KEY is needed");
  const url = URL.parse(urlFlag ?? `http://127.0.0.1:${readVariable("PORT") ?? "8080"}`);
  if (url === null || !/^https?:$/.test(url.protocol))
    throw new UsageError(urlFlag === undefined ? "PORT must be a port; or give --url" : "--url must be an http or https URL");
  return { url, key };
}

function readMetadata(pairs: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf("=");
      if (at < 1) throw new UsageError("--metadata must be key=value");
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}

function describeWatch(watch: JsonObject): string {
  const secret = watch["signing_secret"];
  const shown = typeof secret === "string" ? `\nsigning secret, shown once: ${printable(secret)}` : "";
  const line = `${String(watch["id"])}  ${String(watch["call_sid"])}  ${String(watch["status"])}: ${String(watch["explain"])}`;
  return `${printable(line)}${shown}`;
}

function describeProblem({ statusCode, body: problem }: ServiceAnswer): string {
  const errors = Array.isArray(problem["errors"]) ? (problem["errors"] as readonly JsonObject[]) : [];
  const lines = errors.map((error) => `  ${String(error["pointer"] ?? error["parameter"])}: ${String(error["detail"])}`);
  return [
    `${statusCode} ${String(problem["title"] ?? "")}: ${String(problem["detail"] ?? "not an answer of a ringback service")}`,
    ...lines,
  ]
    .map(printable)
    .join("\n");
}
