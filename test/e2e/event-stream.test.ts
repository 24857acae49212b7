import { expect, onTestFinished, test } from "vitest";
import { apiKey } from "../harness/service/environment.ts";
import { eventually } from "../harness/service/eventually.ts";
import { ServiceWorld } from "../harness/service/service-world.ts";
import type { Json } from "../harness/service/client.ts";
import { second } from "../harness/store-drafts.ts";

type Message = { readonly id: string | undefined; readonly event: string | undefined; readonly data: string | undefined };
type Feed = { readonly data: readonly Json[]; readonly next_cursor: string };

/** A reader of server-sent events, which keeps the last id as the HTML Standard says. */
class Reader {
  readonly messages: Message[] = [];
  /** Blocks without an event: comments with the newest cursor. */
  comments = 0;
  lastId = "";
  isOver = false;
  status = 0;
  contentType: string | null = null;
  problem: Json = {};
  readonly #abort = new AbortController();
  readonly done: Promise<void>;

  constructor(url: string, { query = "", lastEventId, key = apiKey }: { query?: string; lastEventId?: string; key?: string } = {}) {
    this.done = this.#read(`${url}/v1/events?${query}`, {
      accept: "text/event-stream",
      authorization: `Bearer ${key}`,
      ...(lastEventId === undefined ? {} : { "last-event-id": lastEventId }),
    });
  }

  async #read(url: string, headers: Record<string, string>): Promise<void> {
    try {
      const response = await fetch(url, { headers, signal: this.#abort.signal });
      this.status = response.status;
      this.contentType = response.headers.get("content-type");
      if (response.status !== 200) {
        this.problem = (await response.json()) as Json;
        this.isOver = true;
        return;
      }
      let text = "";
      for await (const part of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
        text += part;
        for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
          this.#take(text.slice(0, end).split("\n"));
          text = text.slice(end + 2);
        }
      }
    } catch (error) {
      if (!this.#abort.signal.aborted) this.problem = { error: String(error) };
    }
    this.isOver = true;
  }

  #take(lines: readonly string[]): void {
    const field = (name: string) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
    expect(lines.every((line) => /^(id|event|data|): /.test(line))).toBe(true);
    const message = { id: field("id"), event: field("event"), data: field("data") };
    this.lastId = message.id ?? this.lastId;
    if (message.data === undefined) this.comments += 1;
    else this.messages.push(message);
  }

  kill(): Promise<void> {
    this.#abort.abort();
    return this.done;
  }
}

function open(
  service: ServiceWorld,
  ...given: ConstructorParameters<typeof Reader> extends [string, ...infer Rest] ? Rest : never
): Reader {
  const reader = new Reader(service.service.url, ...given);
  onTestFinished(() => reader.kill());
  return reader;
}

const idOf = ({ data }: Message) => (JSON.parse(data ?? "{}") as Json)["id"];
const feedOf = (service: ServiceWorld, query: string) => service.get<Feed>(`/v1/events?limit=200&${query}`);
const until = (isSo: () => boolean) =>
  eventually(
    async () => isSo(),
    (so) => so,
  );

