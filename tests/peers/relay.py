"""SMTP relays on 127.0.0.1 for the tests.

Relay       raw and scripted: keeps every byte that came, answers what it is told
AioRelay    aiosmtpd: a real server by other people, with STARTTLS and AUTH
"""
import asyncio
import base64
import logging
import socket
import ssl
import struct
import threading
import time
import warnings

from certs import certificates
from harness import listener

PATIENCE = 60           # seconds that a server waits for its client

# Steps that an answer may consist of, besides text.
DROP = "<drop>"         # close the connection
RST = "<rst>"           # reset it
SILENT = "<silent>"     # say nothing more, and wait for the client to go
SENT = "<sent>"         # the text before it has left; go on


class Closed(Exception):
    pass


class Wire:
    """A connection, in the clear and then perhaps in TLS, that counts."""

    def __init__(self, sock):
        self.sock = sock
        sock.settimeout(PATIENCE)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.tls = None
        self.bytes_in = self.bytes_out = self.turns = 0
        self.spoke = False              # our output awaits the client's input

    def _raw_recv(self):
        try:
            data = self.sock.recv(1 << 18)
        except (OSError, ValueError) as e:
            raise Closed(str(e))
        if not data:
            raise Closed("end of input")
        self.bytes_in += len(data)
        if self.spoke:
            self.turns += 1
            self.spoke = False
        return data

    def _raw_send(self, data):
        try:
            self.sock.sendall(data)
        except (OSError, ValueError) as e:
            raise Closed(str(e))
        self.bytes_out += len(data)
        self.spoke = True

    def start_tls(self, context):
        self.inward, self.outward = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(self.inward, self.outward, server_side=True)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._pump()
                self.inward.write(self._raw_recv())
            except ssl.SSLError:
                self._pump()            # the alert
                raise
        self._pump()
        self.tls = tls

    def _pump(self):
        data = self.outward.read()
        if data:
            self._raw_send(data)

    def recv(self):
        if not self.tls:
            return self._raw_recv()
        while True:
            try:
                data = self.tls.read(1 << 18)
                if not data:
                    raise Closed("close_notify")
                return data
            except ssl.SSLWantReadError:
                self._pump()
                self.inward.write(self._raw_recv())
            except ssl.SSLError as e:
                raise Closed(str(e))

    def send(self, data):
        if not self.tls:
            return self._raw_send(data)
        self.tls.write(data)
        self._pump()

    def close(self):
        try:
            if self.tls:
                try:
                    self.tls.unwrap()
                except ssl.SSLError:
                    pass
                self._pump()
        except (Closed, ValueError):
            pass
        self._close()

    def reset(self):
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                 struct.pack("ii", 1, 0))
        except OSError:
            pass
        self._close(socket.SHUT_RD)     # the other would end it properly first

    def _close(self, how=socket.SHUT_WR):
        # shutdown, so that a thread that waits in recv() wakes up too
        try:
            self.sock.shutdown(how)
        except OSError:
            pass
        self.sock.close()


class Message:
    """What came in one transaction that reached the final dot (or BDAT LAST)."""

    def __init__(self, session, mail, rcpts, refused):
        self.session = session
        self.mail = mail            # "<a@b>" and parameters, as they came
        self.rcpts = rcpts          # the same for those that were accepted
        self.refused = refused
        self.data = b""             # as on the wire, before the final dot
        self.content = b""          # dot-stuffing undone
        self.reply = ""
        self.whole = False          # the final dot came

    @property
    def mail_from(self):
        return path_of(self.mail)

    @property
    def rcpt_to(self):
        return [path_of(r) for r in self.rcpts]

    @property
    def head(self):
        return self.content.partition(b"\r\n\r\n")[0] + b"\r\n"

    @property
    def body(self):
        return self.content.partition(b"\r\n\r\n")[2]

    def fields(self, name):
        return fields(self.content, name)


def path_of(text):
    """The address in "<a@b> SIZE=1", brackets dropped."""
    return text[text.index("<") + 1:text.rindex(">")]


def fields(content, name):
    """The unfolded values of all header fields of that name."""
    head = content.partition(b"\r\n\r\n")[0].replace(b"\r\n ", b" ").replace(
        b"\r\n\t", b"\t")
    found = []
    for line in head.split(b"\r\n"):
        key, colon, value = line.partition(b":")
        if colon and key.strip().lower() == name.lower().encode():
            found.append(value.strip().decode("utf-8", "surrogateescape"))
    return found


