"""An Amazon SES v2 endpoint on 127.0.0.1: SendEmail, GetAccount and
ListEmailIdentities, over TLS or plain HTTP.

Every signature is checked by botocore, AWS's own code: it signs the request
that came once more with the secret that is known here, and both have to agree.
What does not fit AWS's documented limits is refused as AWS does.
"""
import base64
import binascii
import calendar
import hmac
import json
import re
import socket
import ssl
import struct
import threading
import time
from email.utils import formatdate
from urllib.parse import parse_qsl

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from certs import certificates
from harness import listener

KEY = "AKIDEXAMPLE7PEERS0001"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
SEND = "/v2/email/outbound-emails"
RAW_LIMIT = 40 << 20               # after base64
MEMBERS = {"Content", "Destination", "FeedbackForwardingEmailAddress",
           "FeedbackForwardingEmailAddressIdentityArn", "FromEmailAddress",
           "FromEmailAddressIdentityArn", "ReplyToAddresses", "EmailTags",
           "ConfigurationSetName", "EndpointId", "ListManagementOptions"}


def identity(name, sending=True, status="SUCCESS"):
    return {"IdentityType": "EMAIL_ADDRESS" if "@" in name else "DOMAIN",
            "IdentityName": name, "SendingEnabled": sending,
            "VerificationStatus": status}


class Refusal(Exception):
    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Gone(Exception):
    pass


class Answer:
    """What to do with one request instead of serving it.

    status, code, message   an error of AWS (message None: JSON null)
    place       where the code stands: header, __type, code, Code
    form        json, html (a front end's page), empty
    framing     length, chunked, close (the end of the connection ends the body)
    early       answer as soon as the head is there, the body unread
    drop        "at once": reset with the head read; "after": close when the
                whole request has come; "within": after half of the answer;
                "silent": read it all and say nothing
    interim     1xx statuses to send first
    raw         these bytes are the answer, or a function given the Connection
                gives it
    close       say Connection: close, and do so
    hangup      close after the reply, having promised to keep the connection
    ok          serve the request after all, with the framing and interim asked for
    """

    def __init__(self, status=400, code=None, message="no reason",
                 place="header", form="json", framing="length", early=False,
                 drop=None, interim=(), raw=None, close=False, ok=False,
                 fields=(), hangup=False):
        self.status, self.code, self.message = status, code, message
        self.place, self.form, self.framing = place, form, framing
        self.early, self.drop, self.interim = early, drop, interim
        self.raw, self.close, self.ok = raw, close, ok
        self.fields, self.hangup = list(fields), hangup


class Sent:
    """One SendEmail that was taken."""

    def __init__(self, request, document, raw):
        self.request, self.document, self.raw = request, document, raw
        self.key = request.key

    @property
    def bcc(self):
        return self.document.get("Destination", {}).get("BccAddresses", [])


class Request:
    def __init__(self, connection, method, target, headers):
        self.connection = connection
        self.method, self.target, self.headers = method, target, headers
        self.body = b""
        self.error = None           # the Refusal that it met
        self.key = None

    def header(self, name):
        found = [v for k, v in self.headers if k.lower() == name.lower()]
        if len(found) > 1:
            raise Refusal(400, "BadRequestException", "doubled " + name)
        return found[0] if found else None


class ExactSigner(SigV4Auth):
    """Signs the fields that the client has signed, no others."""

    def headers_to_sign(self, request):
        return request.headers

    def sign(self, request, timestamp):
        request.context["timestamp"] = timestamp
        text = self.string_to_sign(request, self.canonical_request(request))
        return self.signature(text, request)


