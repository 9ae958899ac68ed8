"""A relay that means harm, or is broken: one row for each way.  (What it can do
with certificates and in the handshake: test_hostile_tls.py.)"""
import base64
import hashlib
import hmac
import select
import socket
import struct
import time

import harness
from harness import letter
from hostile import (DONE, MAYBE, PASSWORD, PERM, ROUTE, TEMP, USER, Smtp as Row,
                     tests)
from relay import DROP, RST, SILENT, Closed, Relay

SHORT = "timeout 1s\n"
BIG = letter(8 << 20)
ALL = ("PIPELINING", "SIZE 104857600", "8BITMIME", "ENHANCEDSTATUSCODES")
SLOW = ("SIZE 104857600", "8BITMIME")           # one command at a time
CHUNKS = ALL + ("CHUNKING",)
STEPS = ("greeting", "ehlo", "starttls", "auth", "mail", "rcpt", "data")


# --- what a peer can do -----------------------------------------------------

def inside(answer):
    """Only in TLS."""
    return lambda session, _: answer if session.secure else None


def before(answer):
    return lambda session, _: None if session.secure else answer


def endless(block):
    """Say it for ever, as fast as it is taken."""
    def go(talk):
        while True:
            talk.wire.send(block)
    return (go,)


def drip(text, seconds):
    """Say it one byte at a time."""
    def go(talk):
        for i in range(len(text)):
            talk.wire.send(text[i:i + 1])
            time.sleep(seconds)
    return (go, SILENT)


def deaf(talk):
    """Read no more until the client has gone."""
    poll = select.poll()
    poll.register(talk.wire.sock, select.POLLRDHUP)
    poll.poll(30000)
    raise Closed("gone")


def small_window(talk):
    talk.wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)


def then(*steps):
    return tuple(steps)


def b64(text):
    return base64.b64encode(text.encode()).decode()


def swallow(talk):
    """Read whatever comes until the client goes."""
    while True:
        talk.more()


def flood_while_reading(block):
    """After 354: talk without end and read what comes, dot or no dot."""
    def go(talk):
        talk.wire.send(b"354 go\r\n" + block)
        time.sleep(0.5)         # until the client cannot write on
        talk.wire.sock.settimeout(0.01)
        try:
            while True:
                try:
                    talk.wire.send(block)
                except Closed as e:
                    if "timed out" not in str(e):
                        raise
                try:
                    talk.more()
                except Closed as e:
                    if "timed out" not in str(e):
                        raise
        finally:
            talk.wire.sock.settimeout(60)
    return (go,)


# --- SCRAM, honest but for one thing ----------------------------------------

def scram(lie):
    """The server's side of SCRAM-SHA-256; lie: nonce, salt, iterations, order,
    signature, early, extension."""
    def go(talk):
        argument = talk.session.commands[-1].split(" ")[2]
        bare = base64.b64decode(argument).decode().split("n,,", 1)[1]
        nonce = bare.split("r=", 1)[1]
        if lie == "early":
            talk.wire.send(b"235 2.7.0 you are in\r\n")
            return b"235"
        salt, count = b"salt" * 4, 4096
        ours = "x" * len(nonce) + "more" if lie == "nonce" else nonce + "more"
        if lie == "same nonce":
            ours = nonce
        first = "r=%s,s=%s,i=%s" % (
            ours, "!!!!" if lie == "salt" else
            base64.b64encode(salt).decode() if lie != "no salt" else "",
            {"iterations": "1000000000", "none": "0", "minus": "-1",
             "rubbish": "4096x", "overflow": "18446744073709551617"}.get(
                 lie, count))
        if lie == "order":
            first = ",".join(reversed(first.split(",")))
        if lie == "extension":
            first = "m=must-know," + first
        talk.wire.send(b"334 %s\r\n" % base64.b64encode(first.encode()))
        final = talk.line()
        if final == "*":
            talk.wire.send(b"501 5.7.0 cancelled\r\n")
            return b"501"
        text = base64.b64decode(final).decode()
        if lie == "no proof":
            talk.wire.send(b"235 2.7.0 you are in\r\n")
            return b"235"
        salted = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), salt, count)
        key = hmac.new(salted, b"Server Key", "sha256").digest()
        told = ",".join((bare, first, text.rsplit(",p=", 1)[0]))
        proof = hmac.new(key, told.encode(), "sha256").digest()
        if lie == "signature":
            proof = bytes(32)
        if lie == "short signature":
            proof = proof[:16]
        last = "e=other-error" if lie == "error" else \
            "v=" + base64.b64encode(proof).decode()
        talk.wire.send(b"334 %s\r\n" % base64.b64encode(last.encode()))
        if talk.line() == "*":
            talk.wire.send(b"501 5.7.0 cancelled\r\n")
            return b"501"
        code = b"535 5.7.8 no" if lie == "error" else b"235 2.7.0 ok"
        talk.wire.send(code + b"\r\n")
        talk.session.user = USER
        return code
    return dict(mechs=("SCRAM-SHA-256",), replies={"auth": (go,)})


