import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AnswerReader } from "../../../src/adapters/http-client/answer-reader.ts";
import { brokenChunks, malformedRests, refusedAnswers, takenAnswers, takenAtTheEnd } from "../../harness/receivers/odd-answers.ts";

const limits = { bodyMaxBytes: 1000, keepBytes: 1000 };

type Read = Pick<AnswerReader, "statusCode" | "isHeadWhole" | "isWhole" | "isCut" | "mayPersist" | "fault" | "codings"> & {
  readonly body: string;
  readonly headers: Readonly<Record<string, unknown>>;
};

/** `pieces` are read one after the other; `isEnded`: the connection ends behind them. */
function read(pieces: readonly Buffer[], isEnded: boolean, given = limits): Read {
  const reader = new AnswerReader(given);
  for (const piece of pieces) if (!reader.isOver) reader.feed(piece);
  if (isEnded) reader.end();
  const { statusCode, isHeadWhole, isWhole, isCut, mayPersist, fault, codings } = reader;
  const headers = Object.fromEntries(reader.headers);
  return { statusCode, isHeadWhole, isWhole, isCut, mayPersist, fault, codings, body: reader.body.toString("latin1"), headers };
}

const readText = (text: string, isEnded = false) => read([Buffer.from(text, "latin1")], isEnded);

describe("what is taken", () => {
  test.each(Object.entries(takenAnswers("ok")))("%s", (_name, raw) => {
    expect(readText(raw)).toMatchObject({ statusCode: 200, isWhole: true, isCut: false, fault: null, body: "ok" });
  });

  test.each(Object.entries(takenAtTheEnd("ok")))("%s, at the end of the connection", (_name, raw) => {
    expect(readText(raw, true)).toMatchObject({ statusCode: 200, isWhole: true, fault: null, body: "ok", mayPersist: false });
  });

  test.each([204, 304])("a %i has no body, regardless of its framing headers", (statusCode) => {
    for (const framing of ["content-length: 5", "content-length: 5, 6", "transfer-encoding: chunked"])
      expect(readText(`HTTP/1.1 ${statusCode} X\r\n${framing}\r\n\r\n`)).toMatchObject({ statusCode, isWhole: true, body: "" });
  });

  test.each([
    ["000", 0],
    ["099", 99],
    ["600", 600],
    ["999", 999],
  ])("%s is a final status", (text, statusCode) => {
    expect(readText(`HTTP/1.1 ${text} X\r\ncontent-length: 0\r\n\r\n`)).toMatchObject({ statusCode, isWhole: true });
  });

  test("interim answers of 64 KiB together are read, and no more", () => {
    const interim = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
    const count = Math.floor((64 * 1024) / interim.length);
    const final = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    expect(readText(interim.repeat(count) + final)).toMatchObject({ statusCode: 200, isWhole: true, fault: null });
    expect(readText(interim.repeat(count + 1) + final)).toMatchObject({
      statusCode: null,
      fault: "its interim answers are larger than 65536 bytes",
    });
  });

  test("chunks of HTTP/1.0 are read, and cost the connection", () => {
    const head = "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n";
    expect(readText(`${head}2\r\nok\r\n0\r\n\r\n`)).toMatchObject({ isWhole: true, body: "ok", mayPersist: false });
  });

  test("the codings of content and transfer, in the order in which they were applied", () => {
    const head = "HTTP/1.1 200 OK\r\nContent-Encoding: BR , identity\r\ncontent-encoding: x-gzip\r\n";
    expect(readText(`${head}transfer-encoding: deflate, chunked\r\n\r\n`).codings).toEqual(["br", "identity", "x-gzip", "deflate"]);
    expect(readText(`${head}content-length: 0\r\n\r\n`).codings).toEqual(["br", "identity", "x-gzip"]);
  });
});

