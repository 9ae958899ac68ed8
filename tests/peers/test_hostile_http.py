"""An HTTP server that means harm, or is broken: in the place of SES, of the
metadata service, of the container's endpoint and of STS.

SES is asked over TLS, with a certificate that is right: what it answers when it
has the whole request leaves open whether it took the message.
"""
import gzip
import json
import select
import ssl
import time

import harness
from awsfakes import Container, Imds, Sts
from harness import letter
from hostile import (DONE, MAYBE, PERM, TEMP, Http, Row, tests)
from ses import Answer, Gone, Ses

SHORT = "timeout 1s\n"
BIG = letter(3 << 20)
OK = b'{"MessageId":"0102-hostile"}'
ROWS = []


def head(status, *fields):
    return b"\r\n".join((b"HTTP/1.1 " + status,) + fields) + b"\r\n\r\n"


def sized(body, status=b"200 OK", *fields):
    return head(status, b"Content-Length: %d" % len(body), *fields) + body


def chunked(text, *fields):
    return head(b"200 OK", b"Transfer-Encoding: chunked", *fields) + text


def error(status, code, text):
    body = json.dumps({"message": text}).encode()
    return sized(body, status, b"x-amzn-ErrorType: " + code)


def padded(body, size):
    return body[:-1] + b" " * (size - len(body)) + body[-1:]


# --- what a peer can do -----------------------------------------------------

def say(*steps):
    """Bytes, seconds to wait, or one of the words below; then cut."""
    def go(connection):
        for step in steps:
            if isinstance(step, bytes):
                connection.sock.sendall(step)
            elif isinstance(step, (int, float)):
                time.sleep(step)
            else:
                step(connection)
    return go


def endless(block):
    def go(connection):
        connection.sock.settimeout(30)
        while True:
            connection.sock.sendall(block)
    return go


def drip(text, seconds):
    def go(connection):
        for i in range(len(text)):
            connection.sock.sendall(text[i:i + 1])
            time.sleep(seconds)
        silent(connection)
    return go


def silent(connection):
    connection.sock.settimeout(30)
    while True:
        connection.more()
        connection.buffer.clear()


def properly(connection):
    """End TLS with close_notify."""
    try:
        connection.sock = connection.sock.unwrap()
    except (OSError, ValueError):
        pass


def reset(connection):
    connection.reset()


def read_on(connection):
    """The body is still on its way: read it, as servers do."""
    connection.sock.settimeout(3)
    try:
        silent(connection)
    except OSError:
        pass


def deaf(connection):
    poll = select.poll()
    poll.register(connection.sock, select.POLLRDHUP)
    poll.poll(30000)


# --- replies to SES's call --------------------------------------------------

def row(name, kind, *words, **how):
    ROWS.append(Http("SES: " + name, kind, *words, **how))


def reply(name, kind, *words, raw, early=False, **how):
    row(name, kind, *words, always=Answer(raw=say(
        *(raw if isinstance(raw, tuple) else (raw,))), early=early), **how)


