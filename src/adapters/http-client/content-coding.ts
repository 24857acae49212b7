import { constants, createBrotliDecompress, createGunzip, createInflate, createInflateRaw } from "node:zlib";
import type { BrotliDecompress, Gunzip, Inflate, InflateRaw } from "node:zlib";

type Decoder = Gunzip | BrotliDecompress | Inflate | InflateRaw;

/** Decoded body. `isCut`: `bytes` is the beginning of a longer one. */
export type DecodedBody = { readonly bytes: Buffer; readonly isCut: boolean };

// These options decode an incomplete body as far as it goes.
const zlibOptions = { finishFlush: constants.Z_SYNC_FLUSH };
const brotliOptions = { finishFlush: constants.BROTLI_OPERATION_FLUSH };

/** Maximum number of codings that are undone, the same as in curl and undici. Each one costs a decoder, and a head can name thousands. */
const maxCodings = 5;

/**
 * Undoes the codings of a body (RFC 9110 section 8.4.1), the last one first. The output of each decoder is limited to
 * `maxBytes`, so that a small body cannot take much memory. Bytes stay as they are if their coding is unknown, or if the
 * server named a coding without applying it. A body with more than five codings stays as it is.
 */
export async function decodeBody(body: Buffer, codings: readonly string[], maxBytes: number): Promise<DecodedBody> {
  let decoded: DecodedBody = { bytes: body, isCut: false };
  if (codings.length > maxCodings) return decoded;
  for (const coding of codings.toReversed()) {
    const decoder = decoderOf(coding, decoded.bytes);
    if (decoder !== null) decoded = (await decodeWith(decoder, decoded.bytes, maxBytes)) ?? decoded;
  }
  return decoded;
}

function decoderOf(coding: string, bytes: Buffer): Decoder | null {
  switch (coding) {
    case "gzip":
    case "x-gzip":
      return createGunzip(zlibOptions);
    case "deflate":
      // "Some non-conformant implementations send the "deflate" compressed data without the zlib wrapper" (section 8.4.1.2).
      return hasZlibHeader(bytes) ? createInflate(zlibOptions) : createInflateRaw(zlibOptions);
    case "br":
      return createBrotliDecompress(brotliOptions);
    default:
      return null;
  }
}

/** Checks the header of RFC 1950 section 2.2: the method is 8, and the first two bytes are a multiple of 31. */
function hasZlibHeader(bytes: Buffer): boolean {
  return bytes.length >= 2 && ((bytes[0] ?? 0) & 0x0f) === 8 && bytes.readUInt16BE(0) % 31 === 0;
}

/** Decodes at most a little more than `maxBytes`; `null` if not even the beginning could be decoded. */
async function decodeWith(decoder: Decoder, bytes: Buffer, maxBytes: number): Promise<DecodedBody | null> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    decoder.end(bytes);
    for await (const chunk of decoder as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      length += chunk.length;
      // Leaving the loop destroys the decoder.
      if (length > maxBytes) return { bytes: Buffer.concat(chunks).subarray(0, maxBytes), isCut: true };
    }
  } catch {
    if (length === 0) return null;
  }
  return { bytes: Buffer.concat(chunks), isCut: false };
}
