"""Dovecot as a peer: LMTP into its mailboxes, and AUTH by every mechanism that
both of us know."""
import os
import unittest

import harness
import unpack
from certs import certificates
from dovecot import TOKEN, Dovecot
from harness import Case, MESSAGE, crlf, letter, run
from mailserver import DOMAIN, SENDER, split_trace, wait_until
from relay import Relay


class WithDovecot(Case):
    server, how = None, {}

    @classmethod
    def setUpClass(cls):
        # What it takes goes on to here.
        cls.onward = Relay(tls="off", users=None)
        try:
            cls.server = Dovecot(relay=cls.onward.port, **cls.how)
        except unpack.Unavailable as reason:
            if os.environ.get("CI"):
                raise
            raise unittest.SkipTest(str(reason))

    @classmethod
    def tearDownClass(cls):
        cls.onward.close()
        if cls.server:
            cls.server.close()


class Lmtp(WithDovecot):
    def route(self, host, extra):
        return self.conf("route box\n\ttype lmtp\n\thost %s\n\tsenders *\n%s"
                         % (host, extra))

    def over_unix(self):
        return self.route("unix:" + self.server.path("lmtp.sock"),
                          "\ttls off\n")

    def over_tcp(self):
        return self.route("localhost", "\tport %d\n\tca-file %s\n" % (
            self.server.lmtp, certificates.ca))

    def box(self, name):
        """All messages of a mailbox, without what Dovecot put on top."""
        new = self.server.path("mail/%s/new" % name)
        found = []
        for file in sorted(os.listdir(new)) if os.path.isdir(new) else []:
            with open(os.path.join(new, file), "rb") as message:
                _, content = split_trace(message.read())
            found.append(content.replace(b"\n", b"\r\n"))
        return found

    def test_by_a_socket_and_by_starttls(self):
        for number, (name, conf) in enumerate((("unix", self.over_unix()),
                                               ("tcp", self.over_tcp()))):
            for size in (300, 200000):
                box = "box%d-%d" % (number, size)
                message = letter(size)
                with self.subTest(name=name, size=size):
                    self.quiet(run(["-i", "-f", SENDER, "%s@%s" % (
                        box, DOMAIN)], message, conf=conf))
                    self.assertEqual(self.box(box), [crlf(message)])

    def test_each_recipient_has_a_copy(self):
        names = ["many%02d" % i for i in range(40)]
        self.quiet(run(["-i", "-f", SENDER, *("%s@%s" % (n, DOMAIN)
                                              for n in names)],
                       MESSAGE, conf=self.over_unix()))
        for name in names:
            self.assertEqual(self.box(name), [crlf(MESSAGE)])

    def test_one_is_told_apart_from_the_others(self):
        """A mailbox that cannot be written to defers its owner alone."""
        where = self.server.path("mail/broken")
        with open(where, "w"):
            pass
        done = run(["-i", "-f", SENDER, "fine@" + DOMAIN, "broken@" + DOMAIN,
                    "fine2@" + DOMAIN], MESSAGE, conf=self.over_unix())
        self.assertEqual(done.exit, 75, str(done))
        self.assertRegex(done.err, "broken@%s: deferred: .* 451 4" % DOMAIN)
        self.assertNotIn("fine", done.err)
        self.assertEqual(self.box("fine"), [crlf(MESSAGE)])
        self.assertEqual(self.box("fine2"), [crlf(MESSAGE)])


class Auth(WithDovecot):
    def send(self, auth, password=None, extra="", user=None):
        server = self.server
        lines = ("route r\n\ttype smtp\n\thost localhost\n\tport %d\n"
                 "\tca-file %s\n\tsenders *\n\tuser %s\n\tauth %s\n%s" % (
                     server.starttls, certificates.ca, user or server.user,
                     auth, extra))
        if "password-command" not in extra:
            lines += "\tpassword-file %s\n" % self.secret(
                password or server.password)
        return run(["-v", "-i", "-f", SENDER, "x@" + DOMAIN], MESSAGE,
                   conf=self.conf(lines))

    def works(self, auth, mechanism, **how):
        before = len(self.onward.accepted())
        done = self.send(auth, **how)
        self.assertEqual(done.exit, 0, str(done) + self.server.log()[-2000:])
        self.assertIn("> AUTH %s" % mechanism, done.err)
        self.assertNotIn(self.server.password, done.err)
        self.assertNotIn(TOKEN, done.err)
        self.assertEqual(len(self.onward.accepted()), before + 1)

    def fails(self, auth, mechanism, **how):
        done = self.send(auth, **how)
        self.assertEqual(done.exit, 75, str(done))
        self.assertRegex(done.err, "AUTH %s refused.*: 535 " % mechanism)
        self.assertEqual(done.err.count("> AUTH"), 1)

    PASSWORDS = {"plain": "PLAIN", "login": "LOGIN", "cram-md5": "CRAM-MD5",
                 "scram-sha-256": "SCRAM-SHA-256", "auto": "SCRAM-SHA-256"}
    TOKENS = {"oauthbearer": "OAUTHBEARER", "xoauth2": "XOAUTH2"}

    def test_every_mechanism_with_a_password(self):
        for auth, mechanism in self.PASSWORDS.items():
            with self.subTest(auth=auth):
                self.works(auth, mechanism)

    def test_every_mechanism_with_a_token(self):
        for auth, mechanism in self.TOKENS.items():
            with self.subTest(auth=auth):
                self.works(auth, mechanism, password=TOKEN)
                self.works(auth, mechanism,
                           extra="\tpassword-command \"echo %s\"\n" % TOKEN)

    def test_a_wrong_password_is_refused(self):
        for auth, mechanism in self.PASSWORDS.items():
            with self.subTest(auth=auth):
                self.fails(auth, mechanism, password="wrong")

    def test_a_wrong_token_is_refused(self):
        for auth, mechanism in self.TOKENS.items():
            with self.subTest(auth=auth):
                self.fails(auth, mechanism, password="wrong")

    def test_an_unknown_user_is_refused(self):
        for auth in ("plain", "cram-md5", "scram-sha-256"):
            with self.subTest(auth=auth):
                self.fails(auth, self.PASSWORDS[auth], user="nobody")


class External(WithDovecot):
    """By a certificate, whose common name is the account."""

    how = {"mechanisms": "external"}

    def send(self, kind):
        return run(["-v", "-i", "-f", SENDER, "x@" + DOMAIN], MESSAGE,
                   conf=self.conf(
                       "route r\n\ttype smtp\n\thost localhost\n\tport %d\n"
                       "\tca-file %s\n\tsenders *\n\tclient-cert %s\n"
                       "\tclient-key %s\n" % (
                           self.server.starttls, certificates.ca,
                           *certificates.server(kind))))

    def test_it_is_known(self):
        for kind in ("good", "chained"):
            before = len(self.onward.accepted())
            done = self.expect(self.send(kind), 0)
            self.assertIn("> AUTH EXTERNAL =\n< 235 ", done.err)
            self.assertEqual(len(self.onward.accepted()), before + 1)

    def test_it_is_not(self):
        before = len(self.onward.accepted())
        for kind in ("stranger", "other-name"):
            done = self.expect(self.send(kind), 75)
            self.assertRegex(done.err, r"AUTH EXTERNAL refused \(check "
                             r"`client-cert`\): 535 ")
        self.assertEqual(len(self.onward.accepted()), before)


if __name__ == "__main__":
    harness.main()