# Replies that are none: (words, bytes).
BROKEN = {
    # Framing.
    "a chunk of 17 digits": ("size of a chunk", chunked(
        b"10000000000000001\r\nx")),
    "a chunk of 2^64-1": ("body is too long", chunked(
        b"ffffffffffffffff\r\n" + OK)),
    "a chunk of 2^63": ("body is too long", chunked(
        b"8000000000000000\r\n" + OK)),
    "a chunk of 4 GB": ("body is too long", chunked(b"100000000\r\n" + OK)),
    "a negative chunk": ("size of a chunk", chunked(b"-1\r\n" + OK)),
    "a chunk with a sign": ("size of a chunk", chunked(
        b"+1c\r\n" + OK + b"\r\n0\r\n\r\n")),
    "a chunk with 0x": ("size of a chunk", chunked(
        b"0x1c\r\n" + OK + b"\r\n0\r\n\r\n")),
    "a chunk with a blank in front": ("size of a chunk", chunked(
        b" 1c\r\n" + OK + b"\r\n0\r\n\r\n")),
    "a chunk of rubbish": ("size of a chunk", chunked(b"xyz\r\n" + OK)),
    "a chunk of nothing": ("size of a chunk", chunked(b"\r\n" + OK)),
    "a chunk longer than it says": ("not as long as it says", chunked(
        b"5\r\n" + OK + b"\r\n0\r\n\r\n")),
    "a chunk shorter than it says": ("not as long as it says", chunked(
        b"1e\r\n" + OK + b"\r\n0\r\n\r\n")),
    "a chunk without its line end": ("not as long as it says", chunked(
        b"%x\r\n%s0\r\n\r\n" % (len(OK), OK))),
    "a chunk that ends in LF": ("not as long as it says", chunked(
        b"%x\r\n%s\n0\r\n\r\n" % (len(OK), OK))),
    "chunk extensions without end": ("head is too long", chunked(
        b"1;a=b\r\n{\r\n" * 8000)),
    "a chunk extension of 64 KB": ("more than 16383", chunked(
        b"1;" + b"x" * 65536 + b"\r\n{\r\n")),
    "trailers without end": ("head is too long", chunked(
        b"%x\r\n%s\r\n0\r\n" % (len(OK), OK) + b"X-More: 1\r\n" * 5000)),
    "a trailer of 64 KB": ("more than 16383", chunked(
        b"%x\r\n%s\r\n0\r\nX:" % (len(OK), OK) + b"x" * 65536 + b"\r\n\r\n")),
    "no last chunk": ("cut|closed", chunked(b"%x\r\n%s\r\n" % (len(OK), OK))),
    "chunks of 1 byte without end": ("body is too long",
                                     chunked(b"1\r\n{\r\n" * 70000)),
    "a negative length": ("length is no number", head(
        b"200 OK", b"Content-Length: -1") + OK),
    "a length with a sign": ("length is no number", head(
        b"200 OK", b"Content-Length: +28") + OK),
    "a length of words": ("length is no number", head(
        b"200 OK", b"Content-Length: many") + OK),
    "a length of nothing": ("length is no number", head(
        b"200 OK", b"Content-Length:") + OK),
    "a length of hexadecimal digits": ("length is no number", head(
        b"200 OK", b"Content-Length: 0x1c") + OK),
    "a length of 2^64": ("length is no number", head(
        b"200 OK", b"Content-Length: 18446744073709551616") + OK),
    "a length of 2^64-1": ("body is too long", head(
        b"200 OK", b"Content-Length: 18446744073709551615") + OK),
    "a length of 2^63": ("body is too long", head(
        b"200 OK", b"Content-Length: 9223372036854775808") + OK),
    "a length of 100 MB": ("body is too long", head(
        b"200 OK", b"Content-Length: 104857600") + OK),
    "two lengths": ("length twice", head(
        b"200 OK", b"Content-Length: 28", b"Content-Length: 2") + OK),
    "the same length twice": ("length twice", head(
        b"200 OK", b"Content-Length: 28", b"content-length: 28") + OK),
    "two lengths in a field": ("length is no number", head(
        b"200 OK", b"Content-Length: 28, 28") + OK),
    "a length and chunks": ("length twice", chunked(
        b"%x\r\n%s\r\n0\r\n\r\n" % (len(OK), OK), b"Content-Length: 28")),
    "chunks twice": ("length twice", chunked(
        b"%x\r\n%s\r\n0\r\n\r\n" % (len(OK), OK),
        b"Transfer-Encoding: chunked")),
    "a coding of gzip and chunks": ("unknown transfer coding", head(
        b"200 OK", b"Transfer-Encoding: gzip, chunked") + OK),
    "a coding of identity": ("unknown transfer coding", head(
        b"200 OK", b"Transfer-Encoding: identity") + OK),
    "a coding of rubbish": ("unknown transfer coding", head(
        b"200 OK", b"Transfer-Encoding: xchunked") + OK),
    "chunks in HTTP/1.0": ("unknown transfer coding", chunked(
        b"%x\r\n%s\r\n0\r\n\r\n" % (len(OK), OK)).replace(
            b"HTTP/1.1", b"HTTP/1.0")),
    "less than its length": ("cut|closed", head(
        b"200 OK", b"Content-Length: 29") + OK),
    # The head.
    "a field of 64 KB": ("more than 16383", head(
        b"200 OK", b"X: " + b"x" * 65536) + OK),
    "a head without end": ("head is too long", b"HTTP/1.1 200 OK\r\n"
                           + b"X-More: and more\r\n" * 5000),
    "1000 fields": ("head is too long", head(
        b"200 OK", *[b"X-Field-%d: value" % i for i in range(1000)]) + OK),
    "a folded field": ("header field", head(
        b"200 OK", b"X: a", b" b") + OK),
    "a field without a colon": ("header field", head(b"200 OK", b"x") + OK),
    "a field with a blank before its colon": ("header field", head(
        b"200 OK", b"Content-Length : 28") + OK),
    "a field without a name": ("header field", head(b"200 OK", b": x") + OK),
    "a NUL in a field": ("header field", head(
        b"200 OK", b"X\0: y") + OK),
    "ESC in a field": ("control characters", head(
        b"200 OK", b"X: \x1b[2J") + OK),
    "a bare CR in a field": ("control characters", head(
        b"200 OK", b"X: a\rContent-Length: 5") + OK),
    "100 without end": ("interim replies without end",
                        head(b"100 Continue") * 5000),
    "103 without end": ("interim replies without end", head(
        b"103 Early Hints", b"Link: <x>") * 5000),
    "101": ("changes the protocol", head(
        b"101 Switching Protocols", b"Upgrade: h2c")),
    # The status line.
    "HTTP/0.9": ("not an HTTP/1.1 reply: .{.MessageId",
                 OK + b"\r\n"),
    "the preface of HTTP/2": ("not an HTTP/1.1 reply",
                              b"\0\0\x12\4\0\0\0\0\0\0\3\0\0\0\x64\r\n"),
    "HTTP/2 in words": ("not an HTTP/1.1 reply: .HTTP/2 200",
                        b"HTTP/2 200\r\n\r\n" + OK),
    "HTTP/1.2": ("not an HTTP/1.1 reply", b"HTTP/1.2 200 OK\r\n\r\n" + OK),
    "HTTP/1.10": ("not an HTTP/1.1 reply", b"HTTP/1.10 200 OK\r\n\r\n" + OK),
    "http/1.1": ("not an HTTP/1.1 reply", b"http/1.1 200 OK\r\n\r\n" + OK),
    "a status of two digits": ("not an HTTP/1.1 reply", head(b"20") + OK),
    "a status of four digits": ("not an HTTP/1.1 reply", head(b"2000") + OK),
    "a status of 1000": ("not an HTTP/1.1 reply", head(b"1000 OK") + OK),
    "a status of 000": ("not an HTTP/1.1 reply", head(b"000 OK") + OK),
    "a status of 099": ("not an HTTP/1.1 reply", head(b"099 OK") + OK),
    "a status of 600": ("not an HTTP/1.1 reply", head(b"600 OK") + OK),
    "a status of 2x0": ("not an HTTP/1.1 reply", head(b"2x0 OK") + OK),
    "a status of -20": ("not an HTTP/1.1 reply", head(b"-20 OK") + OK),
    "no status": ("not an HTTP/1.1 reply", head(b"") + OK),
    "two blanks before the status": ("not an HTTP/1.1 reply", head(
        b" 200 OK") + OK),
    "an empty line first": ("control characters", b"\r\n" + sized(OK)),
    "a status line without end": ("more than 16382", b"HTTP/1.1 200 "
                                  + b"x" * 65536),
    "rubbish": ("cut the connection", b"\xa5" * 5000),
    "rubbish of 64 KB": ("more than 16382", b"\xa5" * 65536),
    "a line of SMTP": ("not an HTTP/1.1 reply: .220 relay",
                       b"220 relay.test ESMTP\r\n"),
    "ESC instead of a reply": ("control characters",
                               b"\x1b[2J\x1b]0;owned\7\r\n"),
}
for name, (words, data) in BROKEN.items():
    reply(name, MAYBE, words, raw=data)

