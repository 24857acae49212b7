/**
 * Answers as receivers and proxies really send them, one character a byte. Each is a 200 whose body is `body`, which must be
 * one line of ASCII.
 */
export function takenAnswers(body: string): Readonly<Record<string, string>> {
  const length = body.length;
  const size = length.toString(16);
  const ok = `HTTP/1.1 200 OK\r\ncontent-length: ${length}\r\n\r\n${body}`;
  const chunks = `${size}\r\n${body}\r\n0\r\n\r\n`;
  const chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n";
  const withField = (field: string) => `HTTP/1.1 200 OK\r\n${field}\r\ncontent-length: ${length}\r\n\r\n${body}`;
  return {
    "a head of 60 KiB": withField(`x: ${"h".repeat(60_000)}`),
    "a head of many fields": withField(Array.from({ length: 4000 }, (_, n) => `x-${n}: y`).join("\r\n")),
    "bare LF": `HTTP/1.1 200 OK\ncontent-length: ${length}\n\n${body}`,
    "bare LF and chunks": `HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n${size}\n${body}\n0\n\n`,
    "CRLF and then bare LF": `HTTP/1.1 200 OK\r\ncontent-length: ${length}\n\n${body}`,
    "doubled CRs": `HTTP/1.1 200 OK\r\r\ncontent-length: ${length}\r\r\n\r\r\n${body}`,
    "a control byte in a name": withField("x\u0001y: 1"),
    "a zero byte in a name": withField("x\0y: 1"),
    "a blank in a name": withField("x y: 1"),
    "a name in UTF-8": withField("x-\u00c3\u00a9: 1"),
    "a name in brackets": withField("(x): 1"),
    "no name": withField(": 1"),
    "a blank before the colon": `HTTP/1.1 200 OK\r\ncontent-length : ${length}\r\n\r\n${body}`,
    "no colon": withField("nonsense"),
    "control bytes in a value": withField("x: a\u0001\u007fb"),
    "a zero byte in a value": withField("x: a\0b"),
    "a bare CR in a value": withField("x: a\rb"),
    "obs-text in a value": withField("x: \u00e9\u00ff"),
    "a folded value": withField("x: a\r\n b\r\n\tc"),
    "a folded length": `HTTP/1.1 200 OK\r\ncontent-length:\r\n ${length}\r\n\r\n${body}`,
    "a blank line of blanks": withField("x: a\r\n  "),
    "blanks before the first field": withField(" x: a"),
    "a field called __proto__": withField("__proto__: x\r\nconstructor: y"),
    "Transfer-Encoding beside Content-Length": `${chunked}content-length: 1\r\n\r\n${chunks}`,
    "Transfer-Encoding beside an invalid Content-Length": `${chunked}content-length: x\r\n\r\n${chunks}`,
    "Transfer-Encoding twice": `${chunked}transfer-encoding: chunked\r\n\r\n${chunks}`,
    "Transfer-Encoding in capitals": `HTTP/1.1 200 OK\r\nTRANSFER-ENCODING: Chunked\r\n\r\n${chunks}`,
    "Transfer-Encoding: identity": `HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\ncontent-length: ${length}\r\n\r\n${body}`,
    "an empty Transfer-Encoding": `HTTP/1.1 200 OK\r\ntransfer-encoding:\r\ncontent-length: ${length}\r\n\r\n${body}`,
    "chunks under HTTP/1.0": `HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${chunks}`,
    "equal lengths twice": `HTTP/1.1 200 OK\r\ncontent-length: ${length}\r\nContent-Length: ${length}\r\n\r\n${body}`,
    "equal lengths in a list": `HTTP/1.1 200 OK\r\ncontent-length: ${length}, ${length}\r\n\r\n${body}`,
    "a length with an empty list member": `HTTP/1.1 200 OK\r\ncontent-length: ${length},\r\n\r\n${body}`,
    "a length with zeros before it": `HTTP/1.1 200 OK\r\ncontent-length: 000${length}\r\n\r\n${body}`,
    "blanks after a chunk size": `${chunked}\r\n${size}  \r\n${body}\r\n0 \t\r\n\r\n`,
    "blanks before a chunk size": `${chunked}\r\n ${size}\r\n${body}\r\n0\r\n\r\n`,
    "zeros before a chunk size": `${chunked}\r\n000000000000000000${size}\r\n${body}\r\n000\r\n\r\n`,
    "chunk extensions": `${chunked}\r\n${size};a=b;c="d;\u0001" ;e\r\n${body}\r\n0;x\r\n\r\n`,
    "a chunk for each byte": `${chunked}\r\n${[...body].map((byte) => `1\r\n${byte}\r\n`).join("")}0\r\n\r\n`,
    "a trailer": `${chunked}\r\n${size}\r\n${body}\r\n0\r\nx: y\r\n\r\n`,
    "malformed trailers": `${chunked}\r\n${size}\r\n${body}\r\n0\r\nnonsense\r\n\u0001: a\r\n folded\r\n\r\n`,
    "a 100 unasked": `HTTP/1.1 100 Continue\r\n\r\n${ok}`,
    "a 100 twice": `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n${ok}`,
    "a 100 with fields": `HTTP/1.1 100 Continue\r\nx: y\r\ncontent-length: 0\r\n\r\n${ok}`,
    "a 100 after a 102 and a 103": `HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n${ok}`,
    "a 199 with bare LF": `HTTP/1.1 199 Odd\nx y: z\n\n${ok}`,
    "no reason phrase": `HTTP/1.1 200 \r\ncontent-length: ${length}\r\n\r\n${body}`,
    "no blank behind the status": `HTTP/1.1 200\r\ncontent-length: ${length}\r\n\r\n${body}`,
    "odd bytes in the reason phrase": `HTTP/1.1 200 O\u0001K\u00ff\0\r\ncontent-length: ${length}\r\n\r\n${body}`,
    "several blanks in the status line": `HTTP/1.1\t 200  OK\r\ncontent-length: ${length}\r\n\r\n${body}`,
    "blanks before the status line": ` \t${ok}`,
    "empty lines before the status line": `\r\n\n\r\n${ok}`,
    "a version in lower case": `http/1.1 200 OK\r\ncontent-length: ${length}\r\n\r\n${body}`,
    "HTTP/1.0": `HTTP/1.0 200 OK\r\ncontent-length: ${length}\r\n\r\n${body}`,
    "HTTP/1.2": `HTTP/1.2 200 OK\r\ncontent-length: ${length}\r\n\r\n${body}`,
    "HTTP/2.0": `HTTP/2.0 200 OK\r\ncontent-length: ${length}\r\n\r\n${body}`,
    "bytes behind it": `${ok} and more`,
    "an empty line behind it": `${ok}\r\n`,
    "another answer behind it": `${ok}${ok}`,
    "another answer behind its chunks": `${chunked}\r\n${chunks}${ok}`,
  };
}

