import { EventEmitter, once } from "node:events";
import { onTestFinished } from "vitest";
import { startReceiver } from "../../src/cli/receiver/receiver.ts";
import type { Delivery } from "../../src/cli/receiver/receiver.ts";
import type { Scenario } from "../../src/simulator/scenarios.ts";
import type { Simulator } from "../../src/simulator/simulator.ts";
import type { InstanceTwists } from "../harness/service/instance-program.ts";
import { bodyOf } from "../harness/receivers/collecting-receiver.ts";
import { signingSecret } from "../harness/service/environment.ts";
import { prepareService } from "../harness/service/service.ts";
import type { ProcessService } from "../harness/service/service.ts";
import { ObservedUpstream } from "../harness/upstream/observed-upstream.ts";
import { simulatedUpstream } from "../harness/upstream/simulated-upstream.ts";

/** Something was done to these instances between the two times (wall clock). */
export type FaultSpan = { readonly instances: readonly string[]; readonly fromMs: number; readonly toMs: number };

export type ClusterOptions = {
  /** Database URL by the name of the instance. */
  readonly databaseUrls: Readonly<Record<string, string>>;
  readonly pollsPerSecond: number;
  readonly twists?: Readonly<Record<string, InstanceTwists>>;
  readonly environment?: Readonly<Record<string, string>>;
  /** Time that the receiver takes to answer, which is how long a webhook is on the wire. */
  readonly receiverDelayMs?: number;
  /** One of this number of webhooks is refused the first time. */
  readonly refusesOneOf?: number;
};

/** Few, so that every instance is given some. */
const registerAtOnce = 20;
const stepTimeoutMs = 180_000;

/** Several instances as processes on one database, an upstream that notes the polls of each, a receiver that keeps every webhook. */
export class InstanceCluster {
  readonly simulator: Simulator;
  readonly upstream: ObservedUpstream;
  readonly instances: ReadonlyMap<string, ProcessService>;
  readonly deliveries: Delivery[];
  readonly faults: FaultSpan[] = [];
  readonly callSids: string[] = [];
  readonly #receiverUrl: string;
  readonly #arrivals: EventEmitter;

  static async start(options: ClusterOptions): Promise<InstanceCluster> {
    const cluster = await InstanceCluster.prepare(options);
    await Promise.all([...cluster.instances.values()].map((instance) => instance.start()));
    return cluster;
  }

  /** Everything but the start of the instances. */
  static async prepare(options: ClusterOptions): Promise<InstanceCluster> {
    const simulator = await simulatedUpstream({ pollLogSize: 1 });
    const upstream = new ObservedUpstream(simulator);
    const instances = new Map<string, ProcessService>();
    for (const [name, url] of Object.entries(options.databaseUrls)) {
      const twists = options.twists?.[name];
      const program = twists === undefined ? {} : { program: ["test/harness/service/instance-program.ts", JSON.stringify(twists)] };
      const environment = {
        POLYAI_BASE_URL: await upstream.urlFor(name),
        POLYAI_AUTH_TOKEN: "any",
        POLYAI_MAX_POLLS_PER_SECOND: String(options.pollsPerSecond),
        POLL_INTERVAL_MIN_MS: "1000",
        POLL_INTERVAL_MAX_MS: "5000",
        RETRY_SCHEDULE: "0s,500ms,1s,2s,4s,8s",
        ...options.environment,
      };
      instances.set(name, await prepareService({ as: "process", name, database: { url }, environment, ...program }));
    }
    // What was accepted; a webhook that is refused has to come again.
    const deliveries: Delivery[] = [];
    let arrived = 0;
    const refuses = ({ attempt }: Delivery): boolean => attempt === 1 && ++arrived % (options.refusesOneOf ?? Infinity) === 0;
    const arrivals = new EventEmitter();
    const receiver = await startReceiver({
      secrets: [signingSecret],
      answers: (delivery) => {
        if (refuses(delivery)) return 500;
        deliveries.push(delivery);
        arrivals.emit("delivery");
        return { statusCode: 204, delayMs: options.receiverDelayMs ?? 0 };
      },
    });
    onTestFinished(() => receiver.close());
    return new InstanceCluster({ simulator, upstream, instances, deliveries, arrivals, receiverUrl: receiver.url });
  }

  private constructor(parts: {
    readonly simulator: Simulator;
    readonly upstream: ObservedUpstream;
    readonly instances: ReadonlyMap<string, ProcessService>;
    readonly deliveries: Delivery[];
    readonly arrivals: EventEmitter;
    readonly receiverUrl: string;
  }) {
    this.simulator = parts.simulator;
    this.upstream = parts.upstream;
    this.instances = parts.instances;
    this.deliveries = parts.deliveries;
    this.#arrivals = parts.arrivals;
    this.#receiverUrl = parts.receiverUrl;
  }

  instance(name: string): ProcessService {
    const instance = this.instances.get(name);
    if (instance === undefined) throw new Error(`no instance ${name}`);
    return instance;
  }

  /** Triggers `count` calls and watches them, batch by batch, through the instances in turn. */
  async watch(count: number, scenarioOf: (index: number) => Scenario): Promise<void> {
    const names = [...this.instances.keys()];
    for (let from = 0; from < count; from += registerAtOnce) {
      const sids = Array.from({ length: Math.min(registerAtOnce, count - from) }, (_, index) =>
        this.simulator.trigger({ scenario: scenarioOf(from + index) }),
      );
      const watches = sids.map((callSid, index) => ({
        call_sid: callSid,
        callback_url: `${this.#receiverUrl}/hooks/${(from + index) % 40}`,
        signing_secret: signingSecret,
      }));
      const via = this.instance(names[(from / registerAtOnce) % names.length] ?? "");
      const answer = await via.client.post("/v1/watches/batch", { watches });
      const results = (answer.body["results"] ?? []) as readonly { readonly status: number }[];
      if (results.length !== sids.length || !results.every(({ status }) => status === 201))
        throw new Error(`not accepted: ${answer.status} ${JSON.stringify(answer.body).slice(0, 300)}`);
      this.callSids.push(...sids);
    }
  }

  /** Lets calls end, those from one place of `callSids` to another. */
  end(from: number, to: number): void {
    for (const callSid of this.callSids.slice(from, to)) this.simulator.script(callSid, { scenario: [{ atMs: 0, status: "success" }] });
  }

  /** Something is done to instances; what comes twice may have left in that time. */
  async fault(instances: readonly string[], act: () => Promise<void>): Promise<void> {
    const fromMs = Date.now();
    await act();
    this.faults.push({ instances, fromMs, toMs: Date.now() });
  }

  /** Resolves once `isDone`, looked at after every webhook. */
  async until(isDone: () => boolean, what: string): Promise<void> {
    const signal = AbortSignal.timeout(stepTimeoutMs);
    while (!isDone())
      await once(this.#arrivals, "delivery", { signal }).catch((error: unknown) => {
        throw new Error(`${what}: ${this.progress()}`, { cause: error });
      });
  }

  get endedCount(): number {
    const ended = this.deliveries.filter((delivery) => typeOf(delivery) === "call.success").map((delivery) => sidOf(delivery));
    return new Set(ended).size;
  }

  progress(): string {
    return `${this.endedCount} of ${this.callSids.length} calls ended, ${this.deliveries.length} webhooks, ${this.upstream.polls.length} polls`;
  }
}

const typeOf = (delivery: Delivery) => bodyOf(delivery).type;
const sidOf = (delivery: Delivery) => bodyOf(delivery).data.call_sid;
