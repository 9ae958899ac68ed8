"""Fail-over: when another route may be tried, and when it must not be."""
import os

import harness
from harness import Case, MESSAGE, closed_port, crlf, letter, run
from relay import DROP, RST, SILENT, Relay

ARGS = ("-i", "-f", "alice@example.com", "bob@example.net")
UNVERIFIED = ("554 Message rejected: Email address is not verified. The "
              "following identities failed the check in region EU-WEST-1: "
              "alice@example.com")


class Failover(Case):
    def setUp(self):
        super().setUp()
        self.second = self.start(Relay(tls="off", name="second.test"))

    def first(self, **how):
        how.setdefault("tls", "off")
        return self.start(Relay(name="first.test", **how))

    def send(self, first, message=MESSAGE, args=ARGS, top="timeout 2s\n",
             **how):
        route = first if isinstance(first, str) else first.route(
            name="first", fallback="second", **how)
        return run(args, message, conf=self.conf(
            route, self.second.route(name="second", senders=None), top=top))

    def goes_over(self, first, people=("bob@example.net",), **how):
        before = len(self.second.messages)
        done = self.send(first, **how)
        self.expect(done, 0)
        got = self.second.messages[before:]
        self.assertEqual([m.rcpt_to for m in got], [list(people)], str(done))
        self.same_bytes(got[0].content, crlf(how.get("message", MESSAGE)))
        return done

    def stays(self, first, status, **how):
        before = len(self.second.sessions)
        done = self.expect(self.send(first, **how), status)
        self.assertEqual(len(self.second.sessions), before,
                         "another route was tried: " + str(done))
        return done


class Over(Failover):
    def test_nothing_listens(self):
        self.goes_over("route first\ntype smtp\nhost 127.0.0.1\nport %d\n"
                       "tls off\nsenders *\nfallback second\n" % closed_port())

    def test_the_name_does_not_exist(self):
        self.goes_over("route first\ntype smtp\nhost nowhere.invalid\n"
                       "port 25\ntls off\nsenders *\nfallback second\n",
                       top="timeout 20s\n")

    def test_greeting(self):
        for reply in ("554 5.3.2 go away", "421 4.3.2 busy", "521 no mail",
                      (DROP,), (RST,), (SILENT,), b"rubbish\r\n"):
            with self.subTest(reply=reply):
                self.goes_over(self.first(replies={"greeting": reply}))

    def test_ehlo(self):
        for reply in ("550 5.7.1 not you", "421 4.3.2 busy", (DROP,),
                      (SILENT,)):
            with self.subTest(reply=reply):
                self.goes_over(self.first(replies={
                    "ehlo": reply, "helo": "550 5.7.1 not you"}))

    def test_starttls(self):
        for how in (dict(offer_tls=False),
                    dict(replies={"starttls": "454 4.7.0 later"}),
                    dict(replies={"starttls": b"220 go\r\n250 injected\r\n"}),
                    dict(cert="expired"), dict(cert="self-signed"),
                    dict(cert="other-name"), dict(only="1.3")):
            with self.subTest(how=how):
                self.goes_over(self.first(tls="starttls", **how))

    def test_auth(self):
        for reply in ("535 5.7.8 wrong", "454 4.7.0 later",
                      "451 Maximum credits exceeded", "534 5.7.9 weak",
                      "538 5.7.11 encryption", (DROP,)):
            with self.subTest(reply=reply):
                first = self.first(tls="starttls", users={"u": "p"},
                                   replies={"auth": reply})
                self.goes_over(first, user="u",
                               password_file=self.secret("p"))

    def test_a_password_that_cannot_be_had(self):
        first = self.first(tls="starttls", users={"u": "p"})
        self.goes_over(first, user="u", password_file=self.path("missing"))
        self.assertEqual(first.messages, [])

    def test_mail_refused(self):
        for reply in ("451 4.3.0 later", "550 5.1.0 sender unknown",
                      "553 5.1.8 no such domain", "421 4.3.2 bye"):
            for extensions in ((), ("PIPELINING",)):
                with self.subTest(reply=reply, extensions=extensions):
                    first = self.first(replies={"mail": reply},
                                       extensions=extensions)
                    self.goes_over(first)
                    self.assertEqual(first.messages, [])

    def test_rcpt_deferred(self):
        for extensions in ((), ("PIPELINING",)):
            self.goes_over(self.first(replies={"rcpt": "450 4.2.1 later"},
                                      extensions=extensions))

    def test_data_deferred(self):
        self.goes_over(self.first(replies={"data": "451 4.3.0 later"}))

    def test_the_final_dot_deferred(self):
        for reply in ("451 4.3.0 disk is full", "421 4.3.2 bye",
                      "454 Throttling failure: Maximum sending rate exceeded."):
            with self.subTest(reply=reply):
                self.goes_over(self.first(replies={"dot": reply}))

    def test_an_unverified_sender_as_the_smtp_service_of_ses_says_it(self):
        self.goes_over(self.first(replies={"dot": UNVERIFIED}))

    def test_the_connection_dies_before_the_data(self):
        for step in ("mail", "rcpt", "data"):
            for how in (DROP, RST):
                with self.subTest(step=step, how=how):
                    self.goes_over(self.first(replies={step: (how,)},
                                              extensions=()))

    def test_the_connection_dies_within_the_data(self):
        # The final dot has certainly not been sent.
        self.goes_over(self.first(replies={"data": ("354 go", 0.2, RST)}),
                       message=letter(20 << 20), top="timeout 10s\n")

    def test_only_those_without_a_result_go_over(self):
        people = ["taken@d.test", "later@d.test", "never@d.test"]
        first = self.first(replies={"rcpt <later@d.test>": "450 4.2.1 later",
                                    "rcpt <never@d.test>": "550 5.1.1 no"})
        done = self.send(first, args=("-i", "-f", "alice@example.com",
                                      *people))
        self.one_line(done, 69, "never@d.test")
        self.assertEqual(first.only().rcpt_to, ["taken@d.test"])
        self.assertEqual(self.second.only().rcpt_to, ["later@d.test"])

    def test_a_chain_of_three(self):
        closed = "route %s\ntype smtp\nhost 127.0.0.1\nport %d\ntls off\n" \
                 "fallback %s\n"
        conf = self.conf(
            closed % ("a", closed_port(), "b") + "senders *\n",
            closed % ("b", closed_port(), "second"),
            self.second.route(name="second", senders=None))
        self.expect(run(ARGS, MESSAGE, conf=conf), 0)
        self.same_bytes(self.second.only().content, crlf(MESSAGE))

    def test_the_end_of_the_chain_tells_what_happened(self):
        other = self.first(replies={"mail": "451 4.3.0 second is full"})
        conf = self.conf(
            "route a\ntype smtp\nhost 127.0.0.1\nport %d\ntls off\n"
            "senders *\nfallback b\n" % closed_port(),
            other.route(name="b", senders=None))
        done = self.expect(run(ARGS, MESSAGE, conf=conf), 75)
        self.assertIn("second is full", done.err)

    def test_a_maildir_as_last_resort(self):
        conf = self.conf(
            "route a\ntype smtp\nhost 127.0.0.1\nport %d\ntls off\n"
            "senders *\nfallback box\n" % closed_port(),
            "route box\ntype maildir\npath %s\n" % self.path("box"))
        self.expect(run(ARGS, MESSAGE, conf=conf), 0)
        self.assertEqual(len(os.listdir(self.path("box/new"))), 1)

    def test_the_log_tells_of_both_routes(self):
        self.goes_over(self.first(replies={"dot": "451 4.3.0 full"}))
        text = "\n".join(self.log_lines())
        self.assertIn("route=first", text)
        self.assertIn("451", text)
        self.assertIn("route=second", text)
        self.assertEqual(self.log_pairs()[-1]["status"], "sent")

    def test_a_loop_is_a_configuration_error(self):
        conf = self.conf(self.second.route(name="a", fallback="b"),
                         self.second.route(name="b", fallback="a"))
        self.one_line(run(ARGS, MESSAGE, conf=conf), 78, "fallback|loop",
                      "sendroute.conf:\\d+")
        self.assertEqual(self.second.sessions, [])


