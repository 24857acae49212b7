import type { WebhookExchange, WebhookRequest, WebhookSender } from "../../ports/webhook-sender.ts";
import type { WebhookAddressGuard } from "./address-guard.ts";
import { Exchange } from "./exchange.ts";
import type { ExchangeEnd } from "./exchange.ts";
import { failureOf, timeoutFailure } from "./failure-class.ts";
import { createGuardedConnector } from "./guarded-connector.ts";
import { OriginPools } from "./origin-pools.ts";
import type { Lease } from "./origin-pools.ts";

const sweepMs = 50;
const closeIdleEveryMs = 5000;

type Running = { readonly exchange: Exchange; readonly deadlineMonotonicMs: number; readonly timeoutMs: number };

/**
 * Sends webhooks over HTTP/1.1 through undici's `dispatch`. One sweep enforces every deadline (a signal per request
 * costs a third of the throughput); it runs while anything is on the wire.
 */
export function createWebhookSender(guard: WebhookAddressGuard, options: { readonly connectTimeoutMs: number }): WebhookSender {
  const pools = new OriginPools(createGuardedConnector(guard, options.connectTimeoutMs));
  const running = new Set<Running>();
  let sweep: NodeJS.Timeout | null = null;
  let closed = false;
  const idle = setInterval(() => pools.closeIdle(), closeIdleEveryMs).unref();

  const abortOverdue = () => {
    const nowMs = performance.now();
    for (const { exchange, deadlineMonotonicMs, timeoutMs } of running)
      if (deadlineMonotonicMs <= nowMs) exchange.abort(timeoutFailure(timeoutMs, exchange.statusCode));
  };

  const run = async (lease: Lease, request: WebhookRequest, deadlineMonotonicMs: number): Promise<ExchangeEnd> => {
    const exchange = new Exchange();
    const entry = { exchange, deadlineMonotonicMs, timeoutMs: request.timeoutMs };
    running.add(entry);
    sweep ??= setInterval(abortOverdue, sweepMs);
    try {
      const url = new URL(request.url);
      lease.dispatcher.dispatch(
        { path: url.pathname + url.search, method: "POST", headers: request.headers, body: request.body },
        exchange,
      );
      return await exchange.ended;
    } catch (error) {
      return { outcome: failureOf(error, null), staleConnection: false };
    } finally {
      running.delete(entry);
      lease.release();
      if (running.size === 0 && sweep !== null) {
        clearInterval(sweep);
        sweep = null;
      }
    }
  };

  return {
    async send(request): Promise<WebhookExchange> {
      const startedMs = performance.now();
      const deadlineMonotonicMs = startedMs + request.timeoutMs;
      const { origin } = new URL(request.url);
      let end = await run(pools.lease(origin), request, deadlineMonotonicMs);
      // The receiver closed an idle connection at the moment it was used again: it has seen nothing of this request.
      if (end.staleConnection && !closed && performance.now() < deadlineMonotonicMs)
        end = await run(pools.leaseFresh(origin), request, deadlineMonotonicMs);
      return { outcome: end.outcome, durationMs: performance.now() - startedMs };
    },
    async close() {
      closed = true;
      clearInterval(idle);
      await pools.destroy();
      guard.resolver.close();
    },
  };
}
