/** Counts the statements a client of Postgres sends, by the messages of its protocol (3.0): simple queries and executions. */
export class StatementCount {
  total = 0;

  /** For one connection: give it what the client sends. */
  readonly tap = (): ((chunk: Buffer) => void) => {
    let rest: Buffer = Buffer.alloc(0);
    // The first message has no type.
    let typeBytes = 0;
    return (chunk) => {
      rest = Buffer.concat([rest, chunk]);
      while (rest.length >= typeBytes + 4) {
        const end = typeBytes + rest.readUInt32BE(typeBytes);
        if (rest.length < end) return;
        const type = typeBytes === 0 ? "" : String.fromCodePoint(rest[0] ?? 0);
        if (type === "Q" || type === "E") this.total += 1;
        rest = rest.subarray(end);
        typeBytes = 1;
      }
    };
  };
}
