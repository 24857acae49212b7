import { WebhookAddressGuard } from "../../adapters/webhook/address-guard.ts";
import { createWebhookSender } from "../../adapters/webhook/sender.ts";
import { endpointTestEvent } from "../../domain/events/event.ts";
import { newId } from "../../domain/ids.ts";
import { generateSecret, hmacKeyOf, signWebhook } from "../../domain/webhooks/signature.ts";
import { renderContent } from "../../domain/webhooks/webhook-content.ts";
import type { Config } from "../../service/config.ts";
import { startReceiver } from "../receiver/receiver.ts";
import { bad, good } from "./finding.ts";
import type { Finding } from "./finding.ts";

const loopback = ["127.0.0.1/32"];

/** Sends one signed webhook to a receiver of this process. Loopback is allowed for it alone. */
export async function checkWebhook({ callbacks, delivery }: Pick<Config, "callbacks" | "delivery">): Promise<Finding> {
  const secret = generateSecret();
  await using receiver = await startReceiver({ port: 0, host: "127.0.0.1", secrets: [secret] });
  const guard = new WebhookAddressGuard({ ...callbacks, allow: loopback, allowHttp: true, publicUrl: null, ownPorts: () => [] });
  const sender = createWebhookSender(guard, { connectTimeoutMs: delivery.timeoutMs });
  try {
    const nowMs = Date.now();
    const event = endpointTestEvent(newId("evt", nowMs), "", nowMs);
    const { method, body, headers } = renderContent(event, { format: "standard", request: null }, null);
    const timestampSeconds = Math.floor(nowMs / 1000);
    const signature = signWebhook({ id: event.id, timestampSeconds, body }, { hmac: [hmacKeyOf(secret)], ed25519: null });
    const signed = { ...headers, "webhook-id": event.id, "webhook-timestamp": String(timestampSeconds), "webhook-signature": signature };
    const { outcome } = await sender.send({
      method,
      url: new URL("/", receiver.url).href,
      headers: signed,
      body,
      timeoutMs: delivery.timeoutMs,
    });
    if (outcome.kind === "answered" && outcome.statusCode === 204)
      return good("webhook", "one was sent to this machine, and its signature held");
    const detail = "detail" in outcome ? outcome.detail : outcome.kind === "answered" ? `the status ${outcome.statusCode}` : outcome.code;
    return bad("webhook", `one to this machine failed: ${detail}`, "let this program connect to 127.0.0.1");
  } finally {
    await sender.close();
  }
}

/** Checks whether webhooks may be sent to a callback URL, without sending one. */
export async function checkCallback(callback: string, { api, callbacks }: Pick<Config, "api" | "callbacks">): Promise<Finding> {
  const check = "callback";
  const parsed = URL.parse(callback);
  if (parsed === null) return bad(check, "is not a URL", "an absolute URL, https://…");
  const guard = new WebhookAddressGuard({ ...callbacks, publicUrl: api.publicUrl, ownPorts: () => [api.port] });
  try {
    const refused = guard.checkUrl(parsed) ?? (await guard.checkName(parsed));
    if (refused === null) return good(check, `${parsed.host} may be sent webhooks`);
    return bad(
      check,
      `${parsed.host}: the URL ${refused.reason}`,
      "a public https URL, or, if the receiver is yours, its host or address in CALLBACK_ALLOW (CALLBACK_ALLOW_HTTP=true for http)",
    );
  } finally {
    guard.resolver.close();
  }
}
