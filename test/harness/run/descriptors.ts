import { closeSync, openSync } from "node:fs";

/** Takes every file descriptor that this process may still open; call what it returns to give them back. */
export function exhaustDescriptors(): () => void {
  const taken: number[] = [];
  for (;;) {
    try {
      taken.push(openSync("/dev/null", "r"));
    } catch (error) {
      if ((error as { code?: unknown }).code !== "EMFILE") throw error;
      return () => {
        for (const descriptor of taken.splice(0)) closeSync(descriptor);
      };
    }
  }
}
