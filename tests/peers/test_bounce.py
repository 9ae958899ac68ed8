"""Bounces and delay notices: RFC 3464 as Python's email package reads it, who
is told and who is not, and what is never bounced."""
import email
import email.policy
import email.utils
import re
import time

import harness
from harness import EIGHT_BIT, HEAD, MESSAGE, crlf, letter, run
from relay import DROP, Relay
from ses import Answer, Ses
from spooldir import (ALICE, BOB, DAY, HOUR, Case, Stored, number_of,
                      numbered)

LATER = "450 4.2.1 mailbox busy, come back"
NEVER = "550 5.1.1 no such user here"
STRICT = email.policy.SMTP.clone(raise_on_defect=True, utf8=True)


class Report:
    """A delivery status notification, taken apart; every claim that its form
    makes is checked on the way."""

    def __init__(self, case, message):
        self.case, self.wire, self.content = case, message, message.content
        case.assertEqual(message.mail_from, "")
        case.assertTrue(message.mail.startswith("<>"), message.mail)
        case.assertLessEqual(max(map(len, self.content.split(b"\r\n"))), 998)
        self.tree = tree = email.message_from_bytes(self.content,
                                                    policy=STRICT)
        case.assertEqual(tree.get_content_type(), "multipart/report")
        case.assertEqual(tree.get_param("report-type"), "delivery-status")
        case.assertEqual(tree["MIME-Version"], "1.0")
        for name in ("From", "To", "Subject", "Date", "Message-ID"):
            case.assertEqual(len(tree.get_all(name, [])), 1, name)
        case.assertRegex(tree["Auto-Submitted"],
                         "^auto-(replied|generated)")
        parts = tree.get_payload()
        case.assertEqual(len(parts), 3)
        self.text, self.status, self.original = parts
        case.assertEqual(self.text.get_content_type(), "text/plain")
        case.assertIn(self.status.get_content_type(),
                      ("message/delivery-status",
                       "message/global-delivery-status"))
        self.blocks = self._blocks()
        self.about, *self.people = self.blocks
        case.assertTrue(self.people)

    def _blocks(self):
        """The groups of fields, each group read like the header of a message:
        not every version of the parser knows the newer type of this part."""
        groups = re.split(rb"(?:\r\n){2,}", self.part(2).strip())
        return [email.message_from_bytes(g + b"\r\n\r\n", policy=STRICT)
                for g in groups]

    def of(self, address):
        """The fields of one recipient."""
        found = [b for b in self.people
                 if value(b["Final-Recipient"])[1] == address]
        self.case.assertEqual(len(found), 1, "%s in %r" % (
            address, [str(b) for b in self.people]))
        return found[0]

    def part(self, number=3):
        """A part as it lies in the message, byte for byte."""
        boundary = b"\r\n--" + self.tree.get_boundary().encode()
        pieces = self.content.split(boundary)
        self.case.assertEqual(len(pieces), 5)
        self.case.assertEqual(pieces[4].strip(), b"--")
        return pieces[number].partition(b"\r\n\r\n")[2]


def value(text):
    """("rfc822", "a@b.test") of "rfc822; a@b.test"."""
    kind, _, rest = str(text).partition(";")
    return kind.strip().lower(), rest.strip()


class Bounce(Case):
    def told(self, count=1, conf=None, relay=None):
        """The notices that came once all was said."""
        self.drain(conf)
        found = self.bounces(relay)
        self.assertEqual(len(found), count, "\n".join(self.log_lines()))
        return [Report(self, m) for m in found]

    def refused(self, *rcpts, message=MESSAGE, reply=NEVER, args=(),
                conf=None, count=1, **more):
        """What the sender is told when a recipient is refused."""
        self.relay.replies["rcpt <%s>" % BOB] = reply
        self.submit(*rcpts, message=message, args=args, conf=conf, **more)
        return self.told(count, conf)

    def nobody_is_told(self, failed=0):
        self.assertEqual(self.bounces(), [])
        self.assertEqual(len(self.spool.names("failed")), failed)

    def run_old(self, stored, age, conf=None):
        """A run when it has been tried for so long."""
        Stored(stored.path).older(age)
        self.run_queue(conf=conf)


