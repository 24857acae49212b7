import type { Attempt } from "../../domain/deliveries/attempt.ts";
import type { SourceHealth } from "../../domain/sources/source.ts";

/** Returns advice on a failed attempt; `null` if nothing needs to be done. */
export function adviceOn({ statusCode, error }: Pick<Attempt, "statusCode" | "error">): string | null {
  switch (error?.code) {
    case undefined:
      return null;
    case "status":
      return adviceOnStatus(statusCode);
    case "timeout":
      return "The receiver must answer within 15 s (unless the operator set another time): answer 2xx first and do the work afterwards.";
    case "connect":
      return "No server answers at this address and port. Check that the receiver runs and that its firewall admits this service.";
    case "reset":
      return "The receiver, or a proxy in front of it, closed the connection before the answer was complete. Check their logs.";
    case "tls":
      return "The certificate is not trusted: it may be expired, self-signed, for another name, or sent without its intermediate certificates.";
    case "dns":
      return "The host name does not resolve: check its spelling and its DNS records.";
    case "protocol":
      return "The server's answer is not valid HTTP. Check the port.";
    case "redirect":
      return "Redirects are never followed: register the URL that the redirect points to.";
    case "blocked_address":
      return "The address is not public and therefore refused. The operator can allow it (CALLBACK_ALLOW).";
    case "gone":
      return "The receiver answered 410, so the endpoint was disabled. To resume, enable it or name its URL in a new watch.";
  }
}

function adviceOnStatus(statusCode: number | null): string {
  if (statusCode === 401 || statusCode === 403)
    return "The receiver refuses the request. Set the `headers` that its check needs, verify that it uses this endpoint's secret, or look for a firewall that blocks POSTs.";
  if (statusCode === 404)
    return "The path does not exist at the receiver. Check the URL. Automation tools answer 404 while a workflow is inactive.";
  if (statusCode === 405) return "The receiver does not accept POST at this path. Check the URL.";
  if (statusCode === 413 || statusCode === 415) return "The receiver does not accept this body. Another `format` of the endpoint may work.";
  if (statusCode === 429)
    return "The receiver asks for fewer webhooks, so the endpoint pauses. Set `max_per_second` of the endpoint to stay below its limit.";
  if (statusCode !== null && statusCode >= 502 && statusCode <= 504)
    return "A proxy answers, but the receiver behind it does not. Check that the receiver runs.";
  if (statusCode !== null && statusCode >= 500)
    return "The receiver failed while it handled the webhook. Search its log for this webhook-id.";
  return "The receiver refused the webhook; only a 2xx counts as delivered. Its log and the answer below show the reason.";
}

/** Explains what a source's state means for its calls; `null` if the source is healthy. */
export function adviceOnSource({ state, reason }: Pick<SourceHealth, "state" | "reason">): string | null {
  switch (state) {
    case "ok":
      return null;
    case "unproven":
      return "Has not returned a status in the last minutes, or no call was polled. An ending by 400 or 404 is not accepted yet.";
    case "slowed":
      return reason === "interval"
        ? "Has more calls than its rate limit can poll in time."
        : "Answered 429, so all calls are polled more slowly.";
    case "circuit_open":
      return "Most polls fail. One probe at a time is sent until the source answers again.";
    case "suspended":
      return reason === "misconfigured"
        ? "Answers 400 or 404 to every poll. Base URL, agent or environment may be wrong. No watch ends meanwhile."
        : "Refuses the credential. The operator must renew it. Watches stay active meanwhile.";
  }
}
