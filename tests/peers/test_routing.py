"""The routing rule, sender lists, and the reasons that --dry-run and the log
give."""
import re
import resource

import harness
from harness import Case, MESSAGE, crlf, run
from relay import Relay
from ses import Ses


class Routing(Case):
    def setUp(self):
        super().setUp()
        self.ses = self.start(Ses())
        self.relay = self.start(Relay(tls="off"))

    def both(self, senders, top=""):
        """ses for `senders` (sender lines), the relay for everyone."""
        lines = "\n".join(senders if not isinstance(senders, str)
                          else [senders])
        return self.conf(self.ses.route(senders=None, extra=lines),
                         self.relay.route(), top=top)

    def goes(self, conf, wanted, message=MESSAGE, sender="alice@example.com",
             args=("bob@example.net",)):
        """The message goes that way, in earnest and dry."""
        args = ["-i", *(["-f", sender] if sender is not None else []), *args]
        ses, relay = len(self.ses.sent), len(self.relay.messages)
        groups = self.groups(run(["--dry-run", *args], message, conf=conf))
        self.assertEqual((len(self.ses.requests), len(self.relay.messages)),
                         (ses, relay), "dry")
        self.quiet(run(args, message, conf=conf))
        got = (len(self.ses.sent) - ses, len(self.relay.messages) - relay)
        self.assertEqual(got, (1, 0) if wanted == "ses" else (0, 1))
        self.assertEqual([g["route"] for g in groups], [wanted])
        return groups[0]


