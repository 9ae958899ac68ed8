"""30 MB signed with DKIM by every kind of route, and checked, within 1 MiB."""
import os
import unittest

import dkim
import harness
import unpack
from certs import certificates
from dovecot import Dovecot
from harness import HEAD, Unmeasurable, crlf, letter, run, run_measured
from relay import Relay
from signing import ARGS, SEVEN, UTF8, Dkim, WithOpenDkim, record_of

SIZE = 30 * 1000 * 1000
EIGHT = HEAD + "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n" \
    "Content-Transfer-Encoding: 8bit\n\n".encode()


class Big(Dkim):
    def measured(self, args, message, conf):
        path = self.write("message", message)
        try:
            done = run_measured(args, path, conf)
            self.assertLessEqual(done.peak, 1024, "KiB; " + str(done))
        except Unmeasurable:
            done = run(args, message, conf=conf, timeout=300)
        return self.expect(done, 0)

    def sent(self, message, route):
        self.measured(ARGS, message, self.conf(route + self.signing(),
                                               top="max-size 60m\n"))

    def good(self, content, message=None):
        self.verify(content)
        if message is not None:
            self.assertTrue(content.endswith(crlf(message)))

    def test_smtp(self):
        message = letter(SIZE)
        for how in ({"tls": "starttls"}, {"tls": "implicit"}, {"tls": "off"}):
            relay = self.start(Relay(extensions=UTF8, **how))
            self.sent(message, relay.route())
            self.good(relay.only().content, message)

    def test_smtp_re_encoded(self):
        line = "gr\u00fc\u00dfe \u20ac. aus der Ferne  \n".encode()
        message = EIGHT + line * (SIZE // len(line))
        relay = self.start(Relay(tls="off", extensions=SEVEN))
        self.sent(message, relay.route())
        content = relay.only().content
        self.assertTrue(content.isascii())
        self.good(content)

    def test_lmtp(self):
        try:
            server = Dovecot()
        except unpack.Unavailable as reason:
            raise unittest.SkipTest(str(reason))
        self.addCleanup(server.close)
        message = letter(SIZE)
        self.sent(message, "route l\ntype lmtp\nhost localhost\nport %d\n"
                  "ca-file %s\nsenders *\n" % (server.lmtp, certificates.ca))
        new = server.path("mail/bob/new")
        with open(os.path.join(new, *os.listdir(new)), "rb") as file:
            text = file.read()
        self.good(crlf(text[text.index(b"DKIM-Signature"):]), message)

    def test_ses_and_maildir(self):
        for name, route, take in list(self.routes())[3:]:
            message = letter(SIZE * 9 // 10 if name == "ses" else SIZE)
            with self.subTest(name=name):
                self.sent(message, route)
                self.good(take(), message)

    def test_verify(self):
        keys = self.write("keys", b"sel.a._domainkey.example.com " +
                          record_of(self.pem) + b"\n")
        args = ("--verify-dkim", "--dkim-keys", keys)
        message = crlf(letter(SIZE))
        for form in (b"simple", b"relaxed"):
            signed = dkim.sign(message, b"sel.a", b"example.com", self.pem,
                               canonicalize=(b"relaxed", form)) + message
            done = self.measured(args, signed, self.path("none"))
            self.assertEqual(done.out, "pass: d=example.com s=sel.a\n")


class SecondOpinion(WithOpenDkim):
    def test_30_megabytes(self):
        message = letter(SIZE)
        relay = self.start(Relay(tls="off", extensions=UTF8))
        self.expect(run(ARGS, message, conf=self.conf(
            relay.route() + self.signing(), top="max-size 60m\n")), 0)
        content = relay.only().content
        self.assertEqual(self.failures([content, content + b"more\r\n"]), [1])


if __name__ == "__main__":
    harness.main()