describe("a field", () => {
  test.each([
    ["x: a", { x: "a" }],
    ["X:a \t", { x: "a" }],
    ["x:", { x: "" }],
    ["x : a", { x: "a" }],
    ["x: a:b", { x: "a:b" }],
    ["x: a\r\nX: b\r\nx: c", { x: ["a", "b", "c"] }],
    ["x: a\0\rb", { x: "a  b" }],
    ["x: a\r\n  b\r\n\tc", { x: "a b c" }],
    ["x: a\r\nx: b\r\n c", { x: ["a", "b c"] }],
    ["x:\r\n a", { x: "a" }],
    ["y: b\r\n\u0000a", { y: "b" }],
    [" x: a\r\ny: b", { y: "b" }],
    ["nonsense\r\n more\r\ny: b", { y: "b" }],
    [": a\r\ny: b", { y: "b" }],
    ["__proto__: a\r\nconstructor: b", { constructor: "b", ["__proto__"]: "a" }],
  ])("%j", (fields, headers) => {
    expect(readText(`HTTP/1.1 200 OK\r\n${fields}\r\ncontent-length: 0\r\n\r\n`).headers).toEqual({ ...headers, "content-length": "0" });
  });
});

const ok = (fields: string): string => `HTTP/1.1 200 OK\r\n${fields}content-length: 2\r\n\r\nok`;

