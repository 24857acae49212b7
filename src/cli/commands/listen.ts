import { generateSecret, isSigningSecret } from "../../domain/webhooks/signature.ts";
import { readVariable, resolveFromCaller } from "../../service/config.ts";
import { readArguments, readPort, untilAborted, UsageError } from "../command.ts";
import type { Command, Terminal } from "../command.ts";
import { ServiceClient } from "../demo/service-client.ts";
import { plain } from "../paint.ts";
import { printable, printableJson } from "../printable.ts";
import { FeedRefusedError, forwardFeed } from "../receiver/feed-forwarder.ts";
import { startReceiver } from "../receiver/receiver.ts";
import type { Delivery } from "../receiver/receiver.ts";
import { describeDelivery, readWebhook } from "../receiver/received-webhook.ts";

const receiverFlags = ["port", "host", "status", "fail-first"] as const;
const forwarderFlags = ["forward-to", "url", "key-env", "cursor-file"] as const;
type Flag = (typeof receiverFlags)[number] | (typeof forwarderFlags)[number];
type Values = { readonly [Name in Flag]?: string } & { readonly secret?: readonly string[] };

/** `listen`: prints every received webhook and whether its signature is valid; or forwards the events of a feed. */
export const listenCommand: Command = {
  summary: "receive webhooks, verify and print them, or forward a feed to a program on this machine",
  usage: `  --port <port>         port to listen on (0 picks a free one)
  --host <address>      127.0.0.1 unless given
  --secret <whsec_…>    signing secret; may be given several times. Without one nothing is verified
  --status <code>       what to answer; 204 unless given, 401 where the signature does not hold
  --fail-first <n>      answer the first n webhooks with 500 (or --status), the others as usual
  --forward-to <url>    instead: read the feed of a service and post each event here, signed, until it is taken
  --url <url>           the service; http://127.0.0.1:8080 unless given
  --key-env <name>      variable with the API key; RINGBACK_API_KEY unless given
  --cursor-file <path>  go on behind the last event that was taken; left out, with what comes next`,
  async run(args, terminal) {
    const { values, json } = readArguments(args, { texts: [...receiverFlags, ...forwarderFlags], lists: ["secret"] });
    const isForwarding = values["forward-to"] !== undefined;
    for (const name of isForwarding ? receiverFlags : forwarderFlags)
      if (values[name] !== undefined) throw new UsageError(`--${name} ${isForwarding ? "does not go with" : "needs"} --forward-to`);
    if (!(values.secret ?? []).every(isSigningSecret))
      throw new UsageError("--secret must be whsec_ and padded, canonical base64 of 24 to 64 bytes");
    return isForwarding ? forward(values, terminal, json) : receive(values, terminal, json);
  },
};

async function receive(values: Values, terminal: Terminal, json: boolean): Promise<0 | 1> {
  const secrets = values.secret ?? [];
  const { status, "fail-first": failFirst } = values;
  if (status !== undefined && !/^[2-5]\d\d$/.test(status)) throw new UsageError("--status must be a status code from 200 to 599");
  if (failFirst !== undefined && !/^\d{1,9}$/.test(failFirst)) throw new UsageError("--fail-first must be a number of webhooks");
  let failuresLeft = Number(failFirst ?? 0);
  const answerTo = () => {
    if (failFirst === undefined) return status === undefined ? null : Number(status);
    failuresLeft -= 1;
    return failuresLeft < 0 ? null : Number(status ?? 500);
  };
  await using receiver = await startReceiver({
    port: readPort(values.port, "port"),
    host: values.host ?? "127.0.0.1",
    secrets,
    onDelivery: (delivery) => terminal.out(json ? deliveryJson(delivery) : describeDelivery(delivery, terminal.paint)),
    answers: answerTo,
  });
  const note = secrets.length === 0 ? " (no --secret: signatures are not checked)" : "";
  terminal.out(json ? JSON.stringify({ listening: receiver.url }) : `listening on ${receiver.url}${note}`);
  await untilAborted(terminal.signal);
  return 0;
}

async function forward(values: Values, terminal: Terminal, json: boolean): Promise<0 | 1> {
  const target = readUrl(values["forward-to"] ?? "", "forward-to");
  const keyName = values["key-env"] ?? "RINGBACK_API_KEY";
  const key = readVariable(keyName);
  if (key === null) throw new UsageError(`${keyName} must hold an API key; --key-env names another variable`);
  const [given, ...others] = values.secret ?? [];
  if (others.length > 0) throw new UsageError("--forward-to takes one --secret");
  const secret = given ?? generateSecret();
  await using service = new ServiceClient(readUrl(values.url ?? "http://127.0.0.1:8080", "url"), key);
  const shown = given === undefined ? { secret } : {};
  terminal.out(
    json
      ? JSON.stringify({ forwarding_to: target.href, ...shown })
      : `forwarding to ${printable(target.href)}${given === undefined ? `, signed with ${secret}` : ""}`,
  );
  try {
    await forwardFeed({
      get: (path) => service.get(path),
      target,
      secret,
      cursorFile: values["cursor-file"] === undefined ? null : resolveFromCaller(values["cursor-file"]),
      onAttempt: ({ id, type, answer }) =>
        terminal.out(
          json ? printableJson({ id, type, answer }) : `${printable(`${id}  ${type}`)}  ${paintedAnswer(answer, terminal.paint)}`,
        ),
      onTrouble: (detail) => terminal.error(printable(`the feed cannot be read, trying again: ${detail}`)),
      signal: terminal.signal,
    });
    return 0;
  } catch (error) {
    if (!(error instanceof FeedRefusedError)) throw error;
    terminal.error(printable(`the feed cannot be read: ${error.message}`));
    return 1;
  }
}

/** Returns the answer of the program, green if it took the event. */
function paintedAnswer(answer: number | string, paint = plain): string {
  const isTaken = typeof answer === "number" && answer >= 200 && answer < 300;
  return paint(isTaken ? "green" : "red", printable(String(answer)));
}

function readUrl(text: string, name: string): URL {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) throw new UsageError(`--${name} must be an http or https URL`);
  return url;
}

function deliveryJson(delivery: Delivery): string {
  const { receivedAtMs, path, webhookId, attempt, verification, headers } = delivery;
  const base = { received_at: new Date(receivedAtMs).toISOString(), path, webhook_id: webhookId, attempt };
  const type = readWebhook(delivery)?.type ?? null;
  return printableJson({
    ...base,
    verified: verification.kind === "unchecked" ? null : verification.kind === "verified",
    type,
    content_type: headers["content-type"] ?? null,
    body: delivery.body.toString("utf8"),
  });
}
