import { once } from "node:events";
import { connect } from "node:net";
import { Readable } from "node:stream";
import { Hono } from "hono";
import { expect, onTestFinished, test, vi } from "vitest";
import { readBody } from "../../src/http/operations/request-body.ts";
import { GrowingBuffer } from "../../src/http/server/body-reader.ts";
import { listen } from "../../src/http/server/server.ts";

const mebibyte = 1024 * 1024;

test("a body in one-byte chunks is copied into few buffers, which hold no chunk", () => {
  const buffer = new GrowingBuffer(mebibyte);
  const held = new Set<ArrayBufferLike>();
  let refused = 0;
  for (let n = 0; n < mebibyte; n++) {
    if (!buffer.append(Uint8Array.of(n % 251))) refused += 1;
    held.add(buffer.bytes().buffer);
  }
  expect(refused).toBe(0);
  expect(buffer.append(Uint8Array.of(1))).toBe(false);
  expect([buffer.allocations, held.size]).toEqual([9, 9]);
  expect(Math.max(...[...held].map(({ byteLength }) => byteLength))).toBe(mebibyte);
  const sent = Uint8Array.from({ length: mebibyte }, (_, n) => n % 251);
  expect(Buffer.compare(buffer.bytes(), sent)).toBe(0);
});

test("a chunk that does not fit leaves the bytes before it, and no larger buffer", () => {
  const buffer = new GrowingBuffer(5000);
  expect(buffer.append(new Uint8Array(4000))).toBe(true);
  expect(buffer.append(new Uint8Array(1001))).toBe(false);
  expect([buffer.bytes().length, buffer.bytes().buffer.byteLength]).toEqual([4000, 4096]);
});

test("the server reads a body in one-byte chunks without a web stream, whose chunks are objects of their own", async () => {
  const toWeb = vi.spyOn(Readable, "toWeb");
  onTestFinished(() => toWeb.mockRestore());
  const arrived: Uint8Array[] = [];
  const app = new Hono().post("/", async (c) => {
    arrived.push(await readBody(c, "json"));
    return c.text("done");
  });
  const server = await listen(app, { host: "127.0.0.1", port: 0 });
  onTestFinished(() => server.close(0));
  const socket = connect(server.port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  const answer = once(socket, "data");
  socket.write("POST / HTTP/1.1\r\nHost: ringback\r\nTransfer-Encoding: chunked\r\n\r\n");
  socket.write("1\r\nx\r\n".repeat(50_000));
  socket.write("0\r\n\r\n");
  expect(String((await answer)[0])).toMatch(/^HTTP\/1\.1 200 /);
  expect(arrived.map((bytes) => [bytes.length, bytes.buffer.byteLength])).toEqual([[50_000, 65_536]]);
  expect(toWeb).not.toHaveBeenCalled();
});
