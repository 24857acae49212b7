import { createSecretKey, randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { generateApiKey, generateHashKey, hashApiKey } from "../../../src/domain/secrets/api-key.ts";
import { Authenticator } from "../../../src/engine/requests/authentication.ts";
import { account } from "../../http/views.ts";
import { FakeClock } from "../../harness/fake-clock.ts";

const hashKey = createSecretKey(randomBytes(32));
const hash = (apiKey: string) => hashApiKey(apiKey, hashKey);

/** A store that knows keys by their hash and remembers what it was asked. */
function createAuthentication(...keys: readonly string[]) {
  const clock = new FakeClock();
  const valid = new Set(keys.map(hash));
  const asked: (readonly string[])[] = [];
  const store = {
    findAccountByKey: async (fingerprints: readonly string[]) => {
      asked.push(fingerprints);
      return fingerprints.some((fingerprint) => valid.has(fingerprint)) ? { account, keyId: "key_1" } : null;
    },
  };
  return { authentication: new Authenticator({ store, hashApiKey: hash, clock }), clock, valid, asked };
}

test("a key is looked up by its hash and never given away", async () => {
  const key = generateApiKey();
  const { authentication, asked } = createAuthentication(key);
  expect(await authentication.findByKey(key)).toEqual(account);
  expect(await authentication.findByKey(generateApiKey())).toBeNull();
  expect(asked[0]).toEqual([hash(key)]);
  expect(JSON.stringify(asked)).not.toContain(key.slice(3));
});

test("a revocation and a new key take effect within five seconds, without a query for every request", async () => {
  const [old, fresh] = [generateApiKey(), generateApiKey()];
  const { authentication, clock, valid, asked } = createAuthentication(old);
  for (let n = 0; n < 100; n++) await authentication.findByKey(old);
  expect(asked).toHaveLength(1);
  expect(await authentication.findByKey(fresh)).toBeNull();
  valid.delete(hash(old));
  valid.add(hash(fresh));
  await clock.advance(3000);
  // Asking again and again does not put it off.
  await authentication.findByKey(old);
  await authentication.findByKey(fresh);
  await clock.advance(1999);
  expect(await authentication.findByKey(old)).toBeNull();
  expect(await authentication.findByKey(fresh)).toEqual(account);
});

test("an answer is dated at its request, and a slow one does not replace a newer one", async () => {
  const key = generateApiKey();
  const clock = new FakeClock();
  const answers: ((found: { account: typeof account; keyId: string } | null) => void)[] = [];
  const store = {
    findAccountByKey: () => new Promise<{ account: typeof account; keyId: string } | null>((resolve) => answers.push(resolve)),
  };
  const authentication = new Authenticator({ store, hashApiKey: hash, clock });
  const slow = authentication.findByKey(key);
  await clock.advance(3000);
  const quick = authentication.findByKey(key);
  answers[1]?.(null);
  expect(await quick).toBeNull();
  answers[0]?.({ account, keyId: "key_1" });
  expect(await slow).toEqual(account);
  expect(await authentication.findByKey(key)).toBeNull();
  expect(answers).toHaveLength(2);
});

test("the cache is bounded against 10,000 guessed keys", async () => {
  const key = generateApiKey();
  const { authentication, asked } = createAuthentication(key);
  await authentication.findByKey(key);
  for (let n = 0; n < 10_000; n++) await authentication.findByKey(`guess ${n}`);
  asked.length = 0;
  await authentication.findByKey(key);
  await authentication.findByKey("guess 9999");
  expect(asked).toEqual([[hash(key)]]);
});

test("keys have 200 random bits in letters and digits that are not mistaken for each other", () => {
  const keys = Array.from({ length: 500 }, generateApiKey);
  expect(new Set(keys).size).toBe(500);
  for (const key of keys) expect(key).toMatch(/^rb_[0-9a-hjkmnp-tv-z]{40}$/);
  // Every character is used about as often as any other.
  const counts = new Map<string, number>();
  for (const character of keys.join("").replaceAll("rb_", "")) counts.set(character, (counts.get(character) ?? 0) + 1);
  expect(counts.size).toBe(32);
  expect(Math.min(...counts.values())).toBeGreaterThan(450);
  expect(Math.max(...counts.values())).toBeLessThan(800);
});

test("a hash depends on its key and on every character", () => {
  const other = createSecretKey(Buffer.from(generateHashKey(), "base64"));
  const key = generateApiKey();
  expect(new Set([hash(key), hashApiKey(key, other), hash(`${key}x`)]).size).toBe(3);
  expect(hash(key)).toBe(hash(key));
});
