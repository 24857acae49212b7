import { mismatch } from "./leaves.ts";
import type { AnyCodec } from "./leaves.ts";
import type { AnyFields, AnyShape } from "./shape.ts";

export type ObjectOptions = {
  /** Value of the property `kind`, which is not among the fields. */
  readonly kind?: string;
  /** Whether an object with other properties is refused. */
  readonly isExact: boolean;
};

/**
 * Creates the codec of an object from the codecs of its properties. Its code is generated, from the names in the shape alone:
 * V8 compiles `value.name` and `{ name: … }` once for each shape. A loop over the names, which all shapes would share, costs
 * as much as the cloning that it saves.
 */
export function createObjectCodec(fields: AnyFields, codecs: readonly AnyCodec[], { kind, isExact }: ObjectOptions): AnyCodec {
  const names = Object.keys(fields);
  const packField = (name: string, place: number) => {
    const { type, isNullable } = leafTypeOf(fields[name]);
    if (type === null) return `codecs[${place}].pack(value[${JSON.stringify(name)}], into);`;
    const leaf = `leaf${place}`;
    const isNull = isNullable ? `${leaf} !== null && ` : "";
    return `const ${leaf} = value[${JSON.stringify(name)}]; if (${isNull}typeof ${leaf} !== "${type}") refuse(value); into.push(${leaf});`;
  };
  const unpackField = (name: string, place: number) =>
    `${JSON.stringify(name)}: ${leafTypeOf(fields[name]).type === null ? `codecs[${place}].unpack(from)` : "from.take()"}`;
  const count = names.length + (kind === undefined ? 0 : 1);
  const checkCount = `let count = 0; for (const _ in value) count++; if (count !== ${count}) refuse(value);`;
  const kindField = kind === undefined ? [] : [`kind: ${JSON.stringify(kind)}`];
  const source = `return {
    pack(value, into) {
      if (typeof value !== "object" || value === null) refuse(value);
      ${isExact ? checkCount : ""}
      ${names.map(packField).join("\n")}
    },
    unpack(from) { return { ${[...kindField, ...names.map(unpackField)].join(", ")} }; },
  }`;
  const refuse = (value: unknown) => {
    throw mismatch(`an object of ${names.join(", ")}`, value);
  };
  return new Function("codecs", "refuse", source)(codecs, refuse) as AnyCodec;
}

/** Returns the type of a text, number or flag; `null` for another shape. */
function leafTypeOf(shape: AnyShape | undefined): { readonly type: string | null; readonly isNullable: boolean } {
  const isNullable = shape?.node === "nullable";
  const leaf = isNullable ? shape.of : shape;
  return { type: leaf?.node === "leaf" ? leaf.is : null, isNullable };
}
