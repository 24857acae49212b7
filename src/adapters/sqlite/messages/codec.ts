import { ShapeError, isRecord, mismatch } from "./leaves.ts";
import type { AnyCodec, Codec, Leaves } from "./leaves.ts";
import { createObjectCodec } from "./object-codec.ts";
import type { ObjectOptions } from "./object-codec.ts";
import type { AnyFields, AnyShape, Shape } from "./shape.ts";

const codecs = new WeakMap<AnyShape, AnyCodec>();

/** Returns the codec of a shape; always the same one. */
export function codecOf<T>(shape: Shape<T>): Codec<T> {
  return anyCodecOf(shape) as Codec<unknown> as Codec<T>;
}

function anyCodecOf(shape: AnyShape): AnyCodec {
  let codec = codecs.get(shape);
  if (codec === undefined) codecs.set(shape, (codec = createCodec(shape)));
  return codec;
}

function createCodec(shape: AnyShape): AnyCodec {
  switch (shape.node) {
    case "leaf":
      return leafCodec(shape.is);
    case "bytes":
      return bytesCodec;
    case "nothing":
      return nothingCodec;
    case "nullable":
      return nullableCodec(anyCodecOf(shape.of));
    case "list":
      return listCodec(anyCodecOf(shape.of));
    case "map":
      return mapCodec(anyCodecOf(shape.of));
    case "shared":
      return sharedCodec(anyCodecOf(shape.of));
    case "tuple":
      return tupleCodec(shape.parts.map(anyCodecOf));
    case "object":
      return objectCodec(shape.fields, { isExact: true });
    case "part":
      return objectCodec(shape.fields, { isExact: false });
    case "patch":
      return patchCodec(shape.fields);
    case "kinds":
      return kindsCodec(shape.variants);
    case "either":
      return eitherCodec(shape.key, anyCodecOf(shape.withKey), anyCodecOf(shape.withoutKey));
  }
}

function leafCodec(type: "string" | "number" | "boolean"): AnyCodec {
  return {
    pack: (value, into) => {
      if (typeof value !== type) throw mismatch(`a ${type}`, value);
      into.push(value);
    },
    unpack: (from) => from.take(),
  };
}

const bytesCodec: AnyCodec = {
  pack: (value, into) => {
    if (!(value instanceof Uint8Array)) throw mismatch("bytes", value);
    // A clone has the whole buffer that the bytes are a part of, which for a small `Buffer` is a pool with the bytes of others.
    into.push(value.byteLength === value.buffer.byteLength ? value : new Uint8Array(value));
  },
  unpack: (from) => from.take(),
};

const nothingCodec: AnyCodec = {
  pack: (value) => {
    if (value !== undefined) throw mismatch("nothing", value);
  },
  unpack: () => undefined,
};

function nullableCodec(of: AnyCodec): AnyCodec {
  return {
    pack: (value, into) => {
      into.push(value !== null);
      if (value !== null) of.pack(value, into);
    },
    unpack: (from) => (from.take() === true ? of.unpack(from) : null),
  };
}

function listCodec(of: AnyCodec): AnyCodec {
  return {
    pack: (value, into) => {
      if (!Array.isArray(value)) throw mismatch("a list", value);
      into.push(value.length);
      for (const item of value) of.pack(item, into);
    },
    unpack: (from) => {
      const items: unknown[] = [];
      for (let left = Number(from.take()); left > 0; left--) items.push(of.unpack(from));
      return items;
    },
  };
}

function mapCodec(of: AnyCodec): AnyCodec {
  return {
    pack: (value, into) => {
      if (!isRecord(value)) throw mismatch("an object", value);
      const entries = Object.entries(value);
      into.push(entries.length);
      for (const [key, item] of entries) {
        into.push(key);
        of.pack(item, into);
      }
    },
    unpack: (from) => {
      const entries: (readonly [string, unknown])[] = [];
      for (let left = Number(from.take()); left > 0; left--) entries.push([String(from.take()), of.unpack(from)]);
      // A key may be `__proto__`, which an assignment would lose.
      return Object.fromEntries(entries);
    },
  };
}

function sharedCodec(of: AnyCodec): AnyCodec {
  // Cloning keeps the identity of lists within a message.
  const packed = new WeakMap<object, Leaves>();
  return {
    pack: (value, into) => {
      if (!isRecord(value)) throw mismatch("an object", value);
      let leaves = packed.get(value);
      if (leaves === undefined) {
        leaves = [];
        of.pack(value, leaves);
        packed.set(value, leaves);
      }
      into.push(leaves);
    },
    unpack: (from) => from.takeShared(of),
  };
}

function tupleCodec(parts: readonly AnyCodec[]): AnyCodec {
  return {
    pack: (value, into) => {
      if (!Array.isArray(value) || value.length !== parts.length) throw mismatch(`a list of ${parts.length}`, value);
      for (const [index, part] of parts.entries()) part.pack(value[index], into);
    },
    unpack: (from) => parts.map((part) => part.unpack(from)),
  };
}

function patchCodec(fields: AnyFields): AnyCodec {
  const codecs = Object.entries(fields).map(([key, shape]) => [key, anyCodecOf(shape)] as const);
  return {
    pack: (value, into) => {
      if (!isRecord(value)) throw mismatch("an object", value);
      const present = codecs.filter(([key]) => Object.hasOwn(value, key));
      if (Object.keys(value).length !== present.length) throw mismatch(`an object of ${Object.keys(fields).join(", ")}`, value);
      into.push(present.length);
      for (const [key, codec] of present) {
        into.push(key);
        codec.pack(value[key], into);
      }
    },
    unpack: (from) => {
      const byKey = new Map(codecs);
      const entries: (readonly [string, unknown])[] = [];
      for (let left = Number(from.take()); left > 0; left--) {
        const key = String(from.take());
        entries.push([key, byKey.get(key)?.unpack(from)]);
      }
      return Object.fromEntries(entries);
    },
  };
}

function kindsCodec(variants: Readonly<Record<string, AnyFields>>): AnyCodec {
  const names = Object.keys(variants);
  const codecs = Object.entries(variants).map(([kind, fields]) => objectCodec(fields, { kind, isExact: true }));
  const numbers = new Map<unknown, number>(names.map((name, number) => [name, number]));
  return {
    pack: (value, into) => {
      const number = isRecord(value) ? numbers.get(value["kind"]) : undefined;
      const codec = number === undefined ? undefined : codecs[number];
      if (codec === undefined) throw mismatch(`an object of kind ${names.join(", ")}`, value);
      into.push(number);
      codec.pack(value, into);
    },
    unpack: (from) => {
      const number = Number(from.take());
      const codec = codecs[number];
      if (codec === undefined) throw new ShapeError(`no kind ${number} among ${names.join(", ")}`);
      return codec.unpack(from);
    },
  };
}

function eitherCodec(key: string, withKey: AnyCodec, withoutKey: AnyCodec): AnyCodec {
  return {
    pack: (value, into) => {
      if (!isRecord(value)) throw mismatch("an object", value);
      const hasKey = Object.hasOwn(value, key);
      into.push(hasKey);
      (hasKey ? withKey : withoutKey).pack(value, into);
    },
    unpack: (from) => (from.take() === true ? withKey : withoutKey).unpack(from),
  };
}

function objectCodec(fields: AnyFields, options: ObjectOptions): AnyCodec {
  return createObjectCodec(fields, Object.values(fields).map(anyCodecOf), options);
}
