"""--check and --list-verified: everything is asked, nothing is sent."""
import os
import re
import stat

import harness
from certs import certificates
from harness import Case, closed_port, run
from relay import Relay
from ses import Answer, Ses, identity

MANY = [identity("example.com"), identity("Bob@Other.Test"),
        identity("waiting.test", False, "PENDING"),
        identity("paused.test", False), identity("failed.test", True, "FAILED"),
        identity("news+daily@third.test"), identity("Alpha.test"),
        identity("*@odd.test"), identity("x@odd.test\n@evil.test")]
# In the order of the bytes.
LIST = ("Bob@other.test\nBob+*@other.test\n@alpha.test\n@.alpha.test\n"
        "@example.com\n@.example.com\nnews+daily@third.test\n")


class CheckCase(Case):
    def tearDown(self):
        for server in self.servers:
            self.assertEqual(getattr(server, "messages", []), [])
            self.assertEqual(getattr(server, "sent", []), [])

    def setUp(self):
        super().setUp()
        self.servers = []

    def serve(self, server):
        self.servers.append(self.start(server))
        return server

    def check(self, status, *routes, top=""):
        done = run(["--check"], conf=self.conf(*routes, top=top))
        self.expect(done, status)
        self.assertEqual(done.err, "", str(done))
        for line in done.out.splitlines():
            self.assertRegex(line, r"^[^:]+: [^:]+: (ok|warning|failed)( |$)")
        return done.out


