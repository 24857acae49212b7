import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { definitionFrom, parseDefinition, storedDefinition } from "../../../src/adapters/json/definition.ts";
import { jsonProtocol } from "../../harness/upstream/settings.ts";

const least = { url: "https://api.example.com/v1/calls/{id}", status: "/state", map: { done: "success" } };
const faultsOf = (file: object) => {
  const parsed = parseDefinition(JSON.stringify(file));
  return parsed.kind === "invalid" ? parsed.faults.map(({ pointer, detail }) => `${pointer} ${detail}`) : [];
};

test("every key but url, status and map has a default", () => {
  expect(parseDefinition(JSON.stringify(least))).toEqual({
    kind: "definition",
    definition: {
      ...least,
      headers: {},
      id_pattern: "^[A-Za-z0-9_.:-]{1,128}$",
      reason: [],
      details: {},
      max_bytes: 1_048_576,
      not_found: [404],
      rejected: [400],
      unauthorized: [401],
      max_polls_per_second: 200,
    },
  });
  expect(faultsOf({})).toEqual(["/url is required", "/status is required", "/map is required"]);
});

test("a trigger may send the key of its number, and no other", () => {
  const trigger = { url: "https://api.example.com/v1/calls", id: "/id", to: "/customer/number" };
  const parsed = parseDefinition(JSON.stringify({ ...least, trigger }));
  expect(parsed).toMatchObject({ definition: { trigger: { ...trigger, method: "POST", form: false, allow: ["customer"], body: {} } } });
});

describe("a fault is named by its pointer", () => {
  test.each<[change: object, fault: string]>([
    [{ "a/b~": 1 }, "/a~1b~0 is not a key of a definition"],
    [{ url: 7 }, "/url must be a string"],
    [{ url: "ftp://x/{id}" }, "/url must be an absolute http or https URL"],
    [{ url: "https://x/calls" }, "/url must have {id} in path or query"],
    [{ url: "https://x/calls#{id}" }, "/url must have no fragment"],
    [{ url: "https://{id}.example/{id}" }, "/url must have {id} in path or query, not in the host"],
    [{ url: "https://u:p@x/{id}" }, "/url must have no user name or password: use a header"],
    [{ url: "https://x/{id}/.." }, "/url must have {id} in path or query"],
    [{ url: "https://x/{region}/{id}" }, "/url has the placeholder {region}, which has no value: add --set region=<value>"],
    [{ headers: { Host: "x" } }, "/headers/Host is set by the service or the connection and cannot be given"],
    [{ headers: { a: "b\n" } }, "/headers/a must be visible ASCII without control characters or spaces around it"],
    [{ headers: { a: "{token}" } }, "/headers/a has the placeholder {token}, which has no value: add --set token=<value>"],
    [{ headers: Object.fromEntries([..."abcdefghi"].map((name) => [name, "x"])) }, "/headers must have at most 8 headers"],
    [{ id_pattern: "(?=x)" }, "/id_pattern must be a regular expression in RE2's syntax: invalid or unsupported Perl syntax: `(?=`"],
    [{ id_pattern: "x".repeat(201) }, "/id_pattern must be at most 200 characters"],
    [{ status: "state" }, "/status must be a JSON Pointer (RFC 6901), as in /call/state"],
    [{ status: [] }, "/status must name a pointer"],
    [{ status: ["/a", { at: "/b" }] }, "/status/1/map is required"],
    [{ status: ["/a", { at: "/b", map: { x: "over" } }] }, "/status/1/map/x must be one of queued, calling, success, failure"],
    [{ status: { at: "/b", map: {}, or: 1 } }, "/status/or is not a key of a definition"],
    [{ reason: ["/a", "b"] }, "/reason/1 must be a JSON Pointer (RFC 6901), as in /call/state"],
    [{ map: { Done: "success", "done ": "failure" } }, "/map/done  is in the map twice, because upper and lower case count as the same"],
    [{ map: { "": "success" } }, "/map/ must have a word"],
    [{ details: { ["__proto__"]: "/cost" } }, "/details/__proto__ must have another name"],
    [{ details: { Cost: "/cost" } }, "/details/Cost must have a name of 1 to 40 of a-z, 0-9 and _"],
    [{ details: Object.fromEntries([..."abcdefghi"].map((name) => [name, "/x"])) }, "/details must have at most 8 names"],
    [{ max_bytes: 4_194_305 }, "/max_bytes must be at most 4194304"],
    [{ not_found: [404, 429] }, "/not_found/1 cannot be 429, which always is the rate limit"],
    [{ not_found: [404, 401] }, "/unauthorized/0 is in the lists twice"],
    [{ rejected: [200] }, "/rejected/0 must be a status code from 400 to 599"],
    [{ max_polls_per_second: 0 }, "/max_polls_per_second must be at least 0.01"],
    [{ trigger: { url: "https://x", id: "/id", to: "/a", next: 1 } }, "/trigger/next is not a key of a definition"],
    [
      { trigger: { url: "https://x/{id}", id: "/id", to: "/a" } },
      "/trigger/url has the placeholder {id}, which has no value: add --set id=<value>",
    ],
    [{ trigger: { url: "https://x", id: "/id", to: "/a/b", form: true } }, "/trigger/to must point at a top-level key of a form"],
    [{ trigger: { url: "https://x", id: "/id", to: "/a", allow: ["b"] } }, '/trigger/allow must have "a", to which /trigger/to points'],
    [
      { trigger: { url: "https://x", id: "/id", to: "/a", body: { c: ["{d}"] } } },
      "/trigger/body/c/0 has the placeholder {d}, which has no value: add --set d=<value>",
    ],
  ])("%j", (change, fault) => {
    expect(faultsOf({ ...least, ...change })).toEqual([fault]);
  });

  test.each(["", "{", "[]", "null", '"x"'])("a file of %j is none", (text) => {
    expect(parseDefinition(text)).toEqual({ kind: "invalid", faults: [{ pointer: "", detail: "must be a JSON object" }] });
  });
});