# The same at the container's endpoint, in the clear.
FETCHED = ("a chunk of 2^64-1", "a negative length", "two lengths",
           "a length and chunks", "a field of 64 KB", "a head without end",
           "100 without end", "HTTP/0.9", "a status of 2x0", "rubbish",
           "a line of SMTP", "trailers without end", "a length of 100 MB")

# Nothing that ends the reading but time, or our own limits.
reply("silence", MAYBE, "timed out", raw=silent, top=SHORT)
reply("one byte at a time", MAYBE, "timed out", raw=drip(
    head(b"200 OK", b"X: " + b"x" * 300), 0.1), top=SHORT)
reply("a body of one byte at a time", MAYBE, "timed out", raw=(
    head(b"200 OK", b"Content-Length: 300"), drip(b"{" * 300, 0.1)), top=SHORT)
reply("a head of gigabytes", MAYBE, "head is too long", raw=(
    b"HTTP/1.1 200 OK\r\n", endless(b"X-More: and more\r\n" * 4000)))
reply("a line of gigabytes", MAYBE, "more than 16382", raw=endless(
    b"x" * 65536))
reply("a body of gigabytes", MAYBE, "body is too long", raw=(
    head(b"200 OK"), endless(b" " * 65536)))
reply("chunks of gigabytes", MAYBE, "body is too long", raw=(
    chunked(b""), endless(b"1000\r\n" + b" " * 4096 + b"\r\n")))