/** Answers that end with the connection, taken as well. */
export function takenAtTheEnd(body: string): Readonly<Record<string, string>> {
  const size = body.length.toString(16);
  return {
    "no length": `HTTP/1.1 200 OK\r\n\r\n${body}`,
    "no length and bare LF": `HTTP/1.1 200 OK\n\n${body}`,
    "no length under HTTP/1.0": `HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n\r\n${body}`,
    "no field at all": `HTTP/1.1 200\n\n${body}`,
    "a transfer coding that is not chunked": `HTTP/1.1 200 OK\r\ntransfer-encoding: x\r\ncontent-length: 1\r\n\r\n${body}`,
    // "…incomplete if the zero-sized chunk that terminates the encoding has not been received" (RFC 9112 section 8): it was.
    "an end inside the trailers": `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${size}\r\n${body}\r\n0\r\nx: `,
    "no line behind the last chunk": `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${size}\r\n${body}\r\n0\r\n`,
  };
}

type Refused = {
  /** The sentence that forbids it. */
  readonly rule: string;
  readonly raw: string;
  readonly detail: RegExp;
};

const discarded =
  "RFC 9112 section 6.3: If it is in a response message received by a user agent, the user agent MUST close the connection to " +
  "the server and discard the received response.";
const startLine =
  "RFC 9112 section 4: The first line of a response message is the status-line, consisting of the protocol version, a space " +
  "(SP), the status code, and another space and ending with an OPTIONAL textual phrase describing the status code.";