class Smtp(CheckCase):
    def test_all_is_well(self):
        relay = self.serve(Relay(users={"u": "p"}))
        out = self.check(0, relay.route(extra="user u\npassword-file "
                                        + self.secret("p")))
        self.assertRegex(out, r"(?m)^route relay: connect: ok localhost\[")
        self.assertRegex(out, r"(?m)^route relay: addresses: ok .*127\.0\.0\.1")
        self.assertRegex(out, r"(?m)^route relay: tls: ok TLS 1.2 ECDHE-ECDSA-")
        self.assertRegex(out, r"(?m)^route relay: certificate: ok for "
                         r"localhost, by \"Test Root EC\", ends in (29|30) "
                         r"days, tls-pin %s$" % certificates.pin("good"))
        self.assertRegex(out, r"(?m)^route relay: extensions: ok PIPELINING "
                         r"8BITMIME SIZE=104857600 AUTH PLAIN LOGIN$")
        self.assertRegex(out, r"(?m)^route relay: auth: ok u$")
        self.assertRegex(out, r"(?m)^route relay: password-file: ok /")
        self.assertRegex(out, r"(?m)^route relay: senders: ok$")
        session = relay.sessions[0]
        self.assertEqual(len(relay.sessions), 1)
        self.assertEqual(session.user, "u")
        self.assertFalse([c for c in session.commands
                          if c.upper().startswith("MAIL")])

    def test_lmtp_over_a_unix_socket(self):
        path = self.path("s")
        relay = self.serve(Relay(tls="off", unix=path, name="lmtp.test"))
        out = self.check(75, "route l\ntype lmtp\nhost unix:%s\ntls off\n"
                         "senders *\n" % path)
        self.assertIn("route l: connect: ok unix:" + path, out)
        self.assertRegex(out, "route l: session: failed .*LHLO")
        self.assertEqual([c[:4] for c in relay.sessions[0].commands
                          if c[:4] != "QUIT"], ["LHLO"])

    def test_auth_refused(self):
        relay = self.serve(Relay(users={"u": "p"}))
        out = self.check(75, relay.route(extra="user u\npassword-file "
                                         + self.secret("wrong")))
        self.assertRegex(out, r"(?m)^route relay: auth: failed .*535")
        self.assertRegex(out, r"(?m)^route relay: extensions: ok ")

    def test_unreachable_and_the_next_route_is_tried(self):
        relay = self.serve(Relay(tls="off"))
        out = self.check(75, "route dead\ntype smtp\nhost localhost\nport %d\n"
                         "senders *\n" % closed_port(),
                         relay.route())
        self.assertRegex(out, r"(?m)^route dead: connect: failed .*refused")
        self.assertRegex(out, r"(?m)^route relay: connect: ok ")
        self.assertNotRegex(out, r"route relay: (tls|certificate|auth)")

    def test_certificates_that_are_not_accepted_show_their_pin(self):
        for kind in ("expired", "other-name", "self-signed"):
            with self.subTest(kind=kind):
                relay = self.serve(Relay(cert=kind))
                out = self.check(75, relay.route())
                self.assertRegex(out, r"(?m)^route relay: certificate: warning "
                                 r".* tls-pin %s$" % certificates.pin(kind))
                self.assertRegex(out, r"(?m)^route relay: session: failed .*TLS")

    def test_a_secret_that_all_can_read(self):
        relay = self.serve(Relay(users={"u": "p"}))
        path = self.secret("p")
        os.chmod(path, 0o644)
        out = self.check(0, relay.route(extra="user u\npassword-file " + path))
        self.assertIn("route relay: password-file: warning " + path, out)
        os.chmod(path, 0o666)
        out = self.check(78, relay.route(extra="user u\npassword-file " + path))
        self.assertIn("route relay: password-file: failed ", out)
        conf = self.conf(relay.route(extra="user u\npassword p"))
        os.chmod(conf, 0o644)
        done = self.expect(run(["--check"], conf=conf), 0)
        self.assertRegex(done.out, r"secrets: warning")

    def test_what_lies_on_this_machine(self):
        queue = self.path("queue")
        os.mkdir(queue, 0o700)
        box = self.path("box")
        os.mkdir(box)
        program = self.write("remote", "#!/bin/sh\n", 0o755)
        lists = self.write("list", "@example.com\n")
        out = self.check(
            0, "route box\ntype maildir\npath %s\nsenders %s\n" % (box, lists),
            "route q\ntype qmail\npass-to %s\nsenders *\n" % program,
            top="queue %s\naliases %s\n" % (queue, self.write("al", "a: b\n")))
        self.assertIn("queue: %s: ok\n" % queue, out)
        self.assertIn("route box: path: ok %s\n" % box, out)
        self.assertIn("route q: path: ok %s\n" % program, out)
        self.assertRegex(out, "(?m)^aliases: .*: ok$")
        self.write("list", "@example.com\nno pattern\n")
        out = self.check(
            78, "route box\ntype maildir\npath %s\nsenders %s\n"
            % (self.path("none"), lists),
            "route q\ntype qmail\npass-to %s\nsenders *\n" % self.path("no"),
            top="queue %s\naliases %s\n" % (self.path("noq"),
                                           self.path("noal")))
        for line in ("queue: .*: failed", "aliases: .*: failed",
                     "route box: senders: failed .*list:2",
                     "route box: path: warning", "route q: path: failed"):
            self.assertRegex(out, "(?m)^" + line)

    def test_errors_of_the_configuration(self):
        self.one_line(run(["--check"], conf=self.conf("nonsense 1\n")), 78,
                      "sendroute.conf:5: ")


