import { expect, test } from "vitest";
import { clientOf } from "../harness/service/client.ts";
import { runToEnd } from "../harness/service/ended-service.ts";
import { serviceEnvironment } from "../harness/service/environment.ts";
import { startService, temporaryFolder } from "../harness/service/service.ts";

/** The service where no file may grow past this number of blocks of 512 bytes, which is a full disk to it. */
async function serviceOn(url: string, fileLimitBlocks: number) {
  const started = Promise.withResolvers<number>();
  const exited = runToEnd(serviceEnvironment({ DATABASE_URL: url, LOG_LEVEL: "info" }), {
    fileLimitBlocks,
    onOutput: (stdout) => {
      const port = /"port":(\d+)/.exec(stdout)?.[1];
      if (port !== undefined) started.resolve(Number(port));
    },
  });
  const port = await Promise.race([started.promise, exited.then(({ stderr }) => Promise.reject(new Error(stderr)))]);
  return { client: clientOf(`http://127.0.0.1:${port}`), exited };
}

test("a commit that the disk has no room for ends the process with 70, and what was answered before is there", async () => {
  // Setup: room for the schema and a few dozen registrations; clients register one after the other until it ends.
  // What this proves: after a failed commit nothing is answered, and nothing that was answered is lost.
  const database = { url: `sqlite:${await temporaryFolder()}/ringback.db` };
  const full = await serviceOn(database.url, 6000);
  const promised: string[] = [];
  const statuses = new Set<number>();
  for (let n = 0; n < 10_000; n++) {
    const draft = { call_sid: `OUT-sandbox-not-found-${n}`, source: "sandbox", callback_url: `http://127.0.0.1:9/${n}` };
    const answer = await full.client.post("/v1/watches", draft).catch(() => null);
    if (answer === null) break;
    statuses.add(answer.status);
    if (answer.status === 201) promised.push(String(answer.body["id"]));
  }
  const { code, stderr } = await full.exited;
  expect(code).toBe(70);
  expect(stderr).toMatch(/^ringback: the database failed: [^\n]+\n$/);
  expect([...statuses].filter((status) => status !== 201 && status !== 503)).toEqual([]);
  expect(promised.length).toBeGreaterThan(10);

  const roomy = await startService({ as: "process", database });
  for (const id of promised) expect((await roomy.client.get(`/v1/watches/${id}`)).status, id).toBe(200);
  expect(await roomy.stop()).toBe(0);
}, 60_000);