def challenge(text, mech="PLAIN", last="501 5.7.0 cancelled"):
    """Ask so again and again, until it is cancelled."""
    def go(talk):
        for _ in range(100):
            talk.wire.send(text)
            if talk.line() == "*":
                break
        talk.wire.send(last.encode() + b"\r\n")
        return last.encode()
    return dict(mechs=(mech,), replies={"auth": (go,)})


# --- the table --------------------------------------------------------------

ROWS = []


def row(*args, **how):
    ROWS.append(Row(*args, **how))


# Refusals, drops, silence and drips at each step before the message has left.
NAMES = {"greeting": "greeting", "ehlo": "EHLO", "starttls": "STARTTLS",
         "ehlo2": "EHLO", "auth": "AUTH", "mail": "envelope",
         "rcpt": "envelope", "data": "envelope"}
for step in STEPS[:2] + ("starttls", "ehlo2") + STEPS[3:]:
    key = "ehlo" if step == "ehlo2" else step

    def at(answer, step=step, key=key):
        how = inside(answer) if step == "ehlo2" else \
            before(answer) if step == "ehlo" else answer
        return {key: how}

    word = NAMES[step]
    row("silence at " + step, TEMP, "timed out", word, top=SHORT, within=5,
        replies=at(SILENT))
    row("closed at " + step, TEMP, "closed", word, replies=at(DROP))
    # At once it would already meet the connecting.
    row("reset at " + step, TEMP, "reset|cut", word,
        replies=at(then(0.2, RST)))
    row("421 at " + step, TEMP, "421 4.3.2 shutting down",
        replies=at(then("421 4.3.2 shutting down", DROP)))
    row("a line cut short at " + step, TEMP, "closed", word,
        replies=at(then(b"250", DROP)))
    row("half a reply of several lines at " + step, TEMP, "closed", word,
        replies=at(then(b"250-one\r\n", DROP)))
    row("one byte a second at " + step, TEMP, "timed out", word, top=SHORT,
        within=5, replies=at(drip(b"220 " + b"x" * 100 + b"\r\n", 0.3)))
    row("a line without end at " + step, TEMP,
        "a line of more than 2047 bytes", word, replies=at(
            endless(b"x" * 65536)))
    row("a reply without end at " + step, TEMP, "reply without end", word,
        replies=at(endless(b"250-and more\r\n" * 4096)))

row("554 as greeting", TEMP, "greeting: 554 5.7.1 go away",
    replies={"greeting": "554 5.7.1 go away"})
row("a greeting with the code 250", DONE, replies={"greeting": "250 hello"})
row("a greeting with the code 354", TEMP, "greeting: 354",
    replies={"greeting": "354 go"})