reply("100 for ever", MAYBE, "interim replies without end", raw=endless(
    head(b"100 Continue") * 2000))
reply("100 once a second", MAYBE, "timed out", top=SHORT, raw=tuple(
    x for _ in range(6) for x in (head(b"100 Continue"), 0.4)) + (silent,))

# Ends.
for name, ending in (("a cut", ()), ("close_notify", (properly,)),
                     ("a reset", (reset,))):
    for place, text in (("nothing", b""), ("a byte", b"H"),
                        ("half a status line", b"HTTP/1.1 2"),
                        ("a status line", b"HTTP/1.1 200 OK\r\n"),
                        ("half a head", b"HTTP/1.1 200 OK\r\nContent-Len"),
                        ("a head", head(b"200 OK", b"Content-Length: 28")),
                        ("half a body", sized(OK)[:-9]),
                        ("all but a byte", sized(OK)[:-1]),
                        ("a chunk's size", chunked(b"1c\r\n")),
                        ("half a chunk", chunked(b"1c\r\n{\"Mess")),
                        ("all chunks but the last", chunked(
                            b"1c\r\n" + OK + b"\r\n")),
                        ("a last chunk but no line", chunked(
                            b"1c\r\n" + OK + b"\r\n0\r\n")),
                        ("a body of unknown length that has no end",
                         head(b"200 OK") + OK[:-1])):
        reply("%s behind %s" % (name, place), MAYBE,
              "cut|closed|reset|200 without a MessageId",
              raw=(text,) + ending)
    kind = DONE if name == "close_notify" else MAYBE
    reply("%s behind a body of unknown length" % name, kind,
          *([] if kind is DONE else ["cut|closed|reset"]),
          raw=(head(b"200 OK") + OK,) + ending)
    reply("%s behind a whole reply" % name, DONE, raw=(sized(OK),) + (
        (0.2,) + ending if ending else ()))

# Replies that can be read, and what they say.
reply("two replies", DONE, raw=sized(OK) + error(
    b"400 Bad", b"MessageRejected", "no"))
reply("rubbish behind the reply", DONE, raw=sized(OK) + b"\xa5" * 5000)
reply("LF for line ends", DONE, raw=sized(OK).replace(b"\r\n", b"\n"))
reply("a status line without a reason", DONE, raw=sized(OK, b"200"))
reply("seven replies of 100", DONE, raw=head(b"100 Continue") * 7 + sized(OK))
reply("chunks with extensions", DONE, raw=chunked(
    b"1c ; a=\"b;c\"\r\n" + OK + b"\r\n000;x\r\nX-T: 1\r\n\r\n"))
reply("keep-alive that is not kept", DONE, raw=sized(
    OK, b"200 OK", b"Connection: keep-alive"))
reply("a body of exactly the limit", DONE, raw=sized(padded(OK, 65536)))
reply("a body one byte over the limit", MAYBE, "body is too long",
      raw=sized(padded(OK, 65537)))

NO_ID = "200 without a MessageId"
for name, body in {
        "HTML": b"<html><body>welcome to the portal</body></html>",
        "nothing": b"", "a blank": b" ", "null": b"null", "a number": b"42",
        "a string": b'"MessageId"', "an array": b'["MessageId","x"]',
        "an empty object": b"{}", "another member": b'{"messageid":"x"}',
        "a MessageId of a number": b'{"MessageId":42}',
        "a MessageId of null": b'{"MessageId":null}',
        "a MessageId of an object": b'{"MessageId":{"MessageId":"x"}}',
        "an empty MessageId": b'{"MessageId":""}',
        "half of it": OK[:-2], "all but a brace": OK[:-1],
        "JSON of depth 10000": b'{"MessageId":' + b"[" * 10000 + b"]" * 10000
        + b"}", "JSON of depth 10000 without end": b"[" * 10000,
        "JSON of objects of depth 10000": b'{"a":' * 10000,
        "gzip": gzip.compress(OK), "UTF-16": OK.decode().encode("utf-16"),
        "a lone quote": b'"', "an escape cut short": b'{"MessageId":"\\u00',
        "a surrogate alone": b'{"MessageId":"\\ud800"}',
        "a bent escape": b'{"MessageId":"\\x41"}',
        "a number of 60000 digits": b'{"MessageId":' + b"9" * 60000 + b"}",
        }.items():
    reply("200 with " + name, MAYBE, NO_ID, raw=sized(body))