class Form(Bounce):
    def test_the_fields(self):
        began = time.time()
        report, = self.refused()
        self.assertEqual(report.wire.rcpt_to, [ALICE])
        self.assertIn(ALICE, report.tree["To"])
        self.assertRegex(report.tree["From"].lower(), "mailer-daemon")
        self.assertEqual(value(report.about["Reporting-MTA"]),
                         ("dns", "client.test"))
        arrived = email.utils.parsedate_to_datetime(
            report.about["Arrival-Date"]).timestamp()
        self.assertTrue(began - 2 <= arrived <= time.time() + 2, arrived)
        person, = report.people
        self.assertEqual(value(person["Final-Recipient"]), ("rfc822", BOB))
        self.assertEqual(person["Action"].lower(), "failed")
        self.assertEqual(person["Status"].split()[0], "5.1.1")
        kind, text = value(person["Diagnostic-Code"])
        self.assertEqual(kind, "smtp")
        self.assertIn("no such user here", text)
        self.assertRegex(text, r"550")
        kind, name = value(person["Remote-MTA"])
        self.assertEqual(kind, "dns")
        self.assertIn("127.0.0.1", name)
        # A person reads the first part.
        text = report.text.get_content()
        self.assertIn(BOB, text)
        self.assertIn("no such user here", text)
        self.assertIsNone(report.about["Original-Envelope-Id"])
        self.assertIsNone(person["Original-Recipient"])

    def test_it_is_plain_seven_bit_text(self):
        report, = self.refused()
        self.assertTrue(report.content.isascii())
        self.assertNotRegex(report.wire.mail.upper(), "SMTPUTF8|8BITMIME")

    def test_the_notice_asks_for_no_notice(self):
        self.relay.extensions += ("DSN",)
        report, = self.refused(args=("-R", "full", "-V", "x"))
        self.assertNotIn("ENVID", report.wire.mail.upper())
        self.assertNotRegex(report.wire.rcpts[0].upper(),
                            "NOTIFY=(?!NEVER)|ORCPT")

    def test_the_envelope_id(self):
        report, = self.refused(args=("-V", "id+2Bwith+3Dsigns"))
        self.assertEqual(report.about["Original-Envelope-Id"],
                         "id+with=signs")

    def test_the_original_recipient(self):
        """ORCPT is xtext on the wire and plain in the report."""
        self.relay.replies["rcpt <%s>" % BOB] = NEVER
        session = (b"EHLO c\r\nMAIL FROM:<alice@example.com> ENVID=q1\r\n"
                   b"RCPT TO:<bob@example.net> "
                   b"ORCPT=rfc822;bob+2Bold@example.net\r\nDATA\r\n" +
                   crlf(MESSAGE) + b".\r\nQUIT\r\n")
        self.expect(run(["-bs"], session, conf=self.good), 0)
        report, = self.told()
        self.assertEqual(value(report.of(BOB)["Original-Recipient"]),
                         ("rfc822", "bob+old@example.net"))
        self.assertEqual(report.about["Original-Envelope-Id"], "q1")

    def test_several_recipients_in_one_notice(self):
        self.relay.replies.update({
            "rcpt <one@d.test>": "550 5.1.1 unknown one",
            "rcpt <two@d.test>": "553 5.7.1 not two",
            "rcpt <three@d.test>": "554 no code three"})
        self.submit("one@d.test", "two@d.test", "fine@d.test", "three@d.test")
        report, = self.told()
        self.assertEqual(len(report.people), 3)
        for name, status, text in (("one", r"5\.1\.1", "unknown one"),
                                   ("two", r"5\.7\.1", "not two"),
                                   ("three", r"5\.\d+\.\d+", "three")):
            person = report.of(name + "@d.test")
            self.assertRegex(person["Status"], status)
            self.assertIn(text, person["Diagnostic-Code"])
            self.assertIn(name + "@d.test", report.text.get_content())
        self.assertNotIn("fine@d.test", report.text.get_content())

    def test_a_refusal_of_the_content(self):
        self.relay.replies["dot"] = ["554 5.7.1 this is spam",
                                     "250 2.0.0 ok"]
        self.submit(BOB, "carol@d.test")
        report, = self.told()
        self.assertEqual(len(report.people), 2)
        self.assertIn("this is spam", report.of(BOB)["Diagnostic-Code"])
        self.assertIn("this is spam",
                      report.of("carol@d.test")["Diagnostic-Code"])

    def test_replies_that_are_long_or_odd(self):
        """Whatever the relay says, the notice stays well-formed."""
        for reply in ("550 5.1.1 " + "long " * 90,
                      "550 5.1.1 first line\n550 5.1.1 second line",
                      "550 5.1.1 tab\there \x01\x7f", "550 5.1.1 a: b; c (d",
                      "550 5.1.1 unbekannter Empf\u00e4nger",
                      b"550 5.1.1 latin caf\xe9\r\n", "550", "550 ",
                      "599 5.999.999 x", "550 4.1.1 wrong class",
                      "550 5.1.1 --" + "=" * 70):
            with self.subTest(reply=reply):
                self.forget()
                report, = self.refused(reply=reply)
                person, = report.people
                self.assertRegex(person["Status"], r"^5\.\d{1,3}\.\d{1,3}")
                self.assertTrue(person["Diagnostic-Code"].isprintable())
                self.assertTrue(report.content.isascii())

    def test_a_relay_that_takes_nothing_from_the_null_sender_at_first(self):
        answers = ["451 4.7.1 greylisted"]
        self.relay.replies["mail"] = lambda session, argument: \
            answers.pop() if "<>" in argument and answers else None
        report, = self.refused()
        self.assertEqual(report.wire.rcpt_to, [ALICE])
        self.assertEqual(answers, [])


