import { createSocket } from "node:dgram";
import { once } from "node:events";
import { isIPv4 } from "node:net";
import { onTestFinished } from "vitest";

type Answer = readonly string[] | null | "silence" | "servfail";

/**
 * What the server says of a name's A or AAAA records at the n-th question for them (from 1): addresses, of which those of
 * the type are sent; `null` for no such name; nothing at all; or one of these after some milliseconds.
 */
export type Zone = (
  name: string,
  questionNumber: number,
  type: "A" | "AAAA",
) => Answer | { readonly afterMs: number; readonly answer: Answer };

export type NameServer = {
  /** As `DNS_SERVERS` takes it. */
  readonly address: string;
  /** The names asked for A records, in order. */
  readonly asked: readonly string[];
  /** No question is answered or counted any more. */
  readonly close: () => void;
};

const typeA = 1;

/** Starts a name server on loopback (RFC 1035) that answers from `zone`. Ends with the test. */
export async function startNameServer(zone: Zone, ttlSeconds = 0, host = "127.0.0.1"): Promise<NameServer> {
  const socket = createSocket("udp4");
  let isClosed = false;
  const asked: string[] = [];
  const counts = new Map<string, number>();
  socket.on("message", (query, peer) => {
    const labels: string[] = [];
    let at = 12;
    for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
      labels.push(query.toString("latin1", at + 1, at + 1 + length));
      at += 1 + length;
    }
    const name = labels.join(".").toLowerCase();
    const type = query.readUInt16BE(at + 1);
    const question = query.subarray(12, at + 5);
    const number = (counts.get(`${name} ${type}`) ?? 0) + 1;
    counts.set(`${name} ${type}`, number);
    if (type === typeA) asked.push(name);
    const said = zone(name, number, type === typeA ? "A" : "AAAA");
    const { afterMs, answer } = typeof said === "object" && said !== null && "answer" in said ? said : { afterMs: 0, answer: said };
    if (answer === "silence") return;
    const records = (typeof answer === "object" ? (answer ?? []) : []).filter((address) => isIPv4(address) === (type === typeA));
    const head = Buffer.alloc(12);
    query.copy(head, 0, 0, 2);
    head.writeUInt16BE(answer === null ? 0x8183 : answer === "servfail" ? 0x8182 : 0x8180, 2);
    head.writeUInt16BE(1, 4);
    head.writeUInt16BE(records.length, 6);
    const reply = Buffer.concat([head, question, ...records.map((address) => record(address, type, ttlSeconds))]);
    const send = () => !isClosed && socket.send(reply, peer.port, peer.address);
    if (afterMs === 0) send();
    else setTimeout(send, afterMs);
  });
  socket.bind(0, host);
  await once(socket, "listening");
  const close = () => {
    if (!isClosed) socket.close();
    isClosed = true;
  };
  onTestFinished(close);
  return { address: `${host}:${socket.address().port}`, asked, close };
}

function record(address: string, type: number, ttlSeconds: number): Buffer {
  const data = isIPv4(address) ? Buffer.from(address.split(".").map(Number)) : ipv6Bytes(address);
  const head = Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 0, 0, data.length]);
  head.writeUInt32BE(ttlSeconds, 6);
  return Buffer.concat([head, data]);
}

function ipv6Bytes(address: string): Buffer {
  const [head = "", tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split("::");
  const [front, back] = [groupsOf(head), groupsOf(tail ?? "")];
  const groups = [...front, ...Array<string>(8 - front.length - back.length).fill("0"), ...back];
  return Buffer.from(groups.map((group) => group.padStart(4, "0")).join(""), "hex");
}

function groupsOf(text: string): readonly string[] {
  return text === "" ? [] : text.split(":");
}