row("554 at ehlo", TEMP, "EHLO refused: 554", replies={"ehlo": "554 no"})
row("554 at ehlo in TLS", TEMP, "EHLO refused: 554",
    replies={"ehlo": inside("554 no")})
row("10000 lines in reply to ehlo", TEMP, "reply without end", replies={
    "ehlo": b"".join(b"250-X-%d\r\n" % i for i in range(9999)) +
    b"250 STARTTLS\r\n"})

# Replies that are none, at a step in the clear, one in TLS, and the last.
BROKEN = {
    "999": b"999 hello\r\n", "2x0": b"2x0 hello\r\n", "000": b"000 hello\r\n",
    "099": b"099 hello\r\n", "25": b"25\r\n", "-250": b"-250 hello\r\n",
    "+250": b"+250 hello\r\n", "2500": b"2500 hello\r\n",
    "199": b"199 hello\r\n", "600": b"600 hello\r\n",
    "a blank in front": b" 250 hello\r\n", "an empty line": b"\r\n",
    "an underscore": b"250_hello\r\n", "a tab": b"250\thello\r\n",
    "a NUL": b"2\x0050 hello\r\n", "a NUL for the blank": b"250\0hello\r\n",
    "full-width digits": "２５０ hello\r\n".encode(),
    "HTTP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "ESC": b"\x1b[2J\x1b]0;owned\x07\r\n",
    "C1": b"\x9b2J\xc2\x9b2J\r\n",
    "mixed codes": b"250-one\r\n550 two\r\n",
    "mixed codes, good last": b"550-one\r\n250 two\r\n",
    "mixed signs": b"250-one\r\n250+two\r\n",
    "a lone CR": b"250-one\r250 two\r550 three\r\n",
}
for name, text in BROKEN.items():
    # A lone CR ends no line: what it was meant to hide is not seen as a reply.
    cr = name == "a lone CR"
    for step in ("greeting", "mail"):
        row("%s for a reply at %s" % (name, step), TEMP,
            "timed out" if cr else "not an SMTP reply", NAMES[step],
            top=SHORT, replies={step: then(text, SILENT)})
    row("%s for a reply to the dot" % name, MAYBE,
        "timed out" if cr else "not an SMTP reply", top=SHORT,
        replies={"dot": then(text, SILENT)})

# Text that would act on a terminal or look like another log line.
for name, text in {"ESC": "\x1b[2J\x1b]0;owned\x07", "DEL": "a\x7fb",
                   "NUL": "a\0b", "BS": "\b" * 40, "CR": "a\rb\rc",
                   "C1": "\u009b2J\u009d"}.items():
    row(name + " in the text of a refusal", PERM, "recipient refused: 550 "
        "5\\.1\\.1 .*\\?", replies={"rcpt": "550 5.1.1 " + text})
    row(name + " in the text of the last reply", DONE,
        replies={"dot": "250 2.0.0 " + text})
    row(name + " in the text of the greeting", TEMP, "greeting: 554 .*\\?",
        replies={"greeting": "554 " + text})
row("bare C1 bytes in a refusal", PERM, "550 x\\?\\?y", replies={
    "rcpt": b"550 x\x9b\x9dy\r\n"})
row("bare 8-bit bytes in a refusal", PERM, "550 ",
    replies={"rcpt": b"550 \xff\xfe\xe9\r\n"})
row("a refusal that holds a log line", PERM, "550 x. status=sent code=250",
    replies={"rcpt": "550 x\" status=sent code=250 reason=\"taken"})
row("a refusal of 2000 bytes", PERM, "550 xxxx", replies={
    "rcpt": "550 " + "x" * 2000})
row("a refusal of 100 lines", PERM, "550 y y y", replies={
    "rcpt": "\n".join(["550 y"] * 100)})
row("a refusal of 64 KB in a line", TEMP, "more than 2047 bytes", replies={
    "rcpt": "550 " + "x" * 65536})
