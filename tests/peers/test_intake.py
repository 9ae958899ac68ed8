"""What becomes of a message on its way in: line ends, dots, header fields,
recipients.  Each check is on what the relay received."""
import email.header
import os
import re
import signal
import subprocess
import time
from email.utils import parsedate_to_datetime

import harness
from harness import (Case, EIGHT_BIT, HEAD, MESSAGE, SENDROUTE,
                     clean_environment, crlf, run)
from relay import Relay


class Intake(Case):
    def setUp(self):
        super().setUp()
        self.relay = self.start(Relay(tls="off"))
        self.route = self.relay.route()

    def send(self, message, args=("-i", "-f", "alice@example.com",
             "bob@example.net"), top="", **more):
        """Send; the new messages at the relay are in self.got."""
        before = len(self.relay.messages)
        done = run(args, message, conf=self.conf(self.route, top=top), **more)
        self.got = self.relay.messages[before:]
        return done

    def arrives(self, message, wanted, args=("-i", "-f", "alice@example.com",
                "bob@example.net"), **more):
        self.quiet(self.send(message, args, **more))
        self.assertEqual(len(self.got), 1)
        self.same_bytes(self.got[0].content, wanted)
        return self.got[0]

    def rcpts(self, message, args=("-t", "-i", "-f", "alice@example.com"),
              **more):
        self.quiet(self.send(message, args, **more))
        return [a for m in self.got for a in m.rcpt_to]