reply("200 with a MessageId of 1 MB", MAYBE, "body is too long", raw=sized(
    b'{"MessageId":"' + b"x" * (1 << 20) + b'"}'))
for name, body in {
        "a NUL in it": b'{"MessageId":"0102\0x"}',
        "two MessageIds": b'{"MessageId":"0102","MessageId":"evil"}',
        "a MessageId of 60 KB": b'{"MessageId":"' + b"x" * 60000 + b'"}',
        "a MessageId with ESC": b'{"MessageId":"\\u001b[2J\\u009b2J\\u007f"}',
        "a MessageId with a line end": b'{"MessageId":"x\\r\\nstatus=failed"}',
        "a MessageId of bare ESC and C1": b'{"MessageId":"\x1b[2J\x9b\xc2\x9b"}',
        "a MessageId that is no UTF-8": b'{"MessageId":"\xff\xfe\xe9"}',
        "a MessageId of %s": b'{"MessageId":"%s%n%x"}',
        "a byte order mark": b"\xef\xbb\xbf" + OK,
        "members of much nonsense": b'{"a":[1e999,-0,"\\ud83d\\ude00",{}],'
        b'"MessageId":"0102","b":[[[[[]]]]]}'}.items():
    reply("200 with " + name, DONE, raw=sized(body))
reply("201", DONE, raw=sized(OK, b"201 Created"))
reply("204", MAYBE, "204 without a MessageId", raw=head(b"204 No Content"))

# Redirects are answers like any other: the other place sees nothing.
OTHER = Ses(tls=False)
for status in (b"301", b"302", b"303", b"307", b"308"):
    reply("a redirect by " + status.decode(), TEMP, "SES: %s without an error"
          % status.decode(), raw=sized(b"", status + b" Moved", b"Location: "
                                       + OTHER.url.encode() + b"/evil"))
reply("304", TEMP, "SES: 304", raw=head(b"304 Not Modified"))
reply("401", TEMP, "SES: 401", raw=sized(
    b"", b"401 Unauthorized", b"WWW-Authenticate: Basic realm=\"give me\""))
reply("407", PERM, "SES: 407", raw=sized(
    b"", b"407 Proxy", b"Proxy-Authenticate: Basic realm=\"give me\""))

# Errors that are well-formed, and try to harm by what they say.
for name, text in {"ESC": "\x1b[2J\x1b]0;owned\7", "a line end":
                   "x\nstatus=sent", "C1": "\u009b2J", "NUL": "a\0b",
                   "60 KB": "y" * 60000, "%s": "%s%n%x",
                   "a log line": "x\" status=sent reason=\"taken"}.items():
    reply("a refusal with " + name, PERM, "SES: 400 MessageRejected: ",
          raw=error(b"400 Bad", b"MessageRejected", text))
    reply("a code with " + name, PERM, "SES: 400 ", raw=sized(json.dumps(
        {"__type": "aws#" + text, "message": "m"}).encode(), b"400 Bad"))
reply("a request id with 8-bit", PERM, "SES: 400 MessageRejected", raw=error(
    b"400 Bad", b"MessageRejected", "no").replace(
        b"\r\n\r\n", b"\r\nx-amzn-RequestId: \x9b2J\xc2\x9b\r\n\r\n"))
reply("a code of 8 KB", PERM, "SES: 400 yyyy", raw=error(
    b"400 Bad", b"y" * 8192, "no"))
reply("500 with an HTML page", MAYBE, "SES: 500", raw=sized(
    b"<html>\x1b[2J</html>", b"500 Oops"))
reply("an error of depth 10000", PERM, "SES: 400", raw=sized(
    b'{"message":' + b"[" * 10000, b"400 Bad"))
