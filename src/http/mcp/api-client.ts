export type JsonObject = Readonly<Record<string, unknown>>;

/** A request to the API of the service. */
export type ApiRequest = {
  readonly method: "GET" | "POST";
  /** Path and query. */
  readonly path: string;
  readonly body?: JsonObject;
  readonly headers?: Readonly<Record<string, string>>;
};

/** Status and body of an answer. */
export type ApiAnswer = { readonly status: number; readonly body: JsonObject };

/** Sends a request to the API with the caller's key. Rejects if there is no answer, or if the signal aborts. */
export type ApiClient = (request: ApiRequest, signal: AbortSignal) => Promise<ApiAnswer>;

/** Returns the text of a problem: its title, and every fault, or else its detail. */
export function describeProblem({ status, body }: ApiAnswer): string {
  const { title, detail, errors } = body;
  const faults = Array.isArray(errors) ? (errors as readonly JsonObject[]) : [];
  const lines = faults.map((fault) => `${String(fault["pointer"] ?? fault["parameter"])}: ${String(fault["detail"])}`);
  return `${status} ${String(title ?? "Not an answer of the service")}: ${lines.length > 0 ? lines.join("\n") : String(detail ?? "")}`;
}
