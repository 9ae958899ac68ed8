"""DKIM and the DNS: --verify-dkim and --check in a network with a name server of
our own."""
import unittest

import dkim
import harness
import nameserver
from harness import MESSAGE, crlf, run
from nameserver import BROKEN, SILENT, NameServer
from relay import Relay
from signing import Dkim, openssl_key, record_of

NAME = "sel.a._domainkey.example.com"


def setUpModule():
    global names
    reason = nameserver.enter()
    if reason:
        raise unittest.SkipTest(reason)
    names = NameServer()


class WithNames(Dkim):
    def setUp(self):
        super().setUp()
        names.clear()
        self.record = record_of(self.pem)

    def says(self, *texts):
        names.texts[NAME] = list(texts)


class Verify(WithNames):
    def setUp(self):
        super().setUp()
        message = crlf(MESSAGE)
        self.signed = dkim.sign(message, b"sel.a", b"example.com", self.pem) \
            + message

    def check(self, status, *words):
        done = self.expect(run(("--verify-dkim",), self.signed), status)
        for word in words:
            self.assertIn(word, done.out)

    def test_the_key_is_found(self):
        self.says(self.record)
        self.check(0, "pass: d=example.com s=sel.a\n")
        self.assertEqual(names.asked, [("udp", NAME)])

    def test_the_first_of_several_records_counts(self):
        self.says(self.record, b"v=DKIM1; p=")
        self.check(0, "pass: ")
        self.says(b"v=DKIM1; p=", self.record)
        self.check(69, "key revoked")

    def test_another_name_for_it(self):
        names.aliases[NAME] = "sel.keys.example.net"
        names.texts["sel.keys.example.net"] = [self.record]
        self.check(0, "pass: ")
        names.texts.clear()
        self.check(69, "key missing")

    def test_an_answer_that_is_cut_is_asked_for_by_tcp(self):
        self.says(self.record, b"x" * 2000)
        names.small = 512
        self.check(0, "pass: ")
        self.assertEqual(names.asked, [("udp", NAME), ("tcp", NAME)])

    def test_4096_bits(self):
        self.pem = openssl_key(4096)
        Verify.setUp(self)
        self.says(record_of(openssl_key(4096)))
        self.check(69, "another key")

    def test_none(self):
        self.check(69, "key missing")
        self.says()
        self.check(69, "key missing")

    def test_no_answer(self):
        for trouble in (BROKEN, SILENT):
            names.texts[NAME] = trouble
            self.check(75, "defer: d=example.com s=sel.a: the DNS does not "
                       "answer for its key")


class Check(WithNames):
    def check(self, status, line, pem=None):
        relay = self.start(Relay(tls="off"))
        done = self.expect(run(("--check",), conf=self.conf(
            relay.route() + self.signing(pem))), status)
        self.assertEqual(relay.messages, [])
        self.assertEqual([l for l in done.out.splitlines() if ": dkim: " in l],
                         ["route relay: dkim: " + line] if line else [],
                         str(done))
        return done

    def test_it_is_there(self):
        self.says(self.record)
        done = self.check(0, "ok " + NAME)
        self.assertIn("route relay: dkim-key: ok " + self.path("key.pem"),
                      done.out)
        self.pem = openssl_key(4096)
        self.says(record_of(self.pem))
        self.check(0, "ok " + NAME)

    def test_it_is_not(self):
        none = "failed %s: key missing: there is no such record" % NAME
        self.check(75, none)
        self.says()
        self.check(75, none)

    def test_it_is_another(self):
        for record, why in (
                (record_of(openssl_key(3072)), "another key is there"),
                (record_of(openssl_key(2048, "pkcs8")), "another key is there"),
                (b"v=DKIM1; p=", "key revoked: p= is empty"),
                (self.record.replace(b"k=rsa", b"k=ed25519"),
                 "its key is not for RSA (k=)"),
                (self.record[:-30], "its key in the record is no RSA key"),
                (b"v=spf1 -all", "the record of its key is malformed")):
            with self.subTest(why=why):
                self.says(record)
                self.check(75, "failed %s: %s" % (NAME, why))

    def test_it_is_for_a_test(self):
        self.says(self.record + b"; t=s:y")
        self.check(0, "warning %s: t=y, a test: receivers need not care" % NAME)

    def test_nobody_knows(self):
        for trouble in (BROKEN, SILENT):
            names.texts[NAME] = trouble
            self.check(0, "warning %s: the DNS does not answer for its key"
                       % NAME)

    def test_a_key_of_our_own_that_is_none(self):
        done = self.check(78, None, pem=openssl_key(1024))
        self.assertRegex(done.out, "route relay: dkim-key: failed .*2048 to "
                         "4096")


if __name__ == "__main__":
    harness.main()
