import { createSecretKey, randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { StoreOverloadedError } from "../../../src/domain/errors.ts";
import { generateApiKey, generateHashKey, hashApiKey } from "../../../src/domain/secrets/api-key.ts";
import { Authenticator } from "../../../src/engine/requests/authentication.ts";
import { account, apiKeyView } from "../../http/views.ts";
import { FakeClock } from "../../harness/fake-clock.ts";

const hashKey = createSecretKey(randomBytes(32));
const hash = (apiKey: string) => hashApiKey(apiKey, hashKey);

const found = { account, key: apiKeyView };
const opened = { kind: "account", ...found };

/** A store that knows keys by their hash and remembers what it was asked. */
function createAuthentication(...keys: readonly string[]) {
  const clock = new FakeClock();
  const valid = new Set(keys.map(hash));
  const asked: (readonly string[])[] = [];
  const turns: (string | null)[] = [];
  const store = {
    findAccountByKey: async (fingerprints: readonly string[], knownAccountId: string | null) => {
      asked.push(fingerprints);
      turns.push(knownAccountId);
      return fingerprints.some((fingerprint) => valid.has(fingerprint)) ? found : null;
    },
  };
  return { authentication: new Authenticator({ store, hashApiKey: hash, clock, onUsed: () => {} }), clock, valid, asked, turns };
}

test("a key is looked up by its hash and never given away", async () => {
  const key = generateApiKey();
  const { authentication, asked } = createAuthentication(key);
  expect(await authentication.findByKey(key)).toEqual(opened);
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
  expect(await authentication.findByKey(fresh)).toEqual(opened);
});

test("an answer is dated at its request, and a slow one does not replace a newer one", async () => {
  const key = generateApiKey();
  const clock = new FakeClock();
  const answers: ((found: { account: typeof account; key: typeof apiKeyView } | null) => void)[] = [];
  const store = {
    findAccountByKey: () => new Promise<{ account: typeof account; key: typeof apiKeyView } | null>((resolve) => answers.push(resolve)),
  };
  const authentication = new Authenticator({ store, hashApiKey: hash, clock, onUsed: () => {} });
  const slow = authentication.findByKey(key);
  await clock.advance(4000);
  const quick = authentication.findByKey(key);
  answers[1]?.(null);
  expect(await quick).toBeNull();
  answers[0]?.(found);
  expect(await slow).toEqual(opened);
  expect(await authentication.findByKey(key)).toBeNull();
  expect(answers).toHaveLength(2);
});

test("10,001 guessed keys are bounded, and evict no key that was found", async () => {
  const key = generateApiKey();
  const { authentication, asked } = createAuthentication(key);
  await authentication.findByKey(key);
  for (let n = 0; n <= 10_000; n++) await authentication.findByKey(`guess ${n}`);
  asked.length = 0;
  await authentication.findByKey(key);
  await authentication.findByKey("guess 10000");
  expect(asked).toEqual([]);
  await authentication.findByKey("guess 0");
  expect(asked).toEqual([[hash("guess 0")]]);
});

test("a key that was found is looked up again in the turn of its account, an unknown one in that of all unknown ones", async () => {
  const key = generateApiKey();
  const { authentication, clock, valid, turns } = createAuthentication(key);
  await authentication.findByKey(key);
  await authentication.findByKey("guess");
  await clock.advance(5000);
  await authentication.findByKey(key);
  expect(turns).toEqual([null, null, account.id]);
  valid.clear();
  await clock.advance(5000);
  expect(await authentication.findByKey(key)).toBeNull();
  await clock.advance(5000);
  await authentication.findByKey(key);
  expect(turns).toEqual([null, null, account.id, account.id, null]);
});

test("an unknown key is looked up once at a time, and few of them; a known one is not kept waiting", async () => {
  const key = generateApiKey();
  const { promise: away, resolve: answer } = Promise.withResolvers<null>();
  const clock = new FakeClock();
  let asked = 0;
  let isAway = false;
  const store = {
    findAccountByKey: async (fingerprints: readonly string[], knownAccountId: string | null) => {
      asked += 1;
      if (isAway && knownAccountId === null) await away;
      return fingerprints.includes(hash(key)) ? found : null;
    },
  };
  const authentication = new Authenticator({ store, hashApiKey: hash, clock, onUsed: () => {} });
  await authentication.findByKey(key);
  await clock.advance(5000);
  isAway = true;
  asked = 0;
  const guesses = Array.from({ length: 1000 }, (_, n) => authentication.findByKey(`guess ${n % 500}`));
  const outcomes = Promise.allSettled(guesses);
  expect(asked).toBe(256);
  expect(await authentication.findByKey(key)).toEqual(opened);
  answer(null);
  const refused = (await outcomes).filter((outcome) => outcome.status === "rejected");
  expect(refused).toHaveLength(2 * (500 - 256));
  expect(refused.every(({ reason }) => reason instanceof StoreOverloadedError)).toBe(true);
  // Those that were refused may ask again.
  expect(await authentication.findByKey("guess 499")).toBeNull();
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