class Original(Bounce):
    """The third part: what came back."""

    def full(self, report, message):
        self.assertEqual(report.original.get_content_type(), "message/rfc822")
        # The last line end may be that of the boundary.
        due = crlf(message)
        self.same_bytes(report.part(), due[:-2] if report.part() == due[:-2]
                        else due)

    def headers(self, report, message):
        self.assertEqual(report.original.get_content_type(),
                         "text/rfc822-headers")
        head = crlf(message).partition(b"\r\n\r\n")[0]
        self.same_bytes(report.part().rstrip(b"\r\n"), head)

    def test_asked_for_in_full(self):
        report, = self.refused(args=("-R", "full"))
        self.full(report, MESSAGE)

    def test_asked_for_by_its_header(self):
        report, = self.refused(args=("-R", "hdrs"))
        self.headers(report, MESSAGE)

    def test_nothing_asked_for(self):
        report, = self.refused()
        if report.original.get_content_type() == "message/rfc822":
            self.full(report, MESSAGE)
        else:
            self.headers(report, MESSAGE)

    def test_what_is_big_comes_back_by_its_header(self):
        message = letter(3 << 20)
        report, = self.refused(message=message)
        self.headers(report, message)
        self.assertLess(len(report.content), 20000)

    def test_lines_that_look_like_a_boundary(self):
        body = b"".join(b"--%s\n" % word for word in (
            b"", b"=", b"-", b"boundary", b"=_x", b"sendroute", b"a" * 70))
        message = HEAD + b"\n" + body + b"--\n.\n..\n"
        report, = self.refused(message=message, args=("-R", "full"))
        self.full(report, message)

    def test_a_message_that_is_a_report(self):
        first, = self.refused(args=("-R", "full"))
        inner = first.content.replace(b"\r\n", b"\n")
        self.forget()
        report, = self.refused(message=inner, args=("-R", "full"))
        self.full(report, inner)

    def test_eight_bit_text(self):
        message = HEAD + EIGHT_BIT + b"\ncaf\xc3\xa9 \xff\n"
        report, = self.refused(message=message, args=("-R", "full"))
        if report.content.isascii():
            self.headers(report, message)
            return
        self.assertIn("BODY=8BITMIME", report.wire.mail.upper())
        self.assertEqual(report.tree["Content-Transfer-Encoding"], "8bit")
        self.assertEqual(report.original["Content-Transfer-Encoding"], "8bit")
        self.full(report, message)

    def test_lines_over_998(self):
        message = HEAD + b"\n" + b"x" * 5000 + b"\n"
        report, = self.refused(message=message, args=("-R", "full"))
        self.assertIn(b"Subject: peers", report.part())

    def test_an_empty_message(self):
        report, = self.refused(message=b"", args=("-R", "full"))
        self.assertIn(b"Message-I", report.part())