row("% in a refusal", PERM, "550 %s%n%x", replies={"rcpt": "550 %s%n%x%s"})

# STARTTLS.
row("starttls is not offered", TEMP, "does not offer STARTTLS",
    offer_tls=False, auth_line="AUTH PLAIN LOGIN", trusted=False)
row("starttls within a word", TEMP, "does not offer STARTTLS",
    offer_tls=False, trusted=False, extensions=("XSTARTTLS", "STARTTLSX",
                                                "STARTTLS yes", "X STARTTLS"))
for code in ("454 4.7.0 not now", "502 5.5.1 no", "250 ok", "354 go",
             "530 5.7.0 no", "221 bye"):
    row("starttls is answered by " + code[:3], TEMP,
        "STARTTLS refused: " + code, replies={"starttls": code},
        trusted=False)
for name, text in {"a whole reply": b"250 injected\r\n", "a byte": b"2",
                   "an empty line": b"\r\n", "part of a record": b"\x16\x03",
                   "a session": b"250-x\r\n250 AUTH PLAIN\r\n235 ok\r\n250 ok"
                   b"\r\n250 ok\r\n354 go\r\n250 taken\r\n"}.items():
    row("behind 220 comes " + name, TEMP, "before the TLS handshake",
        replies={"starttls": b"220 go ahead\r\n" + text}, trusted=False)
    row("a moment behind 220 comes " + name, TEMP, "TLS", top=SHORT,
        replies={"starttls": then(b"220 go ahead\r\n", 0.2, text, SILENT)},
        trusted=False)
row("auth is offered before TLS alone", TEMP, "no AUTH mechanism in common",
    auth_line="", replies={"ehlo": before("250 x\n250 STARTTLS\n250 AUTH "
                                          "PLAIN LOGIN")})
row("size of before TLS is forgotten", DONE, replies={
    "ehlo": before("250 x\n250 STARTTLS\n250 SIZE 1")})
row("starttls again in TLS", DONE, extensions=ALL + ("STARTTLS",))

# AUTH.
for name, text in {
        "no base64": b"334 !!!!\r\n", "a length no base64 has":
        b"334 VXNlcm5hbWU\r\n\0"[:-1], "binary": b"334 \xff\xfe\r\n",
        "nothing": b"334\r\n", "a blank": b"334 \r\n",
        "two lines": b"334-VXNl\r\n334 cm5hbWU6\r\n",
        "2000 bytes": b"334 " + b"QUFB" * 500 + b"\r\n",
        "120 lines": b"334-QUFBQUFB\r\n" * 120 + b"334 QUFB\r\n",
        "NULs": b"334 AAAAAAAA\r\n"}.items():
    for mech in ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"):
        row("%s as challenge of %s, for ever" % (name, mech), TEMP,
            "AUTH %s: the server" % mech,
            **challenge(text, mech))
row("a challenge of 64 KB", TEMP, "more than 2047 bytes",
    **challenge(b"334 " + b"QUFB" * 16384 + b"\r\n"))
row("a challenge without end", TEMP, "reply without end",
    **challenge(b"334-QUFB\r\n" * 9999))
row("334 for ever, and no cancelling", TEMP, "asks for more than it",
    top=SHORT, mechs=("LOGIN",), replies={"auth": endless(b"334 QUFB\r\n")})
row("235 before the password", DONE, mechs=("LOGIN",),
    replies={"auth": ("235 2.7.0 whoever you are",)})
row("535 with ESC", TEMP, "refused .check `user` and the password", "535 \\?",
    replies={"auth": "535 \x1b[2J"})
row("535 and a hint to go on in the clear", TEMP, "AUTH PLAIN refused",
    replies={"auth": "535 5.7.8 please use AUTH LOGIN without TLS"})
row("454 at auth", TEMP, "AUTH PLAIN deferred: 454",
    replies={"auth": "454 4.7.0 later"})
