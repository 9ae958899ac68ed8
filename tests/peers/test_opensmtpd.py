"""Delivery to OpenSMTPD, which hands on what it took."""
import os
import unittest
import warnings

import harness
import unpack
from certs import certificates
from harness import EIGHT_BIT, HEAD, MESSAGE, Case, crlf, drive, letter, run
from mailserver import DOMAIN, SENDER, split_trace, wait_until
from relay import Relay

with warnings.catch_warnings():
    warnings.simplefilter("ignore")         # of crypt, while there is one
    from opensmtpd import OpenSMTPD


class WithOpenSMTPD(Case):
    how = {}

    @classmethod
    def setUpClass(cls):
        cls.onward = Relay(tls="off")
        cls.addClassCleanup(cls.onward.close)
        try:
            cls.server = OpenSMTPD(cls.onward.port, cert="rsa", **cls.how)
        except unpack.Unavailable as reason:
            if os.environ.get("CI"):
                raise
            raise unittest.SkipTest(str(reason))
        cls.addClassCleanup(cls.server.close)

    def setUp(self):
        super().setUp()
        self.onward.messages.clear()

    def route(self, port, extra):
        return self.conf("route r\n\ttype smtp\n\thost localhost\n\tport %d\n"
                         "\tsenders *\n%s" % (port, extra),
                         top="max-size 60m\n")

    def plain(self):
        return self.route(self.server.plain, "\ttls off\n")

    def send(self, message, conf, to=("alice",), verbose=False):
        return run([*["-v"][:verbose], "-i", "-f", SENDER, "--",
                    *(name + "@" + DOMAIN for name in to)], message,
                   conf=conf, timeout=120)

    def came(self, message, to=("alice",)):
        """That message has been handed on, for each of them."""
        wait_until(lambda: sum(len(m.rcpts) for m in self.onward.accepted())
                   >= len(to), 30)
        got = self.onward.accepted()
        self.assertEqual(sorted(a for m in got for a in m.rcpt_to),
                         sorted(name + "@" + DOMAIN for name in to))
        for message_of in got:
            self.assertEqual(message_of.mail_from, SENDER)
            content = message_of.content.replace(b"\r\n", b"\n")
            self.same_bytes(split_trace(content)[1].replace(b"\n", b"\r\n"),
                            crlf(message))
        self.onward.messages.clear()


class Plain(WithOpenSMTPD):
    def test_small_and_large(self):
        for message in (MESSAGE, letter(1 << 20), letter(30 << 20)):
            with self.subTest(size=len(message)):
                self.quiet(self.send(message, self.plain()))
                self.came(message)

    def test_dots_and_eight_bits_and_long_lines(self):
        lines = [b".", b"..", b"...", b"", b".", b"\xc3\xa4\xff\x80",
                 b"From here", b"x" * 998, b"." + b"y" * 997, b"\t ", b"end."]
        message = EIGHT_BIT + HEAD + b"\n" + b"\n".join(lines) + b"\n.\n\n\n"
        self.quiet(self.send(message, self.plain()))
        self.came(message)

    def test_without_auth_nothing_is_taken(self):
        done = self.send(MESSAGE, self.route(
            self.server.starttls, "\ttls off\n"))
        self.assertIn(done.exit, (69, 75), str(done))
        self.assertRegex(done.err, "530 5.7.0|STARTTLS")
        self.assertEqual(self.onward.messages, [])


class Tls(WithOpenSMTPD):
    def setUp(self):
        super().setUp()
        reason = self.server.no_tls()
        if reason:
            self.skipTest(reason)

    def test_every_mechanism(self):
        server = self.server
        for tls, port in (("starttls", server.starttls),
                          ("implicit", server.implicit)):
            for auth in ("plain", "login", "auto"):
                for password, status in ((server.password, 0), ("wrong", 75)):
                    with self.subTest(tls=tls, auth=auth, status=status):
                        self.expect(self.send(MESSAGE, self.route(
                            port, "\ttls %s\n\tca-file %s\n\tauth %s\n"
                            "\tuser %s\n\tpassword-file %s\n" % (
                                tls, certificates.ca, auth, server.user,
                                self.secret(password)))), status)
                        if status == 0:
                            self.came(MESSAGE)
        self.assertEqual(self.onward.messages, [])


class Limits(WithOpenSMTPD):
    """It says 451 4.5.3 of recipients, and 452 4.5.3 of messages, that are too
    many for it, and does not hang up."""

    how = {"recipients": 50, "messages": 4}

    def test_200_recipients(self):
        names = ["user%03d" % number for number in range(200)]
        done = self.expect(self.send(MESSAGE, self.plain(), names, True), 0)
        self.assertEqual(done.err.count("< 451 4.5.3 Too many recipients"), 300)
        self.assertEqual(done.err.count("* connected"), 1)
        self.came(MESSAGE, names)

    def test_30_messages(self):
        messages = [(SENDER, ["user%d@%s" % (number, DOMAIN)], crlf(MESSAGE))
                    for number in range(30)]
        result = drive(self, self.plain(), messages)
        self.assertEqual(set(result.values()), {("sent", 250, False)})
        self.came(MESSAGE, ["user%d" % number for number in range(30)])


if __name__ == "__main__":
    harness.main()