class Whom(Bounce):
    def test_bounce_to(self):
        conf = self.queue_conf(top="bounce-to postmaster@client.test\n")
        report, = self.refused(conf=conf)
        self.assertEqual(report.wire.rcpt_to, ["postmaster@client.test"])
        self.assertEqual(report.of(BOB)["Action"].lower(), "failed")

    def test_the_null_sender_is_told_nothing(self):
        for top in ("", "bounce-to postmaster@client.test\n"):
            with self.subTest(top=top):
                conf = self.queue_conf(top=top)
                self.relay.replies["rcpt <%s>" % BOB] = NEVER
                self.submit(BOB, "fine@d.test", sender="", conf=conf)
                self.run_queue("-qf", conf=conf)
                self.assertEqual(self.spool.state(),
                                 {"tmp": 0, "queue": 0, "failed": 1})
                self.assertEqual([m.rcpt_to for m in self.relay.accepted()],
                                 [["fine@d.test"]])
                stored = self.spool.only("failed")
                self.assertEqual([r.address for r in stored.rcpts
                                  if r.state != "+"], [BOB])
                self.same_bytes(stored.message, crlf(MESSAGE))
                self.forget()
                self.expect(run(["--delete", stored.id], conf=conf), 0)

    def test_never_a_bounce_of_a_bounce(self):
        for top in ("", "bounce-to postmaster@client.test\n"):
            with self.subTest(top=top):
                conf = self.queue_conf(top=top)
                self.relay.replies["rcpt"] = NEVER
                self.submit(message=numbered(1), conf=conf)
                for _ in range(4):
                    self.run_queue("-qf", conf=conf)
                self.assertEqual(self.spool.state(),
                                 {"tmp": 0, "queue": 0, "failed": 1})
                self.assertEqual(self.relay.accepted(), [])
                stored = self.spool.only("failed")
                self.assertEqual(stored.sender, "")
                self.assertIn(b"multipart/report", stored.message)
                self.assertIn(b"no such user", stored.message)
                # Whoever mends the matter can still send it.
                self.relay.replies = {}
                self.expect(run(["--requeue", stored.id], conf=conf), 0)
                self.run_queue(conf=conf)
                report = Report(self, self.relay.only())
                self.assertEqual(number_of(report.content), 1)
                self.forget()

    def test_a_bounce_that_grows_old_is_not_bounced_either(self):
        self.relay.replies.update({"rcpt <%s>" % BOB: NEVER,
                                   "rcpt <%s>" % ALICE: LATER})
        self.submit()
        self.run_queue("-qf")
        stored = self.spool.only()
        self.assertEqual(stored.sender, "")
        self.run_old(stored, 6 * DAY)
        self.assertEqual(self.spool.state(),
                         {"tmp": 0, "queue": 0, "failed": 1})

    def test_no_route_takes_the_null_sender(self):
        """SES cannot send a bounce."""
        ses = self.start(Ses(tls=False, always=Answer(
            400, "MessageRejected", "Email body contains a virus")))
        conf = self.queue_conf(ses.route())
        self.submit(conf=conf)
        self.run_queue("-qf", conf=conf)
        self.assertEqual(self.spool.state(),
                         {"tmp": 0, "queue": 0, "failed": 1})
        stored = self.spool.only("failed")
        self.assertEqual(stored.sender, ALICE)
        self.same_bytes(stored.message, crlf(MESSAGE))
        self.assertEqual(ses.sent, [])

    def test_a_bounce_goes_its_own_way(self):
        """Refused by SES for its content, bounced through the relay."""
        ses = self.start(Ses(tls=False, always=Answer(
            400, "MessageRejected", "Email body contains a virus")))
        conf = self.queue_conf(ses.route(senders=ALICE), self.route())
        self.submit(conf=conf)
        report, = self.told(conf=conf)
        self.assertEqual(report.wire.rcpt_to, [ALICE])
        self.assertIn("virus", report.of(BOB)["Diagnostic-Code"])

    def test_the_address_of_override_from(self):
        """It is the envelope sender, so it is told."""
        conf = self.queue_conf(top="override-from alerts@example.com\n")
        report, = self.refused(conf=conf)
        self.assertEqual(report.wire.rcpt_to, ["alerts@example.com"])

    def test_a_notice_s_from_is_not_overridden_into_a_loop(self):
        conf = self.queue_conf(top="override-from alerts@example.com\n")
        self.relay.replies["rcpt"] = NEVER
        self.submit(conf=conf)
        for _ in range(3):
            self.run_queue("-qf", conf=conf)
        self.assertEqual(self.relay.accepted(), [])
        self.assertEqual(self.spool.state(),
                         {"tmp": 0, "queue": 0, "failed": 1})


