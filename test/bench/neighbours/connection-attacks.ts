import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { request } from "node:http";
import type { Attack, Attacker } from "./attacker.ts";

const chunkBytes = 16;
/** Written at once, so that the attacker's own cost for each chunk is small. */
const chunksAtOnce = 512;
const bodyBytes = 256 * 1024;
const waiters = 500;
const busyCalls = 100;

export const slowRequests: Attack = {
  async run(attacker) {
    await Promise.all([
      attacker.repeat(16, () => sendInChunks(attacker)),
      attacker.repeat(16, () => attacker.send("GET", "/readyz")),
      attacker.repeat(32, () => attacker.send("GET", "/v1/me", undefined, { authorization: `Bearer ${randomUUID()}` })),
    ]);
  },
};

/** Sends a registration whose body comes in chunks of a few bytes and is refused, because its metadata is too long. */
async function sendInChunks(attacker: Attacker): Promise<void> {
  const sent = request(`${attacker.nextUrl()}/v1/watches`, {
    method: "POST",
    headers: { authorization: `Bearer ${attacker.job.key}`, "content-type": "application/json" },
  });
  const answered = once(sent, "response") as Promise<[{ statusCode?: number; resume(): void }]>;
  answered.catch(() => undefined);
  sent.on("error", () => undefined);
  try {
    sent.write('{"call_sid":"OUT-chunks","metadata":{"text":"');
    const text = "x".repeat(chunkBytes);
    for (let left = bodyBytes / chunkBytes; left > 0 && !attacker.isOver; left -= chunksAtOnce) {
      sent.cork();
      for (let index = 1; index < chunksAtOnce; index++) sent.write(text);
      const isFree = sent.write(text);
      sent.uncork();
      if (!isFree) await Promise.race([once(sent, "drain"), once(sent, "close")]);
    }
    sent.end('"}}');
    const [response] = await answered;
    response.resume();
    attacker.count(String(response.statusCode));
  } catch {
    attacker.count("failed");
  } finally {
    if (attacker.isOver) sent.destroy();
  }
}

export const waitingRequests: Attack = {
  async run(attacker) {
    const watches = Array.from({ length: busyCalls }, (_, index) => ({
      call_sid: `OUT-busy-${index}`,
      callback_url: attacker.callback("ok", 1, index),
    }));
    const { body } = await attacker.watch(watches);
    const results = (body["results"] ?? []) as readonly { readonly watch?: { readonly id: string } }[];
    const watchIds = results.flatMap(({ watch }) => (watch === undefined ? [] : [watch.id]));
    await attacker.repeat(waiters, (index) =>
      attacker.send(
        "GET",
        index % 2 === 0 ? "/v1/events?after=latest&wait=10" : `/v1/watches/${watchIds[index % watchIds.length] ?? ""}?wait=10`,
      ),
    );
  },
};
