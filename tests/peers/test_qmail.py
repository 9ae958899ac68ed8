"""qmail-remote: what it reports is read by the rules of qmail-rspawn, whatever
the relay, SES, this machine or another qmail-remote does, and the message that
arrives is the one in qmail's queue."""
import grp
import itertools
import os
import pwd
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

import harness
from harness import (Case, HEAD, MESSAGE, ROOT, SENDROUTE, clean_environment,
                     closed_port, crlf, for_others, letter, run_measured)
from relay import DROP, RST, SILENT, Relay
from ses import Answer, Ses

ALICE, BOB, CAROL, DAVE = ("alice@example.com", "bob@example.net",
                           "carol@example.net", "dave@example.net")
REPORT_MAX = 10000
DUPLICATE = "Possible duplicate!"


def rspawn(status, output):
    """What qmail-rspawn makes of it: the letter that qmail-send acts upon (K
    delivered, Z try again, D bounce) and the text for the log."""
    if status < 0:
        return "Z", "qmail-remote crashed."
    if status == 111:
        return "Z", "Unable to run qmail-remote."
    if status != 0:
        return "D", "Unable to run qmail-remote."
    if not output:
        return "Z", "qmail-remote produced no output."
    *whole, _ = output.split(b"\0")
    result = -1
    for report in whole:
        if report[:1] in (b"K", b"Z", b"D"):
            result = {b"K": 1, b"Z": 0, b"D": -1}[report[:1]]
            break
    verdict = {b"s": 0, b"h": -1}.get(output[:1], result)
    text = b""
    at = output.find(b"\0", 1)
    if at >= 0:
        text = output[1:at]
        if result <= verdict and output[at + 1:at + 2] in (b"Z", b"D", b"K"):
            text += output[at + 2:].split(b"\0")[0]
    return {1: "K", 0: "Z", -1: "D"}[verdict], text.decode("utf-8", "replace")


class Called:
    """A call that has ended."""

    def __init__(self, status, out, err, seconds):
        self.exit, self.out, self.err = status, out, err
        self.seconds = seconds
        self.reports = [r.decode("utf-8", "replace")
                        for r in out.split(b"\0")[:-1]]
        self.letters = "".join(r[:1] for r in self.reports)
        self.verdict, self.text = rspawn(status, out)

    def __str__(self):
        return "exit %s after %.2f s\n%r\nstderr %r" % (
            self.exit, self.seconds, self.out, self.err)