class Notify(Bounce):
    def test_failures(self):
        for notify, told in ((None, 1), ("failure", 1), ("never", 0),
                             ("delay", 0), ("success", 0),
                             ("success,failure", 1), ("delay,failure", 1),
                             ("success,delay", 0)):
            with self.subTest(notify=notify):
                args = ("-N", notify) if notify else ()
                self.refused(args=args, count=told)
                self.assertEqual(self.spool.state(),
                                 {"tmp": 0, "queue": 0, "failed": 0})
                self.forget()

    def test_delays(self):
        self.relay.replies["rcpt <%s>" % BOB] = LATER
        for notify, told in ((None, 1), ("delay", 1), ("failure", 0),
                             ("never", 0), ("failure,delay", 1)):
            with self.subTest(notify=notify):
                stored = self.keep(args=("-N", notify) if notify else ())
                self.run_old(stored, 5 * HOUR)
                self.run_queue()        # the notice, if it was not sent yet
                self.assertEqual(len(self.bounces()), told)
                self.expect(run(["--delete", stored.id], conf=self.good), 0)
                self.forget()

    def test_each_recipient_has_its_own(self):
        self.relay.replies["rcpt"] = lambda session, argument: \
            None if ALICE in argument else NEVER
        session = (b"EHLO c\r\nMAIL FROM:<alice@example.com>\r\n"
                   b"RCPT TO:<quiet@d.test> NOTIFY=NEVER\r\n"
                   b"RCPT TO:<loud@d.test> NOTIFY=FAILURE\r\n"
                   b"RCPT TO:<plain@d.test>\r\n"
                   b"DATA\r\n" + crlf(MESSAGE) + b".\r\nQUIT\r\n")
        self.expect(run(["-bs"], session, conf=self.good), 0)
        report, = self.told()
        self.assertEqual(sorted(value(p["Final-Recipient"])[1]
                                for p in report.people),
                         ["loud@d.test", "plain@d.test"])


