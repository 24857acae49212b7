import type { OperationShapes } from "./port-shapes.ts";
import { readShapes } from "./read-shapes.ts";
import { writeShapes } from "./write-shapes.ts";

/** Shapes of all operations. The compiler checks that every function of the port is here. */
export const operationShapes: OperationShapes = { ...readShapes, ...writeShapes };
