import { writeSync } from "node:fs";
import { openSqliteStore } from "../../src/adapters/sqlite/store.ts";
import { createSecretBox, parseEncryptionKeys } from "../../src/adapters/sealing/secret-box.ts";
import { systemClock } from "../../src/adapters/clock.ts";
import { Idempotency } from "../../src/engine/requests/idempotency.ts";
import { StoreWorld, testPolicy } from "../harness/store-drafts.ts";

/*
 * A server that dies between the commit and the answer: `idempotency-victim.ts <database> <encryption key>` registers a
 * watch under a key, prints what it is about to answer, and kills itself when that is on the disk.
 */
const [path = "", keys = ""] = process.argv.slice(2);
const parsed = parseEncryptionKeys(keys);
if (parsed.kind === "invalid") throw new Error("usage: idempotency-victim.ts <database> <encryption key>");
let armed = false;
const store = await openSqliteStore({ path, policy: testPolicy, onCommitted: () => armed && process.kill(process.pid, "SIGKILL") });
const idempotency = new Idempotency({
  store,
  secretBox: createSecretBox(parsed.keys),
  clock: systemClock,
  keyedHash: (text) => text,
  maxStoredBytes: 0,
});
const world = new StoreWorld(store);
const { id: accountId } = await world.account();
const draft = await world.watchDraft("OUT-1");
const request = { accountId, method: "POST", path: "/v1/watches", key: "a", bodyHash: "hash" };
const answer = { status: 201, contentType: "application/json", body: JSON.stringify({ id: draft.id, accountId }) };
armed = true;
await idempotency.run(
  { request, answerOf: () => answer },
  (operations) => operations.registerWatches,
  [draft],
  () => {
    writeSync(1, answer.body);
    return answer;
  },
);
writeSync(1, "answered");
