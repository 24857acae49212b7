import { expect, test } from "vitest";
import { createTestApi } from "./test-api.ts";
import { faultsOf } from "../harness/service/client.ts";

const body = { call_sid: "OUT-1", callback_url: "https://receiver.example/hook" };

/** Registers a watch with this header; returns the answer and the keys that the operation was given. */
async function register(header: string) {
  const keys: string[] = [];
  const { send } = createTestApi({
    idempotency: {
      take: async (request) => {
        keys.push(request.key);
        return { kind: "held" as const, request, [Symbol.dispose]: () => {} };
      },
    },
  });
  return { answer: await send("POST", "/v1/watches", body, { "idempotency-key": header }), keys };
}

test("without room for its answer is a 429 that says when there is some", async () => {
  const { send } = createTestApi({
    idempotency: { take: async () => ({ kind: "key_taken" as const, by: "no_room" as const, retryAfterMs: 3_600_500 }) },
  });
  const answer = await send("POST", "/v1/watches", body, { "idempotency-key": "a" });
  expect([answer.status, answer.headers["retry-after"], answer.body["type"]]).toEqual([
    429,
    "3601",
    "urn:ringback:problem:too-many-stored-answers",
  ]);
});

test.each([
  ["a missing value", ""],
  ["empty quotes", '""'],
  ["one quote", '"'],
  ["an open quote", '"open'],
  ["a closing quote", 'close"'],
  ["white space", "a b"],
  ["quoted white space", '"a b"'],
  ["a letter outside ASCII", "\u00e9"],
  ["256 characters", "k".repeat(256)],
  ["256 quoted characters", `"${"k".repeat(256)}"`],
  // Node joins repeated headers so (RFC 9110, 5.3).
  ["two keys", "a, b"],
])("%s is not a key", async (_name, header) => {
  const { answer, keys } = await register(header);
  expect(answer.status).toBe(422);
  expect(faultsOf(answer)).toEqual(["Idempotency-Key"]);
  expect(keys).toEqual([]);
});

test.each([
  ["a", "a"],
  ['"a"', "a"],
  ["k".repeat(255), "k".repeat(255)],
  [`"${"k".repeat(255)}"`, "k".repeat(255)],
  ["!#$%&'()*+,-./0:;<=>?@A[]^_`a{|}~\\\"b", "!#$%&'()*+,-./0:;<=>?@A[]^_`a{|}~\\\"b"],
])("%j is the key %j", async (header, key) => {
  const { answer, keys } = await register(header);
  expect([answer.status, keys]).toEqual([201, [key]]);
});