reply("clocks that never agree", TEMP, "InvalidSignature", raw=error(
    b"403 Forbidden", b"InvalidSignatureException", "Signature expired"))
reply("a clock of the year 9999", TEMP, "InvalidSignature", raw=sized(
    b"{}", b"403 No", b"x-amzn-ErrorType: InvalidSignatureException",
    b"Connection: close", b"Date: Fri, 31 Dec 9999 23:59:59 GMT"))
for date in (b"rubbish", b"Mon, 99 Foo 99999999999 99:99:99 GMT", b"",
             b"Thu, 01 Jan 1970 00:00:00 GMT", b"\xff" * 100):
    reply("a clock that says %s" % date[:12].decode("latin-1"), TEMP,
          "InvalidSignature", raw=sized(
              b"{}", b"403 No", b"x-amzn-ErrorType: InvalidSignatureException",
              b"Connection: close", b"Date: " + date))

# While the message is still being sent.
for name, kind, words, data in (
        ("413", PERM, "SES: 413", sized(b"", b"413 Too Large")),
        ("400", PERM, "SES: 400 MessageRejected: no", error(
            b"400 Bad", b"MessageRejected", "no")),
        ("403", TEMP, "SES: 403 AccessDenied", error(
            b"403 No", b"AccessDeniedException", "no")),
        ("500", TEMP, "SES: 500", sized(b"", b"500 Oops")),
        ("302", TEMP, "SES: 302", sized(b"", b"302 There", b"Location: /x"))):
    reply("%s while the body is sent" % name, kind, words, raw=(data, read_on),
          early=True, message=BIG)
    reply("%s and a close while the body is sent" % name, kind, words,
          raw=(data, 0.3, lambda c: c.sock.shutdown(1), read_on), early=True,
          message=BIG)
reply("200 while the body is sent", MAYBE, NO_ID, raw=(sized(OK), read_on),
      early=True, message=BIG)
reply("rubbish while the body is sent", TEMP, "not an HTTP/1.1 reply",
      raw=(b"x\r\n" * 3000, read_on), early=True, message=BIG)
reply("a close while the body is sent", TEMP, "cut|reset|closed", raw=(0.2,),
      early=True, message=BIG)
reply("a reset while the body is sent", TEMP, "cut|reset|closed", raw=reset,
      early=True, message=BIG)
reply("no reading of the body", TEMP, "timed out", raw=deaf, early=True,
      message=letter(12 << 20), top=SHORT, within=10)
reply("100 for ever while the body is sent", TEMP, "interim replies", raw=(
    endless(head(b"100 Continue") * 2000)), early=True, message=BIG)


class Both:
    """TLS on a socket, the end of the handshake and a reply in one write."""

    def __init__(self, sock, context):
        self.sock = sock
        self.inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.inward, outward, server_side=True)
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(outward.read())
                data = sock.recv(65536)
                if not data:
                    raise Gone
                self.inward.write(data)
        self.tls.write(sized(OK))
        sock.sendall(outward.read())

    def __getattr__(self, name):
        return getattr(self.sock, name)

    def recv(self, size):
        while True:
            try:
                return self.tls.read(size)
            except ssl.SSLWantReadError:
                data = self.sock.recv(65536)
                if not data:
                    return b""
                self.inward.write(data)


class First(Http):
    def peer(self, case):
        ses = super().peer(case)
        context = ses.context

        class Speaks:
            @staticmethod
            def wrap_socket(sock, **_):
                return Both(sock, context)
        ses.context = Speaks
        return ses


ROWS.append(First("SES: the reply before the request", TEMP,
                  "closed the connection or spoke unasked",
                  always=Answer(raw=say(silent))))


# --- those who hand out credentials -----------------------------------------

