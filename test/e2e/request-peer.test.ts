import { once } from "node:events";
import { connect } from "node:net";
import { expect, test } from "vitest";
import { apiKey } from "../harness/service/environment.ts";
import { startService } from "../harness/service/service.ts";
import type { InProcessService } from "../harness/service/service.ts";

type Row = { readonly actor: { readonly kind: string }; readonly address: string | null };

/** Sends chunks for as long as the service reads them. Returns its answer and the number of bytes that were sent. */
async function sendWithoutEnd({ service }: InProcessService): Promise<{ readonly answer: string; readonly bytes: number }> {
  const socket = connect(service.apiPort, "127.0.0.1");
  await once(socket, "connect");
  let answer = "";
  socket.on("error", () => {}).on("data", (chunk) => (answer += String(chunk)));
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.write(
    `POST /v1/watches HTTP/1.1\r\nHost: a\r\nX-API-Key: ${apiKey}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`,
  );
  const chunk = `10000\r\n${"[".repeat(65_536)}\r\n`;
  const most = 64 * 1024 * 1024;
  while (socket.writable && socket.bytesWritten < most)
    if (!socket.write(chunk)) await Promise.race([new Promise((resolve) => socket.once("drain", resolve)), closed]);
  const bytes = socket.bytesWritten;
  socket.destroy();
  await closed;
  return { answer, bytes };
}

const wrongKey = { "content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin", authorization: "" };

test.each(["sqlite-memory", "postgres"] as const)("routes see the connection of a request (%s)", async (database) => {
  const service = await startService({ database });
  const { client } = service;

  await client.send("POST", "/v1/keys", { name: "crm" });
  const [row] = await client.list<Row>("/v1/audit?action=key.created");
  expect(row).toMatchObject({ actor: { kind: "key" }, address: "127.0.0.1" });

  const { answer, bytes } = await sendWithoutEnd(service);
  expect(answer).toMatch(/^HTTP\/1.1 413 [^]*connection: close/i);
  expect(bytes).toBeLessThan(24 * 1024 * 1024);

  // Wrong keys are counted by address, and the count is of the connection that sends them.
  const signIn = () => client.send("POST", "/dashboard/sign-in", "api_key=wrong-key-of-24-characters", wrongKey);
  for (let n = 0; n < 10; n++) expect((await signIn()).status).toBe(401);
  expect((await signIn()).status).toBe(429);
});