class SesRoutes(CheckCase):
    def test_all_is_well(self):
        ses = self.serve(Ses())
        out = self.check(0, ses.route(senders="@example.com"))
        self.assertRegex(out, r"(?m)^route ses: credentials: ok AKID\S+ from "
                         r".*, end: never; for localhost:%d$" % ses.port)
        self.assertRegex(out, r"(?m)^route ses: clock: ok [01] s ")
        self.assertRegex(out, r"(?m)^route ses: account: ok 1 of 50000 sent in "
                         r"24 h, 49999 left; 14 a second$")
        self.assertRegex(out, r"(?m)^route ses: enforcement: ok HEALTHY$")
        self.assertRegex(out, r"(?m)^route ses: identities: ok 1 verified$")
        self.assertEqual(re.findall("(?m)^route.*warning.*", out), [])
        self.assertNotIn("hint", out)
        self.assertEqual(ses.errors, [])

    def test_the_list_against_the_identities(self):
        ses = self.serve(Ses(identities=MANY))
        covered = ["@example.com", "@.example.com", "@Sub.example.com",
                   "x@EXAMPLE.com", "*@a.example.com", "x@*.example.com",
                   "Bob@other.test", "Bob+*@other.test", "Bob+x@Other.test"]
        not_covered = ["*", "@other.test", "@waiting.test", "a@failed.test",
                       "bob@other.test", "Bobby@other.test", "x@*example.com",
                       "@notexample.com", "B*@other.test", "@com"]
        path = self.write("list", "\n".join(covered) + "\n# c\n")
        out = self.check(0, ses.route(senders=path))
        self.assertEqual(re.findall("senders: warning (.*)", out), [])
        self.assertEqual(re.findall(r"senders: ok \(hint\) (\S+)", out),
                         ["*@odd.test", "alpha.test", "news+daily@third.test",
                          "x@odd.test?@evil.test"])
        self.write("list", "\n".join(not_covered) + "\n")
        out = self.check(0, ses.route(senders=path))
        self.assertEqual(re.findall(r"senders: warning (\S+) is listed, but "
                                    "not verified", out), not_covered)

    def test_an_account_in_trouble(self):
        for account, status, line in (
                ({"ProductionAccessEnabled": False}, 0,
                 "account: warning in the sandbox"),
                ({"EnforcementStatus": "PROBATION"}, 0,
                 "enforcement: warning PROBATION"),
                ({"SendingEnabled": False, "EnforcementStatus": "SHUTDOWN"}, 75,
                 r"account: failed sending is disabled \(SHUTDOWN\)"),
                ({"SendQuota": {"Max24HourSend": 200.0, "MaxSendRate": 1.0,
                                "SentLast24Hours": 200.0}}, 75,
                 "account: failed the quota is used up"),
                ({"SendQuota": {"Max24HourSend": -1.0, "MaxSendRate": 1.0,
                                "SentLast24Hours": 200.0}}, 0,
                 "account: ok 200 sent in 24 h, no limit"),
                ({"SendQuota": None}, 75, "account: failed .*SES")):
            with self.subTest(account=account):
                ses = self.serve(Ses(account=account))
                if account.get("SendQuota", 1) is None:
                    del ses.account["SendQuota"]
                out = self.check(status, ses.route(senders="@example.com"))
                self.assertRegex(out, "(?m)^route ses: " + line)

    def test_a_clock_that_is_wrong(self):
        ses = self.serve(Ses(skew=900))
        out = self.check(0, ses.route(senders="@example.com"))
        self.assertRegex(out, r"clock: warning (899|900) s behind")

    def test_refused_and_unreachable(self):
        ses = self.serve(Ses(always=Answer(
            403, "AccessDeniedException", "not authorized")))
        out = self.check(75, ses.route(senders="@example.com"))
        self.assertRegex(out, "account: failed .*AccessDenied")
        self.assertRegex(out, "identities: failed .*AccessDenied")
        ses = self.serve(Ses())
        ses.close()
        out = self.check(75, ses.route(senders="@example.com"))
        self.assertRegex(out, "account: failed .*refused")

    def test_no_credentials(self):
        ses = self.serve(Ses())
        out = self.check(75, ses.route(senders="@example.com",
                                       credentials="env"))
        self.assertRegex(out, "route ses: credentials: failed ")
        self.assertEqual(ses.requests, [])