class Delay(Bounce):
    replies = {"rcpt <%s>" % BOB: LATER}

    def test_one_notice_after_queue_warn(self):
        stored = self.keep(args=("-V", "e1"))
        self.run_old(stored, 3 * HOUR)
        self.assertEqual(self.bounces(), [])
        self.run_old(stored, 5 * HOUR)
        self.assertIn("w", Stored(stored.path).flags)
        for hours in (6, 10, 50):
            self.run_old(stored, hours * HOUR)
        message, = self.bounces()
        report = Report(self, message)
        self.assertEqual(report.wire.rcpt_to, [ALICE])
        person = report.of(BOB)
        self.assertEqual(person["Action"].lower(), "delayed")
        self.assertRegex(person["Status"], r"^4\.\d+\.\d+")
        self.assertIn("come back", person["Diagnostic-Code"])
        self.assertEqual(report.about["Original-Envelope-Id"], "e1")
        until = person["Will-Retry-Until"]
        if until is not None:
            left = email.utils.parsedate_to_datetime(until).timestamp() \
                - time.time()
            self.assertTrue(4 * DAY < left < 5 * DAY, until)
        self.assertEqual(report.original.get_content_type(),
                         "text/rfc822-headers")
        # The message itself is as it was, and still arrives.
        self.assertEqual(Stored(stored.path).states(), "-")
        self.relay.replies = {}
        self.drain()
        self.assertEqual([to for _, to in self.received()], [BOB])
        self.assertEqual(len(self.bounces()), 1)

    def test_only_those_who_wait_are_named(self):
        stored = self.keep(BOB, "fine@d.test")
        self.run_old(stored, 5 * HOUR)
        self.run_queue()
        report = Report(self, self.bounces()[0])
        self.assertEqual([value(p["Final-Recipient"])[1]
                          for p in report.people], [BOB])

    def test_queue_warn(self):
        for warn, age, told in (("0", 4 * DAY, 0), ("1h", 2 * HOUR, 1),
                                ("2d", DAY, 0), ("30m", 20 * 60, 0)):
            with self.subTest(warn=warn):
                conf = self.queue_conf(top="queue-warn %s\n" % warn)
                stored = self.keep(conf=conf)
                self.run_old(stored, age, conf)
                self.run_queue(conf=conf)
                self.assertEqual(len(self.bounces()), told)
                self.expect(run(["--delete", stored.id], conf=conf), 0)
                self.forget()

    def test_the_null_sender(self):
        stored = self.keep(sender="")
        self.run_old(stored, 5 * HOUR)
        self.run_queue()
        self.nobody_is_told()
        self.assertEqual(len(self.spool.names()), 1)

    def test_bounce_to(self):
        conf = self.queue_conf(top="bounce-to postmaster@client.test\n")
        stored = self.keep(conf=conf)
        self.run_old(stored, 5 * HOUR, conf)
        self.run_queue(conf=conf)
        message, = self.bounces()
        self.assertIn(message.rcpt_to[0], ("postmaster@client.test", ALICE))

    def test_a_message_that_arrives_at_last_was_never_late(self):
        self.relay.replies = {}
        stored = self.keep()
        self.run_old(stored, 5 * HOUR)
        self.run_queue()
        self.nobody_is_told()