class Ses:
    """The endpoint.  script: Answers for the first requests, None for a usual
    one; always: the Answer for every request from then on."""

    service, kind = "ses", "application/json"

    def __init__(self, tls=True, cert="good", region="eu-west-1", key=KEY,
                 secret=SECRET, token=None, skew=0, script=(), always=None,
                 bad_recipients=(), max_rcpts=50, only=None, account=None,
                 identities=None, page=None, post_only=None):
        self.account = {"SendingEnabled": True, "ProductionAccessEnabled": True,
                        "EnforcementStatus": "HEALTHY",
                        "SendQuota": {"Max24HourSend": 50000.0,
                                      "MaxSendRate": 14.0,
                                      "SentLast24Hours": 1.0}}
        self.account.update(account or {})
        self.identities = [identity("example.com")] if identities is None \
            else identities
        self.page, self.post_only = page, post_only
        self.tls, self.region = tls, region
        self.keys = {key: (secret, token)}
        self.skew, self.always = skew, always
        self.script = list(script)
        self.bad_recipients = set(bad_recipients)
        self.max_rcpts = max_rcpts
        self.context = certificates.context(cert, only) if tls else None
        self.requests, self.sent, self.errors = [], [], []
        self.connections = 0
        self.lock = threading.Lock()
        self.live = set()
        self.sock = listener()
        self.port = self.sock.getsockname()[1]
        self.url = "%s://localhost:%d" % ("https" if tls else "http",
                                          self.port)
        self.hosts = ("localhost:%d" % self.port, "127.0.0.1:%d" % self.port)
        self.key, self.secret, self.token = key, secret, token
        self.closing = False
        threading.Thread(target=self._accept, daemon=True).start()

    # --- for the tests ---

    def route(self, name="ses", senders="*", extra="", fallback=None,
              credentials="static", region=True):
        """The `route` section that leads here."""
        lines = ["route " + name, "type ses", "endpoint " + self.url]
        if region:
            lines.append("region " + self.region)
        if self.tls and "ca-file" not in extra and "tls-pin" not in extra:
            lines.append("ca-file " + certificates.ca)
        if credentials:
            lines.append("credentials " + credentials)
        if credentials == "static":
            lines += ["access-key-id " + self.key,
                      "secret-access-key " + self.secret]
            if self.token:
                lines.append("session-token " + self.token)
        if senders:
            lines.append(("sender " if "@" in senders else "senders ")
                         + senders)
        if fallback:
            lines.append("fallback " + fallback)
        return "\n\t".join(lines + [e for e in extra.splitlines() if e]) + "\n"

    def only(self):
        with self.lock:
            if len(self.sent) != 1:
                raise AssertionError("%d messages came, not one; errors: %s" % (
                    len(self.sent), self.errors))
            return self.sent[0]

    def close(self):
        self.closing = True
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()
        for connection in list(self.live):
            connection.wake()

    def now(self):
        return time.time() + self.skew

    # --- the server ---

    def _accept(self):
        while not self.closing:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
            connection = Connection(self, sock)
            self.live.add(connection)
            threading.Thread(target=connection.run, daemon=True).start()

    def next_answer(self):
        with self.lock:
            if self.script:
                return self.script.pop(0)
        return self.always

    # --- what AWS checks ---

    def check_signature(self, request):
        text = request.header("Authorization")
        if not text:
            raise Refusal(403, "MissingAuthenticationTokenException",
                          "Missing Authentication Token")
        match = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=([^/,\s]+)/(\d{8})/([^/,]+)/"
            + self.service + r"/aws4_request, *SignedHeaders=([a-z0-9;-]+), *"
            r"Signature=([0-9a-f]{64})", text)
        if not match:
            raise Refusal(400, "IncompleteSignatureException",
                          "Authorization: " + text)
        key, day, region, names, signature = match.groups()
        request.key = key
        if key not in self.keys:
            raise Refusal(403, "UnrecognizedClientException", "The security "
                          "token included in the request is invalid.")
        secret, token = self.keys[key]
        if request.header("X-Amz-Security-Token") != token:
            raise Refusal(403, "InvalidClientTokenId", "The security token "
                          "included in the request is invalid.")
        names = names.split(";")
        wanted = {"host", "x-amz-date", "content-type"} if request.body else {
            "host", "x-amz-date"}
        if token:
            wanted.add("x-amz-security-token")
        if names != sorted(set(names)) or not wanted <= set(names):
            raise Refusal(403, "SignatureDoesNotMatch",
                          "SignedHeaders: " + ";".join(names))
        date = request.header("X-Amz-Date")
        if not date or date[:8] != day or region != self.region:
            raise Refusal(403, "SignatureDoesNotMatch", "Credential should be "
                          "scoped to a valid region and date")
        self.check_clock(date)
        copy = AWSRequest(method=request.method, data=request.body,
                          url="https://%s%s" % (request.header("Host"),
                                                request.target))
        for name, value in request.headers:
            if name.lower() in names:
                copy.headers.add_header(name.lower(), value)
        expected = ExactSigner(Credentials(key, secret), self.service,
                               region).sign(copy, date)
        if not hmac.compare_digest(expected, signature):
            raise Refusal(403, "SignatureDoesNotMatch", "The request signature "
                          "we calculated does not match the signature you "
                          "provided. Check your AWS Secret Access Key and "
                          "signing method.")

    def check_clock(self, date):
        when = calendar.timegm(time.strptime(date, "%Y%m%dT%H%M%SZ"))
        off = when - self.now()
        if abs(off) > 300:
            raise Refusal(403, "InvalidSignatureException", "Signature %s: %s "
                          "is now %s than the time here" % (
                              "expired" if off < 0 else "not yet current",
                              date, "earlier" if off < 0 else "later"))

    def send_email(self, request):
        def strict(found):
            keys = [k for k, _ in found]
            if len(set(keys)) != len(keys):
                raise ValueError("doubled member")
            return dict(found)

        def bad(text):
            raise Refusal(400, "BadRequestException", text)

        if request.header("Content-Type") != "application/json":
            bad("Content-Type")
        try:
            document = json.loads(request.body.decode("utf-8"),
                                  object_pairs_hook=strict)
            raw = base64.b64decode(document["Content"]["Raw"]["Data"],
                                   validate=True)
            if base64.b64encode(raw).decode() != \
                    document["Content"]["Raw"]["Data"]:
                raise ValueError("base64 is not canonical")
        except (ValueError, KeyError, TypeError, binascii.Error) as e:
            raise Refusal(400, "SerializationException", repr(e))
        if set(document) - MEMBERS:
            bad("unknown members: %s" % (set(document) - MEMBERS))
        if len(document["Content"]["Raw"]["Data"]) > RAW_LIMIT:
            raise Refusal(400, "MessageRejected", "Message length is more "
                          "than 41943040 bytes long")
        destination = document.get("Destination") or {}
        everyone = [a for kind in ("ToAddresses", "CcAddresses", "BccAddresses")
                    for a in destination.get(kind, [])]
        if not everyone:
            bad("no recipient in Destination")
        if len(everyone) > self.max_rcpts:
            bad("Recipient count exceeds %d." % self.max_rcpts)
        for address in everyone:
            if not address.isascii() or address in self.bad_recipients:
                bad("Invalid email address: " + address)
        for tag in document.get("EmailTags", []):
            if set(tag) != {"Name", "Value"} or not all(
                    re.fullmatch("[A-Za-z0-9_-]{1,256}", v)
                    for v in tag.values()):
                bad("tags")
        with self.lock:
            self.sent.append(Sent(request, document, raw))
            number = len(self.sent)
        return {"MessageId": "0102%016x-peers-%06d" % (id(self), number)}

    def answer(self, request):
        """(status, body, code for the header) for one request."""
        try:
            return 200, json.dumps(self.serve(request)).encode(), None
        except Refusal as e:
            self.note(request, e)
            return e.status, json.dumps({"message": str(e)}).encode(), e.code

    def note(self, request, refusal):
        request.error = refusal
        self.errors.append("%s: %s" % (refusal.code, refusal.message))

    def serve(self, request):
        self.check_signature(request)
        path = request.target.partition("?")[0]
        if (request.method, path) == ("POST", SEND):
            return self.send_email(request)
        if (request.method, path) == ("GET", "/v2/email/account"):
            return self.account
        if (request.method, path) == ("GET", "/v2/email/identities"):
            if self.post_only:
                raise Refusal(self.post_only, "NotFoundException", path)
            query = dict(parse_qsl(request.target.partition("?")[2],
                                   strict_parsing=True))
            return self.some_identities(int(query["PageSize"]),
                                        query.get("NextToken"))
        if (request.method, path) == ("POST", "/v2/email/list-identities"):
            query = json.loads(request.body.decode())
            return self.some_identities(query["PageSize"],
                                        query.get("NextToken"))
        raise Refusal(404, "NotFoundException", request.target)


    def some_identities(self, size, token):
        if not 1 <= size <= 1000:
            raise Refusal(400, "BadRequestException", "PageSize")
        at = int(re.fullmatch(r'p\+/=&"(\d+)', token).group(1)) if token else 0
        size = min(size, self.page or size)
        found = {"EmailIdentities": self.identities[at:at + size]}
        if at + size < len(self.identities):
            found["NextToken"] = 'p+/=&"%d' % (at + size)
        return found