class Never(Failover):
    def test_recipient_refused(self):
        for extensions in ((), ("PIPELINING",)):
            self.stays(self.first(replies={"rcpt": "550 5.1.1 unknown"},
                                  extensions=extensions), 69)

    def test_content_refused(self):
        for reply in ("554 5.7.1 spam", "550 5.7.1 virus",
                      "552 5.3.4 too big"):
            with self.subTest(reply=reply):
                self.stays(self.first(replies={"dot": reply}), 69)

    def test_size_refused(self):
        self.stays(self.first(replies={"mail": "552 5.3.4 too big"}), 69)
        self.stays(self.first(extensions=("SIZE 1000",)), 69,
                   message=letter(4000))

    def test_data_refused_for_good(self):
        self.stays(self.first(replies={"data": "554 5.7.1 not this"}), 69)

    def test_the_connection_dies_after_the_final_dot(self):
        for how in (DROP, RST, SILENT, (b"25", DROP), (b"250-x\r\n", DROP),
                    b"rubbish\r\n"):
            with self.subTest(how=how):
                reply = how if isinstance(how, (tuple, bytes)) else (how,)
                done = self.stays(self.first(replies={"dot": reply}), 75)
                self.assertEqual(len(done.err.splitlines()), 1, str(done))

    def test_taken_is_taken_whatever_quit_says(self):
        for reply in ("421 4.3.2 bye", (DROP,), (RST,)):
            with self.subTest(reply=reply):
                self.stays(self.first(replies={"quit": reply}), 0)

    def test_without_a_fallback_nothing_else_is_tried(self):
        first = self.first(replies={"mail": "451 4.3.0 later"})
        conf = self.conf(first.route(name="first"),
                         self.second.route(name="second"))
        self.one_line(run(ARGS, MESSAGE, conf=conf), 75, "451")
        self.assertEqual(self.second.sessions, [])


if __name__ == "__main__":
    harness.main()