class Session:
    """One connection, as the relay saw it."""

    def __init__(self):
        self.plain = b""            # what came in the clear
        self.secret = b""           # what came in TLS, decrypted
        self.commands = []          # command lines, in order
        self.secure = False
        self.user = None            # who has authenticated
        self.mechanism = None
        self.sni = None
        self.client = None          # the client's certificate, in DER
        self.resumed = False        # its TLS session was of before
        self.tls_error = None
        self.error = None           # a failure of this relay
        self.wire = None
        self.ended = threading.Event()

    def verbs(self):
        return [c.split()[0].upper() if c.split() else "" for c in
                self.commands]


class Relay:
    """A relay that can be told what to answer.

    tls         "starttls", "implicit" or "off"
    cert        kind of certificate (certs.KINDS); only: see certs.context
    users       {name: password}: AUTH is offered (mechs) and asked for before
                MAIL; with STARTTLS only inside TLS
    extensions  what EHLO offers besides STARTTLS and AUTH
    replies     {step: answer}, step one of greeting ehlo helo starttls auth mail
                rcpt data dot bdat rset quit, or "rcpt <addr>" for one recipient.
                Answer: text ("450 4.2.0 later", \\n between lines), bytes (sent
                as they are), a list (one for each time, the last one stays),
                a tuple of steps carried out in order: text, bytes, DROP, RST,
                SILENT, a number of seconds to wait, or a function that is given
                the Conversation. A function of (session, argument) may return
                any of them, or None for the usual answer.
    hold        called with the session before the final dot is answered
    no_bdat     BDAT is not known, whatever `extensions` say
    stays_open  a refused BDAT leaves its transaction open (RFC 3030 lets the
                state be anything)
    unix        listen on a socket of that path
    first       steps that are carried out before anything else
    """

    def __init__(self, tls="starttls", cert="good", only=None, users=None,
                 mechs=("PLAIN", "LOGIN"), extensions=(
                     "PIPELINING", "SIZE 104857600", "8BITMIME",
                     "ENHANCEDSTATUSCODES"),
                 replies=None, name="relay.test", hold=None, offer_tls=True,
                 always_354=False, auth_line=None, unix=None, no_bdat=False,
                 stays_open=False, first=()):
        self.first = first
        self.mode, self.users, self.mechs = tls, users, mechs
        self.extensions, self.replies = extensions, dict(replies or {})
        self.name, self.hold, self.always_354 = name, hold, always_354
        self.offer_tls, self.auth_line = offer_tls, auth_line
        self.no_bdat, self.stays_open = no_bdat, stays_open
        self.cert = cert
        self.context = certificates.context(cert, only) if tls != "off" or \
            cert != "good" else None
        self.sessions, self.messages = [], []
        self.lock = threading.Lock()
        self.used = {}
        self.sock = listener(unix)
        self.port = 0 if unix else self.sock.getsockname()[1]
        self.closing = False
        threading.Thread(target=self._accept, daemon=True).start()

    # --- for the tests ---

    def route(self, name="relay", senders="*", host="localhost", user=None,
              password_file=None, extra="", fallback=None):
        """The `route` section that leads here."""
        lines = ["route " + name, "type smtp", "host " + host,
                 "tls " + self.mode]
        if self.port:
            lines.insert(3, "port %d" % self.port)
        if self.mode != "off" and "tls-pin" not in extra \
                and "ca-file" not in extra:
            lines.append("ca-file " + certificates.ca)
        if user:
            lines += ["user " + user, "password-file " + password_file]
        if senders:
            lines.append(("sender " if "@" in senders else "senders ")
                         + senders)
        if fallback:
            lines.append("fallback " + fallback)
        return "\n\t".join(lines + [e for e in extra.splitlines() if e]) + "\n"

    def only(self):
        """The single message that came."""
        with self.lock:
            whole = [m for m in self.messages if m.whole]
        if len(whole) != 1:
            raise AssertionError("%d messages came, not one" % len(whole))
        return whole[0]

    def accepted(self):
        """The messages that were taken with a 2xx."""
        with self.lock:
            return [m for m in self.messages
                    if m.whole and m.reply.startswith("2")]

    def settle(self, seconds=10):
        """Wait until every connection so far has ended."""
        for session in list(self.sessions):
            session.ended.wait(seconds)
        return self

    def close(self):
        self.closing = True
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()
        for session in self.sessions:
            if session.wire and not session.ended.is_set():
                session.wire.reset()

    # --- the server ---

    def _accept(self):
        while not self.closing:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            session = Session()
            session.wire = Wire(sock)
            with self.lock:
                self.sessions.append(session)
            threading.Thread(target=self._serve, args=(session,),
                             daemon=True).start()

    def _serve(self, session):
        talk = Conversation(self, session)
        try:
            talk.run()
        except Closed:
            pass
        except ssl.SSLError as e:
            session.tls_error = str(e)
        except Exception as e:          # a defect of this relay: seen by tests
            session.error = repr(e)
            raise
        finally:
            session.wire.close()
            session.ended.set()

    def answer(self, step, session, argument=""):
        """The scripted answer of a step, or None."""
        keys = [step]
        if step == "rcpt" and "<" in argument:
            keys.insert(0, "rcpt <%s>" % path_of(argument))
        for key in keys:
            if key not in self.replies:
                continue
            reply = self.replies[key]
            if isinstance(reply, list):
                with self.lock:
                    at = self.used.get(key, 0)
                    self.used[key] = at + 1
                reply = reply[min(at, len(reply) - 1)]
            if callable(reply):
                reply = reply(session, argument)
            if reply is not None:
                return reply
        return None