/** What is left as `protocol`: each with the sentence that forbids it. */
export const refusedAnswers: Readonly<Record<string, Refused>> = {
  "HTTP/0.9": { rule: startLine, raw: "<html>ok</html>", detail: /status line/ },
  "another protocol": { rule: startLine, raw: "SSH-2.0-OpenSSH_9.9\r\n", detail: /status line/ },
  "a greeting of SMTP": { rule: startLine, raw: "220 mail.example.com ESMTP\r\n", detail: /status line/ },
  "an alert of TLS": { rule: startLine, raw: "\u0015\u0003\u0001\0\u0002\u0002\u0016", detail: /status line/ },
  "frames of HTTP/2": { rule: startLine, raw: "\0\0\u0012\u0004\0\0\0\0\0\0\u0003\0\0\0\u0080", detail: /status line/ },
  "a version of another major number": { rule: startLine, raw: "HTTP/3.0 200 OK\r\n\r\n", detail: /status line/ },
  "a status of two digits": { rule: "RFC 9112 section 4: status-code = 3DIGIT", raw: "HTTP/1.1 20 OK\r\n\r\n", detail: /status line/ },
  "a status of four digits": { rule: "RFC 9112 section 4: status-code = 3DIGIT", raw: "HTTP/1.1 2000 OK\r\n\r\n", detail: /status line/ },
  "a status that is no number": { rule: "RFC 9112 section 4: status-code = 3DIGIT", raw: "HTTP/1.1 abc OK\r\n\r\n", detail: /status line/ },
  "fields alone": { rule: startLine, raw: "content-length: 2\r\n\r\nok", detail: /status line/ },
  "an upgrade that was not asked for": {
    rule: "RFC 9110 section 7.8: A server MUST NOT switch to a protocol that was not indicated by the client in the corresponding request's Upgrade header field.",
    raw: "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    detail: /switches to a protocol/,
  },
  "a head of more than 64 KiB": {
    rule: "RFC 9110 section 5.4: A client MAY discard or truncate received field lines that are larger than the client wishes to process if the field semantics are such that the dropped value(s) can be safely ignored without changing the message framing or response semantics.",
    raw: `HTTP/1.1 200 OK\r\n${"x: y\r\n".repeat(11_000)}content-length: 2\r\n\r\nok`,
    detail: /larger than 65536 bytes/,
  },
};

/** Heads whose body has no end that could be found. Such a 2xx is a failure; any other status is obeyed. */
export const invalidLengths: Readonly<Record<string, Refused>> = {
  "lengths that differ": {
    rule: discarded,
    raw: "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
    detail: /Content-Length values differ/,
  },
  "lengths that differ in a list": {
    rule: discarded,
    raw: "HTTP/1.1 200 OK\r\ncontent-length: 2, 3\r\n\r\nok",
    detail: /Content-Length values differ/,
  },
  "a length with a sign": {
    rule: discarded,
    raw: "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok",
    detail: /Content-Length is not a number/,
  },
  "a negative length": {
    rule: discarded,
    raw: "HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok",
    detail: /Content-Length is not a number/,
  },
  "an empty length": { rule: discarded, raw: "HTTP/1.1 200 OK\r\ncontent-length:\r\n\r\nok", detail: /Content-Length is not a number/ },
  "a length in hexadecimal": {
    rule: discarded,
    raw: "HTTP/1.1 200 OK\r\ncontent-length: 0x2\r\n\r\nok",
    detail: /Content-Length is not a number/,
  },
};

