import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { decodeBody } from "../../../src/adapters/http-client/content-coding.ts";

/** Compresses `text` `times` times. */
function nested(text: string, times: number): Buffer {
  let bytes: Buffer = Buffer.from(text);
  for (let time = 0; time < times; time += 1) bytes = gzipSync(bytes);
  return bytes;
}

test("five codings are undone", async () => {
  const codings = Array.from({ length: 5 }, () => "gzip");
  expect(await decodeBody(nested("no", 5), codings, 1024)).toEqual({ bytes: Buffer.from("no"), isCut: false });
});

test("a body with more codings stays as it came", async () => {
  const body = nested("no", 6);
  const codings = Array.from({ length: 6 }, () => "gzip");
  expect(await decodeBody(body, codings, 1024)).toEqual({ bytes: body, isCut: false });
});