class Conversation:
    def __init__(self, relay, session):
        self.relay, self.session, self.wire = relay, session, session.wire
        self.buffer = bytearray()
        self.message = None
        self.reset()

    def reset(self):
        self.mail, self.rcpts, self.refused = None, [], []
        self.message = None

    def more(self):
        data = self.wire.recv()
        if self.session.secure:
            self.session.secret += data if len(self.session.secret) < 1 << 20 \
                else b""
        else:
            self.session.plain += data if len(self.session.plain) < 1 << 20 \
                else b""
        self.buffer += data

    def line(self):
        while True:
            at = self.buffer.find(b"\n")
            if at >= 0:
                text = bytes(self.buffer[:at + 1])
                del self.buffer[:at + 1]
                if not text.endswith(b"\r\n"):
                    self.session.error = "a line without CRLF: %r" % text
                return text.rstrip(b"\r\n").decode("utf-8", "surrogateescape")
            self.more()

    def say(self, answer):
        """Carry out an answer; the code of its last reply line."""
        said = b""
        for part in answer if isinstance(answer, tuple) else (answer,):
            if part == DROP:
                self.wire.close()
                raise Closed("dropped")
            if part == RST:
                self.wire.reset()
                raise Closed("reset")
            if part == SILENT:
                while True:
                    self.more()
            if callable(part):
                said += part(self) or b""
            elif isinstance(part, (int, float)):
                time.sleep(part)
            elif isinstance(part, bytes):
                self.wire.send(part)
                said += part
            elif part and part != SENT:
                lines = part.split("\n")
                for i, text in enumerate(lines[:-1]):
                    if text[3:4] == " ":
                        lines[i] = text[:3] + "-" + text[4:]
                data = "".join(t + "\r\n" for t in lines).encode(
                    "utf-8", "surrogateescape")
                self.wire.send(data)
                said += data
        # The first reply counts for us, whatever else was injected behind it.
        return said[:3].decode("latin-1")

    def reply(self, step, usual, argument=""):
        scripted = self.relay.answer(step, self.session, argument)
        return self.say(usual if scripted is None else scripted)

    def secure(self):
        def noted(_, name, __):
            self.session.sni = name
        self.relay.context.sni_callback = noted
        self.wire.start_tls(self.relay.context)
        self.session.secure = True
        self.session.client = self.wire.tls.getpeercert(True)
        self.session.resumed = self.wire.tls.session_reused

    def run(self):
        self.say(self.relay.first)
        if self.relay.mode == "implicit":
            self.secure()
        self.reply("greeting", "220 %s ESMTP" % self.relay.name)
        while True:
            text = self.line()
            self.session.commands.append(text)
            verb, _, argument = text.partition(" ")
            handler = getattr(self, "do_" + verb.lower(), None)
            if verb.upper() == "BDAT" and self.relay.no_bdat:
                handler = None
            if handler is None:
                self.say("500 5.5.2 what is %s?" % verb[:20])
            elif handler(argument) == "end":
                return

    # --- commands ---

    def do_ehlo(self, argument):
        self.reset()
        offers = ["%s greets %s" % (self.relay.name, argument)]
        if self.relay.mode == "starttls" and self.relay.offer_tls and \
                not self.session.secure:
            offers.append("STARTTLS")
        offers += self.relay.extensions
        if self.relay.auth_line is not None:
            offers += [self.relay.auth_line] if self.relay.auth_line else []
        elif self.relay.users and (self.session.secure or
                                   self.relay.mode == "off"):
            offers.append("AUTH " + " ".join(self.relay.mechs))
        self.reply("ehlo", "\n".join("250 " + o for o in offers), argument)

    def do_helo(self, argument):
        self.reset()
        self.reply("helo", "250 " + self.relay.name, argument)

    def do_starttls(self, argument):
        if self.session.secure or self.relay.mode != "starttls":
            return self.say("503 5.5.1 not now")
        if self.reply("starttls", "220 2.0.0 go ahead", argument) == "220":
            if self.buffer:
                self.session.error = "sent in the clear behind STARTTLS: %r" \
                    % bytes(self.buffer[:80])
                self.buffer.clear()
            self.secure()
            self.reset()

    def do_auth(self, argument):
        scripted = self.relay.answer("auth", self.session, argument)
        if scripted is not None:
            code = self.say(scripted)
            if code == "235":
                self.session.user = "somebody"
            if code != "334":
                return
        mechanism, _, first = argument.partition(" ")
        self.session.mechanism = mechanism.upper()
        try:
            if mechanism.upper() == "PLAIN":
                if scripted is not None or not first:
                    first = self.asked("" if scripted is None else None)
                _, user, password = self.decoded(first).split("\0")
            elif mechanism.upper() == "LOGIN":
                user = self.decoded(first if first else self.asked("Username:"))
                password = self.decoded(self.asked("Password:"))
            else:
                return self.say("504 5.5.4 no such mechanism")
        except ValueError as e:
            return self.say("501 5.5.2 cannot decode: %s" % e)
        if self.relay.users.get(user) != password:
            return self.say("535 5.7.8 Authentication credentials invalid")
        self.session.user = user
        self.say("235 2.7.0 ok")

    def asked(self, prompt):
        if prompt is not None:
            self.say("334 " + base64.b64encode(prompt.encode()).decode())
        text = self.line()
        self.session.commands.append("(auth) " + text)
        return text

    @staticmethod
    def decoded(text):
        if text == "=":
            return ""
        return base64.b64decode(text, validate=True).decode()

    def do_mail(self, argument):
        if self.relay.users and not self.session.user:
            return self.say("530 5.7.0 authentication required")
        if self.mail is not None:
            return self.say("503 5.5.1 nested MAIL")
        if not argument.upper().startswith("FROM:<"):
            return self.say("501 5.5.4 MAIL FROM:<address>")
        code = self.reply("mail", "250 2.1.0 ok", argument[5:])
        if code[:1] == "2":
            self.reset()
            self.mail = argument[5:]

    def do_rcpt(self, argument):
        if self.mail is None:
            return self.say("503 5.5.1 MAIL first")
        if not argument.upper().startswith("TO:<"):
            return self.say("501 5.5.4 RCPT TO:<address>")
        code = self.reply("rcpt", "250 2.1.5 ok", argument[3:])
        (self.rcpts if code[:1] == "2" else self.refused).append(argument[3:])

    def begin(self):
        self.message = Message(self.session, self.mail, self.rcpts,
                               self.refused)
        with self.relay.lock:
            self.relay.messages.append(self.message)

    def do_data(self, argument):
        if self.mail is None or not self.rcpts:
            if not self.relay.always_354 or self.mail is None:
                return self.say("554 5.5.1 no valid recipients")
        scripted = self.relay.answer("data", self.session, argument)
        if scripted is not None and self.say(scripted) != "354":
            return
        self.begin()
        if scripted is None:
            self.say("354 go ahead")
        self.message.data = self.until_dot()
        self.message.content = unstuffed(self.message.data)
        if not self.rcpts:
            with self.relay.lock:
                self.relay.messages.remove(self.message)
            self.say("554 5.5.1 no valid recipients")
            return self.reset()
        self.finish("dot")

    def finish(self, step):
        self.message.whole = True
        if self.relay.hold:
            self.relay.hold(self.session)
        usual = "250 2.0.0 taken as %d" % len(self.relay.messages)
        scripted = self.relay.answer(step, self.session, self.message.mail)
        code = (usual if scripted is None else scripted)
        self.message.reply = code[:3] if isinstance(code, str) else \
            code.decode("latin-1")[:3] if isinstance(code, bytes) else ""
        self.say(code)
        if step == "bdat" and self.message.reply[:1] != "2" and \
                self.relay.stays_open:
            self.message = None
        else:
            self.reset()

    def until_dot(self):
        """The data up to CRLF.CRLF, nothing else ends it."""
        if self.buffer[:3] == b".\r\n":
            del self.buffer[:3]
            return b""
        seen = 0
        while True:
            at = self.buffer.find(b"\r\n.\r\n", max(0, seen - 4))
            if at >= 0:
                data = bytes(self.buffer[:at + 2])
                del self.buffer[:at + 5]
                return data
            seen = len(self.buffer)
            self.more()
            if seen < 3 and self.buffer[:3] == b".\r\n":
                del self.buffer[:3]
                return b""

    def do_bdat(self, argument):
        words = argument.upper().split()
        size, last = int(words[0]), words[1:] == ["LAST"]
        while len(self.buffer) < size:
            self.more()
        chunk = bytes(self.buffer[:size])
        del self.buffer[:size]
        if self.mail is None or not self.rcpts:
            return self.say("554 5.5.1 no valid recipients")
        if self.message is None:
            self.begin()
        self.message.data += chunk
        if not last:
            return self.reply("bdat", "250 2.0.0 %d bytes" % size)
        self.message.content = self.message.data
        self.finish("bdat")

    def do_rset(self, argument):
        self.reset()
        self.reply("rset", "250 2.0.0 forgotten")

    def do_noop(self, argument):
        self.say("250 2.0.0 ok")

    def do_quit(self, argument):
        self.reply("quit", "221 2.0.0 bye")
        return "end"


