import { unfiltered } from "../../src/domain/events/event-filter.ts";
import { systemClock } from "../../src/adapters/clock.ts";
import { openSqliteStore } from "../../src/adapters/sqlite/store.ts";
import { WebhookAddressGuard } from "../../src/adapters/webhook/address-guard.ts";
import { createWebhookSender } from "../../src/adapters/webhook/sender.ts";
import { newId } from "../../src/domain/ids.ts";
import { generateSecret } from "../../src/domain/webhooks/signature.ts";
import { DeliveryLimits } from "../../src/engine/delivery/delivery-limits.ts";
import { Dispatcher } from "../../src/engine/delivery/dispatcher.ts";
import { AccountAdministration } from "../../src/engine/administration/accounts.ts";
import { draftSecret } from "../../src/engine/registration/sealed-drafts.ts";
import { WebhookComposer } from "../../src/engine/delivery/webhook-composer.ts";
import { openKeyring } from "../../src/service/open-keyring.ts";
import { recordLingerMs } from "../../src/service/open-store.ts";
import type { Account } from "../../src/ports/stores/account-store.ts";
import type { WatchedCall } from "../../src/ports/stores/call-store.ts";
import type { AttemptRecord, AttemptRecorded } from "../../src/ports/stores/delivery-store.ts";
import type { SecretBox } from "../../src/ports/secret-box.ts";
import type { ServiceStore } from "../../src/ports/stores/service-store.ts";
import { apiKey } from "../harness/service/environment.ts";
import { silentLogger, silentMetrics } from "../harness/silent-telemetry.ts";
import { testPolicy } from "../harness/store-drafts.ts";

const batchSize = 1000;
const dayMs = 86_400_000;

/** Everything between a transition and its receiver, put together as the service does: store, signature, guard, sender, record. */
export class Outbound implements AsyncDisposable {
  readonly store: ServiceStore;
  readonly dispatcher: Dispatcher;
  readonly #account: Account;
  readonly #secretBox: SecretBox;
  readonly #sends: boolean;
  readonly #callSidByDelivery = new Map<string, string>();
  /** Called for every 2xx, after its record is on disk. */
  onDelivered: (callSid: string) => void = () => undefined;

  private constructor(store: ServiceStore, secretBox: SecretBox, account: Account, sends: boolean) {
    this.store = store;
    this.#sends = sends;
    this.#secretBox = secretBox;
    this.#account = account;
    const guard = new WebhookAddressGuard({
      allow: ["127.0.0.0/8"],
      allowHttp: true,
      ports: [443],
      dnsServers: [],
      publicUrl: null,
      ownPorts: () => [],
    });
    this.dispatcher = new Dispatcher({
      store: { ...store, recordAttempt: (record) => this.#record(record) },
      sender: createWebhookSender(guard, { connectTimeoutMs: 15_000 }),
      composer: new WebhookComposer({ secretBox, accounts: store, publicUrl: null, version: "bench" }),
      limits: new DeliveryLimits({
        clock: systemClock,
        maxInFlight: 512,
        endpointMaxInFlight: 32,
        hostMaxInFlight: 64,
        hostRateLimits: new Map(),
      }),
      clock: systemClock,
      logger: silentLogger,
      metrics: silentMetrics,
      timeoutMs: 15_000,
      maxAttempts: testPolicy.scheduleMs.length,
      poller: { rewatch: () => undefined },
      listeners: [],
    });
  }

  /** `path`: a file, so that a commit waits for the disk as it does in the service. Without `sends` everything stays pending. */
  static async open(path: string, options: { readonly sends?: boolean; readonly apiKey?: string } = {}): Promise<Outbound> {
    const store = await openSqliteStore({ path, policy: testPolicy, recordLingerMs });
    const keyring = await openKeyring(store, { encryptionKeys: null, databasePath: path });
    const administration = new AccountAdministration({ store, clock: systemClock, ...keyring });
    const account = await administration.ensureDefaultAccount(options.apiKey ?? apiKey);
    return new Outbound(store, keyring.secretBox, account, options.sends ?? true);
  }

  /** Watches on new calls; `urlOf` names the endpoint of each. */
  async watch(count: number, prefix: string, urlOf: (index: number) => string): Promise<readonly WatchedCall[]> {
    const calls: WatchedCall[] = [];
    for (let from = 0; from < count; from += batchSize) {
      const size = Math.min(batchSize, count - from);
      const results = await this.store.registerWatches(
        Array.from({ length: size }, (_, offset) => this.#draft(`OUT-${prefix}-${from + offset}`, urlOf(from + offset))),
      );
      for (const result of results) if (result.kind === "created" && result.call !== null) calls.push(result.call);
    }
    return calls;
  }

  /** One transition: committed, then sent. Resolves with the call after it. */
  async see(call: WatchedCall, status: string): Promise<WatchedCall> {
    const nowMs = Date.now();
    const result = await this.store.commitCall({
      callId: call.callId,
      accountId: call.accountId,
      expectedVersion: call.version,
      nowMs,
      lastGoodPollAtMs: nowMs,
      confirmed: true,
      changes: [{ kind: "status", status, reason: "", details: null, terminal: false, observedAfterMs: null }],
    });
    if (result.kind !== "committed" || result.call === null) throw new Error(`the transition was not taken: ${result.kind}`);
    for (const job of result.jobs) this.#callSidByDelivery.set(job.deliveryId, call.callSid);
    if (this.#sends) this.dispatcher.accept(result.jobs);
    return result.call;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispatcher.stop(1000);
    await this.store.close();
  }

  async #record(record: AttemptRecord): Promise<AttemptRecorded> {
    const recorded = await this.store.recordAttempt(record);
    const callSid = this.#callSidByDelivery.get(record.deliveryId);
    if (recorded.kind === "recorded" && recorded.delivery.status === "delivered" && callSid !== undefined) {
      this.#callSidByDelivery.delete(record.deliveryId);
      this.onDelivered(callSid);
    }
    return recorded;
  }

  #draft(callSid: string, callbackUrl: string) {
    const nowMs = Date.now();
    const url = new URL(callbackUrl);
    return {
      id: newId("wch", nowMs),
      accountId: this.#account.id,
      sourceName: "default",
      scope: "",
      callSid,
      callId: newId("call", nowMs),
      endpoint: {
        id: newId("ep", nowMs),
        url: url.href,
        origin: `${url.protocol}//${url.hostname}:${url.port}`,
        format: null,
        request: null,
        defaultFormat: "standard" as const,
        late: "send" as const,
        headers: null,
        givenSecret: null,
        generatedSecret: draftSecret(this.#secretBox, generateSecret(), nowMs),
      },
      needsHook: false,
      filter: unfiltered,
      metadata: {},
      trace: null,
      expiresAtMs: nowMs + dayMs,
      nowMs,
      polledAtMs: null,
      restartsEndedCall: false,
      quotas: { maxActiveWatches: 0, maxWatchesPerCall: 0, maxEndpoints: 0, maxHooks: 0 },
      by: null,
      placing: null,
    };
  }
}
