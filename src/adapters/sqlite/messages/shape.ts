/**
 * Shape of the values that cross between the threads: which properties an object has, and of which kind each is. `type` exists
 * for the compiler alone. It is a function, so that a shape fits exactly its type: a property that a type gains, loses or
 * allows to be `null` is an error at its shape.
 */
export type Shape<T> = AnyShape & { readonly type?: (value: T) => T };

export type AnyShape =
  | { readonly node: "leaf"; readonly is: "string" | "number" | "boolean" }
  | { readonly node: "bytes" | "nothing" }
  | { readonly node: "nullable" | "list" | "map" | "shared"; readonly of: AnyShape }
  | { readonly node: "tuple"; readonly parts: readonly AnyShape[] }
  | { readonly node: "object" | "part" | "patch"; readonly fields: AnyFields }
  | { readonly node: "kinds"; readonly variants: Readonly<Record<string, AnyFields>> }
  | { readonly node: "either"; readonly key: string; readonly withKey: AnyShape; readonly withoutKey: AnyShape };
export type AnyFields = Readonly<Record<string, AnyShape>>;

/** Shapes of all properties of a type. */
type Fields<T> = { readonly [Key in keyof T]-?: Shape<Exclude<T[Key], undefined>> };
/** Shapes of all parts of a tuple. */
export type Parts<T extends readonly unknown[]> = { readonly [Index in keyof T]: Shape<T[Index]> };
type Variants<T extends { readonly kind: string }> = {
  readonly [Kind in T["kind"]]: Fields<Omit<Extract<T, { readonly kind: Kind }>, "kind">>;
};

export const text: Shape<string> = { node: "leaf", is: "string" };
/** Any number: NaN, the infinities and -0 cross unchanged. */
export const number: Shape<number> = { node: "leaf", is: "number" };
export const flag: Shape<boolean> = { node: "leaf", is: "boolean" };
/** Bytes, also of a `Buffer`, which arrives as a `Uint8Array`. */
export const bytes: Shape<Uint8Array> = { node: "bytes" };
/** The result of an operation that has none. */
export const nothing: Shape<void> = { node: "nothing" };

/** A text of which the compiler knows all values. */
export function word<Word extends string>(): Shape<Word> {
  return { node: "leaf", is: "string" };
}

export function nullable<T>(of: Shape<T>): Shape<T | null> {
  return { node: "nullable", of };
}

export function list<T>(of: Shape<T>): Shape<readonly T[]> {
  return { node: "list", of };
}

/** An object with any keys. */
export function map<T>(of: Shape<T>): Shape<Readonly<Record<string, T>>> {
  return { node: "map", of };
}

export function pair<A, B>(a: Shape<A>, b: Shape<B>): Shape<readonly [A, B]> {
  return { node: "tuple", parts: [a, b] };
}

/** An object with exactly these properties. */
export function object<T extends object>(fields: Fields<T>): Shape<T> {
  return { node: "object", fields };
}

/** An object with these properties and perhaps others, which do not cross: an argument that callers may give as a wider type. */
export function part<T extends object>(fields: Fields<T>): Shape<T> {
  return { node: "part", fields };
}

/** An object with some of these properties. */
export function patch<T extends object>(fields: Fields<T>): Shape<T> {
  return { node: "patch", fields };
}

/** Objects that differ by their `kind`. */
export function kinds<T extends { readonly kind: string }>(variants: Variants<T>): Shape<T> {
  return { node: "kinds", variants: variants as Readonly<Record<string, AnyFields>> };
}

/** Objects of which one has the key and the other does not. */
export function either<A extends object, B extends object>(
  key: Exclude<keyof A, keyof B> & string,
  a: Shape<A>,
  b: Shape<B>,
): Shape<A | B> {
  return { node: "either", key, withKey: a, withoutKey: b };
}

/** An object that many values of a message name, such as the target of jobs. It crosses once, and arrives as one object. */
export function shared<T extends object>(of: Shape<T>): Shape<T> {
  return { node: "shared", of };
}