class Remote(Case):
    program = SENDROUTE
    name = "/var/qmail/bin/qmail-remote"

    def begin(self, conf, sender=ALICE, rcpts=(BOB,), message=MESSAGE,
              host="example.net", stdin=None, env=None, **more):
        argv = [self.name, host, sender, *rcpts]
        if stdin is None:
            with tempfile.TemporaryFile(dir=self.dir) as file:
                file.write(message)
                file.seek(0)
                return self.begin(conf, sender, rcpts, host=host, stdin=file,
                                  env=env, **more)
        return subprocess.Popen(
            argv, executable=more.pop("program", self.program), stdin=stdin,
            stdout=more.pop("stdout", subprocess.PIPE),
            stderr=subprocess.PIPE,
            env=clean_environment(SENDROUTE_CONF=conf, **(env or {})), **more)

    def end(self, process, data=None, timeout=60):
        began = time.monotonic()
        try:
            out, err = process.communicate(data, timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            self.fail("it hung; %r" % out)
        return Called(process.returncode, out or b"", err,
                      time.monotonic() - began)

    def call(self, conf, *args, **more):
        """It must keep to the contract, whatever happens."""
        called = self.end(self.begin(conf, *args, **more))
        self.assertEqual(called.exit, 0, str(called))
        self.keeps_contract(called, len(more.get("rcpts", (BOB,))))
        return called

    def keeps_contract(self, called, rcpts):
        self.assertEqual(called.err, b"", str(called))
        self.assertTrue(called.out.endswith(b"\0"), str(called))
        self.assertRegex(called.letters, "^[rhs]*[KZD]$", str(called))
        self.assertIn(len(called.letters), (1, rcpts + 1), str(called))
        for report in called.reports:
            self.assertLess(len(report), REPORT_MAX)
            self.assertNotRegex(report, r"[\x00-\t\x0b-\x1f\x7f]")
            if report != "r":
                self.assertRegex(report, r"^.[^\n]+(\n[^\n]+)*\n$")

    def is_(self, called, letters, *words):
        self.assertEqual(called.letters, letters, str(called))
        for word in words:
            self.assertRegex(called.out.decode(), word)
        return called


class Recipients(Remote):
    """Every report shape over the answers to RCPT and to the message."""

    ANSWERS = {"r": "250 2.1.5 ok", "s": "450 4.2.1 later",
               "h": "550 5.1.1 no such user"}
    ENDS = {"K": "250 2.0.0 taken", "Z": "451 4.3.0 full",
            "D": "554 5.6.0 rubbish"}

    def matrix(self, step, extensions):
        for count in (1, 2, 3):
            for answers in itertools.product("rsh", repeat=count):
                rcpts = (BOB, CAROL, DAVE)[:count]
                for end in self.ENDS if "r" in answers else "D":
                    replies = {"rcpt <%s>" % a: self.ANSWERS[l]
                               for a, l in zip(rcpts, answers)}
                    replies[step] = self.ENDS[end]
                    relay = Relay(tls="off", replies=replies,
                                  extensions=extensions)
                    called = self.call(self.conf(relay.route()), rcpts=rcpts)
                    relay.close()
                    self.is_(called, "".join(answers) + end)
                    first = answers[0]
                    self.assertEqual(called.verdict, {
                        "s": "Z", "h": "D", "r": end}[first], str(called))
                    # Of several, qmail-rspawn reads the first and the last.
                    if first != "r":
                        self.assertIn(self.ANSWERS[first], called.text)
                    elif count == 1:
                        self.assertIn(self.ENDS[end], called.text)
                    if "r" in answers:
                        self.assertRegex(called.reports[-1], "%s.*\nRemote "
                                         "host said: %s" % (
                                             "accepted message." * (end == "K"),
                                             self.ENDS[end]))
                    else:
                        self.assertEqual(called.reports[-1],
                                         "DGiving up: no recipient "
                                         "was taken.\n")
                    self.assertEqual(
                        [m.rcpt_to for m in relay.accepted()],
                        [[a for a, l in zip(rcpts, answers) if l == "r"]] *
                        (end == "K" and "r" in answers))

    def test_with_data(self):
        self.matrix("dot", ("8BITMIME",))

    def test_with_pipelining(self):
        self.matrix("dot", ("PIPELINING", "SIZE"))

    def test_with_chunks(self):
        self.matrix("bdat", ("PIPELINING", "CHUNKING"))

    def test_a_refusal_of_data_itself(self):
        for code, end in (("451 4.3.0 full", "Z"), ("554 5.7.1 no", "D")):
            relay = self.start(Relay(tls="off", replies={
                "data": code, "rcpt <%s>" % CAROL: self.ANSWERS["h"]}))
            conf = self.conf(relay.route())
            self.is_(self.call(conf), "r" + end, "Remote host said: " + code)
            self.is_(self.call(conf, rcpts=(CAROL, BOB)), "hr" + end)

    def test_too_many_recipients_take_another_transaction(self):
        relay = self.start(Relay(tls="off", replies={
            "rcpt <%s>" % CAROL: ["452 4.5.3 too many", "250 ok"]}))
        called = self.call(self.conf(relay.route()), rcpts=(BOB, CAROL, DAVE))
        self.is_(called, "rrrK")
        self.assertEqual([m.rcpt_to for m in relay.accepted()],
                         [[BOB, DAVE], [CAROL]])

    def test_the_same_recipient_twice_has_two_reports(self):
        relay = self.start(Relay(tls="off"))
        called = self.call(self.conf(relay.route()), rcpts=(BOB, BOB))
        self.is_(called, "rrK")

    def test_a_hundred_recipients(self):
        rcpts = ["u%d@example.net" % i for i in range(100)]
        relay = self.start(Relay(tls="off", replies={
            "rcpt <u7@example.net>": self.ANSWERS["h"],
            "rcpt <u98@example.net>": self.ANSWERS["s"]}))
        called = self.call(self.conf(relay.route()), rcpts=rcpts)
        self.is_(called, "r" * 7 + "h" + "r" * 90 + "s" + "r" + "K")

    def test_replies_of_any_length_and_kind(self):
        for text in ("x" * 400, "\n".join(["550 " + "y" * 90] * 30),
                     "550 tab\tand \x07 bell"):
            reply = text if text.startswith("550") else "550 " + text
            relay = self.start(Relay(tls="off", replies={"rcpt": reply}))
            called = self.call(self.conf(relay.route()))
            self.assertEqual((called.letters, called.verdict), ("hD", "D"))


class Before(Remote):
    """What fails before the first RCPT is the message's report alone."""

    def alone(self, called, letter, *words):
        self.is_(called, letter, *words)
        self.assertEqual(called.verdict, letter)
        self.assertNotIn(DUPLICATE, called.text)

    def test_what_the_relay_says(self):
        for replies, letter in (
                ({"greeting": "421 busy"}, "Z"),
                ({"greeting": "554 go away"}, "Z"),
                ({"greeting": DROP}, "Z"), ({"ehlo": DROP}, "Z"),
                ({"ehlo": "550 no", "helo": "550 no"}, "Z"),
                ({"mail": "451 4.3.0 later"}, "Z"),
                ({"mail": "550 5.7.1 not you"}, "D"),
                ({"mail": "552 5.3.4 too big"}, "D"),
                ({"mail": "530 5.7.0 log in first"}, "Z"),
                ({"mail": "421 closing"}, "Z"), ({"mail": DROP}, "Z"),
                ({"rcpt": DROP}, "Z")):
            for rcpts in ((BOB,), (BOB, CAROL)):
                with self.subTest(replies=replies):
                    relay = self.start(Relay(tls="off", replies=replies))
                    conf = self.conf(relay.route())
                    self.alone(self.call(conf, rcpts=rcpts), letter)

    def test_no_relay_at_all(self):
        for host, word in (("127.0.0.1", "refused"),
                           ("nowhere.invalid", "nowhere.invalid")):
            conf = self.conf("route r\ntype smtp\nhost %s\nport %d\ntls off\n"
                             "senders *\n" % (host, closed_port()))
            self.alone(self.call(conf), "Z", word)

    def test_tls_and_passwords(self):
        relay = self.start(Relay(cert="expired"))
        self.alone(self.call(self.conf(relay.route())), "Z", "certificate")
        relay = self.start(Relay(users={"u": "p"}))
        conf = self.conf(relay.route(user="u", password_file=self.secret("q")))
        self.alone(self.call(conf), "Z", "535")

    def test_a_size_that_the_relay_does_not_take(self):
        relay = self.start(Relay(tls="off", extensions=("SIZE 1000",)))
        self.alone(self.call(self.conf(relay.route()), message=letter(5000)),
                   "D", "too large")

    def test_smtputf8_is_not_offered(self):
        relay = self.start(Relay(tls="off"))
        called = self.call(self.conf(relay.route()), rcpts=(BOB,
                           "j\u00fcrgen@example.net"), env=None)
        self.is_(called, "rhK")


class Ambiguous(Remote):
    def test_the_connection_dies_after_the_message(self):
        for end in (DROP, RST):
            for step, extensions in (("dot", ("PIPELINING",)),
                                     ("bdat", ("PIPELINING", "CHUNKING"))):
                other = self.start(Relay(tls="off"))
                relay = self.start(Relay(tls="off", extensions=extensions,
                                         replies={step: end}))
                conf = self.conf(relay.route(fallback="other"),
                                 other.route("other", senders=None))
                called = self.is_(self.call(conf), "rZ", DUPLICATE)
                self.assertEqual(called.verdict, "Z")
                self.assertIn(DUPLICATE, called.text)
                self.assertEqual(other.messages, [])

    def test_it_dies_before_its_end(self):
        relay = self.start(Relay(tls="off", replies={"data": DROP}))
        called = self.call(self.conf(relay.route()))
        self.assertEqual(called.verdict, "Z")
        self.assertNotIn(DUPLICATE, called.text)

    def test_ses(self):
        for answer in (Answer(drop="after"), Answer(drop="within"),
                       Answer(500, "InternalFailure"),
                       Answer(503, "ServiceUnavailable", "x" * 900)):
            ses = self.start(Ses(always=answer))
            called = self.call(self.conf(ses.route()), rcpts=(BOB, CAROL))
            self.is_(called, "rrZ", DUPLICATE)
            self.assertEqual(called.verdict, "Z")


class AmazonSes(Remote):
    """Refusals bounce at once, what the operator can mend waits."""

    TABLE = (
        ("Z", 429, "TooManyRequestsException", "Rate exceeded"),
        ("Z", 400, "Throttling", "Rate exceeded"),
        ("Z", 400, "ThrottlingException", "Maximum sending rate exceeded."),
        ("Z", 400, "LimitExceededException", "Daily message quota exceeded."),
        ("Z", 400, "SendingPausedException", "paused"),
        ("Z", 400, "AccountSuspendedException", "suspended"),
        ("Z", 400, "MessageRejected", "Email address is not verified. The "
         "following identities failed the check in region EU-WEST-1: x"),
        ("hD", 400, "MessageRejected", "Your message contains a virus."),
        ("Z", 400, "MailFromDomainNotVerifiedException", "no"),
        ("Z", 404, "NotFoundException", "configuration set"),
        ("hD", 400, "BadRequestException", "Missing final '@domain'"),
        ("Z", 403, "ExpiredTokenException", "expired"),
        ("Z", 403, "UnrecognizedClientException", "no such token"),
        ("Z", 403, "InvalidClientTokenId", "no"),
        ("Z", 403, "SignatureDoesNotMatch", "no"),
        ("Z", 403, "AccessDeniedException", "not authorised"),
        ("hD", 422, "UnheardOfException", "what?"),
        ("Z", 408, "UnheardOfException", "what?"))

    def test_the_error_table(self):
        for letters, status, code, text in self.TABLE:
            with self.subTest(code=code, text=text):
                ses = self.start(Ses(always=Answer(
                    status, code, text, fields=["Retry-After: 60"])))
                called = self.call(self.conf(ses.route()))
                self.is_(called, letters, re.escape(code))
                self.assertEqual(called.verdict, letters[-1], str(called))
                self.assertIn(str(status), called.text)
                self.assertNotIn(DUPLICATE, called.text)

    def test_several_recipients_of_which_one_is_bad(self):
        for bad in (BOB, CAROL, DAVE):
            ses = self.start(Ses(bad_recipients=[bad]))
            called = self.call(self.conf(ses.route()), rcpts=(BOB, CAROL, DAVE))
            self.is_(called, "".join("h" if a == bad else "r" for a in
                                     (BOB, CAROL, DAVE)) + "K", "MessageId")
            self.assertEqual(sorted(a for s in ses.sent for a in s.bcc),
                             sorted({BOB, CAROL, DAVE} - {bad}))

    def test_a_refused_message_for_several(self):
        ses = self.start(Ses(always=Answer(400, "MessageRejected", "virus")))
        self.is_(self.call(self.conf(ses.route()), rcpts=(BOB, CAROL)), "hhD")

    def test_success(self):
        ses = self.start(Ses())
        called = self.is_(self.call(self.conf(ses.route())), "rK",
                          "localhost", "MessageId 0102")
        self.assertEqual(called.verdict, "K")
        self.assertEqual(ses.only().bcc, [BOB])
        self.assertEqual(ses.only().document["FeedbackForwardingEmailAddress"],
                         ALICE)

    def test_fail_over(self):
        relay = self.start(Relay(tls="off"))
        for letters, status, code, text in self.TABLE:
            ses = self.start(Ses(always=Answer(status, code, text)))
            relay.messages.clear()
            called = self.call(self.conf(
                ses.route(senders="@example.com", fallback="relay"),
                relay.route(senders="*")))
            self.is_(called, "rK" if letters == "Z" else letters)
            self.assertEqual(len(relay.messages), letters == "Z")


class Senders(Remote):
    """As qmail has them: local parts without quotes."""

    def wire(self, sender, rcpt=BOB):
        relay = self.start(Relay(tls="off"))
        conf = self.conf(relay.route())
        self.is_(self.call(conf, sender, rcpts=(rcpt,)), "rK")
        return relay.only()

    def test_on_the_wire(self):
        for sender, there in (
                ("", ""), ("#@[]", "#@[]"), (ALICE, ALICE),
                ("list-return-12-bob=example.net@lists.example.com",) * 2,
                ("al ice@example.com", '"al ice"@example.com'),
                ('a"b\\c@example.com', '"a\\"b\\\\c"@example.com'),
                ("a@b@example.com", '"a@b"@example.com'),
                ("a..b@example.com", '"a..b"@example.com'),
                (".a@example.com", '".a"@example.com'),
                ("a,b;c:d(e)@example.com", '"a,b;c:d(e)"@example.com'),
                ("a@[127.0.0.1]", "a@[127.0.0.1]"),
                ("x" * 200 + "@example.com", "x" * 200 + "@example.com"),
                ("root", "root@client.test")):
            with self.subTest(sender=sender):
                self.assertEqual(self.wire(sender).mail_from, there)
                if there and sender != "#@[]":
                    self.assertEqual(self.wire("", sender).rcpt_to, [there])

    def test_addresses_that_no_wire_takes(self):
        relay = self.start(Relay(tls="off"))
        conf = self.conf(relay.route())
        for bad in ("a\nb@example.com", "a\rRCPT@example.com", "a<b@x.test",
                    "a>b@x.test", "a\x01b@x.test", "a@x y.test", "a@",
                    "a" * 400 + "@x.test", "@x.test"):
            with self.subTest(bad=bad):
                self.is_(self.call(conf, bad), "D", "address")
                self.is_(self.call(conf, rcpts=(bad,)), "hD", "address")
                self.is_(self.call(conf, rcpts=(bad, BOB)), "hrK")
        self.is_(self.call(conf, rcpts=("",)), "hD", "empty")

    def test_no_address_can_be_an_option_or_a_report(self):
        relay = self.start(Relay(tls="off"))
        conf = self.conf(relay.route())
        self.is_(self.call(conf, "-f@x.test", rcpts=("--help@x.test",),
                           host="--version"), "rK")
        self.is_(self.call(conf, rcpts=("K" * 340 + "@x.test",)), "hD")
        relay = self.start(Relay(tls="off", replies={"rcpt": "550 no"}))
        called = self.call(self.conf(relay.route()), host="a\nK\x01" * 400)
        self.is_(called, "hD")

    def routed(self, sender, message=MESSAGE):
        ses, relay = self.start(Ses()), self.start(Relay(tls="off"))
        conf = self.conf(ses.route(senders=self.write(
            "list", "@example.com\n*-bounces@lists.example.org\n")),
            relay.route())
        called = self.is_(self.call(conf, sender, message=message), "rK")
        self.assertEqual(len(ses.sent) + len(relay.messages), 1, str(called))
        return "ses" if ses.sent else "relay"

    def test_the_routing_rule(self):
        post = MESSAGE.replace(b"alice@example.com", b"eve@elsewhere.test")
        for sender, message, route in (
                (ALICE, MESSAGE, "ses"), ("", MESSAGE, "relay"),
                ("#@[]", MESSAGE, "relay"), (ALICE, post, "relay"),
                ("x-bounces@lists.example.org", MESSAGE, "ses"),
                ("eve@elsewhere.test", MESSAGE, "relay"),
                (ALICE, b"Sender: eve@elsewhere.test\n" + MESSAGE, "relay"),
                (ALICE, b"Sender: bob@EXAMPLE.com\n" + MESSAGE, "ses"),
                (ALICE, b"Resent-From: eve@elsewhere.test\n" + MESSAGE, "ses"),
                (ALICE, MESSAGE.replace(b"From:", b"X-From:"), "relay"),
                (ALICE, b"no header at all\n", "relay"),
                (ALICE, b"From: <<\n\n", "relay"), (ALICE, b"", "relay")):
            with self.subTest(sender=sender, message=message):
                self.assertEqual(self.routed(sender, message), route)

    def test_double_bounces_never_go_to_ses(self):
        ses, relay = self.start(Ses()), self.start(Relay(tls="off"))
        called = self.call(self.conf(ses.route(), relay.route()), "#@[]")
        self.is_(called, "rK")
        self.assertEqual(ses.sent, [])

    def test_nothing_of_the_configuration_alters_it(self):
        relay = self.start(Relay(tls="off"))
        self.is_(self.call(self.conf(relay.route(), top=(
            "override-from ops@client.test\nfrom root@client.test\n"
            "aliases %s\nqueue %s\n" % (
                self.write("aliases", "bob: eve\ndefault: eve@x.test\n"),
                self.path("no-such-folder")))), "list-@x.test"), "rK")
        self.assertEqual(relay.only().mail_from, "list-@x.test")
        self.assertEqual(relay.only().rcpt_to, [BOB])
        self.same_bytes(relay.only().content, crlf(MESSAGE))


class Text(Remote):
    """The message arrives as it is but for its line ends."""

    MESSAGES = {
        "usual": MESSAGE, "empty": b"", "header only": HEAD,
        "partial line": HEAD + b"\nno line end",
        "no header": b"just text\n.\n..\n", "dots": HEAD + b"\n.\n..\n.a\n\n.",
        "crlf": crlf(MESSAGE), "mixed": HEAD + b"\na\r\nb\nc\rd\r\r\n\n\re\r",
        "8 bit": HEAD + b"X: \xe9\xe8\n\n\xff\xfe\x80 latin\n",
        "long": HEAD + b"X: " + b"y" * 5000 + b"\n\n" + b"z" * 200000 + b"\n",
        "mbox": b"From alice Tue Nov 24 01:02:03 2026\n" + MESSAGE,
        "mine": b"Bcc: eve@x.test\nReturn-Path: <r@x.test>\nContent-Length: 3\n"
                b"Date: rubbish\nTo: root\nFrom: root\n\nbody\n",
        "no blank line": b"X: 1\nthis is no header\n",
        "signed": b"DKIM-Signature: v=1; b=abc\n" + HEAD + b"\n" + b"q" * 1200,
    }

    def relay(self):
        if not hasattr(self, "_relays"):
            self._relays = [
                self.start(Relay(tls="off", extensions=e)) for e in (
                    ("PIPELINING", "8BITMIME", "SIZE"),
                    ("PIPELINING", "8BITMIME", "CHUNKING"), ())]
        return self._relays

    def both_ways(self, message, wanted, relay):
        conf = self.conf(relay.route())
        relay.messages.clear()
        self.is_(self.call(conf, message=message), "rK")
        self.same_bytes(relay.only().content, wanted, "from a file")
        relay.messages.clear()
        called = self.end(self.begin(conf, stdin=subprocess.PIPE), message)
        self.is_(called, "rK")
        self.same_bytes(relay.only().content, wanted, "from a pipe")

    def test_what_a_relay_gets(self):
        for relay in self.relay():
            for name, message in self.MESSAGES.items():
                with self.subTest(name=name, offers=relay.extensions):
                    self.both_ways(message, crlf(message), relay)

    def test_nul_becomes_a_space(self):
        for relay in self.relay():
            self.both_ways(HEAD + b"\na\0b\0\n", crlf(HEAD + b"\na b \n"),
                           relay)

    def test_edges_of_blocks(self):
        """A line end of any kind across the edges of what is read at once."""
        edges = (8192, 16384, 24576, 32768, 65536)
        relay = self.relay()[1]
        conf = self.conf(relay.route())
        for edge in edges:
            for end in (b"\n", b"\r\n", b"\r", b"\r\r\n", b".\n", b"\n.\n"):
                for shift in range(-3, 3):
                    body = b"a" * 70 + b"\n"
                    text = (HEAD + b"\n" + body * (edge // 70))[:edge + shift]
                    message = text + end + b"tail"
                    relay.messages.clear()
                    self.is_(self.call(conf, message=message), "rK")
                    self.same_bytes(relay.only().content, crlf(message))

    def test_a_big_one(self):
        message = letter(3 << 20)
        for relay in self.relay():
            self.both_ways(message, crlf(message), relay)

    def test_it_begins_where_the_file_stands(self):
        relay = self.relay()[0]
        with tempfile.TemporaryFile() as file:
            file.write(b"not of the message\n" + MESSAGE)
            file.flush()
            os.lseek(file.fileno(), 19, os.SEEK_SET)
            self.is_(self.call(self.conf(relay.route()), stdin=file), "rK")
        self.same_bytes(relay.only().content, crlf(MESSAGE))

    def test_what_ses_gets(self):
        fields = (b"Bcc: eve@x.test,\n folded@x.test\n",
                  b"Return-Path: <r@x.test>\n", b"Resent-Bcc: z@x.test\n",
                  b"RETURN-PATH : x\n", b"bcc:\n")
        ses = self.start(Ses())
        conf = self.conf(ses.route())
        lines = HEAD.splitlines(True)
        cases = [(m, m) for m in (MESSAGE, HEAD, HEAD + b"\nbcc: in the body\n",
                                  HEAD + b"\n" + b"z" * 5000 + b"\n")]
        for field in fields:
            for at in (0, 2, len(lines)):
                cases.append((b"".join(lines[:at]) + field + b"".join(
                    lines[at:]) + b"\nbody\n", HEAD + b"\nbody\n"))
        cases.append((b"".join(fields) + HEAD + b"".join(fields) + b"\nbody",
                      HEAD + b"\nbody"))
        cases.append((b"".join(f + l for f, l in zip(fields, lines)) + b"\n" +
                      letter(200000), HEAD + b"\n" + letter(200000)))
        for message, there in cases:
            for pipe in (False, True):
                ses.sent.clear()
                called = self.end(self.begin(conf, stdin=subprocess.PIPE),
                                  message) if pipe else self.call(
                                      conf, message=message)
                self.is_(called, "rK")
                self.same_bytes(ses.only().raw, crlf(there))

    def test_only_ses_is_kept_from_them(self):
        """The relay behind it gets the whole message."""
        message = b"Bcc: eve@x.test\n" + MESSAGE
        relay = self.relay()[0]
        ses = self.start(Ses(always=Answer(400, "LimitExceededException")))
        self.is_(self.call(self.conf(
            ses.route(fallback="relay"), relay.route(senders=None)),
            message=message), "rK")
        self.same_bytes(relay.only().content, crlf(message))

    def test_8bit_is_announced_and_never_encoded(self):
        relay = self.start(Relay(tls="off", extensions=(
            "8BITMIME", "SMTPUTF8", "SIZE")))
        message = HEAD + b"X: \xe9\n\n\xff\n"
        self.is_(self.call(self.conf(relay.route()), message=message), "rK")
        self.assertEqual(relay.only().mail.split()[1:], [
            "SIZE=%d" % len(crlf(message)), "BODY=8BITMIME"])

    def traced(self, stdin, conf):
        trace = self.path("trace")
        process = subprocess.Popen(
            ["strace", "-f", "-qq", "-o", trace, "-e",
             "trace=openat,open,memfd_create,mkdir,unlink,write",
             "-s", "8", self.link()] + ["example.net", ALICE, BOB],
            stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=clean_environment(SENDROUTE_CONF=conf))
        self.is_(self.end(process), "rK")
        with open(trace) as file:
            return file.read()

    def link(self):
        path = self.path("qmail-remote")
        if not os.path.lexists(path):
            os.symlink(self.program, path)
        return path

    @unittest.skipUnless(shutil.which("strace"), "there is no strace")
    def test_a_file_is_not_copied_and_a_pipe_is(self):
        for server in (self.start(Ses()), self.relay()[0]):
            conf = self.conf(server.route(), top="log none\n")
            file = self.write("message", letter(300000))
            with open(file, "rb") as stdin:
                trace = self.traced(stdin, conf)
            self.assertNotRegex(trace, r"O_CREAT|memfd_create|mkdir|unlink")
            with subprocess.Popen(["cat", file], stdout=subprocess.PIPE) as cat:
                trace = self.traced(cat.stdout, conf)
            self.assertRegex(trace, r"O_CREAT")

    def test_memory(self):
        relay, ses = self.start(Relay()), self.start(Ses())
        for conf in (self.conf(relay.route(), name="a"),
                     self.conf(ses.route(), name="b")):
            file = self.write("message", letter(4 << 20))
            with open(file, "rb") as stdin:
                process = self.begin(conf, stdin=stdin)
                peak = self.watch(process)
            self.is_(self.end(process), "rK")
            self.assertLessEqual(max(peak.values()), 1024, peak)

    def watch(self, process):
        """The most memory of either process."""
        peak = {}
        while process.poll() is None:
            for pid in [process.pid] + children(process.pid):
                peak[pid] = max(peak.get(pid, 0), harness.kilobytes(
                    pid, "status", "VmHWM"))
            time.sleep(0.002)
        return peak


def children(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def eventually(found, seconds=20):
    end = time.monotonic() + seconds
    while not found():
        if time.monotonic() > end:
            raise AssertionError("it does not come about")
        time.sleep(0.01)


class Ours(Remote):
    """What goes wrong on this machine is for qmail to try again."""

    def later(self, called, *words):
        self.is_(called, "Z", *words)
        self.assertEqual(called.verdict, "Z")
        self.assertNotIn(DUPLICATE, called.text)

    def test_configuration(self):
        self.later(self.call(self.path("nothing")), "nothing")
        for text, word in (("rubbish\n", ":2:"), ("", "no route"),
                           ("route r\ntype smtp\n", "no host"),
                           ("route r\ntype qmail\nsenders *\n", "no pass-to")):
            conf = self.write("c", "hostname client.test\n" + text)
            self.later(self.call(conf), word)
        relay = self.start(Relay(tls="off"))
        self.later(self.call(self.conf(relay.route(senders="@other.test"))),
                   "no route for sender alice@example.com")
        self.later(self.call(self.conf(relay.route(
            senders=self.path("no-list")))), "no-list")
        self.later(self.call(self.conf(relay.route(
            senders=self.write("list", "not a pattern\n")))), "list:1:")
        self.assertEqual(relay.sessions, [])

    @unittest.skipUnless(os.getuid() == 0, "needs root")
    def test_what_may_not_be_read(self):
        relay, ses = self.start(Relay(users={"u": "p"})), self.start(Ses())
        os.chmod(self.dir, 0o755)
        who = dict(user="nobody", group="nogroup", extra_groups=[],
                   program=for_others(SENDROUTE))
        conf = self.conf(relay.route(user="u", password_file=self.secret("p")))
        self.later(self.call(conf, **who), "password-file")
        key = ses.route(credentials=None, extra="access-key-id %s\nsecret-"
                        "access-key-file %s" % (ses.key, self.secret("k")))
        self.later(self.call(self.conf(key), **who), "secret-access-key-file")
        os.chmod(self.conf(relay.route()), 0o600)
        self.later(self.call(self.conf_path(), **who), "ermission")
        closed = self.write("list", "*\n", 0o600)
        conf = self.conf(relay.route(senders=closed))
        self.later(self.call(conf, **who), "list")

    def conf_path(self):
        return self.path("sendroute.conf")

    def test_no_credentials(self):
        ses = self.start(Ses())
        self.later(self.call(self.conf(ses.route(credentials="env"))),
                   "AWS_ACCESS_KEY_ID|credentials")

    def test_a_message_that_is_unusable(self):
        relay = self.start(Relay(tls="off"))
        conf = self.conf(relay.route(), top="max-size 10k\n")
        self.is_(self.call(conf, message=letter(20000)), "D", "max-size")
        conf = self.conf(relay.route())
        self.is_(self.call(conf, message=HEAD + b"X: y\n" * 60000), "D",
                 "256 KiB")
        self.assertEqual(relay.sessions, [])

    def test_a_message_that_cannot_be_read(self):
        relay = self.start(Relay(tls="off"))
        conf = self.conf(relay.route())
        for path, flags in ((self.dir, os.O_RDONLY), ("/proc/self/mem",
                            os.O_RDONLY), (self.write("m", MESSAGE),
                                           os.O_WRONLY)):
            fd = os.open(path, flags)
            self.later(self.call(conf, stdin=fd), "cannot|read")
            os.close(fd)
        process = self.begin(conf, stdin=subprocess.DEVNULL,
                             preexec_fn=lambda: os.close(0))
        self.later(self.end(process), "cannot store")
        self.assertEqual(relay.messages, [])

    def test_a_file_that_shrinks_or_changes(self):
        for how in ("shorter", "other line ends"):
            path = self.write("message", letter(200000))

            def spoil(_, __):
                with open(path, "r+b") as file:
                    if how == "shorter":
                        file.truncate(100000)
                    else:
                        file.write(b"\n" * 100)
            relay = self.start(Relay(tls="off", replies={"data": spoil}))
            with open(path, "rb") as stdin:
                called = self.call(self.conf(relay.route()), stdin=stdin)
            self.assertEqual(called.verdict, "Z", str(called))
            self.assertIn("cannot be read", called.text)
            self.assertEqual([m for m in relay.messages if m.whole], [])

    def test_a_file_that_grows_is_sent_as_it_was_or_not(self):
        path = self.write("message", letter(200000))

        def grow(_, __):
            with open(path, "ab") as file:
                file.write(b"more\n" * 100)
        relay = self.start(Relay(tls="off", replies={"data": grow}))
        with open(path, "rb") as stdin:
            self.is_(self.call(self.conf(relay.route()), stdin=stdin), "rK")
        self.same_bytes(relay.only().content, crlf(letter(200000)))

    def limited(self, conf, what, most, **more):
        return self.end(self.begin(conf, preexec_fn=lambda: resource.setrlimit(
            what, (most, most)), **more))

    def test_no_resources(self):
        relay = self.start(Relay())
        conf = self.conf(relay.route())
        for what, values in ((resource.RLIMIT_NOFILE, range(3, 12)),
                             (resource.RLIMIT_AS, range(1 << 19, 3 << 20,
                                                        1 << 16))):
            for most in values:
                relay.messages.clear()
                called = self.limited(conf, what, most)
                if called.exit < 0 or called.exit == 111 or not called.out:
                    self.assertEqual(called.verdict, "Z")   # not even started
                    continue
                self.assertEqual(called.exit, 0, str(called))
                self.keeps_contract(called, 1)
                self.assertEqual(called.verdict == "K",
                                 len(relay.accepted()) == 1, str(called))
                self.assertIn(called.verdict, "KZ", str(called))

    @unittest.skipUnless(os.getuid() == 0, "needs root")
    def test_no_process(self):
        relay = self.start(Relay(tls="off"))
        os.chmod(self.dir, 0o755)
        called = self.limited(
            self.conf(relay.route()), resource.RLIMIT_NPROC, 0, user=4242,
            group=4242, extra_groups=[], program=for_others(SENDROUTE))
        self.later(called, "process")

    def test_disk_full(self):
        relay = self.start(Relay(tls="off"))
        process = self.begin(self.conf(relay.route()), stdin=subprocess.PIPE,
                             preexec_fn=lambda: resource.setrlimit(
                                 resource.RLIMIT_FSIZE, (1000, 1000)))
        self.later(self.end(process, letter(100000)), "cannot store")
        self.assertEqual(relay.messages, [])

    def test_too_few_arguments(self):
        for args in ((), ("h",), ("h", "s")):
            done = subprocess.run([self.name, *args], executable=self.program,
                                  stdin=subprocess.DEVNULL, capture_output=True)
            called = Called(done.returncode, done.stdout, done.stderr, 0)
            self.assertEqual(called.exit, 0)
            self.is_(called, "D", "invoked improperly")
            self.keeps_contract(called, 1)

    def test_a_log_that_cannot_be_written_is_no_matter(self):
        relay = self.start(Relay(tls="off"))
        for log in ("/dev/full", "/nowhere/log", "syslog", "none"):
            self.is_(self.call(self.conf(relay.route(), top="log %s\n" % log)),
                     "rK")

    def test_the_log(self):
        relay = self.start(Relay(tls="off"))
        self.call(self.conf(relay.route()), "", rcpts=(BOB, CAROL))
        self.assertEqual([(p["from"], p["to"], p["status"]) for p in
                          self.log_pairs()], [("<>", "%s,%s" % (BOB, CAROL),
                                               "sent")])


class Guard(Remote):
    """Whatever becomes of the process that does the work."""

    def busy(self, top="", **more):
        """A call that waits for an answer of the relay; its worker."""
        relay = self.start(Relay(tls="off", replies={"dot": SILENT}, **more))
        process = self.begin(self.conf(relay.route(), top=top))
        eventually(lambda: any(m.whole for m in relay.messages))
        worker, = children(process.pid)
        return relay, process, worker

    def test_a_killed_worker(self):
        for number in (signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM,
                       signal.SIGABRT, signal.SIGPIPE + 100):
            relay, process, worker = self.busy()
            os.kill(worker, number if number < 100 else signal.SIGALRM)
            called = self.is_(self.end(process), "Z", DUPLICATE)
            self.assertEqual((called.exit, called.err), (0, b""))
            self.assertEqual(called.verdict, "Z")

    def test_a_worker_that_is_killed_before_anything_was_sent(self):
        read, write = os.pipe()
        relay = self.start(Relay(tls="off"))
        process = self.begin(self.conf(relay.route()), stdin=read)
        eventually(lambda: children(process.pid))
        time.sleep(0.1)
        os.kill(children(process.pid)[0], signal.SIGKILL)
        called = self.is_(self.end(process), "Z")
        self.assertNotIn(DUPLICATE, called.text)
        os.close(read)
        os.close(write)

    def test_the_worker_dies_with_its_parent(self):
        relay, process, worker = self.busy()
        process.kill()
        process.communicate()
        eventually(lambda: not os.path.exists("/proc/%d/exe" % worker) or
                   not alive(worker))
        self.assertEqual(rspawn(process.returncode, b"")[0], "Z")

    @unittest.skipUnless(os.getuid() == 0, "needs root")
    def test_so_does_that_of_a_set_group_id_copy(self):
        """The kernel forgets what was asked when privilege is dropped."""
        if os.statvfs(self.dir).f_flag & os.ST_NOSUID:
            self.skipTest("no set-id programs in the temporary folder")
        os.chmod(self.dir, 0o755)
        relay = self.start(Relay(tls="off", replies={"dot": SILENT}))
        program = shutil.copy(SENDROUTE, self.path("qmail-remote"))
        os.chown(program, 0, grp.getgrnam("mail").gr_gid)
        os.chmod(program, 0o2755)
        nobody = pwd.getpwnam("nobody")

        def become():
            """A set-group-id program reads /etc/sendroute.conf alone."""
            os.chroot(self.dir)
            os.setgroups([])
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)
        os.mkdir(self.path("etc"))
        self.write("etc/sendroute.conf", "hostname client.test\nlog none\n" +
                   relay.route(host="127.0.0.1"))
        with tempfile.TemporaryFile() as file:
            file.write(MESSAGE)
            file.seek(0)
            process = subprocess.Popen(
                ["/qmail-remote", "example.net", ALICE, BOB], stdin=file,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={},
                preexec_fn=become)
        eventually(lambda: any(m.whole for m in relay.messages))
        worker, = children(process.pid)
        with open("/proc/%d/status" % worker) as status:
            self.assertIn("Gid:\t%d\t%d\t%d\t" % ((nobody.pw_gid,) * 3),
                          status.read())
        process.kill()
        process.communicate()
        eventually(lambda: not alive(worker))

    def test_a_silent_relay(self):
        for step in ("greeting", "ehlo", "mail", "rcpt", "data", "dot"):
            with self.subTest(step=step):
                relay = self.start(Relay(tls="off", replies={step: SILENT}))
                began = time.monotonic()
                called = self.call(self.conf(relay.route(),
                                             top="timeout 1s\n"))
                self.assertLess(time.monotonic() - began, 8)
                self.assertEqual(called.verdict, "Z")
                self.assertEqual(DUPLICATE in called.text, step == "dot",
                                 str(called))

    def test_no_slot_hangs(self):
        """A relay that never ends its greeting: ten times `timeout`."""
        drip = tuple(itertools.chain.from_iterable(
            (b"220-still here\r\n", 0.4) for _ in range(200)))
        relays = [self.start(Relay(tls="off", replies={"greeting": drip}))
                  for _ in range(3)]
        conf = self.conf(relays[0].route("a", fallback="b"),
                         relays[1].route("b", senders=None, fallback="c"),
                         relays[2].route("c", senders=None),
                         top="timeout 1s\n")
        began = time.monotonic()
        called = self.call(conf)
        self.assertLess(time.monotonic() - began, 20)
        self.assertEqual(called.verdict, "Z", str(called))

    def test_a_stopped_worker_that_would_hang(self):
        """An alarm is blocked and ignored for us: it rings all the same."""
        relay = self.start(Relay(tls="off", replies={"mail": tuple(
            itertools.chain.from_iterable((b"250-x\r\n", 0.4)
                                          for _ in range(100)))}))

        def deaf():
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
        process = self.begin(self.conf(relay.route(), top="timeout 1s\n"),
                             preexec_fn=deaf)
        called = self.end(process, timeout=30)
        self.keeps_contract(called, 1)
        self.assertEqual(called.verdict, "Z")

    def test_closed_standard_output(self):
        """Nothing can be said, so nothing is sent: status 111."""
        relay = self.start(Relay(tls="off"))
        process = self.begin(self.conf(relay.route()),
                             stdout=subprocess.DEVNULL,
                             preexec_fn=lambda: os.close(1))
        called = self.end(process)
        self.assertEqual((called.exit, called.err), (111, b""))
        self.assertEqual(relay.sessions, [])

    def test_standard_output_that_cannot_be_written(self):
        relay = self.start(Relay(tls="off"))
        conf = self.conf(relay.route())
        with open("/dev/full", "w") as full:
            called = self.end(self.begin(conf, stdout=full))
        self.assertEqual((called.exit, called.err), (111, b""))
        read, write = os.pipe()
        os.close(read)
        called = self.end(self.begin(conf, stdout=write))
        os.close(write)
        self.assertEqual((called.exit, called.err), (111, b""))

    def test_closed_standard_error_and_one_pipe_for_both(self):
        relay = self.start(Relay(tls="off"))
        conf = self.conf(relay.route())
        for how in (lambda: os.close(2), lambda: os.dup2(1, 2)):
            self.is_(self.end(self.begin(conf, preexec_fn=how)), "rK")

    def test_two_hundred_calls_at_once(self):
        relay, ses = self.start(Relay(tls="off")), self.start(Ses(tls=False))
        conf = self.conf(ses.route(senders="@example.com"), relay.route())
        calls = []
        for i in range(200):
            sender = "u%d@%s" % (i, ("example.com", "lists.test")[i % 2])
            text = HEAD.replace(b"alice@example.com", sender.encode()) + \
                b"\nnumber %d\n" % i + b"x" * (i * 37) + b"\n"
            calls.append((sender, text, self.begin(conf, sender, message=text)))
        for sender, text, process in calls:
            called = self.end(process)
            self.keeps_contract(called, 1)
            self.is_(called, "rK")
        self.assertEqual(sorted([s.raw for s in ses.sent] +
                                [m.content for m in relay.accepted()]),
                         sorted(crlf(text) for _, text, _ in calls))
        self.assertEqual((len(ses.sent), len(relay.accepted())), (100, 100))


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


OTHER = """#!/bin/sh
for a in "$0" "$@"; do printf '%%s\\0' "$a"; done >%(dir)s/argv.$$
cat >%(dir)s/stdin.$$
mv %(dir)s/argv.$$ %(dir)s/call.$$
%(does)s
"""


class PassTo(Remote):
    """Another qmail-remote behind a route."""

    def other(self, does, name="other"):
        """A qmail-remote that notes how it was called."""
        folder = self.path(name + ".calls")
        os.makedirs(folder, exist_ok=True)
        self.folder = folder
        return self.write(name, OTHER % {"dir": folder, "does": does}, 0o755)

    def says(self, text, status=0):
        path = self.write("said", text)
        return self.other("cat %s; exit %d" % (path, status))

    def calls(self):
        found = []
        for name in sorted(os.listdir(self.folder)):
            if name.startswith("call."):
                with open(os.path.join(self.folder, name), "rb") as file:
                    argv = file.read().split(b"\0")[1:-1]
                with open(os.path.join(self.folder, name.replace(
                        "call", "stdin")), "rb") as file:
                    found.append(([a.decode() for a in argv], file.read()))
        return found

    def route(self, program, name="rest", senders="*", more=""):
        return "route %s\ntype qmail\npass-to %s\n%s%s\n" % (
            name, program, "senders %s\n" % senders if senders else "", more)

    def test_argv_message_and_report(self):
        said = b"r\0K10.0.0.1 accepted message.\nRemote host said: 250 x\n\0"
        conf = self.conf(self.route(self.says(said)))
        for message in (MESSAGE, b"", HEAD + b"\nno end", crlf(MESSAGE),
                        HEAD + b"\na\0b\rc\n", letter(300000)):
            for sender, rcpts in ((ALICE, (BOB,)), ("", (BOB, CAROL)),
                                  ("#@[]", (BOB,)),
                                  ("a b\"c\\@x.test", ("d e@x.test", BOB))):
                shutil.rmtree(self.folder)
                os.mkdir(self.folder)
                called = self.end(self.begin(conf, sender, rcpts, message,
                                             host="mx.test"))
                self.assertEqual((called.exit, called.out, called.err),
                                 (0, said, b""))
                (argv, stdin), = self.calls()
                self.assertEqual(argv, ["mx.test", sender, *rcpts])
                self.same_bytes(stdin, message)

    def test_a_message_from_a_pipe(self):
        conf = self.conf(self.route(self.says(b"r\0Kok\n\0")))
        self.end(self.begin(conf, stdin=subprocess.PIPE),
                 b"Bcc: x\n" + letter(90000))
        self.same_bytes(self.calls()[0][1], b"Bcc: x\n" + letter(90000))

    def test_its_report_is_passed_on_as_it_is(self):
        for said in (b"Kok\0", b"r\0Kok\n\0", b"hno\n\0DGiving up on x.\n\0",
                     b"slater\0DGiving up\0", b"Zno connection\n\0",
                     b"DNo such host (#5.1.2)\n\0", b"r\0Z451\n\0",
                     b"r\0Dbad\n\0", b"K\0", b"r\0Z\xff\xfe\n\0"):
            called = self.end(self.begin(self.conf(self.route(
                self.says(said)))))
            self.assertEqual((called.exit, called.out, called.err),
                             (0, said, b""))

    def test_it_is_clipped(self):
        said = b"r\0K" + b"x" * 50000 + b"\0"
        called = self.end(self.begin(self.conf(self.route(self.says(said)))))
        self.assertEqual(called.out, b"r\0K" + b"x" * (REPORT_MAX - 2) + b"\0")

    def test_what_comes_behind_it_is_dropped(self):
        called = self.end(self.begin(self.conf(self.route(self.says(
            b"r\0Kok\n\0more\0Dx\0")))))
        self.assertEqual(called.out, b"r\0Kok\n\0")

    def test_no_usable_report_is_temporary(self):
        for said, status in ((b"", 0), (b"", 1), (b"", 100), (b"r\0Kno end", 0),
                             (b"r\0", 0), (b"hello\n", 0), (b"\0\0\0", 0),
                             (b"r\0r\0Kok\0", 0), (b"x\0Kok\0", 0),
                             (b"r\0" * 100000, 0), (b"r\0", 111), (b"", 111)):
            called = self.call(self.conf(self.route(self.says(said, status))))
            self.is_(called, "Z", DUPLICATE)

    def test_its_exit_status_does_not_matter_behind_a_report(self):
        for status in (0, 1, 100, 111):
            called = self.end(self.begin(self.conf(self.route(
                self.says(b"r\0Kok\n\0", status)))))
            self.assertEqual((called.exit, called.out), (0, b"r\0Kok\n\0"))

    def test_it_cannot_be_run(self):
        for program in (self.path("missing"), self.write("x", "text", 0o644),
                        self.dir):
            called = self.is_(self.call(self.conf(self.route(program))), "Z",
                              "cannot run")
            self.assertNotIn(DUPLICATE, called.text)

    def test_it_crashes(self):
        called = self.call(self.conf(self.route(self.other("kill -9 $$"))))
        self.is_(called, "Z", DUPLICATE)

    def test_its_noise_does_no_harm(self):
        program = self.other("echo noise >&2; printf 'r\\0Kok\\n\\0'; "
                             "echo noise >&2")
        called = self.call(self.conf(self.route(program)))
        self.assertEqual(called.out, b"r\0Kok\n\0")

    def test_it_hangs(self):
        program = self.other("echo $$ >%s; sleep 100" % self.path("pid"))
        began = time.monotonic()
        called = self.call(self.conf(self.route(program), top="timeout 1s\n"))
        self.assertLess(time.monotonic() - began, 20)
        self.assertEqual(called.verdict, "Z")
        self.assertIn(DUPLICATE, called.text)
        with open(self.path("pid")) as file:
            self.assertFalse(alive(int(file.read())))

    def test_it_leads_back_to_us(self):
        link = self.path("qmail-remote")
        os.symlink(SENDROUTE, link)
        for program in (SENDROUTE, link):
            self.is_(self.call(self.conf(self.route(program))), "Z",
                     "leads back to this program")

    def test_it_leads_back_to_us_through_a_script(self):
        """And no process is left for each lap."""
        laps = self.path("laps")
        link = self.path("qmail-remote")
        os.symlink(SENDROUTE, link)
        conf = self.conf(self.route(self.path("other")))
        self.other("echo lap >>%s; SENDROUTE_CONF=%s exec %s \"$@\"" % (
            laps, conf, link))
        self.is_(self.call(conf), "Z", "leads back to this program")
        with open(laps) as file:
            self.assertEqual(file.read().count("lap"), 1)

    def test_as_a_fallback(self):
        program = self.says(b"r\0Kok\n\0")
        conf = self.conf("route a\ntype smtp\nhost 127.0.0.1\nport %d\ntls off\n"
                         "senders *\nfallback rest\n" % closed_port(),
                         self.route(program, senders=None))
        called = self.call(conf, rcpts=(BOB,))
        self.assertEqual(called.out, b"r\0Kok\n\0")
        self.assertEqual(self.calls(), [(["example.net", ALICE, BOB],
                                         MESSAGE)])

    def test_as_a_fallback_for_some(self):
        """A report could not be put together: for qmail to try again."""
        relay = self.start(Relay(tls="off", replies={
            "rcpt <%s>" % CAROL: "550 5.1.1 no", "dot": "451 4.3.0 later"}))
        program = self.says(b"r\0r\0Kok\n\0")
        conf = self.conf(relay.route(fallback="rest"),
                         self.route(program, senders=None))
        called = self.call(conf, rcpts=(BOB, CAROL, DAVE))
        self.is_(called, "shsZ", "whole calls")
        self.assertEqual(self.calls(), [])
        # For two, both of whom are left, it can.
        called = self.end(self.begin(conf, rcpts=(BOB, DAVE)))
        self.assertEqual(called.out, b"r\0r\0Kok\n\0")

    def test_its_word_is_the_last(self):
        relay = self.start(Relay(tls="off"))
        for said in (b"Zno connection\n\0", b"", b"Dno such host\n\0"):
            conf = self.conf(self.route(self.says(said), more="fallback relay"),
                             relay.route(senders=None))
            self.is_(self.call(conf), chr(said[0]) if said else "Z")
        self.assertEqual(relay.sessions, [])

    def test_a_fallback_for_a_program_that_cannot_be_run(self):
        relay = self.start(Relay(tls="off"))
        conf = self.conf(self.route(self.path("none"), more="fallback relay"),
                         relay.route(senders=None))
        self.is_(self.call(conf), "rK")
        self.same_bytes(relay.only().content, crlf(MESSAGE))

    def test_the_log_says_so(self):
        self.call(self.conf(self.route(self.says(b"r\0Kok\n\0"))))
        found = [harness.pairs(line) for line in self.log_lines()]
        self.assertEqual([(p["route"], p["relay"], p["reason"]) for p in found],
                         [("rest", self.path("other"), "handed over")])

    def test_signals_are_as_the_program_expects_them(self):
        program = self.other("kill -PIPE $$; printf 'r\\0Kno\\n\\0'")
        self.is_(self.call(self.conf(self.route(program))), "Z", "status 13")

    def test_the_arrangement_of_readme(self):
        """Listed senders to SES, the rest to the old program."""
        with open(os.path.join(ROOT, "README")) as file:
            text = re.search(r"\n(    route ses\n(?:    .*\n|\n)*?"
                             r"    route rest\n(?:    .*\n)+)", file.read())
        ses = self.start(Ses())
        text = text.group(1).replace(
            "/etc/sendroute/senders", self.write("list", "@example.com\n"))
        text = text.replace("/var/qmail/bin/qmail-remote.qmail",
                            self.says(b"r\0Kok\n\0"))
        text = re.sub(r"type\s+ses\n", lambda m: m.group(0) + ses.route().
                      partition("type ses\n")[2].replace("senders *", "").
                      replace("region " + ses.region, ""), text)
        conf = self.write("c", text)
        self.is_(self.call(conf), "rK", "MessageId")
        self.assertEqual(self.calls(), [])
        post = MESSAGE.replace(ALICE.encode(), b"eve@x.test")
        for sender in ("eve@x.test", "", "list-return-1-bob=b.test@l.test"):
            self.call(conf, sender, message=post)
            self.assertEqual(self.calls()[-1][1], post)
        self.call(conf, "list-return-2@example.com", message=post)
        self.assertEqual((len(ses.sent), len(self.calls())), (1, 4))

    def test_mail_that_does_not_come_from_qmail(self):
        relay = self.start(Relay(tls="off"))
        program = self.says(b"r\0Kok\n\0")
        done = harness.run([BOB], MESSAGE, conf=self.conf(self.route(program)))
        self.one_line(done, 75, "type qmail")
        self.quiet(harness.run([BOB], MESSAGE, conf=self.conf(
            self.route(program, more="fallback relay"),
            relay.route(senders=None))))
        self.assertEqual(self.calls(), [])
        self.assertEqual(len(relay.accepted()), 1)


if __name__ == "__main__":
    harness.main()