class Rule(Routing):
    def test_every_kind_of_pattern(self):
        for pattern, sender, wanted in (
                ("alice@example.com", "alice@example.com", "ses"),
                ("alice@EXAMPLE.com", "alice@example.COM", "ses"),
                ("Alice@example.com", "alice@example.com", "relay"),
                ("alice@example.com", "malice@example.com", "relay"),
                ("alice@example.com", "alice@example.com.test", "relay"),
                ("@example.com", "anybody@Example.Com", "ses"),
                ("@example.com", "a@sub.example.com", "relay"),
                ("@example.com", "a@notexample.com", "relay"),
                ("@.example.com", "a@sub.example.com", "ses"),
                ("@.example.com", "a@a.b.example.com", "ses"),
                ("@.example.com", "a@example.com", "relay"),
                ("@.example.com", "a@xexample.com", "relay"),
                ("*-bounces@lists.example", "x-bounces@lists.example", "ses"),
                ("*-bounces@lists.example", "-bounces@lists.example", "ses"),
                ("*-bounces@lists.example", "x-bounce@lists.example",
                 "relay"),
                ("a*z@*.example", "abcz@x.example", "ses"),
                ("a*z@*.example", "abcz@x.y.example", "ses"),
                ("a*z@*.example", "abc@x.example", "relay"),
                ("*@example.com", "a@example.com", "ses"),
                ("*", "whoever@where.test", "ses")):
            with self.subTest(pattern=pattern, sender=sender):
                message = MESSAGE.replace(b"alice@example.com",
                                          sender.encode())
                word = "senders *" if pattern == "*" else "sender " + pattern
                self.goes(self.both(word), wanted, message, sender)

    def test_ses_needs_every_identity(self):
        conf = self.both(["sender @example.com"])
        foreign = b"mallory@other.test"
        for message, sender, wanted in (
                (MESSAGE, "alice@example.com", "ses"),
                (MESSAGE, "alice@other.test", "relay"),
                (MESSAGE.replace(b"alice@example.com", foreign),
                 "alice@example.com", "relay"),
                (b"Sender: " + foreign + b"\n" + MESSAGE, "alice@example.com",
                 "relay"),
                (b"Sender: carol@example.com\n" + MESSAGE,
                 "alice@example.com", "ses"),
                (MESSAGE.replace(b"<alice@example.com>",
                                 b"<alice@example.com>, x@other.test"),
                 "alice@example.com", "relay"),
                (MESSAGE.replace(b"<alice@example.com>",
                                 b"<alice@example.com>,\n\tx@example.com"),
                 "alice@example.com", "ses"),
                (b"Reply-To: " + foreign + b"\n" + MESSAGE,
                 "alice@example.com", "ses")):
            with self.subTest(message=message[:90], sender=sender):
                self.goes(conf, wanted, message, sender)

    def test_the_relay_looks_at_the_envelope_sender_alone(self):
        conf = self.conf(self.relay.route(senders="alice@example.com"),
                         self.ses.route())
        self.goes(conf, "relay", MESSAGE.replace(b"alice@example.com",
                                                 b"other@other.test"))
        self.goes(conf, "ses", sender="carol@example.com")

    def test_the_order_of_the_file_decides(self):
        conf = self.conf(self.relay.route(), self.ses.route())
        self.goes(conf, "relay")
        conf = self.conf(self.ses.route(), self.relay.route())
        self.goes(conf, "ses")

    def test_the_null_sender_goes_to_the_relay(self):
        conf = self.conf(self.ses.route(), self.relay.route())
        group = self.goes(conf, "relay", sender="<>")
        self.assertIn(group["from"], ("", "<>"))
        self.assertEqual(self.relay.only().mail_from, "")

    def test_the_null_sender_needs_a_star_alone(self):
        conf = self.conf(self.relay.route(senders="*@*"))
        self.one_line(run(["-i", "-f", "<>", "bob@example.net"], MESSAGE,
                          conf=conf), 78, "route")
        self.assertEqual(self.relay.sessions, [])

    def test_without_f_the_sender_is_found_and_matched(self):
        conf = self.both("sender @example.com",
                         top="from alerts@example.com\n")
        self.goes(conf, "ses", b"Subject: x\n\ntext\n", None)

    def test_no_route_takes_it(self):
        conf = self.conf(self.ses.route(senders="@example.com"),
                         self.relay.route(senders="@example.org"))
        done = run(["-i", "-f", "eve@other.test", "bob@example.net"], MESSAGE,
                   conf=conf)
        self.one_line(done, 78, "eve@other\\.test", "route")
        self.assertEqual((self.ses.requests, self.relay.sessions), ([], []))

    def test_a_ses_fallback_needs_the_rule_too(self):
        broken = self.start(Relay(tls="off",
                                  replies={"greeting": "554 5.3.2 no"}))
        for senders, status in (("@example.com", 0), ("@example.org", 75)):
            conf = self.conf(broken.route(name="first", fallback="ses"),
                             self.ses.route(senders=senders))
            self.expect(run(["-i", "-f", "alice@example.com",
                             "bob@example.net"], MESSAGE, conf=conf), status)
        self.same_bytes(self.ses.only().raw, crlf(MESSAGE))

    def test_a_relay_fallback_is_used_whatever_its_senders(self):
        broken = self.start(Relay(tls="off",
                                  replies={"greeting": "554 5.3.2 no"}))
        conf = self.conf(broken.route(name="first", fallback="relay"),
                         self.relay.route(senders="@nobody.test"))
        self.expect(run(["-i", "-f", "alice@example.com", "bob@example.net"],
                        MESSAGE, conf=conf), 0)
        self.same_bytes(self.relay.only().content, crlf(MESSAGE))