class ListVerified(CheckCase):
    def verified(self, *routes, args=()):
        return run(["--list-verified", *args], conf=self.conf(*routes))

    def listed(self, ses, text=LIST):
        done = self.expect(self.verified(ses.route()), 0)
        self.assertEqual((done.out, done.err), (text, ""))
        return done

    def test_the_list(self):
        for tls in (True, False):
            ses = self.serve(Ses(tls=tls, identities=MANY))
            self.listed(ses)
            self.assertEqual(ses.errors, [])

    def test_pages_one_call_a_second(self):
        ses = self.serve(Ses(identities=MANY, page=3))
        done = self.listed(ses)
        self.assertEqual(len(ses.requests), 3)
        self.assertGreater(done.seconds, 1.9)
        self.assertEqual(ses.errors, [])

    def test_get_is_not_known(self):
        for status in (404, 405):
            ses = self.serve(Ses(identities=MANY, page=5, post_only=status))
            self.listed(ses)
            self.assertEqual([r.method for r in ses.requests],
                             ["GET", "POST", "POST"])
            self.assertEqual(len(ses.errors), 1)

    def test_several_routes(self):
        one = self.serve(Ses(identities=[identity("b.test"),
                                         identity("a.test")]))
        two = self.serve(Ses(identities=[identity("a.test"),
                                         identity("c.test")]))
        done = self.verified(one.route("one"), two.route("two"))
        self.expect(done, 0)
        self.assertEqual(done.out, "@a.test\n@.a.test\n@b.test\n@.b.test\n"
                         "@c.test\n@.c.test\n")
        self.assertGreater(done.seconds, 0.9)

    def test_without_a_route(self):
        self.one_line(self.verified("route r\ntype maildir\npath /x\n"
                                    "senders *\n"), 78, "no route of type ses")

    def test_failures_write_nothing(self):
        path = self.write("list", "old\n", 0o640)
        before = os.stat(path)
        for how, status, word in (
                (dict(always=Answer(403, "AccessDeniedException", "no")), 75,
                 "AccessDenied"),
                (dict(script=[None] + 3 * [Answer(500, "InternalFailure",
                                                  "x")],
                      page=3), 75, "InternalFailure"),
                (dict(script=[None, Answer(400, "BadRequestException", "x")],
                      page=3), 75, "BadRequest"),
                (dict(script=[None, Answer(ok=True, drop="within")], page=3),
                 75, "SES"),
                (dict(identities=[]), 75, "no identity"),
                (dict(script=[Answer(200, form="html")]), 75,
                 "EmailIdentities")):
            with self.subTest(how=how):
                ses = self.serve(Ses(**{"identities": MANY, **how}))
                self.one_line(self.verified(ses.route(), args=[
                    "--write", path]), status, word)
                after = os.stat(path)
                self.assertEqual((after.st_ino, after.st_mtime_ns),
                                 (before.st_ino, before.st_mtime_ns))
                done = self.verified(ses.route())
                if how.get("script") is None:
                    self.one_line(done, status, word)
        self.assertEqual(sorted(os.listdir(self.dir)),
                         ["list", "log", "sendroute.conf"])

    def test_write(self):
        ses = self.serve(Ses(identities=MANY))
        path = self.path("list")
        self.quiet(self.verified(ses.route(), args=["--write", path]))
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o644)
        with open(path) as file:
            self.assertEqual(file.read(), LIST)
        self.write("list", "old\n", 0o640)
        if os.getuid() == 0:
            os.chown(path, 1, 2)
        before = os.stat(path)
        self.quiet(self.verified(ses.route(), args=["--write=" + path]))
        after = os.stat(path)
        self.assertNotEqual(after.st_ino, before.st_ino)
        for what in ("st_mode", "st_uid", "st_gid"):
            self.assertEqual(getattr(after, what), getattr(before, what))
        with open(path) as file:
            self.assertEqual(file.read(), LIST)
        self.assertEqual(sorted(os.listdir(self.dir)),
                         ["list", "log", "sendroute.conf"])
        # The list is one that routes take.
        self.check(0, ses.route(senders=path))

    def test_write_where_that_cannot_be(self):
        ses = self.serve(Ses())
        for path in (self.dir, self.path("no/list")):
            self.one_line(self.verified(ses.route(), args=["--write", path]),
                          73, re.escape(path))
        os.symlink("target", self.path("link"))
        self.one_line(self.verified(ses.route(), args=[
            "--write", self.path("link")]), 73, "regular file")
        self.assertTrue(os.path.islink(self.path("link")))


if __name__ == "__main__":
    harness.main()
