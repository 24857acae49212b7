import { randomBytes } from "node:crypto";
import { EventEmitter, once } from "node:events";
import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { generateSecret } from "../../domain/webhooks/signature.ts";
import { startSimulator } from "../../simulator/simulator.ts";
import type { Simulator } from "../../simulator/simulator.ts";
import type { UpstreamKind } from "../../simulator/upstream-api.ts";
import { DemoRecord, demoCalls } from "./demo-plan.ts";
import { describeDelivery, readWebhook } from "../receiver/received-webhook.ts";
import { startReceiver } from "../receiver/receiver.ts";
import type { Delivery, Receiver, ScriptedAnswer } from "../receiver/receiver.ts";
import { freePort, ServiceProcess } from "./service-process.ts";

/** Time after the last expected webhook in which no further one may arrive. */
const afterwardsMs = 500;
const refusals = 2;

/** Simulated upstream, services and verifying receiver. Disposing stops them and deletes their folder. */
export class Demo implements AsyncDisposable {
  readonly #out: (line: string) => void;
  readonly #key = randomBytes(24).toString("base64url");
  readonly #secret = generateSecret();
  readonly #record = new DemoRecord();
  readonly #arrivals = new EventEmitter();
  readonly #services = new Map<UpstreamKind, ServiceProcess>();
  readonly #held = new AsyncDisposableStack();
  readonly #folder: string;
  #isPending = false;
  #killed = false;
  #addresses: { readonly simulator: string; readonly receiver: string } | null = null;

  private constructor(folder: string, out: (line: string) => void) {
    this.#folder = folder;
    this.#out = out;
    this.#held.defer(() => rm(folder, { recursive: true, force: true }));
  }

  static async create(out: (line: string) => void): Promise<Demo> {
    return new Demo(await mkdtemp(join(tmpdir(), "ringback-demo-")), out);
  }

