import type { WebhookExchange, WebhookRequest, WebhookSender } from "../../ports/webhook-sender.ts";
import { SlotSet } from "../../domain/slot-set.ts";
import { requestTargetOf } from "../../domain/webhooks/http-url.ts";
import type { WebhookAddressGuard } from "./address-guard.ts";
import { attemptOutcomeOf, webhookAnswerLimits } from "./attempt-outcome.ts";
import { Exchange } from "../http-client/exchange.ts";
import type { ExchangeEnd } from "../http-client/exchange.ts";
import { closedFailure, networkFailureOf } from "../http-client/network-failure.ts";
import { GuardedDialler } from "./guarded-connector.ts";
import { OriginPools } from "./origin-pools.ts";
import type { Lease } from "./origin-pools.ts";

const sweepMs = 50;
const closeIdleEveryMs = 5000;
const defaultMaxOrigins = 1000;
const closedEnd: ExchangeEnd = { answer: null, failure: closedFailure(), staleness: "none" };

type Running = { readonly exchange: Exchange; readonly deadlineMonotonicMs: number; readonly timeoutMs: number; slot: number };

export type WebhookSenderOptions = {
  /** Time limit of a connection with its TLS handshake. At most the timeout of an exchange, so that no socket outlives its exchange. */
  readonly connectTimeoutMs: number;
  readonly maxOrigins?: number;
  /** Longest use of a connection; 50 s. */
  readonly maxConnectionAgeMs?: number;
};

/**
 * Creates a sender of webhooks over HTTP/1.1, through the `dispatch` of undici. One periodic sweep enforces all deadlines,
 * because an abort signal for each request costs a third of the throughput. The sweep runs only while an exchange is in
 * flight.
 */
export function createWebhookSender(guard: WebhookAddressGuard, options: WebhookSenderOptions): WebhookSender {
  const dialler = new GuardedDialler(guard, options.connectTimeoutMs);
  const pools = new OriginPools((origin) => dialler.connectorFor(origin), { maxOrigins: defaultMaxOrigins, ...options });
  const running = new SlotSet<Running>();
  let sweep: NodeJS.Timeout | null = null;
  let closed = false;
  const idle = setInterval(() => pools.closeIdle(), closeIdleEveryMs).unref();

  const cutOverdue = () => {
    const nowMs = performance.now();
    for (const { exchange, deadlineMonotonicMs, timeoutMs } of running) if (deadlineMonotonicMs <= nowMs) exchange.timeOut(timeoutMs);
  };

  const run = async (lease: Lease, url: URL, request: WebhookRequest, deadlineMonotonicMs: number): Promise<ExchangeEnd> => {
    const exchange = new Exchange(webhookAnswerLimits);
    const entry: Running = { exchange, deadlineMonotonicMs, timeoutMs: request.timeoutMs, slot: -1 };
    running.add(entry);
    sweep ??= setInterval(cutOverdue, sweepMs);
    try {
      const { method, headers, body } = request;
      const path = requestTargetOf(url);
      dialler.onBehalfOf(request.accountId, () => lease.dispatcher.dispatch({ path, method, headers, body }, exchange));
      return await exchange.ended;
    } catch (error) {
      return { answer: null, failure: networkFailureOf(error), staleness: "none" };
    } finally {
      running.delete(entry);
      lease.release();
      if (running.size === 0 && sweep !== null) {
        clearInterval(sweep);
        sweep = null;
      }
    }
  };

  const exchangeOnce = async (request: WebhookRequest, startedMs: number): Promise<ExchangeEnd> => {
    const deadlineMonotonicMs = startedMs + request.timeoutMs;
    const url = new URL(request.url);
    const first = await run(pools.lease(url.origin), url, request, deadlineMonotonicMs);
    if (first.staleness === "none" || closed || performance.now() >= deadlineMonotonicMs) return first;
    // The receiver had closed the idle connection and has not seen the request.
    return run(pools.leaseFresh(url.origin), url, request, deadlineMonotonicMs);
  };

  return {
    async send(request): Promise<WebhookExchange> {
      const startedMs = performance.now();
      const end = closed ? closedEnd : await exchangeOnce(request, startedMs);
      return { outcome: await attemptOutcomeOf(end, request.secretValues), durationMs: performance.now() - startedMs };
    },
    async close() {
      closed = true;
      clearInterval(idle);
      for (const { exchange } of running) exchange.cut(closedFailure());
      dialler.close();
      await pools.destroy();
      guard.resolver.close();
    },
  };
}