class Lifetime(Bounce):
    replies = {"rcpt <%s>" % BOB: LATER}

    def test_it_ends(self):
        stored = self.keep(message=numbered(1))
        self.run_old(stored, 4 * DAY + 23 * HOUR)
        self.assertIn(stored.id, self.spool.names())
        self.drain_notices()
        self.run_old(stored, 5 * DAY + 60)
        self.drain()
        report = [r for r in map(lambda m: Report(self, m), self.bounces())
                  if r.people[0]["Action"].lower() == "failed"]
        self.assertEqual(len(report), 1)
        person = report[0].of(BOB)
        self.assertRegex(person["Status"], r"^[45]\.\d+\.\d+")
        self.assertIn("come back", person["Diagnostic-Code"])
        self.assertEqual(number_of(report[0].content), 1)
        self.nobody_has_it()

    def drain_notices(self):
        for stored in self.spool.all():
            if not stored.sender:
                self.run_queue("-qI" + stored.id)

    def nobody_has_it(self):
        self.assertEqual(self.received(), [])
        self.assertEqual(self.spool.state(),
                         {"tmp": 0, "queue": 0, "failed": 0})

    def test_a_last_try_is_made(self):
        """A machine that was off for a week still sends."""
        self.relay.replies = {}
        stored = self.keep(message=numbered(1))
        self.run_old(stored, 6 * DAY)
        self.assertEqual(self.received(), [(1, BOB)])
        self.nobody_is_told()

    def test_queue_lifetime(self):
        conf = self.queue_conf(top="queue-lifetime 1h\nqueue-warn 0\n")
        stored = self.keep(conf=conf)
        self.run_old(stored, 50 * 60, conf)
        self.nobody_is_told()
        self.run_old(stored, 70 * 60, conf)
        report, = self.told(conf=conf)
        self.assertEqual(report.of(BOB)["Action"].lower(), "failed")

    def test_a_relay_that_is_down_all_the_time(self):
        conf = self.queue_conf(self.down("first"),
                               top="queue-warn 0\n")
        stored = self.keep(message=numbered(1), conf=conf)
        self.run_old(stored, 6 * DAY, conf)
        self.assertNotIn(stored.id, self.spool.names())
        report, = self.told()           # once it is up again
        self.assertRegex(report.of(BOB)["Status"], r"^[45]\.")

    def test_only_those_who_still_wait(self):
        stored = self.keep(BOB, "fine@d.test", message=numbered(1))
        conf = self.queue_conf(top="queue-warn 0\n")
        self.run_old(stored, 6 * DAY, conf)
        report, = self.told(conf=conf)
        self.assertEqual([value(p["Final-Recipient"])[1]
                          for p in report.people], [BOB])
        self.assertEqual(self.received(), [(1, "fine@d.test")])

    def test_never_asked_for(self):
        stored = self.keep(args=("-N", "never"))
        self.run_old(stored, 6 * DAY)
        self.nobody_is_told()
        self.nobody_has_it()

    def test_the_null_sender(self):
        stored = self.keep(sender="")
        self.run_old(stored, 6 * DAY)
        self.assertEqual(self.spool.names("failed"), [stored.id])
        self.assertEqual(self.spool.names(), [])

    def test_an_answer_that_never_came(self):
        self.relay.replies = {"dot": [(DROP,), "250 2.0.0 ok"]}
        conf = self.queue_conf(top="queue-warn 0\n")
        stored = self.keep(conf=conf)
        self.run_old(stored, 6 * DAY, conf)
        report, = self.told(conf=conf)
        self.assertEqual(report.of(BOB)["Action"].lower(), "failed")


class Operator(Bounce):
    """What somebody here has to mend is never the sender's trouble."""

    def stays(self, conf, age=40 * DAY):
        stored = self.keep(conf=conf)
        for _ in range(2):
            self.run_old(stored, age, conf)
            stored = Stored(stored.path)
            self.assertEqual(stored.states(), "-")
            failures = [m for m in self.bounces()
                        if b"Action: failed" in m.content]
            self.assertEqual(failures, [])
            self.assertEqual(self.spool.names("failed"), [])
        return stored

    def test_a_wrong_password(self):
        for reply in ("535 5.7.8 wrong", "534 5.7.9 too weak",
                      "538 5.7.11 encrypt"):
            with self.subTest(reply=reply):
                self.relay.users = {"u": "p"}
                self.relay.replies["auth"] = reply
                conf = self.queue_conf(self.route(
                    user="u", password_file=self.secret("p")),
                    top="queue-warn 0\n")
                stored = self.stays(conf)
                self.assertIn(reply[4:10], stored.rcpts[0].text)
                del self.relay.replies["auth"]
                self.drain(conf)
                self.assertEqual([m.rcpt_to for m in self.relay.accepted()],
                                 [[BOB]])
                self.forget()

    def test_a_secret_that_is_missing(self):
        self.relay.users = {"u": "p"}
        conf = self.queue_conf(self.route(
            user="u", password_file=self.path("secret")),
            top="queue-warn 0\n")
        stored = self.spool.put(numbered(1), born=int(time.time()) - 40 * DAY)
        run(["-q"], conf=conf)
        self.assertEqual(Stored(stored.path).states(), "-")
        self.secret("p")
        self.drain(conf)
        self.assertEqual(self.received(), [(1, BOB)])

    def test_an_unverified_sender(self):
        for answer in (Answer(400, "MessageRejected", "Email address is not "
                              "verified. The following identities failed the "
                              "check in region EU-WEST-1: alice@example.com"),
                       Answer(400, "SendingPausedException", "paused"),
                       Answer(403, "AccessDeniedException", "denied"),
                       Answer(400, "AccountSuspendedException", "closed")):
            with self.subTest(code=answer.code):
                ses = self.start(Ses(tls=False, always=answer))
                conf = self.queue_conf(ses.route(senders=ALICE),
                                       self.route(),
                                       top="queue-warn 0\n")
                self.stays(conf)
                ses.always = None
                self.drain(conf)
                self.same_bytes(ses.only().raw, crlf(MESSAGE))
                self.assertEqual(self.relay.accepted(), [])

    def test_an_unverified_sender_in_the_words_of_smtp(self):
        self.relay.replies["dot"] = (
            "554 Message rejected: Email address is not verified. The "
            "following identities failed the check in region EU-WEST-1: "
            "alice@example.com")
        conf = self.queue_conf(top="queue-warn 0\n")
        self.stays(conf)
        self.relay.replies = {}
        self.drain(conf)
        self.assertEqual(len(self.relay.accepted()), 1)

    def test_a_certificate_that_does_not_hold(self):
        relay = self.start(Relay(cert="expired"))
        conf = self.queue_conf(relay.route(), top="queue-warn 0\n")
        self.stays(conf)
        self.assertEqual(relay.messages, [])

    def test_no_route(self):
        conf = self.queue_conf(self.route(senders="other@example.com"),
                               top="queue-warn 0\n")
        self.stays(conf)
        self.drain()
        self.assertEqual(len(self.relay.accepted()), 1)


