/** Path of the pages for keys of the operator. */
export const operatorPath = "/dashboard/operator";

export function isOperatorPath(path: string): boolean {
  return path === operatorPath || path.startsWith(`${operatorPath}/`);
}