row("354 at auth", TEMP, "AUTH PLAIN refused .*354",
    replies={"auth": "354 go"})
row("every mechanism is unknown after all", TEMP, "AUTH LOGIN refused.* 504",
    replies={"auth": "504 5.5.4 no"})
row("no mechanism that is known", TEMP, "no AUTH mechanism in common",
    "X-EVIL NTLM", mechs=("X-EVIL", "NTLM", "ANONYMOUS", "PLAINX"))
row("a huge list of mechanisms", DONE, auth_line="AUTH " + " ".join(
    "X%d" % i for i in range(300)) + " PLAIN")
row("mechanisms with ESC", TEMP, "no AUTH mechanism in common",
    auth_line="AUTH \x1b[2J \x07\x9b")
row("anonymous is offered with plain", DONE, mechs=("ANONYMOUS", "PLAIN"))
for lie, words in {
        "nonce": "nonce does not begin with ours",
        "same nonce": "nonce does not begin with ours",
        "salt": "salt makes no sense", "no salt": "salt makes no sense",
        "iterations": "too many iterations", "none": "too many iterations",
        "minus": "too many iterations", "rubbish": "too many iterations",
        "overflow": "too many iterations", "order": "makes no sense",
        "extension": "makes no sense", "signature": "impostor",
        "short signature": "impostor", "no proof": "impostor",
        "early": "impostor", "error": "535 5.7.8 no"}.items():
    row("scram with a wrong " + lie, TEMP, "AUTH SCRAM-SHA-256", words,
        **scram(lie))
row("scram that is honest", DONE, **scram(None))

# EHLO's words.
for size in ("rubbish", "-1", "0", "99999999999999999999999", "1e9", "", " 5",
             "100 5", "0x10", "18446744073709551616"):
    row("SIZE " + (size or "and a blank"), DONE,
        extensions=("PIPELINING", "SIZE " + size))
row("SIZE 5", PERM, "too large.* the server takes 5", extensions=("SIZE 5",))
row("extensions with rubbish behind them", DONE, extensions=(
    "8BITMIME \x1b[2J", "PIPELINING maybe", "CHUNKING no", "SMTPUTF8=1",
    "DSN DSN DSN", "=", "-", "AUTH", "SIZE=5"), within=6)
row("extensions twice over", DONE, extensions=ALL * 5)
row("8BITMIME that is refused in MAIL", ROUTE, "MAIL refused: 501", message=(
    b"From: alice@example.com\nMIME-Version: 1.0\nContent-Type: text/plain\n\n"
    b"\xe4\xf6\n"), replies={"mail": lambda s, a: "501 5.5.4 what is BODY?"
                             if "BODY" in a else None})