class Lists(Routing):
    def listed(self, text, name="senders"):
        return "senders " + self.write(name, text)

    def test_a_list_file(self):
        conf = self.both(self.listed(
            "# our senders\n\n  alice@example.com  # trailing\n"
            "\t@example.org\n@.example.net\r\n"))
        for sender, wanted in (("alice@example.com", "ses"),
                               ("a@example.org", "ses"),
                               ("a@b.example.net", "ses"),
                               ("bob@example.com", "relay")):
            with self.subTest(sender=sender):
                self.goes(conf, wanted, MESSAGE.replace(
                    b"alice@example.com", sender.encode()), sender)

    def test_a_last_line_without_its_end(self):
        self.goes(self.both(self.listed("x@y.test\nalice@example.com")),
                  "ses")

    def test_several_lists_and_inline_senders(self):
        conf = self.both([self.listed("alice@example.com\n", "one"),
                          self.listed("bob@example.com\n", "two"),
                          "sender carol@example.com"])
        for name in ("alice", "bob", "carol"):
            self.goes(conf, "ses", MESSAGE.replace(b"alice@", name.encode()
                                                   + b"@"),
                      name + "@example.com")

    def test_identities_may_be_covered_by_different_lists(self):
        conf = self.both([self.listed("alice@example.com\n", "one"),
                          self.listed("bounce@example.org\n", "two")])
        self.goes(conf, "ses", sender="bounce@example.org")

    def test_an_empty_list_matches_nobody(self):
        self.goes(self.both(self.listed("# nobody yet\n")), "relay")

    def test_builtin_without_a_list_matches_nobody(self):
        self.goes(self.both("senders builtin"), "relay")

    def test_a_long_list_takes_under_20_ms(self):
        text = "".join("user%06d@customer%05d.example\n" % (i, i % 9973)
                       for i in range(100000))
        long = self.both(self.listed(text + "alice@example.com\n"))
        args = ["--dry-run", "-i", "-f", "alice@example.com",
                "bob@example.net"]
        self.assertEqual(self.groups(run(args, MESSAGE, conf=long))[0]
                         ["route"], "ses")
        short = self.conf(self.ses.route(senders="alice@example.com"),
                          name="short.conf")
        # Time of the processor: other tests run beside this one.
        best = {}
        for conf in (long, short):
            times = []
            for _ in range(15):
                before = resource.getrusage(resource.RUSAGE_CHILDREN)
                run(args, MESSAGE, conf=conf)
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                times.append(after.ru_utime - before.ru_utime +
                             after.ru_stime - before.ru_stime)
            best[conf] = min(times)
        self.assertLess(best[long] - best[short], 0.020)

    def test_the_list_is_read_afresh(self):
        conf = self.both(self.listed("bob@example.com\n"))
        self.goes(conf, "relay")
        self.listed("alice@example.com\n")
        self.goes(conf, "ses")

    def test_a_malformed_line(self):
        for line in ("no-at-sign", "two words@example.com", "a@b@c", "@",
                     "a@", "x" * 5000):
            with self.subTest(line=line[:30]):
                conf = self.both(self.listed("ok@example.org\n" + line + "\n"))
                self.one_line(run(["-i", "-f", "alice@example.com",
                                   "bob@example.net"], MESSAGE, conf=conf),
                              78, "senders:2")
        self.assertEqual((self.ses.requests, self.relay.sessions), ([], []))

    def test_a_missing_list(self):
        conf = self.both("senders " + self.path("missing"))
        self.one_line(run(["-i", "-f", "alice@example.com",
                           "bob@example.net"], MESSAGE, conf=conf), 78,
                      "missing")
        self.assertEqual((self.ses.requests, self.relay.sessions), ([], []))