  /** Resolves with the differences from the plan; empty if every webhook arrived as planned. */
  async run(signal: AbortSignal): Promise<readonly string[]> {
    const startedAtMs = performance.now();
    const simulator = this.#held.use(await startSimulator({ authToken: "demo-token", apiKey: "demo-key" }));
    const receiver = this.#held.use(
      await startReceiver({
        secrets: [this.#secret],
        answers: (delivery) => this.#answer(delivery),
      }),
    );
    await Promise.all([...new Set(demoCalls.map(({ upstream }) => upstream))].map((kind) => this.#startService(kind, simulator, signal)));
    this.#addresses = { simulator: simulator.url, receiver: receiver.url };
    this.#out(`simulated upstream  ${simulator.url}`);
    for (const service of this.#services.values()) this.#out(`service             ${service.url}  (${service.name})`);
    this.#out(`receiver            ${receiver.url}\n`);
    await this.#triggerCalls(simulator, receiver);
    await this.#crash(signal);
    await this.#until(() => this.#record.isComplete(), signal);
    await setTimeout(afterwardsMs, null, { signal });
    const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(1);
    const faults = this.#record.faults();
    const outcome = faults.length === 0 ? "all verified, every sequence without a gap" : `${faults.length} faults`;
    this.#out(
      `\n${this.#record.taken} webhooks of ${demoCalls.length} calls in ${this.#record.attempts} attempts, ${outcome}; ${seconds} s`,
    );
    return faults;
  }

  /** Addresses of all parts, and commands to try. */
  instructions(): string {
    const { simulator, receiver } = this.#addresses ?? { simulator: "", receiver: "" };
    const { url } = this.#service("polyai-legacy");
    const auth = `-H 'authorization: Bearer ${this.#key}'`;
    const json = "-H 'content-type: application/json'";
    const watch = (callSid: string, source: string) =>
      `curl -s ${url}/v1/watches ${auth} ${json} -d '{"call_sid":"${callSid}","source":"${source}","callback_url":"${receiver}/mine","signing_secret":"${this.#secret}"}'`;
    return [
      "",
      "still running; Ctrl-C ends it. Commands to try:",
      `  a scripted call   ${watch("OUT-sandbox-success-1", "sandbox")}`,
      `  place a call      curl -s ${simulator}/v1/outbound-calling -H 'x-polyai-auth-token: demo-token' -d '{"to_number":"+14155550100"}'`,
      `  and watch it      ${watch("OUT-<from the line above>", "default")}`,
      `  list watches      curl -s ${url}/v1/watches ${auth}`,
      `  upstream trouble  curl -s ${simulator}/simulator/faults -d '{"kind":"status","status_code":503,"times":20}'`,
      `  in a browser      ${url}/docs`,
    ].join("\n");
  }

  /** Webhooks that are still missing, for a demo that ran out of time. */
  faults(): readonly string[] {
    return this.#record.faults();
  }

  /** Kills child processes if the process exits without unwinding. */
  killNow(): void {
    for (const service of this.#services.values()) service.killNow();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#held.disposeAsync();
  }

  async #startService(kind: UpstreamKind, simulator: Simulator, signal: AbortSignal): Promise<void> {
    const service = new ServiceProcess(kind, {
      port: await freePort(),
      key: this.#key,
      environment: {
        DATABASE_URL: `sqlite:${join(this.#folder, `${kind}.db`)}`,
        METRICS_PORT: "0",
        LOG_LEVEL: "warn",
        CALLBACK_ALLOW: "127.0.0.1/32",
        CALLBACK_ALLOW_HTTP: "true",
        POLL_INTERVAL_MIN_MS: "200",
        POLL_INTERVAL_MAX_MS: "400",
        RETRY_SCHEDULE: "0s,1s,1s,1s,2s,2s,3s,3s,5s,5s",
        DELIVERY_TIMEOUT_MS: "2000",
        ...simulator.environment(kind),
      },
    });
    this.#services.set(kind, this.#held.use(service));
    await service.start(signal);
  }

  async #triggerCalls(simulator: Simulator, receiver: Receiver): Promise<void> {
    for (const call of demoCalls) {
      const callSid = simulator.trigger({ scenario: call.scenario }, `OUT-demo-${call.name}`);
      const answer = await this.#service(call.upstream).client.post("/v1/watches", {
        call_sid: callSid,
        callback_url: `${receiver.url}/${call.name}`,
        signing_secret: this.#secret,
      });
      if (answer.statusCode !== 201)
        throw new Error(`registering ${callSid} was answered ${answer.statusCode} ${JSON.stringify(answer.body)}`);
      this.#out(`watching ${callSid.padEnd(17)} ${call.story}`);
    }
    this.#out("");
  }

  /** Kills the service once the second webhook of the crash call was refused (and is therefore pending) and the other calls are done. */
  async #crash(signal: AbortSignal): Promise<void> {
    const others = demoCalls.filter((call) => call.name !== "crash");
    await this.#until(() => this.#isPending && this.#record.isComplete(others), signal);
    const service = this.#service("polyai-legacy");
    await service.kill();
    this.#killed = true;
    this.#out("              --- service killed with SIGKILL with a webhook pending; starting it again ---");
    await service.start(signal);
  }

  #answer(delivery: Delivery): ScriptedAnswer {
    const type = readWebhook(delivery)?.type;
    const refusedForFlaky = delivery.path === "/flaky" && type === "call.queued" && delivery.attempt <= refusals;
    const refusedForCrash = delivery.path === "/crash" && type === "call.calling" && !this.#killed;
    const taken = delivery.verification.kind === "verified" && !refusedForFlaky && !refusedForCrash;
    if (refusedForCrash) this.#isPending = true;
    this.#record.add(delivery, taken);
    const statusCode = taken ? 204 : delivery.verification.kind === "verified" ? 500 : 401;
    this.#out(`${describeDelivery(delivery)}${taken ? "" : `  <- answered ${statusCode}`}`);
    this.#arrivals.emit("delivery");
    return statusCode;
  }

  async #until(isMet: () => boolean, signal: AbortSignal): Promise<void> {
    while (!isMet()) await once(this.#arrivals, "delivery", { signal });
  }

  #service(kind: UpstreamKind): ServiceProcess {
    const service = this.#services.get(kind);
    if (service === undefined) throw new Error(`no service for ${kind}`);
    return service;
  }
}