class LineEnds(Intake):
    # body as given, body as it has to arrive, and on the wire if that differs
    TABLE = [
        (b"a\nb\n", b"a\r\nb\r\n", None),
        (b"a\r\nb\r\n", b"a\r\nb\r\n", None),
        (b"a\rb\r", b"a\r\nb\r\n", None),
        (b"a\r\n\rb\n\r", b"a\r\n\r\nb\r\n\r\n", None),
        (b"a\r\r\nb", b"a\r\n\r\nb\r\n", None),
        (b"a\n\n\nb", b"a\r\n\r\n\r\nb\r\n", None),
        (b"no line end", b"no line end\r\n", None),
        (b"", b"", None),
        (b"\n", b"\r\n", None),
        (b".\n", b".\r\n", b"..\r\n"),
        (b".", b".\r\n", b"..\r\n"),
        (b"..\n", b"..\r\n", b"...\r\n"),
        (b".a\n.b\n", b".a\r\n.b\r\n", b"..a\r\n..b\r\n"),
        (b"a\n.\nb\n", b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb\r\n"),
        # Smuggling: what some take for an end of data must not be one.
        (b"a\r.\r\nMAIL FROM:<x@y>\n", b"a\r\n.\r\nMAIL FROM:<x@y>\r\n",
         b"a\r\n..\r\nMAIL FROM:<x@y>\r\n"),
        (b"a\r.\rb\n", b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb\r\n"),
        (b"a\n.\r\nb\n", b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb\r\n"),
        (b"a\r\n.\nb\n", b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb\r\n"),
        (b"a\r\n.\rb\n", b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb\r\n"),
        (b"a\n.", b"a\r\n.\r\n", b"a\r\n..\r\n"),
        (b"a\r\n.\r\n", b"a\r\n.\r\n", b"a\r\n..\r\n"),
        (b"\x00a\x00\n", b" a \r\n", None),
        (b"tab\t \n", b"tab\t \r\n", None),
        (b"From me to you\n", b"From me to you\r\n", None),
        (b"\x1a\x7f\x80\xff\n", b"\x1a\x7f\x80\xff\r\n", None),
    ]

    def test_line_ends_and_dots_as_the_relay_receives_them(self):
        for body, content, wire in self.TABLE:
            with self.subTest(body=body):
                head = HEAD + (b"" if body.isascii() else EIGHT_BIT) + b"\n"
                message = self.arrives(head + body, crlf(head) + content)
                head = crlf(head)
                self.same_bytes(message.data, head + (wire or content))

    def test_crlf_in_the_header_too(self):
        self.arrives(crlf(MESSAGE), crlf(MESSAGE))

    def test_bare_cr_in_the_header_too(self):
        self.arrives(MESSAGE.replace(b"\n", b"\r"), crlf(MESSAGE))

    def test_a_dot_at_every_place_around_the_buffers(self):
        for edge in (4096, 8192, 16384):
            for shift in range(-3, 4):
                with self.subTest(edge=edge, shift=shift):
                    room = edge + shift - len(crlf(HEAD)) - 2
                    lines = b"x" * 62 + b"\n"
                    body = (lines * (room // 64))
                    body += b"y" * (room - (room // 64) * 64 - 2) + b"\n"
                    body += b".\n..\r\n.\rend\n"
                    self.arrives(HEAD + b"\n" + body,
                                 crlf(HEAD) + b"\r\n" + crlf(body))

    def test_nul_becomes_a_blank_and_is_logged(self):
        self.arrives(HEAD + b"\nbe\0fore\n", crlf(HEAD + b"\nbe fore\n"))
        self.assertTrue(any("NUL" in line for line in self.log_lines()),
                        self.log_lines())


class LoneDot(Intake):
    def test_without_i_a_last_lone_dot_is_not_sent(self):
        for end in (b".\n", b".\r\n", b"."):
            with self.subTest(end=end):
                self.arrives(HEAD + b"\ntext\n" + end, crlf(HEAD + b"\ntext\n"),
                             ("-f", "alice@example.com", "bob@example.net"))

    def test_without_i_a_lone_dot_in_the_middle_is_text(self):
        self.arrives(HEAD + b"\none\n.\ntwo\n", crlf(HEAD + b"\none\n.\ntwo\n"),
                     ("-f", "alice@example.com", "bob@example.net"))

    def test_without_i_of_two_dots_at_the_end_one_stays(self):
        self.arrives(HEAD + b"\none\n.\n.\n", crlf(HEAD + b"\none\n.\n"),
                     ("-f", "alice@example.com", "bob@example.net"))

    def test_with_i_or_oi_a_last_lone_dot_is_text(self):
        for option in ("-i", "-oi", "-ti"):
            with self.subTest(option=option):
                args = [option, "-f", "alice@example.com"]
                if "t" not in option:
                    args.append("bob@example.net")
                self.arrives(HEAD + b"\ntext\n.\n",
                             crlf(HEAD + b"\ntext\n.\n"), args)

    def test_on_a_terminal_a_lone_dot_ends_the_message(self):
        conf = self.conf(self.route)
        master, slave = os.openpty()
        process = subprocess.Popen(
            [SENDROUTE, "-f", "alice@example.com", "bob@example.net"],
            stdin=slave, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=clean_environment(SENDROUTE_CONF=conf))
        os.close(slave)
        try:
            os.write(master, HEAD + b"\ntext\n.\n")
            out, err = process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            self.fail("it waited for more behind the lone dot")
        finally:
            os.close(master)
        self.assertEqual((process.returncode, out, err), (0, b"", b""))
        self.same_bytes(self.relay.only().content, crlf(HEAD + b"\ntext\n"))


class HeaderFields(Intake):
    def test_a_complete_message_is_left_as_it_is(self):
        self.arrives(MESSAGE, crlf(MESSAGE))

    def test_bcc_and_friends_are_removed(self):
        extra = (b"Bcc: hidden@secret.test,\n\tfolded@secret.test\n"
                 b"bcc:another@secret.test\n"
                 b"Return-Path: <path@secret.test>\n"
                 b"Content-Length: 12345\n"
                 b"X-After: stays\n")
        self.arrives(extra + MESSAGE, crlf(b"X-After: stays\n" + MESSAGE))

    def test_bcc_gets_the_message_and_never_leaks(self):
        message = HEAD.replace(
            b"Subject", b"BCC: hidden@secret.test,\n  Two <two@secret.test>\n"
            b"Subject") + b"\ntext\n"
        who = self.rcpts(message)
        self.assertEqual(sorted(who), ["bob@example.net", "hidden@secret.test",
                                       "two@secret.test"])
        for got in self.got:
            self.assertNotIn(b"secret.test", got.content)
            self.assertNotIn(b"bcc", got.content.lower())

    def test_bcc_of_blank_before_the_colon(self):
        message = HEAD + b"Bcc : hidden@secret.test\n\ntext\n"
        self.quiet(self.send(message))
        self.assertNotIn(b"secret.test", self.got[0].content)

    def test_missing_fields_are_added(self):
        before = time.time() - 2
        self.quiet(self.send(b"Subject: bare\nTo: bob@example.net\n\ntext\n"))
        got = self.got[0]
        self.assertEqual(len(got.fields("Date")), 1)
        date = parsedate_to_datetime(got.fields("Date")[0])
        self.assertGreaterEqual(date.timestamp(), before)
        self.assertLessEqual(date.timestamp(), time.time() + 2)
        self.assertRegex(got.fields("Date")[0], r"^[A-Z][a-z]{2}, \d{1,2} "
                         r"[A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]\d{4}$")
        self.assertEqual(len(got.fields("Message-ID")), 1)
        self.assertRegex(got.fields("Message-ID")[0],
                         r"^<[!-;=?-~]+@client\.test>$")
        self.assertEqual(got.fields("From"), ["alice@example.com"])
        self.assertEqual(got.fields("Subject"), ["bare"])
        self.assertEqual(got.fields("Received"), [])
        self.assertEqual(got.body, b"text\r\n")

    def test_message_ids_differ(self):
        for _ in range(3):
            self.quiet(self.send(b"Subject: x\n\ntext\n"))
        ids = {m.fields("Message-ID")[0] for m in self.relay.messages}
        self.assertEqual(len(ids), 3)

    def test_a_full_name_for_the_from_that_is_added(self):
        for name, wanted in (
                ("CronDaemon", r'^"?CronDaemon"? <alice@example\.com>$'),
                ("Root of All", r'^"?Root of All"? <alice@example\.com>$'),
                ('A "B" (C)', r'^"A \\"B\\" \(C\)" <alice@example\.com>$')):
            with self.subTest(name=name):
                self.quiet(self.send(b"Subject: x\n\ntext\n", (
                    "-i", "-F", name, "-f", "alice@example.com",
                    "bob@example.net")))
                self.assertRegex(self.got[0].fields("From")[0], wanted)

    def test_F_does_not_touch_a_from_that_is_there(self):
        self.arrives(MESSAGE, crlf(MESSAGE), (
            "-i", "-FSomebody Else", "-f", "alice@example.com",
            "bob@example.net"))

    def test_F_cannot_inject_a_header(self):
        done = self.send(b"Subject: x\n\ntext\n", (
            "-i", "-F", "a\nBcc: x@y.test\r\nX-Evil: 1", "-f",
            "alice@example.com", "bob@example.net"))
        self.assertIn(done.exit, (0, 65), str(done))
        for got in self.got:
            self.assertEqual(got.fields("X-Evil"), [])
            self.assertEqual(got.fields("Bcc"), [])

    def test_undisclosed_recipients(self):
        message = HEAD.replace(b"To: Bob <bob@example.net>\n", b"")
        self.quiet(self.send(message + b"\ntext\n"))
        self.assertEqual(self.got[0].fields("To"), ["undisclosed-recipients:;"])

    def test_only_bcc_becomes_undisclosed_recipients(self):
        message = HEAD.replace(b"To: Bob", b"Bcc: Bob")
        self.assertEqual(self.rcpts(message + b"\ntext\n"),
                         ["bob@example.net"])
        self.assertEqual(self.got[0].fields("To"), ["undisclosed-recipients:;"])

    def test_cc_alone_is_a_recipient_header(self):
        message = HEAD.replace(b"To: Bob", b"Cc: Bob") + b"\ntext\n"
        self.arrives(message, crlf(message))

    def test_an_mbox_line_is_dropped(self):
        for line in (b"From alice Tue Nov 24 01:02:03 2026\n",
                     b">From alice Tue Nov 24 01:02:03 2026\n"):
            with self.subTest(line=line):
                self.arrives(line + MESSAGE, crlf(MESSAGE))

    def test_a_first_line_that_is_no_header_gets_its_blank_line(self):
        self.quiet(self.send(b"just text\nmore: text\n"))
        self.assertEqual(self.got[0].body, b"just text\r\nmore: text\r\n")

    def test_a_line_that_is_no_field_ends_the_header(self):
        self.quiet(self.send(b"Subject: x\nthis is text\nmore\n"))
        self.assertEqual(self.got[0].fields("Subject"), ["x"])
        self.assertEqual(self.got[0].body, b"this is text\r\nmore\r\n")

    def test_a_header_without_a_body(self):
        self.quiet(self.send(HEAD))
        self.assertEqual(self.got[0].head, crlf(HEAD))
        self.assertEqual(self.got[0].body, b"")

    def test_an_empty_message_is_sent(self):
        self.quiet(self.send(b""))
        got = self.got[0]
        self.assertEqual(got.body, b"")
        self.assertEqual(got.fields("From"), ["alice@example.com"])
        self.assertEqual(got.fields("To"), ["undisclosed-recipients:;"])
        self.assertEqual(len(got.fields("Date")), 1)

    def test_binary_rubbish_arrives(self):
        rubbish = bytes((i * 7919 + (i >> 8) * 31) & 255 for i in range(60000))
        self.quiet(self.send(rubbish))
        got = self.got[0]
        wanted = crlf(rubbish.replace(b"\0", b" "))
        self.same_bytes(got.body.replace(b"\r\n ", b""),
                        wanted.replace(b"\r\n ", b""))
        self.assertLessEqual(max(map(len, got.content.split(b"\r\n"))), 998)

    def test_a_header_over_256_kib_is_refused(self):
        message = b"X-Long: a\n" * 30000 + MESSAGE
        self.one_line(self.send(message), 65, "header", "256")
        self.assertEqual(self.relay.sessions, [])

    def test_a_single_field_over_256_kib_is_refused(self):
        message = b"X-Long: a\n" + b"\tmore\n" * 60000 + MESSAGE
        self.one_line(self.send(message), 65, "header", "256")
        self.assertEqual(self.relay.sessions, [])

    def test_a_header_of_200_kib_in_many_fields_arrives(self):
        message = b"X-Field: some text\n" * 10000 + MESSAGE
        self.arrives(message, crlf(message))

    def test_a_to_field_of_100_kib(self):
        people = ["user%05d@dest.test" % i for i in range(4000)]
        message = HEAD.replace(b"Bob <bob@example.net>",
                               ",\n ".join(people).encode()) + b"\ntext\n"
        who = self.rcpts(message)
        self.assertEqual(sorted(who), people)
        for got in self.got:
            self.same_bytes(got.content, crlf(message))

    def test_an_8_bit_subject_is_encoded_or_goes_as_it_is(self):
        message = MESSAGE.replace(b": peers", ": Grüße".encode())
        self.quiet(self.send(message))
        self.assertIn(b"=?utf-8?", self.got[0].content)
        self.assertTrue(self.got[0].content.isascii())
        self.assertIn("Grüße", str(email.header.make_header(
            email.header.decode_header(self.got[0].fields("Subject")[0]))))

    def test_over_max_size_is_refused(self):
        done = self.send(harness.letter(20000), top="max-size 10k\n")
        self.one_line(done, 65, "max-size|size")
        self.assertEqual(self.relay.sessions, [])

    def test_from_of_the_configuration_when_none_is_given(self):
        self.quiet(self.send(b"Subject: x\n\ntext\n", ("bob@example.net",),
                             top="from alerts@example.org\n"))
        self.assertEqual(self.got[0].mail_from, "alerts@example.org")
        self.assertEqual(self.got[0].fields("From"), ["alerts@example.org"])

    def test_override_from(self):
        message = MESSAGE.replace(b"From: Alice <alice@", b"From: Alice <alice@")
        self.quiet(self.send(message, top="override-from boss@example.org\n"))
        got = self.got[0]
        self.assertEqual(got.mail_from, "boss@example.org")
        self.assertEqual(got.fields("From"), ["Alice <boss@example.org>"])
        self.assertEqual(len(got.fields("Reply-To")), 1)
        self.assertIn("alice@example.com", got.fields("Reply-To")[0])
        self.assertEqual(got.body, crlf(MESSAGE).partition(b"\r\n\r\n")[2])

    def test_override_from_keeps_a_reply_to_and_the_null_sender(self):
        message = b"Reply-To: x@reply.test\n" + MESSAGE
        self.quiet(self.send(message, ("-i", "-f", "<>", "bob@example.net"),
                             top="override-from boss@example.org\n"))
        got = self.got[0]
        self.assertEqual(got.mail, got.mail.replace("boss", ""))
        self.assertEqual(got.mail_from, "")
        self.assertEqual(got.fields("Reply-To"), ["x@reply.test"])


class LongLines(Intake):
    """Of a message in parts; one in a single part is encoded (test_reencode)."""

    HEAD = HEAD + (b"MIME-Version: 1.0\n"
                   b"Content-Type: multipart/mixed; boundary=b\n")

    @staticmethod
    def folded(line):
        out, rest = line[:998], line[998:]
        while rest:
            out += b"\r\n " + rest[:997]
            rest = rest[997:]
        return out + b"\r\n"

    def test_a_body_line_of_exactly_998_stays(self):
        message = HEAD + b"\n" + b"a" * 998 + b"\nend\n"
        self.arrives(message, crlf(message))

    def test_body_lines_over_998_are_folded(self):
        for size in (999, 1000, 1995, 1996, 3000, 20000, 100000):
            with self.subTest(size=size):
                line = bytes(97 + i % 26 for i in range(size))
                self.arrives(self.HEAD + b"\nx\n" + line + b"\nend\n",
                             crlf(self.HEAD + b"\nx\n") + self.folded(line)
                             + b"end\r\n")

    def test_a_dot_at_the_fold_is_no_end(self):
        line = b"a" * 998 + b"." * 3000
        self.arrives(self.HEAD + b"\n" + line + b"\n",
                     crlf(self.HEAD + b"\n") + self.folded(line))

    def test_header_lines_over_998_are_folded_without_loss(self):
        for value in (b"word " * 500, b"x" * 3000):
            with self.subTest(value=value[:10]):
                self.quiet(self.send(b"X-Long: " + value.strip() + b"\n"
                                     + MESSAGE))
                got = self.got[0]
                self.assertLessEqual(
                    max(map(len, got.content.split(b"\r\n"))), 998)
                self.assertEqual(
                    re.sub(r"\s", "", got.fields("X-Long")[0]),
                    re.sub(r"\s", "", value.decode()))
                self.assertTrue(got.content.endswith(crlf(MESSAGE)))

    def test_signed_mail_is_not_altered(self):
        signed = {
            "dkim": b"DKIM-Signature: v=1; a=rsa-sha256; d=example.com; s=x;\n"
                    b" h=from; bh=abc; b=def\n",
            "multipart": b"MIME-Version: 1.0\nContent-Type: multipart/signed;"
                         b" boundary=x; protocol=\"application/pgp-signature"
                         b"\"\n",
            "smime": b"MIME-Version: 1.0\nContent-Type: application/pkcs7-mime;"
                     b" smime-type=signed-data\n",
        }
        for kind, field in signed.items():
            with self.subTest(kind=kind):
                message = field + HEAD + b"\n" + b"z" * 5000 + b"\nend\n"
                self.arrives(message, crlf(message))
        self.assertTrue(any("998" in line or "long" in line.lower()
                            for line in self.log_lines()), self.log_lines())


class Recipients(Intake):
    def test_t_takes_to_cc_and_bcc(self):
        message = (b"From: a@example.com\nTo: One <one@x.test>,\n"
                   b" \"Two, the (second)\" <two@x.test>\n"
                   b"Cc: three@x.test (a comment (nested)), Four:five@x.test,"
                   b" six@x.test;\nBcc: seven@x.test\n\ntext\n")
        self.assertEqual(sorted(self.rcpts(message)), sorted([
            "one@x.test", "two@x.test", "three@x.test", "five@x.test",
            "six@x.test", "seven@x.test"]))

    def test_several_to_fields(self):
        message = b"To: a@x.test\nTo: b@x.test\nFrom: c@x.test\n\ntext\n"
        self.assertEqual(sorted(self.rcpts(message)), ["a@x.test", "b@x.test"])

    def test_t_and_arguments_are_added(self):
        self.assertEqual(
            sorted(self.rcpts(MESSAGE, ("-t", "-i", "-f", "alice@example.com",
                                        "extra@x.test"))),
            ["bob@example.net", "extra@x.test"])

    def test_without_t_the_header_does_not_count(self):
        self.assertEqual(self.rcpts(MESSAGE, ("-i", "-f", "alice@example.com",
                                              "extra@x.test")),
                         ["extra@x.test"])

    def test_t_after_the_recipients(self):
        self.assertEqual(
            sorted(self.rcpts(MESSAGE, ("extra@x.test", "-t"))),
            ["bob@example.net", "extra@x.test"])

    def test_an_argument_is_an_address_list(self):
        self.assertEqual(
            sorted(self.rcpts(MESSAGE, (
                "-i", "--", "One <one@x.test>, two@x.test", "three@x.test"))),
            ["one@x.test", "three@x.test", "two@x.test"])

    def test_duplicates_go_out_once(self):
        message = (b"To: bob@X.test, Bob <bob@x.TEST>\nCc: bob@x.test\n"
                   b"Bcc: BOB@x.test\nFrom: a@b.test\n\ntext\n")
        who = self.rcpts(message, ("-t", "bob@x.test"))
        # The local part counts as it is written, the domain in any case.
        self.assertEqual([w.lower() for w in who], ["bob@x.test"] * 2)
        self.assertEqual(sorted(w.split("@")[0] for w in who), ["BOB", "bob"])

    def test_resent_fields_alone_count(self):
        message = (b"Resent-From: carol@x.test\nResent-To: dave@x.test\n"
                   b"Resent-Cc: erin@x.test\nResent-Bcc: frank@x.test\n"
                   + MESSAGE)
        self.assertEqual(sorted(self.rcpts(message)),
                         ["dave@x.test", "erin@x.test", "frank@x.test"])
        for got in self.got:
            self.assertNotIn(b"frank", got.content)
            self.assertEqual(got.fields("To"), ["Bob <bob@example.net>"])
            self.assertEqual(got.fields("Resent-To"), ["dave@x.test"])

    def test_only_the_first_block_of_resent_fields_counts(self):
        message = (b"Resent-Date: Tue, 24 Nov 2026 01:02:03 +0000\n"
                   b"Resent-From: carol@x.test\nResent-To: new@x.test\n"
                   b"Received: from a by b; Tue, 24 Nov 2026 01:02:02 +0000\n"
                   b"Resent-Date: Mon, 23 Nov 2026 01:02:03 +0000\n"
                   b"Resent-From: carol@x.test\nResent-To: old@x.test\n"
                   b"Resent-Bcc: oldhidden@x.test\n" + MESSAGE)
        self.assertEqual(self.rcpts(message), ["new@x.test"])
        for got in self.got:
            self.assertNotIn(b"oldhidden", got.content)

    def test_bare_names_are_completed(self):
        message = b"To: root, Bob <bob>\nFrom: root\n\ntext\n"
        who = self.rcpts(message, ("-t", "-f", "root", "admin"),
                         top="domain example.org\n")
        self.assertEqual(sorted(who), ["admin@example.org", "bob@example.org",
                                       "root@example.org"])
        self.assertEqual(self.got[0].mail_from, "root@example.org")

    def test_quoted_local_parts(self):
        message = (b'To: "john doe"@x.test, "plain"@x.test, "a\\"b"@x.test\n'
                   b"From: a@b.test\n\ntext\n")
        self.assertEqual(sorted(self.rcpts(message)), sorted([
            '"john doe"@x.test', "plain@x.test", '"a\\"b"@x.test']))

    def test_a_missing_comma(self):
        message = (b"To: One <one@x.test> Two <two@x.test>\n three@x.test\n"
                   b"From: a@b.test\n\ntext\n")
        self.assertEqual(sorted(self.rcpts(message)), [
            "one@x.test", "three@x.test", "two@x.test"])

    def test_undisclosed_recipients_alone_is_nobody(self):
        message = b"To: undisclosed-recipients:;\nFrom: a@b.test\n\ntext\n"
        self.one_line(self.send(message, ("-t",)), 64, "recipient")
        self.assertEqual(self.relay.sessions, [])

    def test_8_bit_display_names(self):
        message = "To: Jörg Müller <joerg@x.test>\nFrom: a@b.test\n\nx\n"
        self.assertEqual(self.rcpts(message.encode()), ["joerg@x.test"])
        self.assertEqual(self.rcpts(message.encode("latin-1")),
                         ["joerg@x.test"])

    def test_the_null_sender(self):
        for option in (["-f", ""], ["-f", "<>"], ["-r", "<>"], ["-f<>"]):
            with self.subTest(option=option):
                self.quiet(self.send(MESSAGE, ["-i", *option,
                                               "bob@example.net"]))
                self.assertEqual(self.got[0].mail.split()[0], "<>")

    def test_the_sender_attached_or_not(self):
        for option in (["-falice@example.com"], ["-f", "alice@example.com"],
                       ["-r", "alice@example.com"], ["-ralice@example.com"],
                       ["-if", "alice@example.com"],
                       ["-f", "Alice <alice@example.com>"],
                       ["-f", "<alice@example.com>"]):
            with self.subTest(option=option):
                self.quiet(self.send(MESSAGE, [*option, "bob@example.net"]))
                self.assertEqual(self.got[0].mail_from, "alice@example.com")


class Killed(Intake):
    def test_nothing_goes_out_when_the_caller_dies_with_the_message_half_written(
            self):
        conf = self.conf(self.route)
        for sign in (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(signal=sign):
                process = subprocess.Popen(
                    [SENDROUTE, "-i", "-f", "a@b.test", "c@d.test"],
                    stdin=subprocess.PIPE, stderr=subprocess.PIPE,
                    env=clean_environment(SENDROUTE_CONF=conf),
                    # Ignored where the tests run under nohup.
                    preexec_fn=lambda: signal.signal(signal.SIGHUP,
                                                     signal.SIG_DFL))
                process.stdin.write(HEAD + b"\nhalf of\n" * 5000)
                process.stdin.flush()
                time.sleep(0.1)
                self.assertIsNone(process.poll(), "it waits for the rest")
                process.send_signal(sign)
                process.wait(10)
                process.stdin.close()
                process.stderr.close()
                self.assertNotEqual(process.returncode, 0)
                self.assertEqual(self.relay.sessions, [])

    def test_a_stdin_that_cannot_be_read(self):
        conf = self.conf(self.route)
        folder = os.open(self.dir, os.O_RDONLY)
        try:
            done = subprocess.run(
                [SENDROUTE, "-i", "-f", "a@b.test", "c@d.test"], stdin=folder,
                capture_output=True, timeout=20,
                env=clean_environment(SENDROUTE_CONF=conf))
        finally:
            os.close(folder)
        self.assertEqual(done.returncode, 74, done.stderr)
        self.assertEqual(self.relay.sessions, [])

    def limited(self, limit, message):
        """Run with a limit of the shell's ulimit."""
        conf = self.conf(self.route)
        return subprocess.run(
            ["/bin/sh", "-c", 'ulimit %s; exec "$0" "$@"' % limit, SENDROUTE,
             "-i", "-f", "a@b.test", "c@d.test"], capture_output=True,
            input=message, timeout=20,
            env=clean_environment(SENDROUTE_CONF=conf))

    def test_no_room_for_the_temporary_file(self):
        done = self.limited("-f 16", harness.letter(1 << 20))
        self.assertEqual(done.returncode, 74, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertEqual(self.relay.messages, [])

    def test_no_descriptors_left(self):
        for count in range(3, 9):
            with self.subTest(count=count):
                before = len(self.relay.accepted())
                done = self.limited("-n %d" % count, MESSAGE)
                self.assertIn(done.returncode, (0, 71, 73, 74, 75, 78),
                              done.stderr)
                self.assertEqual(len(self.relay.accepted()) - before,
                                 1 if done.returncode == 0 else 0)

    def test_a_closed_stdin_is_no_message(self):
        conf = self.conf(self.route)
        done = subprocess.run(
            ["/bin/sh", "-c", 'exec "$0" "$@" <&-', SENDROUTE, "-i", "-f",
             "a@b.test", "c@d.test"], capture_output=True, timeout=20,
            env=clean_environment(SENDROUTE_CONF=conf))
        self.assertEqual(done.returncode, 74, done.stderr)
        self.assertEqual(self.relay.sessions, [])


if __name__ == "__main__":
    harness.main()