def unstuffed(data):
    out = data.replace(b"\r\n.", b"\r\n")
    return out[1:] if out.startswith(b".") else out


class AioRelay:
    """aiosmtpd with STARTTLS or implicit TLS and AUTH PLAIN and LOGIN."""

    def __init__(self, tls="starttls", cert="good", users=None,
                 size=1 << 27):
        from aiosmtpd.smtp import SMTP, AuthResult
        self.mode, self.users, self.messages = tls, users, []
        context = None if tls == "off" else certificates.context(cert)

        def authenticate(server, session, envelope, mechanism, data):
            name, password = data.login.decode(), data.password.decode()
            good = users.get(name) == password
            return AuthResult(success=good, handled=good or False)

        warnings.simplefilter("ignore")     # that a test needs no warning of
        logging.getLogger("mail").setLevel(logging.CRITICAL)

        def factory():
            return SMTP(
                self, hostname="aio.test", data_size_limit=size, ident="aio",
                enable_SMTPUTF8=False, loop=self.loop,
                tls_context=context if tls == "starttls" else None,
                require_starttls=tls == "starttls",
                authenticator=authenticate if users else None,
                auth_required=bool(users), auth_require_tls=tls == "starttls")

        self.sock = listener()
        self.port = self.sock.getsockname()[1]
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()

        def serve():
            asyncio.set_event_loop(self.loop)
            self.server = self.loop.run_until_complete(self.loop.create_server(
                factory, sock=self.sock,
                ssl=context if tls == "implicit" else None))
            ready.set()
            self.loop.run_forever()

        threading.Thread(target=serve, daemon=True).start()
        ready.wait(10)

    route = Relay.route

    async def handle_DATA(self, server, session, envelope):
        self.messages.append((envelope, session))
        return "250 2.0.0 taken"

    def only(self):
        if len(self.messages) != 1:
            raise AssertionError("%d messages came" % len(self.messages))
        return self.messages[0][0]

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.sock.close()