class Utf8(Bounce):
    """RFC 6533: addresses beyond ASCII."""
    extensions = ("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 104857600",
                  "ENHANCEDSTATUSCODES")
    JOERG = "jörg@example.net"

    def final(self, report):
        """The address, however it is written in that form of report."""
        person, = report.people
        kind, text = value(person["Final-Recipient"])
        if kind == "utf-8":
            text = re.sub(r"\\x\{([0-9A-Fa-f]+)\}",
                          lambda m: chr(int(m.group(1), 16)), text)
        return kind, text

    def form(self, report):
        """Bytes beyond ASCII only where SMTPUTF8 was asked for, and in the
        type of part that may hold them."""
        utf8 = "SMTPUTF8" in report.wire.mail.upper()
        kind = report.status.get_content_type()
        if kind == "message/global-delivery-status":
            self.assertTrue(utf8 or report.content.isascii())
        if not utf8:
            head = report.content.partition(b"\r\n\r\n")[0]
            self.assertTrue(head.isascii(), head)

    def test_a_recipient(self):
        self.relay.replies["rcpt <%s>" % self.JOERG] = NEVER
        self.submit(self.JOERG)
        report, = self.told()
        self.form(report)
        self.assertEqual(self.final(report), ("utf-8", self.JOERG))

    def test_a_recipient_that_the_relay_cannot_take(self):
        """Refused for want of SMTPUTF8; told in plain ASCII then."""
        self.relay.extensions = ("PIPELINING", "8BITMIME")
        self.submit(self.JOERG)
        report, = self.told()
        self.assertNotIn("SMTPUTF8", report.wire.mail.upper())
        self.assertTrue(report.content.isascii())
        self.assertEqual(self.final(report), ("utf-8", self.JOERG))

    def test_a_sender(self):
        sender = "änne@example.com"
        self.relay.replies["rcpt <%s>" % BOB] = NEVER
        message = MESSAGE.replace(b"alice@example.com", sender.encode())
        self.submit(sender=sender, message=message)
        report, = self.told()
        self.assertEqual(report.wire.rcpt_to, [sender])
        self.assertIn("SMTPUTF8", report.wire.mail.upper())
        self.form(report)

    def test_a_header(self):
        """A Subject in UTF-8 needs no SMTPUTF8 when the body carries it."""
        self.relay.replies["rcpt <%s>" % BOB] = NEVER
        message = HEAD.replace(b"peers", "Grüße".encode()) + b"\nx\n"
        for ret in ("full", "hdrs"):
            with self.subTest(ret=ret):
                self.submit(message=message, args=("-R", ret))
                report, = self.told()
                self.form(report)
                self.forget()


if __name__ == "__main__":
    harness.main()
