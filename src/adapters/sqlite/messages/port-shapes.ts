import type { OperationPort } from "../operations.ts";
import type { Parts, Shape } from "./shape.ts";

type OperationShape<PortFunction> = PortFunction extends (...args: infer Args) => Promise<infer Result>
  ? { readonly args: Parts<Args>; readonly result: Shape<Result> }
  : never;

/** Shapes of the arguments and of the result of each operation. */
export type OperationShapes = { readonly [Name in keyof OperationPort]: OperationShape<OperationPort[Name]> };
export type RequestOf<Name extends keyof OperationPort> = Parameters<OperationPort[Name]>[0];
export type ResultOf<Name extends keyof OperationPort> = Awaited<ReturnType<OperationPort[Name]>>;
