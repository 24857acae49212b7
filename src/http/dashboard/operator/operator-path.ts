import { scriptName } from "../live/live-script.ts";

/** Path of the pages for keys of the operator. */
export const operatorPath = "/dashboard/operator";

/** Name of the script of live pages there: a key of the operator sees nothing of an account, not even its script. */
export const operatorScriptPath = `${operatorPath}/${scriptName}`;

export function isOperatorPath(path: string): boolean {
  return path === operatorPath || path.startsWith(`${operatorPath}/`);
}