class Reasons(Routing):
    ARGS = ["-i", "-f", "alice@example.com", "bob@example.net",
            "carol@example.net"]

    def test_dry_run_names_route_envelope_and_reason(self):
        conf = self.both("senders " + self.write(
            "list", "# x\n@example.com\n"))
        groups = self.groups(run(["--dry-run", *self.ARGS], MESSAGE,
                                 conf=conf))
        self.assertEqual(len(groups), 1)
        self.assertEqual(groups[0]["route"], "ses")
        self.assertEqual(groups[0]["from"], "alice@example.com")
        self.assertEqual(groups[0]["to"], ["bob@example.net",
                                           "carol@example.net"])
        self.assertIn("@example.com", groups[0]["reason"])
        self.assertIn("list:2", groups[0]["reason"])

    def test_dry_run_says_why_ses_does_not_take_it(self):
        conf = self.both("sender @example.com")
        message = MESSAGE.replace(b"alice@example.com", b"eve@other.test")
        group = self.groups(run(["--dry-run", *self.ARGS], message,
                                conf=conf))[0]
        self.assertEqual(group["route"], "relay")
        self.assertIn("eve@other.test", group["reason"])

    def test_dry_run_with_t(self):
        conf = self.conf(self.relay.route())
        group = self.groups(run(["--dry-run", "-t", "-f", "a@b.test"],
                                MESSAGE, conf=conf))[0]
        self.assertEqual(group["to"], ["bob@example.net"])
        self.assertEqual(self.relay.sessions, [])

    def test_dry_run_fails_as_the_real_one(self):
        self.one_line(run(["--dry-run", *self.ARGS], MESSAGE,
                          conf=self.conf(self.relay.route(
                              senders="@nobody.test"))), 78)
        self.one_line(run(["--dry-run", "-t"], b"Subject: x\n\nx\n",
                          conf=self.conf(self.relay.route())), 64)

    def test_the_log_of_a_sent_message(self):
        conf = self.both("sender @example.com")
        self.quiet(run(self.ARGS, MESSAGE, conf=conf))
        entry, = self.log_pairs()
        for key in ("id", "from", "to", "route", "relay", "status", "code",
                    "size", "seconds", "reason"):
            self.assertIn(key, entry)
        self.assertEqual(entry["from"], "alice@example.com")
        self.assertIn("bob@example.net", entry["to"])
        self.assertIn("carol@example.net", entry["to"])
        self.assertEqual(entry["route"], "ses")
        self.assertEqual(entry["status"], "sent")
        self.assertEqual(entry["code"], "200")
        self.assertEqual(entry["size"], str(len(crlf(MESSAGE))))
        self.assertRegex(entry["seconds"], r"^\d+(\.\d+)?$")
        self.assertIn("localhost", entry["relay"])
        # Why that route: the pattern that covers the sender.
        self.assertTrue(any(
            "sender @example.com" in line or re.search(
                r"reason=\"[^\"]*[^a-z]@example\.com", line)
            for line in self.log_lines()), self.log_lines())

    def test_the_log_of_refused_and_deferred_recipients(self):
        relay = self.start(Relay(tls="off", replies={
            "rcpt <no@x.test>": "550 5.1.1 unknown",
            "rcpt <later@x.test>": "450 4.2.1 busy"}))
        run(["-i", "-f", "a@b.test", "yes@x.test", "no@x.test",
             "later@x.test"], MESSAGE, conf=self.conf(relay.route()))
        found = {entry["to"]: entry for entry in self.log_pairs()}
        self.assertEqual({k: v["status"] for k, v in found.items()}, {
            "yes@x.test": "sent", "no@x.test": "failed",
            "later@x.test": "deferred"})
        self.assertEqual(found["no@x.test"]["code"], "550")
        self.assertEqual(found["no@x.test"]["enhanced"], "5.1.1")
        self.assertEqual(found["later@x.test"]["code"], "450")

    def test_nothing_can_forge_a_log_line(self):
        relay = self.start(Relay(tls="off", replies={
            "dot": b"550 5.7.1 x\ty status=sent \x1b[1m\r\n"}))
        run(["-i", "-f", "a@b.test", '"a status=sent"@x.test'], MESSAGE,
            conf=self.conf(relay.route()))
        entry, = self.log_pairs()
        self.assertEqual(entry["status"], "failed")
        self.assertNotIn("\x1b", "\n".join(self.log_lines()))

    def test_v_tells_the_route_and_the_reason(self):
        conf = self.both("sender @example.com")
        done = self.expect(run(["-v", *self.ARGS], MESSAGE, conf=conf), 0)
        self.assertIn("ses", done.err)
        self.assertIn("@example.com", done.err)

    def test_log_none_and_a_log_that_cannot_be_written(self):
        for log in ("none", self.path("missing/log")):
            with self.subTest(log=log):
                conf = self.conf(self.relay.route(), top="log %s\n" % log)
                self.expect(run(self.ARGS, MESSAGE, conf=conf), 0)


if __name__ == "__main__":
    harness.main()
