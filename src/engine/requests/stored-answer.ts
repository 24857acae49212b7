import type { StorableAnswer } from "../../ports/use-cases/idempotency.ts";

/** Returns the plain text of a stored answer: status and media type in one line, then the body, which no replay parses. */
export function plaintextOf({ status, contentType, body }: StorableAnswer): string {
  return `${status} ${contentType}\n${body}`;
}

/** Reads what `plaintextOf` returned. */
export function answerIn(plaintext: string): StorableAnswer {
  const blank = plaintext.indexOf(" ");
  const end = plaintext.indexOf("\n");
  return {
    status: Number(plaintext.slice(0, blank)),
    contentType: plaintext.slice(blank + 1, end),
    body: plaintext.slice(end + 1),
  };
}