const incomplete =
  "RFC 9112 section 8: A client that receives an incomplete response message, which can occur when a connection is closed " +
  "prematurely or when decoding a supposedly chunked transfer coding fails, MUST record the message as incomplete.";
const chunkedHead = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

/** Bodies that cannot be read to their end, behind a head that can. */
export const brokenChunks: Readonly<Record<string, Refused>> = {
  "a chunk size that is no number": { rule: incomplete, raw: `${chunkedHead}zz\r\nok\r\n0\r\n\r\n`, detail: /chunk has no size/ },
  "an empty chunk size": { rule: incomplete, raw: `${chunkedHead}\r\nok\r\n0\r\n\r\n`, detail: /chunk has no size/ },
  "a chunk size with 0x": { rule: incomplete, raw: `${chunkedHead}0x2\r\nok\r\n0\r\n\r\n`, detail: /chunk has no size/ },
  "a negative chunk size": { rule: incomplete, raw: `${chunkedHead}-2\r\nok\r\n0\r\n\r\n`, detail: /chunk has no size/ },
  "a chunk longer than its size": { rule: incomplete, raw: `${chunkedHead}2\r\nokay\r\n0\r\n\r\n`, detail: /longer than its size/ },
  "a body that is not chunked at all": { rule: incomplete, raw: `${chunkedHead}{"ok":true}\r\n`, detail: /chunk has no size/ },
  "an extension without end": {
    rule: "RFC 9112 section 7.1.1: A server ought to limit the total length of chunk extensions received in a request to an amount reasonable for the services provided.",
    raw: `${chunkedHead}2;${"x".repeat(70_000)}\r\nok\r\n0\r\n\r\n`,
    detail: /chunk lines are too long/,
  },
};

/** What follows a status line that is obeyed all the same. */
export const malformedRests: Readonly<Record<string, string>> = {
  nothing: "",
  "half a field": "x-ha",
  "a field without a colon": "nonsense\r\n\r\n",
  "bytes that are no text": "\u0000\u0001\u00ff\r\n\r\n\u0000",
  "a body that breaks off": "content-length: 99\r\n\r\nhalf",
  "a body without chunks": "transfer-encoding: chunked\r\n\r\nhalf",
  "a head without end": "x: y\r\n".repeat(20_000),
  "an end of the head alone": "\r\n",
  "a name without a value": ":\r\nx:\r\n\r\n",
  "a control byte in a name": "x\u0001y: 1\r\n\r\n",
  "a bare CR in a value": "x: a\rb\r\n\r\n",
  "a folded line": "x: y\r\n a\r\n\tb\r\n\r\n",
  "an unknown transfer coding": "transfer-encoding: x, y\r\n\r\nhalf",
  "chunked before another coding": "transfer-encoding: chunked, gzip\r\n\r\nhalf",
  "an unknown content coding": "content-encoding: x\r\ncontent-length: 4\r\n\r\nhalf",
  "a length that is not a number": "content-length: x\r\n\r\nhalf",
  "a negative length": "content-length: -4\r\n\r\nhalf",
  "an empty length": "content-length:\r\n\r\nhalf",
  "a fractional length": "content-length: 4.0\r\n\r\nhalf",
  "a length beyond every number": `content-length: ${"9".repeat(400)}\r\n\r\nhalf`,
  "lengths that differ": "content-length: 4\r\ncontent-length: 5\r\n\r\nhalf",
  "lengths that differ in a list": "content-length: 4, 5\r\n\r\nhalf",
  "an invalid length beside chunks": "content-length: x\r\ntransfer-encoding: chunked\r\n\r\nhalf",
  "another answer": "content-length: 0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
};
