"""Delivery to Exim over STARTTLS and implicit TLS, with AUTH."""
import os
import shutil
import unittest

import harness
import mailserver
import unpack
from certs import certificates
from exim import Exim
from harness import MESSAGE, Case, crlf, drive, letter, run
from mailserver import DOMAIN, MANY, SENDER


class ToExim(mailserver.Deliveries):

    SERVER = Exim
    CERT = "rsa3072"

    def test_a_server_that_ends_after_three_messages(self):
        server = self.begin(mailboxes=MANY, messages=3)
        self.addCleanup(server.close)
        messages = [(SENDER, [name + "@" + DOMAIN],
                     crlf(letter(1000 + number)))
                    for number, name in enumerate(MANY[:40])]
        result = drive(self, self.conf(self.route(server=server)), messages)
        self.assertEqual(set(result.values()), {("sent", 250, False)})
        for name, (_, _, content) in zip(MANY, messages):
            self.same_bytes(server.take(name)[1], content, name)
        self.assertEqual(server.arrived(), set())


class EximOfAll(Exim):
    """By every mechanism that it has, and without PLAIN and LOGIN."""

    def more(self):
        return "tls_verify_certificates = %s\ntls_try_verify_hosts = *" % \
            self.path("conf/ca.pem")

    def lay_out(self):
        super().lay_out()
        shutil.copy(certificates.authority("ca"), self.path("conf/ca.pem"))
        with open(self.path("conf/exim.conf")) as file:
            text = file.read()
        self.write("conf/exim.conf", text[:text.index("begin authenticators")]
                   + r"""
begin authenticators

cram:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = ${if eq{$auth1}{%s}{%s}fail}
  server_set_id = $auth1

certificate:
  driver = external
  public_name = EXTERNAL
  server_advertise_condition = $tls_in_certificate_verified
  server_param2 = ${certextract{subject,CN}{$tls_in_peercert}}
  server_condition = ${if eq{$auth2}{localhost}}
  server_set_id = $auth2
""" % (self.user, self.password))


class Mechanisms(Case):
    @classmethod
    def setUpClass(cls):
        try:
            cls.server = EximOfAll()
        except unpack.Unavailable as reason:
            if os.environ.get("CI"):
                raise
            raise unittest.SkipTest(str(reason))

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def send(self, extra):
        return run(["-v", "-i", "-f", SENDER, "alice@" + DOMAIN], MESSAGE,
                   conf=self.conf("route r\n\ttype smtp\n\thost localhost\n"
                                  "\tport %d\n\tca-file %s\n\tsenders *\n%s" % (
                                      self.server.starttls, certificates.ca,
                                      extra)))

    def with_password(self, auth, password):
        return self.send("\tauth %s\n\tuser %s\n\tpassword-file %s\n" % (
            auth, self.server.user, self.secret(password)))

    def with_certificate(self, kind):
        return self.send("\tclient-cert %s\n\tclient-key %s\n"
                         % certificates.server(kind))

    def came(self, done, mechanism, account):
        self.expect(done, 0)
        self.assertEqual(done.err.count("> AUTH"), 1)
        self.assertIn("> AUTH %s" % mechanism, done.err)
        self.assertNotIn(self.server.password, done.err)
        self.same_bytes(self.server.take("alice")[1], crlf(MESSAGE))
        taken = [line for line in self.server.log().splitlines()
                 if " <= " in line]
        self.assertRegex(taken[-1], " A=[a-z]+:%s " % account)

    def refused(self, done, *words):
        self.assertIn(done.exit, (69, 75), str(done))
        for word in words:
            self.assertRegex(done.err, word)
        self.assertEqual(self.server.arrived(), set())

    def test_cram_md5(self):
        for auth in ("cram-md5", "auto"):
            self.came(self.with_password(auth, self.server.password),
                      "CRAM-MD5", self.server.user)
        self.refused(self.with_password("cram-md5", "wrong"),
                     "AUTH CRAM-MD5 refused .*: 535 ")

    def test_external(self):
        for kind in ("good", "chained"):
            self.came(self.with_certificate(kind), "EXTERNAL =", "localhost")
        self.refused(self.with_certificate("other-name"),
                     r"AUTH EXTERNAL refused \(check `client-cert`\): 535 ")
        # One that it does not trust is no reason to offer EXTERNAL.
        self.refused(self.with_certificate("stranger"),
                     "authentication required")


if __name__ == "__main__":
    harness.main()