describe("placeholders", () => {
  const file = {
    ...least,
    url: "https://api.example.com/{account}/calls/{id}?token={token}",
    headers: { authorization: "{authorization}", "x-api-key": "key {key}" },
    trigger: { url: "https://api.example.com/{account}/calls", id: "/id", to: "/to", body: { from: ["{from}"], json: "{ }" } },
  };
  const texts = { account: "a/b c", token: "t&t", key: "k{e}y", from: "+1 {2}" };
  const parse = (fills: { texts?: object; headers?: object } = {}) =>
    parseDefinition(JSON.stringify(file), {
      texts: { ...texts, ...fills.texts },
      headers: { Authorization: "Bearer {x}", ...fills.headers },
    });

  test("are filled, percent-encoded in URLs, and what was filled in is not read again", () => {
    expect(parse()).toMatchObject({
      definition: {
        url: "https://api.example.com/a%2Fb%20c/calls/{id}?token=t%26t",
        headers: { authorization: "Bearer {x}", "x-api-key": "key k{e}y" },
        trigger: { url: "https://api.example.com/a%2Fb%20c/calls", body: { from: ["+1 {2}"], json: "{ }" } },
      },
    });
  });

  test("that a value names and the file lacks are a fault", () => {
    expect(parse({ texts: { zone: "s3cr3t" }, headers: { "x-other": "s3cr3t" } })).toEqual({
      kind: "invalid",
      faults: [
        { pointer: "/headers/x-other", detail: "is not in the file: --header-env fills the header whose value is a placeholder" },
        { pointer: "", detail: "has no placeholder {zone} for --set" },
      ],
    });
    expect(parse({ headers: { "x-api-key": "s3cr3t" } })).toMatchObject({
      faults: [{ pointer: "/headers/x-api-key" }, { detail: "has no placeholder {key} for --set" }],
    });
  });
});

const pointer = fc
  .array(fc.string({ minLength: 1, maxLength: 5 }))
  .map((tokens) => tokens.map((token) => `/${token.replaceAll(/[~/]/g, "_")}`).join(""));
const word = fc.stringMatching(/^[a-z0-9.-]{1,12}$/);
const words = fc.dictionary(word, fc.constantFrom("queued", "calling", "success", "failure"), { maxKeys: 5, noNullPrototype: true });
const definitions = fc.record(
  {
    url: fc.constantFrom("https://api.example.com/{id}", "http://10.0.0.1:81/a?b={id}&c={id}"),
    headers: fc.dictionary(fc.stringMatching(/^x-[a-z]{1,8}$/), fc.stringMatching(/^[!-z]{1,20}$/), { maxKeys: 8, noNullPrototype: true }),
    id_pattern: fc.constantFrom("^[a-z]+$", "(?i)x{1,3}"),
    status: fc.oneof(pointer, fc.array(fc.oneof(pointer, fc.record({ at: pointer, map: words })), { minLength: 1, maxLength: 4 })),
    reason: fc.oneof(pointer, fc.array(pointer, { maxLength: 4 })),
    map: words,
    details: fc.dictionary(
      fc.stringMatching(/^[a-z0-9_]{1,40}$/).filter((name) => name !== "__proto__"),
      pointer,
      { maxKeys: 8, noNullPrototype: true },
    ),
    max_bytes: fc.integer({ min: 1, max: 4_194_304 }),
    not_found: fc.constantFrom([], [404, 410], [422]),
    max_polls_per_second: fc.double({ min: 0.01, max: 1000, noNaN: true }),
    trigger: fc.record(
      {
        url: fc.constant("https://x"),
        id: pointer,
        to: fc.constantFrom("/to", "/a/b"),
        body: fc.dictionary(word, fc.jsonValue(), { noNullPrototype: true }),
      },
      { requiredKeys: ["url", "id", "to"] },
    ),
  },
  { requiredKeys: ["url", "status", "map"] },
);