class Connection:
    def __init__(self, ses, sock):
        self.ses, self.sock, self.buffer = ses, sock, bytearray()
        sock.settimeout(60)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def run(self):
        try:
            if self.ses.tls:
                self.sock = self.ses.context.wrap_socket(self.sock,
                                                         server_side=True)
            while self.one():
                pass
        except (Gone, OSError, ssl.SSLError) as e:
            if not isinstance(e, Gone):
                self.ses.errors.append("connection: %r" % e)
        finally:
            self.end()
            self.ses.live.discard(self)

    def wake(self):
        """Its thread may wait in recv(), and is left to close the socket: the
        number would be another file's while OpenSSL still reads from it."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except (OSError, ValueError):
            pass

    def end(self):
        self.wake()
        try:
            self.sock.close()
        except (OSError, ValueError):
            pass

    def reset(self):
        raw = self.sock
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                       struct.pack("ii", 1, 0))
        raw.close()
        raise Gone

    def more(self):
        data = self.sock.recv(1 << 18)
        if not data:
            raise Gone
        self.buffer += data

    def head(self):
        while True:
            at = self.buffer.find(b"\r\n\r\n")
            if at >= 0:
                text = bytes(self.buffer[:at]).decode("latin-1")
                del self.buffer[:at + 4]
                break
            self.more()
        first, *rest = text.split("\r\n")
        match = re.fullmatch(r"([A-Z]+) (/[!-~]*) HTTP/1\.1", first)
        if not match:
            raise Refusal(400, "BadRequestException", "request line " + first)
        headers = []
        for line in rest:
            field = re.fullmatch(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)"
                                 r"[ \t]*", line)
            if not field or re.search(r"[\x00-\x08\x0a-\x1f\x7f]", line):
                raise Refusal(400, "BadRequestException", "field " + line)
            headers.append(field.groups())
        return Request(self, *match.groups(), headers)

    def body(self, request):
        if request.header("Transfer-Encoding") is not None:
            raise Refusal(400, "BadRequestException", "Transfer-Encoding")
        size = request.header("Content-Length")
        if size is None and request.method != "GET":
            raise Refusal(411, "BadRequestException", "Content-Length")
        size = int(size or 0)
        parts, have = [bytes(self.buffer[:size])], min(size, len(self.buffer))
        del self.buffer[:size]
        while have < size:
            data = self.sock.recv(min(1 << 18, size - have))
            if not data:
                raise Gone
            parts.append(data)
            have += len(data)
        request.body = b"".join(parts)

    def one(self):
        """Serve one request; True when another may follow."""
        request = self.head()
        if request.header("Host") not in self.ses.hosts:
            self.ses.errors.append("Host: %s" % request.header("Host"))
        answer = self.ses.next_answer()
        with self.ses.lock:
            self.ses.requests.append(request)
        if answer and answer.drop == "at once":
            self.reset()
        for status in answer.interim if answer else ():
            self.sock.sendall(b"HTTP/1.1 %d Wait\r\nX-Note: interim\r\n\r\n"
                              % status)
        if not (answer and answer.early):
            self.body(request)
        if answer and answer.drop == "after":
            raise Gone
        if answer and answer.drop == "silent":
            while True:
                self.more()
        if answer and not answer.ok:
            if request.body and not answer.early:
                self.note_signature(request)
            return self.reply_scripted(answer)
        status, body, code = self.ses.answer(request)
        return self.reply(status, body, code, answer or Answer())

    def note_signature(self, request):
        """Also what is refused by script should have been signed well."""
        try:
            self.ses.check_signature(request)
        except Refusal as e:
            self.ses.errors.append("%s: %s" % (e.code, e.message))

    def reply_scripted(self, answer):
        if callable(answer.raw):
            answer.raw(self)
            raise Gone
        if answer.raw is not None:
            self.sock.sendall(answer.raw)
            raise Gone
        if answer.form == "html":
            return self.reply(answer.status, b"<html><body><h1>%d Front end"
                              b"</h1></body></html>\n" % answer.status,
                              answer.code, answer, "text/html")
        if answer.form == "empty":
            return self.reply(answer.status, b"", None, answer)
        document = {"message": answer.message}
        code = answer.code
        if answer.place != "header":
            document[answer.place], code = code, None
        return self.reply(answer.status, json.dumps(document).encode(), code,
                          answer)

    def reply(self, status, body, code, answer, kind=None):
        lines = ["HTTP/1.1 %d Status" % status,
                 "Date: " + formatdate(self.ses.now(), usegmt=True),
                 "Content-Type: " + (kind or self.ses.kind),
                 "x-amzn-RequestId: 11111111-2222-3333-4444-555555555555"]
        if code:
            lines.append("x-amzn-ErrorType: " + code)
        lines += answer.fields
        keep = not (answer.close or answer.early or answer.framing == "close")
        if not keep and answer.framing != "close":
            lines.append("Connection: close")
        if answer.framing == "chunked":
            lines.append("Transfer-Encoding: chunked")
            middle = len(body) // 2
            coded = b""
            for part in (body[:1], body[1:middle], body[middle:]):
                if part:
                    coded += b"%x;note=\"a;b\"\r\n%s\r\n" % (len(part), part)
            body = coded + b"0\r\nX-Trailer: yes\r\n\r\n"
        elif answer.framing == "length":
            lines.append("Content-Length: %d" % len(body))
        data = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
        if answer.drop == "within":
            self.sock.sendall(data[:-3])
            raise Gone
        self.sock.sendall(data)
        if answer.early:
            # Read on, as servers do, lest the answer is lost to a reset.
            until = time.monotonic() + 20
            try:
                while time.monotonic() < until:
                    self.buffer.clear()
                    self.more()
            except (Gone, OSError):
                pass
        if not keep or answer.hangup:
            if self.ses.tls:
                try:
                    self.sock = self.sock.unwrap()
                except (OSError, ssl.SSLError, ValueError):
                    pass
            raise Gone
        return True