test("a reader that is killed and resumed at random sees every event once, in order, each with its own cursor", async () => {
  const service = await ServiceWorld.start();
  const receiver = await service.receive();
  await service.client.post("/v1/hooks", { url: receiver.url(), events: ["endpoint.failing"] });
  const seen: Message[] = [];
  let reader = open(service);
  const resume = async () => {
    await reader.kill();
    seen.push(...reader.messages);
    // The HTML Standard: the id of the last block that was received as a whole. `after` is what the first request said.
    reader = open(service, { query: "after=latest", lastEventId: seen.at(-1)?.id ?? reader.lastId });
  };
  for (let round = 0; round < 10; round++) {
    for (let n = 0; n < 4; n++) await service.watch(null, { scenario: "success", events: null });
    await service.clock.advance(second);
    if (round % 3 !== 2) await until(() => reader.comments > 0);
    if (Math.random() < 0.7) await resume();
  }
  await service.pass(15 * second);
  const all = (await feedOf(service, "")).data;
  await until(() => seen.length + reader.messages.length >= all.length);
  seen.push(...reader.messages);
  expect(all).toHaveLength(120);
  expect(seen.map(idOf)).toEqual(all.map(({ id }) => id));
  for (const [index, { event, data, id }] of seen.entries()) {
    expect(event).toBe(all[index]?.["type"]);
    expect(JSON.parse(data ?? "")).toMatchObject({ id: all[index]?.["id"], type: event, data: all[index]?.["data"] as Json });
    // Its id is a cursor: the feed goes on behind it.
    if (index % 20 === 0)
      expect((await feedOf(service, `after=${id}`)).data.map((next) => next["id"])).toEqual(all.slice(index + 1).map((next) => next["id"]));
  }
});

test("what a stream is asked for, what keeps it open, and what ends it", async () => {
  const service = await ServiceWorld.start({ ACCOUNT_MAX_WAITING_REQUESTS: "2" }, { database: "sqlite-file" });
  const receiver = await service.receive();
  await service.watch(receiver.url(), { scenario: "success", events: null });
  await service.pass(2 * second);
  const other = await service.service.createAccount("other");
  const latest = open(service, { query: "after=latest&limit=1&wait=1" });
  await until(() => latest.comments === 1);
  expect([latest.status, latest.contentType, latest.messages]).toEqual([200, "text/event-stream", []]);
  expect(latest.lastId).toBe((await feedOf(service, "after=latest")).next_cursor);
  // Beside the open streams only one more request may wait.
  const terminal = open(service, { query: "type=terminal" });
  await until(() => terminal.comments === 1);
  const third = open(service);
  await third.done;
  expect([third.status, third.problem["type"]]).toEqual([429, "urn:ringback:problem:too-many-waiting"]);
  // What does not match moves the cursor of the comments.
  await service.pass(15 * second);
  await until(() => terminal.comments === 2 && terminal.messages.length === 1);
  expect(terminal.messages.map(({ event }) => event)).toEqual(["call.success"]);
  expect(terminal.lastId).toBe((await feedOf(service, "after=latest")).next_cursor);
  expect(latest.messages.map(({ event }) => event)).toEqual(
    ["call.calling", "call.success"].filter((type) => latest.messages.some(({ event }) => event === type)),
  );
  await latest.kill();
  const gone = open(service, { lastEventId: "bm90IGEgY3Vyc29y" });
  await gone.done;
  expect([gone.status, gone.problem["errors"]]).toMatchObject([422, [{ parameter: "Last-Event-ID" }]]);
  // A limit and a wait mean nothing to a stream, even malformed ones; anything else is judged as elsewhere.
  const ignoring = open(service, { query: "limit=all&wait=-1&limit=2&call_sid=OUT-none" });
  await until(() => ignoring.status !== 0);
  expect(ignoring.status).toBe(200);
  await ignoring.kill();
  const refused = open(service, { query: "limit=all&since=today&page=2" });
  await refused.done;
  expect((refused.problem["errors"] as readonly { parameter: string }[]).map(({ parameter }) => parameter).toSorted()).toEqual([
    "page",
    "since",
  ]);
  // A HEAD has no stream, and JSON is answered as before.
  expect(
    (
      await fetch(`${service.service.url}/v1/events`, { method: "HEAD", headers: { accept: "text/event-stream", "x-api-key": apiKey } })
    ).headers.get("content-type"),
  ).toBe("application/json");
  // Its key is revoked.
  const theirs = open(service, { key: other.key });
  await until(() => theirs.comments === 1);
  await service.service.command(["key", "revoke", other.key_id]);
  await service.pass(5 * second);
  await until(() => theirs.isOver);
  expect(theirs.problem).toEqual({});
  expect(terminal.isOver).toBe(false);
});