class Fetched(Row):
    """which: "imds", "container" or "sts"; `always`: what that one answers."""

    secrets = ()

    def __init__(self, which, name, *words, raw=None, early=False, within=12,
                 **how):
        super().__init__("%s: %s" % (which, name), TEMP, *words,
                         within=within, **how)
        self.which = which
        self.always = Answer(raw=say(*(raw if isinstance(raw, tuple) else
                                       (raw,))), early=early)

    def peer(self, case):
        ses = Ses()
        how = dict(always=self.always)
        if self.which == "imds":
            issuer = Imds(ses, **how)
            self.env = {"AWS_EC2_METADATA_DISABLED": None,
                        "AWS_EC2_METADATA_SERVICE_ENDPOINT": issuer.url}
        elif self.which == "container":
            issuer = Container(ses, **how)
            self.env = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": issuer.full_uri}
        else:
            issuer = Sts(ses, **how)
            self.env = {"AWS_ENDPOINT_URL_STS": issuer.url}
        self.env["HOME"] = case.dir
        case.addCleanup(issuer.close)
        case.addCleanup(ses.close)
        ses.issuer = issuer
        return ses

    def route(self, case, peer, fallback):
        if self.which == "sts":
            return peer.route(fallback=fallback, extra="role-arn "
                              "arn:aws:iam::123456789012:role/mail")
        return peer.route(fallback=fallback, credentials=self.which)

    def in_clear(self, peer):
        return b"".join(r.body for r in peer.issuer.requests)

    def in_tls(self, peer):
        return b"requests" if peer.requests else b""


GIVEN = {"AccessKeyId": "ASIAEVIL", "SecretAccessKey": "s", "Token": "t",
         "Expiration": "2099-01-01T00:00:00Z", "Code": "Success"}


def given(**how):
    """What would be credentials, but for that."""
    found = dict(GIVEN, **how)
    return sized(json.dumps({k: v for k, v in found.items()
                             if v is not ...}).encode())


def fetched(which, name, *words, trusted=False, **how):
    """trusted: something is sent to SES that is signed with what came."""
    ROWS.append(Fetched(which, name, *words, trusted=trusted, **how))


for which in ("imds", "container", "sts"):
    for name in FETCHED:
        fetched(which, name, "AWS credentials", raw=BROKEN[name][1])
    fetched(which, "a close", "AWS credentials", raw=b"")
    fetched(which, "a reset", "AWS credentials", raw=reset)
    fetched(which, "silence", "AWS credentials", "timed out", raw=silent,
            top=SHORT)
    fetched(which, "one byte at a time", "AWS credentials", "timed out",
            raw=drip(head(b"200 OK", b"X: " + b"x" * 300), 0.2), top=SHORT)
    fetched(which, "gigabytes", "AWS credentials", raw=(
        head(b"200 OK"), endless(b"x" * 65536)))
    fetched(which, "a redirect", "AWS credentials", "302", raw=sized(
        b"", b"302 There", b"Location: " + OTHER.url.encode() + b"/evil"))
    fetched(which, "500", "AWS credentials", raw=sized(b"later", b"500 No"))
    fetched(which, "HTML", "AWS credentials", raw=sized(
        b"<html>\x1b[2J portal</html>"))
    fetched(which, "ESC and C1", "AWS credentials", raw=sized(
        b"\x1b[2J\x9b\xc2\x9b\7"))
    fetched(which, "an error with ESC", "AWS credentials", raw=sized(
        b'{"Code":"\\u001b[2J","Message":"\\u009b2J\\u0007"}', b"400 Bad"))
for name, data in {
        "no key id": given(AccessKeyId=...), "an empty secret": given(
            SecretAccessKey=""), "a key id of a number": given(AccessKeyId=7),
        "a key id with a line end": given(AccessKeyId="A\r\nX-Evil: 1"),
        "a token with a line end": given(Token="t\r\nX-Evil: 1"),
        "a secret of null": given(SecretAccessKey=None),
        "a token of an object": given(Token={}),
        "an end that is no date": given(Expiration="soon"),
        "JSON of depth 10000": sized(b"[" * 10000),
        "JSON cut short": sized(given().partition(b"\r\n\r\n")[2][:-4]),
        "a key id with ESC": given(AccessKeyId="A\x1b[2J"),
        "no body": sized(b"")}.items():
    fetched("container", name, "AWS credentials", raw=data)
for name, data in {
        "keys that have ended": given(Expiration="2001-01-01T00:00:00Z"),
        "a key id with a NUL": given(AccessKeyId="A\0B"),
        "keys that SES does not know": given()}.items():
    fetched("container", name, "SES: 403 UnrecognizedClient", raw=data,
            trusted=True)


class Redirected(harness.Case):
    def test_nobody_went_where_a_redirect_pointed(self):
        # It runs behind the rows: their class comes first in the alphabet.
        self.assertEqual((OTHER.requests, OTHER.connections), ([], 0))


A_Table = tests(ROWS, "A_Table")

if __name__ == "__main__":
    harness.main()
