import { request } from "undici";
import { apiKey } from "../harness/service/environment.ts";

const endpoints = 100;

export type WatchBatch = {
  readonly from: number;
  readonly size: number;
  readonly sinkPort: number;
  /** Number of hosts of the endpoints, all of them loopback addresses of the sink; 1 if left out. */
  readonly hosts?: number;
};

/** Registers `size` calls, from `OUT-bench-<from>` on, in one request; their webhooks go to the sink. */
export async function watchBatch(serviceUrl: string, { from, size, sinkPort, hosts = 1 }: WatchBatch): Promise<void> {
  const watches = Array.from({ length: size }, (_, offset) => {
    const index = from + offset;
    return {
      call_sid: `OUT-bench-${index}`,
      callback_url: `http://127.0.0.${1 + (index % hosts)}:${sinkPort}/hooks/${index % endpoints}`,
    };
  });
  const { statusCode, body } = await request(`${serviceUrl}/v1/watches/batch`, {
    method: "POST",
    headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
    body: JSON.stringify({ watches }),
  });
  await body.dump();
  if (statusCode !== 200) throw new Error(`the batch was answered ${statusCode}`);
}
