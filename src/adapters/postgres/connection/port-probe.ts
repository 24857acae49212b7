import { createConnection } from "node:net";
import { connect as connectTls } from "node:tls";
import pg from "pg";

/** Request for TLS, with which any connection to Postgres may begin. Its answer is one byte. */
const tlsRequest = Buffer.from("0000000804d2162f", "hex");
/** Ends a request of a protocol with lines. Servers of such protocols wait for it before they complain. */
const emptyLine = "\r\n\r\n";
const answerWithinMs = 1000;

/**
 * Returns the name of the protocol that the port of the database speaks, if that is not Postgres; `null` if it is Postgres, or
 * if nothing answers.
 */
export async function foreignAnswerOf(connectionString: string): Promise<string | null> {
  const { host, port } = new pg.Client({ connectionString });
  if (host.startsWith("/")) return null;
  const answer = await firstBytes(host, port);
  if (answer.startsWith("HTTP/")) return "in HTTP";
  if (answer.startsWith("SSH-")) return "in SSH";
  // A server of TLS closes the connection, perhaps after an alert.
  if (answer === "" || answer.startsWith("\x15\x03")) return (await startsWithTls(host, port)) ? "in TLS at once, as HTTPS does" : null;
  const isPostgres = /^[SN]$/.test(answer) || answer.startsWith("E\0");
  return isPostgres ? null : "in another protocol";
}

/** Whether a handshake without a request before it succeeds. Postgres accepts one only from clients that name its protocol. */
function startsWithTls(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    // Nothing is sent after the handshake, so the certificate does not matter.
    const socket = connectTls({ host, port, timeout: answerWithinMs, rejectUnauthorized: false });
    const end = (isTls: boolean) => {
      resolve(isTls);
      socket.destroy();
    };
    socket.once("secureConnect", () => end(true));
    for (const event of ["error", "close", "timeout"]) socket.on(event, () => end(false));
  });
}

function firstBytes(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    let isLineSent = false;
    const socket = createConnection({ host, port, timeout: answerWithinMs }, () => socket.write(tlsRequest));
    const end = (answer: string) => {
      resolve(answer);
      socket.destroy();
    };
    socket.on("data", (bytes) => end(bytes.toString("latin1")));
    socket.on("error", () => end(""));
    socket.on("close", () => end(""));
    socket.on("timeout", () => {
      if (isLineSent) end("");
      else socket.write(emptyLine);
      isLineSent = true;
    });
  });
}
