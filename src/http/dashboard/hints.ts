import type { Attempt } from "../../domain/deliveries/attempt.ts";
import type { SourceHealth } from "../../domain/sources/source.ts";

/** What an integrator can do about a failed attempt; null: nothing needs doing. */
export function adviceOn({ statusCode, error }: Pick<Attempt, "statusCode" | "error">): string | null {
  switch (error?.code) {
    case undefined:
      return null;
    case "status":
      return adviceOnStatus(statusCode);
    case "timeout":
      return "The receiver must answer within 15 s (unless the operator set another time): answer 2xx first and do the work afterwards.";
    case "connect":
      return "Nothing answers at this address and port: is the receiver running, and does its firewall let this service in?";
    case "reset":
      return "The receiver or a proxy before it closed the connection before the answer was complete: look into their logs.";
    case "tls":
      return "The certificate is not trusted: it may be expired, self-signed, for another name, or sent without its intermediate certificates.";
    case "dns":
      return "The host name does not resolve: check its spelling and its DNS records.";
    case "protocol":
      return "What answers does not speak HTTP as it should: is it the right port?";
    case "redirect":
      return "Redirects are never followed: register the URL that the redirect points to.";
    case "blocked_address":
      return "The address is not public and therefore refused. The operator can allow it (CALLBACK_ALLOW).";
    case "gone":
      return "A 410 says that no more webhooks are wanted: the endpoint was disabled. Enable it, or name its URL in a new watch, to go on.";
  }
}

function adviceOnStatus(statusCode: number | null): string {
  if (statusCode === 401 || statusCode === 403)
    return "The receiver refuses us: set the `headers` its check asks for, check that it verifies the signature with this endpoint's secret, or look for a firewall that blocks POSTs.";
  if (statusCode === 404)
    return "There is nothing at this path: check the URL. Automation tools answer 404 while a workflow is not active.";
  if (statusCode === 405) return "The receiver takes no POST at this path: check the URL.";
  if (statusCode === 413 || statusCode === 415)
    return "The receiver does not take this body: another `format` of the endpoint may suit it better.";
  if (statusCode === 429)
    return "The receiver asks for fewer webhooks: nothing is sent while it does. `max_per_second` of the endpoint keeps below its limit.";
  if (statusCode !== null && statusCode >= 502 && statusCode <= 504)
    return "A proxy answers, the receiver behind it does not: is it running?";
  if (statusCode !== null && statusCode >= 500)
    return "The receiver failed while it handled the webhook: look into its log for this webhook-id.";
  return "The receiver refused the webhook: only a 2xx counts as delivered. Its log and the answer below say why.";
}

/** What a source's state means to those who wait for its calls; null: all is well. */
export function adviceOnSource({ state, reason }: Pick<SourceHealth, "state" | "reason">): string | null {
  switch (state) {
    case "ok":
      return null;
    case "unproven":
      return "Has not answered with a status in the last minutes (or there was nothing to ask): an ending by 400 or 404 is not believed yet.";
    case "slowed":
      return reason === "interval" ? "Watches more calls than its rate polls in time." : "Answered 429: all calls are polled more slowly.";
    case "circuit_open":
      return "Most polls fail: one probe at a time, until it answers again.";
    case "suspended":
      return reason === "misconfigured"
        ? "Answers 400 or 404 to everything: base URL, agent or environment may be wrong. No watch ends meanwhile."
        : "Refuses the credential: the operator has to renew it. Watches stay active meanwhile.";
  }
}
