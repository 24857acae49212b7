import { isSigningSecret } from "../../domain/webhooks/signature.ts";
import { readArguments, readPort, untilAborted, UsageError } from "../command.ts";
import type { Command } from "../command.ts";
import { startReceiver } from "../receiver/receiver.ts";
import type { Delivery } from "../receiver/receiver.ts";
import { describeDelivery, readWebhook } from "../receiver/received-webhook.ts";

/** `listen`: prints every received webhook and whether its signature is valid. */
export const listenCommand: Command = {
  summary: "receive webhooks, verify and print them",
  usage: `  --port <port>       port to listen on (0 picks a free one)
  --host <address>    127.0.0.1 unless given
  --secret <whsec_…>  signing secret; may be given several times. Without one nothing is verified
  --status <code>     what to answer; 204 unless given, 401 where the signature does not hold`,
  async run(args, terminal) {
    const { values, json } = readArguments(args, { texts: ["port", "host", "status"], lists: ["secret"] });
    const secrets = values.secret ?? [];
    if (!secrets.every(isSigningSecret)) throw new UsageError("--secret must be whsec_ and padded, canonical base64 of 24 to 64 bytes");
    const { status } = values;
    if (status !== undefined && !/^[2-5]\d\d$/.test(status)) throw new UsageError("--status must be a status code from 200 to 599");
    const print = (delivery: Delivery) => terminal.out(json ? deliveryJson(delivery) : describeDelivery(delivery));
    await using receiver = await startReceiver({
      port: readPort(values.port, "port"),
      host: values.host ?? "127.0.0.1",
      secrets,
      onDelivery: print,
      ...(status === undefined ? {} : { answers: () => Number(status) }),
    });
    const note = secrets.length === 0 ? " (no --secret: signatures are not checked)" : "";
    terminal.out(json ? JSON.stringify({ listening: receiver.url }) : `listening on ${receiver.url}${note}`);
    await untilAborted(terminal.signal);
    return 0;
  },
};

function deliveryJson(delivery: Delivery): string {
  const { receivedAtMs, path, webhookId, attempt, verification, headers } = delivery;
  const base = { received_at: new Date(receivedAtMs).toISOString(), path, webhook_id: webhookId, attempt };
  const type = readWebhook(delivery)?.type ?? null;
  return JSON.stringify({
    ...base,
    verified: verification.kind === "unchecked" ? null : verification.kind === "verified",
    type,
    content_type: headers["content-type"] ?? null,
    body: delivery.body.toString("utf8"),
  });
}
