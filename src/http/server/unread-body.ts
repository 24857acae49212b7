import { ServerResponse } from "node:http";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";

/** Number of bytes that are read after an answer that was given before the body had arrived. */
const maxDiscardedBytes = 4 * 1024 * 1024;
/** Time in which they are read. */
const maxDiscardingMs = 2000;

/**
 * Response that closes its connection if it begins before the request's body has arrived. The client learns at once that it
 * need not send the rest.
 *
 * A socket that is closed with unread bytes is reset, and the client could lose the answer. So after the answer the socket
 * is half closed, some of the body is read and discarded, and then the socket is destroyed.
 */
export class ClosingResponse extends ServerResponse {
  override writeHead(...given: readonly unknown[]): this {
    if (!this.headersSent && isArriving(this.req)) {
      this.shouldKeepAlive = false;
      this.setHeader("connection", "close");
      closeAfterDiscarding(this.req);
    }
    return super.writeHead(...(given as Parameters<ServerResponse["writeHead"]>));
  }
}

const discarding = new WeakSet<Socket>();

/** Returns whether a socket only waits for the end of a body. Nothing that arrives on it is answered. */
export function isDiscarding(socket: Socket): boolean {
  return discarding.has(socket);
}

function isArriving({ complete, headers }: IncomingMessage): boolean {
  return !complete && (headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0);
}

/** Replaces the end of the connection, which Node calls once the answer is written. */
function closeAfterDiscarding(request: IncomingMessage): void {
  const { socket } = request;
  socket.destroySoon = () => {
    const endBytes = socket.bytesRead + maxDiscardedBytes;
    discarding.add(socket);
    socket.end();
    const timer = setTimeout(() => socket.destroy(), maxDiscardingMs).unref();
    socket.once("close", () => clearTimeout(timer));
    // The rest of the body, which the app has not read, is discarded.
    request.removeAllListeners("data");
    request.removeAllListeners("readable");
    request.on("data", () => {
      if (socket.bytesRead > endBytes) socket.destroy();
    });
    request.once("end", () => socket.destroy());
    request.resume();
  };
}