test("a definition is read as it was stored, and what is not sealed holds no value of a header", () => {
  fc.assert(
    fc.property(definitions, (file) => {
      const parsed = parseDefinition(JSON.stringify(file).replaceAll(/\{[a-z0-9_]{1,40}\}/g, (name) => (name === "{id}" ? name : "x")));
      if (parsed.kind === "invalid") throw new Error(JSON.stringify(parsed.faults));
      const { definition, credential } = storedDefinition(parsed.definition);
      expect(definitionFrom(definition, credential)).toEqual(parsed.definition);
      for (const value of Object.values(parsed.definition.headers))
        if (value.length > 12) expect(definition).not.toContain(JSON.stringify(value));
    }),
  );
});

test("no fault of any file holds a value of it", () => {
  const secret = "s3cr3t-value-of-a-header";
  const values = fc.oneof(fc.constant(secret), fc.constant([secret]), fc.constant({ a: secret }), fc.integer(), fc.constant(null));
  const keys = fc.constantFrom("url", "headers", "id_pattern", "status", "reason", "map", "details", "max_bytes", "not_found", "trigger");
  fc.assert(
    fc.property(
      fc.dictionary(keys, fc.oneof(values, fc.dictionary(fc.constantFrom("url", "id", "to", "authorization", "body"), values))),
      (file) => {
        const parsed = parseDefinition(JSON.stringify({ ...least, ...file }), { texts: {}, headers: {} });
        if (parsed.kind === "invalid") expect(JSON.stringify(parsed.faults)).not.toContain(secret);
      },
    ),
  );
});

describe("the request of a definition", () => {
  test("has the SID percent-encoded wherever the URL has {id}, and the headers of the file", () => {
    const { origin, pathOf, headers } = jsonProtocol({
      ...least,
      url: "HTTPS://Api.Example.com.:443/{id}/a b?call={id}&x=%7B",
      headers: { Authorization: "Bearer x", Accept: "application/vnd.x+json" },
      id_pattern: ".*",
    });
    expect([origin, pathOf("a/b ?#é%")]).toEqual([
      "https://api.example.com",
      "/a%2Fb%20%3F%23%C3%A9%25/a%20b?call=a%2Fb%20%3F%23%C3%A9%25&x=%7B",
    ]);
    expect(headers).toEqual({ accept: "application/vnd.x+json", "user-agent": "Ringback", authorization: "Bearer x" });
  });

  test("is for SIDs that the pattern matches as a whole", () => {
    const { sidFault } = jsonProtocol({ ...least, id_pattern: "CA[0-9]+|x*" });
    expect(["CA1", "xx", "x".repeat(128)].map((sid) => sidFault(sid))).toEqual([null, null, null]);
    for (const sid of ["CA", "aCA1", "CA1\n", "x".repeat(129), ".", ".."]) expect(sidFault(sid)).toMatch(/^must match CA/);
    expect([".", ".."].map((sid) => jsonProtocol({ ...least, id_pattern: ".*" }).sidFault(sid))).not.toContain(null);
  });

  test("is matched in linear time", () => {
    const { sidFault } = jsonProtocol({ ...least, id_pattern: "(a+)+(a*)*(a|aa)+$" });
    expect(sidFault(`${"a".repeat(127)}b`)).not.toBeNull();
  });

  test("has the operator's map over that of the file", () => {
    const { read } = jsonProtocol({ ...least, map: { done: "success", gone: "failure" } }, '{"done":"failure","gone":null,"new":"queued"}');
    expect([...(read('{"state":"x"}')?.map ?? [])]).toEqual([
      ["done", "failure"],
      ["new", "queued"],
    ]);
  });
});