# The transaction, one command at a time and in one flight.
for name, extensions in (("", SLOW), (" in one flight", ALL)):
    def more(*args, _name=name, _extensions=extensions, **how):
        row(args[0] + _name, *args[1:], extensions=_extensions, **how)

    more("552 at mail", PERM, "MAIL refused: 552",
         replies={"mail": "552 5.3.4 too big"})
    more("550 at mail", ROUTE, "MAIL refused: 550",
         replies={"mail": "550 5.7.1 not you"})
    more("354 at mail", TEMP, "no sense here: 354", replies={"mail": "354 go"})
    more("354 at rcpt", TEMP, "no sense here: 354",
         replies={"rcpt": "354 go"})
    more("550 at rcpt", PERM, "recipient refused: 550",
         replies={"rcpt": "550 5.1.1 nobody"})
    more("450 at rcpt", TEMP, "recipient refused: 450",
         replies={"rcpt": "450 4.2.0 later"})
    more("354 with nobody accepted", PERM, "recipient refused: 550",
         replies={"rcpt": "550 5.1.1 nobody"}, always_354=True)
    more("250 at data", TEMP, "no sense here: 250 taken",
         replies={"data": then("250 taken", swallow)})
    more("450 at data", TEMP, "DATA refused: 450",
         replies={"data": "450 4.3.0 later"})
    more("554 at data", PERM, "DATA refused: 554",
         replies={"data": "554 5.6.0 no"})
    more("354 at the dot", MAYBE, "no sense here: 354 go on", replies={"dot": "354 go on"})
    more("451 at the dot", TEMP, "message refused: 451",
         replies={"dot": "451 4.3.0 later"})
    more("554 at the dot", PERM, "message refused: 554",
         replies={"dot": "554 5.6.0 spam"})
    more("250 at the dot, then 554", DONE,
         replies={"dot": b"250 2.0.0 taken\r\n554 5.6.0 no\r\n"})
    more("250 at the dot twice", DONE,
         replies={"dot": b"250 2.0.0 taken\r\n" * 2})
    more("250 at the dot, then a reset", DONE,
         replies={"dot": then("250 2.0.0 taken", RST)})
    more("421 at the dot", TEMP, "421 4.3.2 shutting down",
         replies={"dot": then("421 4.3.2 shutting down", DROP)})
    more("silence at the dot", MAYBE, "timed out", top=SHORT, within=5,
         replies={"dot": SILENT})
    more("closed at the dot", MAYBE, "closed", replies={"dot": DROP})
    more("reset at the dot", MAYBE, "reset|cut", replies={"dot": RST})
    more("half a line at the dot", MAYBE, "closed",
         replies={"dot": then(b"250 2.0.0 ok", DROP)})
    more("half a reply of two lines at the dot", MAYBE, "closed",
         replies={"dot": then(b"250-2.0.0 ok\r\n", DROP)})
    more("a line without end at the dot", MAYBE, "more than 2047 bytes",
         replies={"dot": endless(b"2" * 65536)})
    more("100 MB of reply at the dot", MAYBE, "reply without end",
         replies={"dot": endless(b"250-more\r\n" * 6000)})
    more("one byte a second at the dot", MAYBE, "timed out", top=SHORT,
         within=5, replies={"dot": drip(b"250 " + b"x" * 100, 0.3)})
    more("mail is answered twice", TEMP, "no sense here: 250",
         replies={"mail": b"250 ok\r\n250 ok\r\n"})
    more("rcpt is answered twice", TEMP, "no sense here: 250",
         replies={"rcpt": b"250 ok\r\n250 ok\r\n"})
    more("the answers to all come with that to mail", TEMP,
         "no sense here: 250 taken", replies={"mail": then(b"250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n",
                               SILENT)}, top=SHORT)
    more("the last reply comes with 354", TEMP, "no sense here: 250",
         replies={"data": b"354 go\r\n250 2.0.0 taken\r\n"})

row("rcpt is not answered", TEMP, "timed out", extensions=SLOW, top=SHORT,
    replies={"rcpt": ("",)})
# What then comes can only be taken for the answer to RCPT.
row("rcpt is not answered in one flight", PERM, "recipient refused: 554",
    extensions=ALL, top=SHORT, replies={"rcpt": ("",)})
row("data and mail are answered the wrong way round", TEMP,
    "no sense here: 354", extensions=ALL, top=SHORT,
    replies={"mail": "354 go", "data": then("250 ok", SILENT)})

# CHUNKING.
for name, kind, words, answer in (
        ("354", MAYBE, "no sense here: 354", "354 go"),
        ("250 twice", DONE, "", b"250 ok\r\n250 ok\r\n"),
        ("250, then 554", DONE, "", b"250 ok\r\n554 no\r\n"),
        ("554", PERM, "message refused: 554", "554 5.6.0 no"),
        ("452", TEMP, "message refused: 452", "452 4.3.1 no room"),
        ("421", TEMP, "421 4.3.2", then("421 4.3.2 bye", DROP)),
        ("silence", MAYBE, "timed out", SILENT),
        ("a close", MAYBE, "closed", DROP),
        ("a reset", MAYBE, "reset|cut", RST),
        ("99 bytes of rubbish", MAYBE, "not an SMTP reply", b"x" * 97 +
         b"\r\n")):
    row("bdat is answered by " + name, kind, *([words] if words else []),
        extensions=CHUNKS, top=SHORT, replies={"bdat": answer})
