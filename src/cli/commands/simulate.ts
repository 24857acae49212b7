import { isScenarioName, scenarios } from "../../simulator/scenarios.ts";
import { startSimulator } from "../../simulator/simulator.ts";
import { readArguments, readPort, untilAborted, UsageError } from "../command.ts";
import type { Command } from "../command.ts";

/** `simulate`: runs a simulated upstream. */
export const simulateCommand: Command = {
  summary: "run a simulated upstream, both PolyAI telephony APIs",
  usage: `  --port <port>        port to listen on (0 picks a free one)
  --host <address>     127.0.0.1 unless given
  --auth-token <text>  what X-PolyAi-Auth-Token must be; anything unless given
  --api-key <text>     what X-API-KEY must be; anything unless given
  --adopt <scenario>   life of a SID that was not triggered, instead of 404
Scenarios: ${Object.keys(scenarios).join(", ")}`,
  async run(args, terminal) {
    const { values, json } = readArguments(args, { texts: ["port", "host", "auth-token", "api-key", "adopt"] });
    const { adopt } = values;
    if (adopt !== undefined && !isScenarioName(adopt)) throw new UsageError(`--adopt must be one of ${Object.keys(scenarios).join(", ")}`);
    await using simulator = await startSimulator({
      port: readPort(values.port, "port"),
      host: values.host ?? "127.0.0.1",
      authToken: values["auth-token"] ?? null,
      apiKey: values["api-key"] ?? null,
      adopt: adopt ?? null,
    });
    terminal.out(json ? JSON.stringify({ listening: simulator.url }) : introduction(simulator.url));
    await untilAborted(terminal.signal);
    return 0;
  },
};

function introduction(url: string): string {
  return `simulated upstream on ${url}
  make a call     curl -X POST ${url}/v1/outbound-calling -H 'x-polyai-auth-token: any' -d '{"to_number":"+14155550100","metadata":{"scenario":"failure"}}'
  script one      curl -X POST ${url}/simulator/calls -d '{"timeline":[{"at_ms":0,"status":"queued"},{"at_ms":3000,"status":"success"}]}'
  break it        curl -X POST ${url}/simulator/faults -d '{"kind":"status","status_code":429,"retry_after":"5"}'
  mend it         curl -X DELETE ${url}/simulator/faults`;
}