describe("the connection may be used again", () => {
  test.each([
    ["an answer as it should be", ok("Date: x\r\nserver: \u00e9\r\n")],
    ["no reason phrase", "HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\nok"],
    ["HTTP/1.0 that says so", "HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\ncontent-length: 2\r\n\r\nok"],
    ["chunks", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nx: y\r\n\r\n"],
    ["interim answers", `HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n${ok("")}`],
    ["a 204", "HTTP/1.1 204 No Content\r\n\r\n"],
    ["a 304 with the length it would have", "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n"],
    ["a 500", "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"],
  ])("after %s", (_name, raw) => {
    expect(readText(raw)).toMatchObject({ isWhole: true, mayPersist: true });
  });

  const strict = new Set([
    "a head of 60 KiB",
    "a head of many fields",
    "obs-text in a value",
    "a field called __proto__",
    "no reason phrase",
    "a length with zeros before it",
    "Transfer-Encoding in capitals",
    "a chunk for each byte",
    "zeros before a chunk size",
    "a trailer",
    "a 100 unasked",
    "a 100 twice",
    "a 100 with fields",
    "a 100 after a 102 and a 103",
  ]);
  test.each(Object.entries(takenAnswers("ok")))("never after anything odd: %s", (name, raw) => {
    expect(readText(raw).mayPersist).toBe(strict.has(name));
  });

  test.each([
    ["connection: close", ok("connection: close\r\n")],
    ["close in a list", ok("connection: x, Close\r\n")],
    ["HTTP/1.0", "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok"],
    ["a 204 with a length", "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n"],
    ["a 204 with a transfer coding", "HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n"],
    ["an answer that was cut", `HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n${"x".repeat(1001)}`],
  ])("not after %s", (_name, raw) => {
    expect(readText(raw)).toMatchObject({ isWhole: true, mayPersist: false });
  });
});

describe("what is refused", () => {
  test.each(Object.entries(refusedAnswers))("%s", (_name, { raw, detail, rule }) => {
    const { fault, isWhole, mayPersist } = readText(raw);
    expect(fault, rule).toMatch(detail);
    expect({ isWhole, mayPersist }).toEqual({ isWhole: false, mayPersist: false });
  });

  test.each(Object.entries(brokenChunks))("%s: its status has come", (_name, { raw, detail, rule }) => {
    const answer = readText(raw);
    expect(answer.fault, rule).toMatch(detail);
    expect(answer).toMatchObject({ statusCode: 200, isHeadWhole: true, isWhole: false, mayPersist: false });
  });

  test.each(Object.entries(malformedRests))("a status before %s has come", (_name, rest) => {
    expect(readText(`HTTP/1.1 410 Gone\r\n${rest}`).statusCode).toBe(410);
  });

  test.each(["", "H", "HTTP/1.1 200 O", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nx: y\r\n"])(
    "%j holds no status yet",
    (raw) => {
      expect(readText(raw, true)).toMatchObject({ statusCode: null, isWhole: false, fault: null });
    },
  );
});

const withLength = (length: number): string => `HTTP/1.1 200 OK\r\ncontent-length: ${length}\r\n\r\n${"x".repeat(length)}`;
const untilClose = (length: number): string => `HTTP/1.1 200 OK\r\n\r\n${"x".repeat(length)}`;
const chunked = (length: number): string => `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${"1\r\nx\r\n".repeat(length)}0\r\n\r\n`;

describe("the body", () => {
  test.each([
    ["with a length", withLength],
    ["until the end", untilClose],
    ["in chunks", chunked],
  ])("%s is cut beyond its limit", (_name, answer) => {
    expect(readText(answer(1000), true)).toMatchObject({ isWhole: true, isCut: false, body: "x".repeat(1000) });
    expect(readText(answer(1001))).toMatchObject({ isWhole: true, isCut: true, body: "x".repeat(1000), mayPersist: false });
  });

  test("is kept as far as it is wanted", () => {
    for (const answer of [withLength(900), untilClose(900), chunked(900)])
      expect(read([Buffer.from(answer)], true, { ...limits, keepBytes: 7 })).toMatchObject({
        isWhole: true,
        isCut: false,
        body: "xxxxxxx",
      });
  });

  test("of a length no number holds is not whole", () => {
    expect(readText(`HTTP/1.1 200 OK\r\ncontent-length: ${"9".repeat(400)}\r\n\r\nok`, true)).toMatchObject({ isWhole: false, body: "ok" });
  });
});

describe("properties", () => {
  const everyAnswer = [
    ...Object.values(takenAnswers("ok")),
    ...Object.values(takenAtTheEnd("ok")),
    ...[...Object.values(refusedAnswers), ...Object.values(brokenChunks)].map(({ raw }) => raw),
  ].filter((raw) => raw.length < 2000);

  test("an answer is parsed alike in any pieces", () => {
    fc.assert(
      fc.property(fc.constantFrom(...everyAnswer), fc.array(fc.nat(200)), (raw, cuts) => {
        const bytes = Buffer.from(raw, "latin1");
        const whole = read([bytes], true);
        const ends = [...cuts.filter((cut) => cut < bytes.length).toSorted((a, b) => a - b), bytes.length];
        const pieces = ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end)).filter((piece) => piece.length > 0);
        const each = [...bytes].map((_, index) => bytes.subarray(index, index + 1));
        // Bytes behind the end that come later meet the connection and not the reader.
        const { mayPersist: _, ...expected } = whole;
        expect(read(pieces, true)).toMatchObject(expected);
        expect(read(each, true)).toMatchObject(expected);
      }),
    );
  });

  test("no bytes at all make it throw, and an answer that is over stays as it is", () => {
    const start = fc.constantFrom(
      "",
      "HTTP/1.1 200 OK\r\n",
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
      "HTTP/1.1 103 X\r\n\r\n",
    );
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 50 }).map((bytes) => Buffer.from(bytes)),
      fc.stringMatching(/^[0-9a-f;: \r\n]{0,20}$/).map((text) => Buffer.from(text)),
    );
    fc.assert(
      fc.property(start, fc.array(piece), (beginning, pieces) => {
        const { isWhole, fault, body } = read([Buffer.from(beginning), ...pieces], true);
        if (isWhole) expect(fault === null || beginning.includes("chunked")).toBe(true);
        expect(body.length).toBeLessThanOrEqual(limits.keepBytes);
      }),
      { numRuns: 1000 },
    );
  });
});