row("CHUNKING that is not known", DONE, extensions=CHUNKS, no_bdat=True)
row("CHUNKING that is not known, and the text read as commands", DONE,
    extensions=CHUNKS, no_bdat=True, message=harness.HEAD + b"\nRSET\n"
    b"MAIL FROM:<evil@example.com>\nRCPT TO:<victim@example.com>\nDATA\n"
    b"Hello Bob\n")

# While the message is being sent.
row("the window stays shut in mid-data", TEMP, "timed out", top=SHORT,
    within=8, message=BIG, replies={
        "data": then(small_window, "354 go", deaf)})
row("closed in mid-data", TEMP, "closed|reset|cut", message=BIG,
    replies={"data": then("354 go", lambda t: t.more(), DROP)})
row("reset in mid-data", TEMP, "closed|reset|cut", message=BIG,
    replies={"data": then("354 go", lambda t: t.more(), RST)})
row("552 and closed in mid-data", PERM, "552 5.3.4 too big", message=BIG,
    replies={"data": then("354 go", lambda t: t.more(),
                          "552 5.3.4 too big", 0.2, DROP)})
row("250 and closed in mid-data", TEMP, "no sense here: 250 taken|reset|cut",
    message=BIG, replies={"data": then(
        "354 go", lambda t: t.more(), "250 taken", 0.2, DROP)})
row("250s without end while we send", TEMP, "no sense here: 250 taken",
    message=BIG,
    within=10, top=SHORT, replies={
        "data": then(small_window, *flood_while_reading(
            b"250 taken\r\n" * 100))})
row("rubbish without end while we send", TEMP, "timed out", message=BIG,
    within=10, top=SHORT, replies={
        "data": then(small_window, "354 go", *endless(b"x" * 4096))})

# A session is bounded, however small each step.
row("every step takes nearly its time", TEMP, "timed out", within=16,
    top="timeout 1s\n", extensions=SLOW, args=("-i", "-f", "alice@example.com")
    + tuple("bob%d@example.net" % i for i in range(30)),
    replies={"rcpt": then(0.6, "250 ok")})

# In the clear, where that is asked for.
row("no TLS at all: the same drops", TEMP, "closed", tls="off", users=None,
    plain=True, replies={"rcpt": DROP})
row("no TLS at all: endless banner", TEMP, "more than 2047 bytes", tls="off",
    users=None, plain=True, replies={"greeting": endless(b"y" * 4096)})

Table = tests(ROWS, "Table")


class Next(harness.Case):
    """A reply that makes no sense ends the session: what would follow could be
    read as the text of a message for others."""

    def test_no_message_becomes_part_of_another(self):
        for step, answer in (("data", b"250 taken\r\n354 go\r\n"),
                             ("rcpt", b"250 ok\r\n250 ok\r\n"),
                             ("mail", b"354 go\r\n")):
            with self.subTest(step):
                relay = self.start(Relay(tls="off", extensions=ALL,
                                         replies={step: then(answer, swallow)}))
                conf = self.conf(relay.route())
                found = harness.drive(self, conf, [
                    ("a@example.com", ["one@example.net"], harness.MESSAGE),
                    ("b@example.com", ["two@example.net"],
                     harness.HEAD + b"\nfor two alone\n")])
                for outcome, _, untaken in found.values():
                    self.assertEqual((outcome, untaken), ("deferred", True))
                relay.settle()
                for session in relay.sessions:
                    self.assertLess(session.plain.count(b"MAIL FROM"), 2)
                    self.assertNotIn(b"for two alone", session.plain)

if __name__ == "__main__":
    harness.main()
