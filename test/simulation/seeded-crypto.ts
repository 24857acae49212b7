import crypto from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import { Random } from "./random.ts";

let random = new Random("crypto");

/** PKCS #8 of an ed25519 key in DER, but for its 32 bytes (RFC 8410). */
const ed25519Prefix = Buffer.from("302e020100300506032b657004220420", "hex");

function drawInto<Bytes extends NodeJS.ArrayBufferView>(bytes: Bytes): Bytes {
  random.drawInto(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  return bytes;
}

/**
 * Puts seeded numbers in place of the system's in this thread, for good: ids, nonces and secrets follow from the seed.
 * Hashes, signatures and ciphers stay the real ones.
 */
export function seedCrypto(): void {
  const randomBytes = (count: number) => drawInto(Buffer.alloc(count));
  const randomUUID = () => {
    const hex = randomBytes(16).toString("hex");
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20)}`;
  };
  const generateKeyPairSync = (type: string) => {
    if (type !== "ed25519") throw new Error(`no seeded key pair of type ${type}`);
    const privateKey = crypto.createPrivateKey({ key: Buffer.concat([ed25519Prefix, randomBytes(32)]), format: "der", type: "pkcs8" });
    return { privateKey, publicKey: crypto.createPublicKey(privateKey) };
  };
  Object.assign(crypto, { randomFillSync: drawInto, randomBytes, randomUUID, generateKeyPairSync });
  syncBuiltinESMExports();
}

/** From now on the numbers follow from this text. */
export function reseedCrypto(text: string | number): void {
  random = new Random("crypto", text);
}
