"""sendmail -bs: the SMTP dialogue on standard input and output, driven over
pipes and sockets, with a relay behind it that keeps every byte."""
import os
import random
import re
import select
import shutil
import smtplib
import socket
import subprocess
import time
import unittest

import harness
from harness import (Case, EIGHT_BIT, HEAD, SENDROUTE, Unmeasurable, clean_environment,
                     closed_port, crlf, letter, run, run_measured)
from relay import Relay

SANITIZED = os.environ.get("SENDROUTE_SAN")
WHOLE = crlf(HEAD) + b"\r\n"
HELLO = b"EHLO client.example\r\n"
FROM = b"MAIL FROM:<alice@example.com>\r\n"
TO = b"RCPT TO:<bob@example.net>\r\n"
BEFORE = HELLO + FROM + TO + b"DATA\r\n"
OFFERS = ["SIZE", "PIPELINING", "8BITMIME", "SMTPUTF8", "REQUIRETLS",
          "ENHANCEDSTATUSCODES", "DSN", "HELP"]


def stuffed(data):
    """CRLF text as it stands between DATA and the final dot."""
    return re.sub(rb"(?m)^\.", b"..", data) + b".\r\n"


class Client:
    """The other end of both pipes."""

    def __init__(self, args, conf):
        self.process = subprocess.Popen(
            [SENDROUTE, *args], stdin=subprocess.PIPE, bufsize=0,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=clean_environment(SENDROUTE_CONF=conf))
        self.buffer = b""

    def reply(self):
        """A whole reply: its code and its lines."""
        lines = []
        while True:
            while b"\n" not in self.buffer:
                ready, _, _ = select.select([self.process.stdout], [], [], 30)
                data = os.read(self.process.stdout.fileno(), 65536) \
                    if ready else b""
                if not data:
                    raise AssertionError("no reply; so far %r" % self.buffer)
                self.buffer += data
            line, _, self.buffer = self.buffer.partition(b"\n")
            if not re.fullmatch(rb"[2-5]\d\d[ -][\x20-\x7e]*\r", line):
                raise AssertionError("not a line of a reply: %r" % line)
            if len(line) > 511:
                raise AssertionError("a line of %d bytes" % len(line))
            lines.append(line[4:-1].decode())
            if line[3:4] == b" ":
                return line[:3].decode(), lines

    def say(self, data):
        self.process.stdin.write(data)
        return self.reply()

    def end(self):
        """Close, and return the status and what was left on both outputs."""
        self.process.stdin.close()
        out = self.buffer + self.process.stdout.read()
        err = self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()
        return self.process.wait(30), out, err


class Bs(Case):
    replies = {}

    def setUp(self):
        super().setUp()
        self.relay = self.start(Relay(tls="off", replies=dict(self.replies)))
        self.good = self.conf(self.relay.route())

    def client(self, *args, conf=None):
        client = Client(args or ("-bs",), conf or self.good)

        def stop():
            if client.process.poll() is None:
                client.process.kill()
                client.process.communicate()
        self.addCleanup(stop)
        self.assertEqual(client.reply(),
                         ("220", ["client.test ESMTP sendroute"]))
        return client

    def whole(self, data, status=0, conf=None, text="[ -~]*", **more):
        """A session that is sent at once; the codes of its replies."""
        done = run(["-bs"], data, conf=conf or self.good, **more)
        self.expect(done, status)
        self.assertEqual(done.err, "", str(done))
        self.done = done
        codes = []
        self.assertTrue(done.out.endswith("\r\n"), repr(done.out))
        for line in done.out[:-2].split("\r\n"):
            self.assertRegex(line, r"\A[2-5]\d\d[ -]" + text + r"\Z")
            if line[3] == " ":
                codes.append(int(line[:3]))
        return codes

    def received(self):
        self.relay.settle()
        return [m.content for m in self.relay.messages]


class Dialogue(Bs):
    def test_from_greeting_to_quit(self):
        client = self.client()
        code, lines = client.say(b"EHLO [127.0.0.1]\r\n")
        self.assertEqual((code, lines), ("250", ["client.test"] + OFFERS))
        for command, code in (
                (b"NOOP\r\n", "250"), (b"HELP\r\n", "214"),
                (b"VRFY root\r\n", "252"), (b"RSET\r\n", "250"),
                (b"FOO\r\n", "500"), (b"EXPN x\r\n", "502"),
                (b"RCPT TO:<a@b>\r\n", "503"), (b"DATA\r\n", "503"),
                (b"MAIL FROM:x\r\n", "501"),
                (b"MAIL FROM:<a@b> FOO=1\r\n", "555"),
                (b"NO\0OP\r\n", "500"), (b"NOOP\rX\r\n", "500"),
                (b"NOOP\n", "500"), (b"NOOP\r\n", "500"),
                (b"NOOP\r\n", "250"), (b"QUIT\r\n", "221")):
            with self.subTest(command=command):
                self.assertEqual(client.say(command)[0], code)
        self.assertEqual(client.end(), (0, b"", b""))
        self.assertEqual(self.relay.sessions, [])

    def test_dry_run_is_refused(self):
        """It must send nothing, and the client would be told that it did."""
        done = run(["-bs", "--dry-run"], b"EHLO x\r\nQUIT\r\n",
                   conf=self.conf(self.relay.route()))
        self.one_line(done, 64, "dry-run")
        self.assertEqual(self.relay.sessions, [])

    def test_a_message_as_the_relay_receives_it(self):
        text = crlf(EIGHT_BIT) + WHOLE + (b"Hello,\r\n.\r\n..\r\n.x\r\nend.\r\n\r\n" +
                        bytes(c for c in range(1, 256) if c not in (10, 13)) +
                        b"\r\n")
        client = self.client()
        client.say(HELLO)
        self.assertEqual(client.say(FROM)[0], "250")
        self.assertEqual(client.say(TO)[0], "250")
        self.assertEqual(client.say(b"RCPT TO:<carol@example.net>\r\n")[0],
                         "250")
        self.assertEqual(client.say(b"DATA\r\n")[0], "354")
        self.assertEqual(self.relay.messages, [])
        code, lines = client.say(stuffed(text))
        self.assertEqual(code, "250")
        message = self.relay.only()
        self.same_bytes(message.content, text)
        self.assertEqual(message.mail_from, "alice@example.com")
        self.assertEqual(message.rcpt_to,
                         ["bob@example.net", "carol@example.net"])
        entry, = self.log_pairs()
        self.assertEqual(lines, ["2.0.0 taken as " + entry["id"]])
        self.assertEqual(client.end(), (0, b"", b""))

    def test_three_messages_in_one_session(self):
        client = self.client("-v", "-bs")
        client.say(HELLO)
        for i in range(3):
            client.say(b"MAIL FROM:<a%d@example.com>\r\n" % i)
            client.say(b"RCPT TO:<b%d@example.net>\r\n" % i)
            client.say(b"DATA\r\n")
            self.assertEqual(client.say(WHOLE + b"%d\r\n.\r\n" % i)[0], "250")
            self.assertEqual(len(self.relay.accepted()), i + 1)
        self.assertEqual(client.say(b"QUIT\r\n")[0], "221")
        status, out, err = client.end()
        self.assertEqual((status, out), (0, b""))
        self.assertIn(b"> MAIL FROM:<a2@example.com>", err)
        for i, message in enumerate(self.relay.messages):
            self.assertEqual(message.mail_from, "a%d@example.com" % i)
            self.assertEqual(message.rcpt_to, ["b%d@example.net" % i])
            self.same_bytes(message.content, WHOLE + b"%d\r\n" % i)

    def test_everything_in_one_write(self):
        one = FROM + TO + b"DATA\r\n" + WHOLE
        self.assertEqual(
            self.whole(HELLO + one + b"1\r\n.\r\n" + one + b".\r\nQUIT\r\n"),
            [220, 250, 250, 250, 354, 250, 250, 250, 354, 250, 221])
        self.assertEqual(self.received(), [WHOLE + b"1\r\n", WHOLE])

    def test_byte_by_byte(self):
        client = self.client()
        for byte in BEFORE + WHOLE + b"a\r\n..\r\n.\r\nQUIT\r\n":
            client.process.stdin.write(bytes([byte]))
            if byte == 10:
                time.sleep(0.002)
        codes = [client.reply()[0] for _ in range(6)]
        self.assertEqual(codes, ["250", "250", "250", "354", "250", "221"])
        self.assertEqual(client.end(), (0, b"", b""))
        self.assertEqual(self.received(), [WHOLE + b"a\r\n.\r\n"])

    def test_held_back_replies_come_when_input_is_waited_for(self):
        client = self.client()
        client.process.stdin.write(HELLO + FROM + TO + b"NOOP\r\nNO")
        self.assertEqual([client.reply()[0] for _ in range(4)], ["250"] * 4)
        self.assertEqual(client.say(b"OP\r\n")[0], "250")
        client.end()

    def test_what_the_header_policy_makes_of_it(self):
        self.whole(BEFORE + b"Bcc: secret@example.org\r\nSubject: s\r\n"
                   b"Return-Path: <x@y>\r\n\r\nx\r\n.\r\nQUIT\r\n")
        message = self.relay.only()
        self.assertNotIn(b"secret", message.content)
        self.assertEqual(message.fields("Return-Path"), [])
        self.assertEqual(message.fields("From"), ["alice@example.com"])
        self.assertEqual(len(message.fields("Date")), 1)
        self.assertRegex(message.fields("Message-ID")[0], "@client.test>$")
        self.assertEqual(message.fields("To"), ["undisclosed-recipients:;"])
        self.assertEqual(message.rcpt_to, ["bob@example.net"])

    def test_names_and_null_sender(self):
        self.whole(HELLO + b"MAIL FROM:<>\r\nRCPT TO:<postmaster>\r\n"
                   b"RCPT TO:<@a.example,@b.example:c@d.example>\r\n"
                   b"RCPT TO:<\"a b\"@d.example>\r\n"
                   b"RCPT TO:<c@D.example>\r\nDATA\r\n\r\nx\r\n.\r\n")
        message = self.relay.only()
        self.assertEqual(message.mail_from, "")
        self.assertEqual(message.rcpt_to, [
            "postmaster@client.test", "c@d.example", "\"a b\"@d.example"])
        self.assertRegex(message.fields("From")[0], "@client.test$")

    def test_dsn_parameters_reach_a_relay_that_offers_dsn(self):
        self.relay.extensions += ("DSN",)
        self.whole(HELLO + b"MAIL FROM:<alice@example.com> RET=HDRS ENVID=a+2B\r\n"
                   b"RCPT TO:<bob@example.net> NOTIFY=SUCCESS,DELAY "
                   b"ORCPT=rfc822;b+40x\r\nRCPT TO:<carol@example.net>\r\n"
                   b"DATA\r\n" + WHOLE + b".\r\n")
        message = self.relay.only()
        self.assertIn(" RET=HDRS", message.mail)
        self.assertIn(" ENVID=a+2B", message.mail)
        self.assertEqual(message.rcpts, [
            "<bob@example.net> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+40x",
            "<carol@example.net>"])

    def test_an_address_in_utf8(self):
        rcpt = "RCPT TO:<j\u00f6rg@example.net>\r\n".encode()
        mail = FROM[:-2] + b" SMTPUTF8\r\n"
        self.assertEqual(self.whole(HELLO + FROM + rcpt + b"RSET\r\n" + mail +
                                    rcpt + b"DATA\r\n" + WHOLE + b".\r\n",
                                    text="[ -~\u00f6]*"),
                         [220, 250, 250, 553, 250, 250, 250, 354, 554])
        self.relay.extensions += ("SMTPUTF8",)
        self.assertEqual(self.whole(HELLO + mail + rcpt + b"DATA\r\n" + WHOLE +
                                    b".\r\n")[-1], 250)
        message = self.relay.only()
        self.assertEqual(message.rcpts, ["<j\u00f6rg@example.net>"])
        self.assertIn(" SMTPUTF8", message.mail)

    def test_requiretls(self):
        """To a relay that offers it within TLS, and to no other."""
        data = HELLO + FROM[:-2] + b" REQUIRETLS\r\n" + TO + b"DATA\r\n" + \
            WHOLE + b".\r\nQUIT\r\n"
        self.relay.extensions += ("REQUIRETLS",)
        self.assertIn(554, self.whole(data))
        self.assertIn("5.7.30", self.done.out)
        secure = self.start(Relay())
        self.assertIn(554, self.whole(data, conf=self.conf(secure.route())))
        self.assertEqual(secure.settle().messages, [])
        secure.extensions += ("REQUIRETLS",)
        self.assertNotIn(554, self.whole(data,
                                         conf=self.conf(secure.route())))
        self.assertIn(" REQUIRETLS", secure.only().mail)

    def test_override_from(self):
        conf = self.conf(self.relay.route(), top="override-from o@example.org\n",
                         name="override")
        self.whole(BEFORE + WHOLE + b".\r\n", conf=conf)
        message = self.relay.only()
        self.assertEqual(message.mail_from, "o@example.org")
        self.assertEqual(message.fields("From"), ["Alice <o@example.org>"])

    def test_the_route_is_chosen_by_the_sender_of_each_message(self):
        other = self.start(Relay(tls="off"))
        conf = self.conf(other.route("other", senders="o@example.com"),
                         self.relay.route(), name="two")
        for sender in (b"o", b"alice"):
            self.whole(HELLO + b"MAIL FROM:<" + sender + b"@example.com>\r\n" +
                       TO + b"DATA\r\n" + WHOLE + b".\r\n", conf=conf)
        self.assertEqual(other.only().mail_from, "o@example.com")
        self.assertEqual(self.relay.only().mail_from, "alice@example.com")


class Ends(Bs):
    """What ends DATA, and what does not."""

    HOSTILE = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n",
               b"\r\n.\r", b"\n\r.\r\n", b"\r\n\0.\r\n", b"\r\n.\0\r\n",
               b"\r\n.\r\r\n", b"\r\n. \r\n", b"\r\r.\r\r", b"\r\0\n.\r\n",
               b"\r\n\x85.\r\n", b"\r\n..\r\n", b"\r\n.\n\r\n", b"\x0b.\x0b"]

    def test_smuggled_commands_stay_text(self):
        evil = b"MAIL FROM:<evil@example.com>\r\n" + TO + \
            b"DATA\r\n" + WHOLE + b"evil\r\n"
        for i, end in enumerate(self.HOSTILE):
            with self.subTest(end=end):
                self.assertEqual(
                    self.whole(BEFORE + WHOLE + b"a" + end + evil +
                               b".\r\nQUIT\r\n"),
                    [220, 250, 250, 250, 354, 250, 221])
                self.relay.settle()
                self.assertEqual(len(self.relay.messages), i + 1)
                message = self.relay.messages[-1]
                self.assertTrue(message.content.endswith(evil))
                self.assertEqual(message.mail_from, "alice@example.com")
                self.assertNotRegex(message.data, rb"(?<!\r)\n|\r(?!\n)|\0")
                self.assertNotRegex(message.data, rb"(?m)^\.\r")

    def test_what_looks_like_an_end_in_the_middle(self):
        self.whole(BEFORE + WHOLE + b"\n.\na\r\n.\nb\r.\r\n..c\r\n.\r\nQUIT\r\n")
        self.same_bytes(self.received()[0], WHOLE +
                        b"\r\n.\r\na\r\n\r\nb\r\n.\r\n.c\r\n")

    def test_without_the_final_dot_nothing_is_sent(self):
        for end in (b"", b"x", b"x\r\n", b"x\r\n.", b"x\r\n.\r", b"x\n.\n",
                    b"x\r\n.\n", b"x\r.\r\n"):
            with self.subTest(end=end):
                self.assertEqual(self.whole(BEFORE + WHOLE + end),
                                 [220, 250, 250, 250, 354])
        self.assertEqual(self.relay.sessions, [])
        self.assertIn("discarded", self.log_lines()[-1])

    def test_a_killed_client_sends_nothing(self):
        client = self.client()
        for command in (HELLO, FROM, TO, b"DATA\r\n"):
            client.say(command)
        client.process.stdin.write(WHOLE + b"half a li")
        self.assertEqual(client.end(), (0, b"", b""))
        self.assertEqual(self.relay.sessions, [])

    def test_a_large_message_with_dots(self):
        text = crlf(letter(6 << 20))
        self.assertEqual(self.whole(BEFORE + stuffed(text) + b"QUIT\r\n")[-2:],
                         [250, 221])
        self.same_bytes(self.relay.only().content, text)

    def test_memory_does_not_depend_on_the_message(self):
        path = self.write("session", BEFORE +
                          stuffed(crlf(letter(20 << 20))) + b"QUIT\r\n")
        try:
            done = run_measured(["-bs"], path, self.good)
        except Unmeasurable as e:
            self.skipTest(str(e))
        self.expect(done, 0)
        self.assertIn("\r\n250 2.0.0 taken", done.out)
        self.assertLessEqual(done.peak, 1024)


class Outcomes(Bs):
    """The reply to the final dot."""

    def send(self, *rcpts, conf=None, goes_on=True):
        """The code and lines of the reply for one message to them."""
        client = self.client(conf=conf)
        client.say(HELLO)
        client.say(FROM)
        for rcpt in rcpts or ("bob@example.net",):
            self.assertEqual(
                client.say(b"RCPT TO:<%s>\r\n" % rcpt.encode())[0], "250")
        client.say(b"DATA\r\n")
        answer = client.say(WHOLE + b".\r\n")
        # The session goes on, with a clean slate.
        self.assertEqual(client.say(b"DATA\r\n")[0], "503")
        self.assertEqual(client.say(FROM)[0], "250")
        self.assertEqual(client.end(), (0, b"", b""))
        return answer

    def test_one_of_three_is_refused(self):
        self.relay.replies["rcpt <bad@x.example>"] = "550 5.1.1 no such user"
        code, lines = self.send("a@x.example", "bad@x.example", "c@x.example")
        self.assertEqual(code, "554")
        self.assertRegex(lines[0], r"^5\.1\.1 bad@x\.example: failed: .*"
                         "550 5.1.1 no such user")
        self.assertEqual(lines[1:], [
            "5.1.1 a@x.example: sent: do not send it again",
            "5.1.1 c@x.example: sent: do not send it again"])
        self.assertEqual(self.relay.only().rcpt_to,
                         ["a@x.example", "c@x.example"])

    def test_one_is_refused_and_one_deferred(self):
        self.relay.replies["rcpt <bad@x.example>"] = "550 5.1.1 no such user"
        self.relay.replies["rcpt <full@x.example>"] = "452 4.2.2 full"
        code, lines = self.send("bad@x.example", "full@x.example")
        self.assertEqual(code, "451")
        self.assertRegex(lines[0], r"^4\.2\.2 bad@x\.example: failed: ")
        self.assertRegex(lines[1], r"^4\.2\.2 full@x\.example: deferred: ")

    def test_the_content_is_refused(self):
        self.relay.replies["dot"] = "554 5.7.1 spam"
        code, lines = self.send()
        self.assertEqual(code, "554")
        self.assertRegex(lines[0], r"^5\.7\.1 bob@example\.net: failed: .*spam")

    def test_the_relay_is_not_there(self):
        conf = self.conf("route r\ntype smtp\nhost 127.0.0.1\nport %d\ntls off\n"
                         "senders *\n" % closed_port(), name="down")
        code, lines = self.send(conf=conf)
        self.assertEqual(code, "451")
        self.assertIn("bob@example.net: deferred: ", lines[0])

    def test_no_route_is_for_the_operator_to_mend(self):
        conf = self.conf(self.relay.route(senders="o@example.org"), name="none")
        code, lines = self.send(conf=conf)
        self.assertEqual(code, "451")
        self.assertIn("bob@example.net: deferred: ", lines[0])
        self.assertEqual(self.relay.sessions, [])

    def test_a_refused_password_is_for_the_operator_to_mend(self):
        relay = self.start(Relay(tls="starttls", users={"u": "right"}))
        conf = self.conf(relay.route(user="u", password_file=self.secret("wrong")),
                         name="auth")
        code, lines = self.send(conf=conf)
        self.assertEqual(code, "451")
        self.assertIn("AUTH", lines[0])
        self.assertEqual(relay.messages, [])

    def test_an_ambiguous_end_is_temporary(self):
        self.relay.replies["dot"] = ("<drop>",)
        self.assertEqual(self.send()[0], "451")

    def test_a_reply_of_the_relay_cannot_break_ours(self):
        self.relay.replies["dot"] = b"554-x\xff\x01\r\n554 " + b"y" * 900 + \
            b"\r\n"
        code, lines = self.send()       # Client.reply() checks every byte
        self.assertEqual((code, len(lines)), ("554", 1))

    def test_too_large(self):
        conf = self.conf(self.relay.route(), top="max-size 2k\n", name="small")
        client = self.client(conf=conf)
        self.assertIn("SIZE 2048", client.say(HELLO)[1])
        self.assertEqual(client.say(FROM[:-2] + b" SIZE=2049\r\n")[0], "552")
        self.assertEqual(client.say(FROM[:-2] + b" SIZE=1000\r\n")[0], "250")
        client.say(TO)
        client.say(b"DATA\r\n")
        code, lines = client.say(WHOLE + b"0123456789\r\n" * 100000 + b".\r\n")
        self.assertEqual(code, "552")
        self.assertRegex(lines[0], "^5.3.4 .*2048")
        client.say(FROM)
        client.say(TO)
        client.say(b"DATA\r\n")
        self.assertEqual(client.say(WHOLE + b".\r\n")[0], "250")
        self.assertEqual(self.relay.only().content, WHOLE)
        self.assertEqual(client.end(), (0, b"", b""))

    def test_unusable(self):
        self.assertEqual(
            self.whole(BEFORE + b"From: a@@b\r\n\r\nx\r\n.\r\nNOOP\r\n"),
            [220, 250, 250, 250, 354, 554, 250])
        self.assertIn("554 5.6.0 ", self.done.out)
        self.assertEqual(self.relay.sessions, [])
        self.assertIn("bad address", self.log_lines()[-1])

    def test_a_huge_header_is_read_to_its_end(self):
        self.assertEqual(
            self.whole(BEFORE + b"X: y\r\n" * 60000 + b".\r\nNOOP\r\n"),
            [220, 250, 250, 250, 354, 554, 250])


class Aliases(Bs):
    """No recipient loses mail by the alias of another."""

    file = "root: |cat\nops: carol@example.net, dave@example.net\nweb: ops\n"

    def setUp(self):
        super().setUp()
        self.aliases = self.write("aliases", self.file)
        self.good = self.conf(self.relay.route(),
                              top="aliases %s\n" % self.aliases)

    def start_with(self, *rcpts):
        """A session in which they were named, and what was said to each."""
        client = self.client()
        client.say(HELLO)
        client.say(FROM)
        return client, [client.say(b"RCPT TO:<%s>\r\n" % rcpt.encode())
                        for rcpt in rcpts]

    def test_one_that_fails_is_refused_and_the_others_get_it(self):
        client, answers = self.start_with("bob@example.net", "root", "ops")
        self.assertEqual([code for code, _ in answers], ["250", "451", "250"])
        self.assertRegex(answers[1][1][0],
                         r"^4\.3\.5 root@client\.test: .*aliases:1: '\|cat' is ")
        client.say(b"DATA\r\n")
        self.assertEqual(client.say(WHOLE + b".\r\n")[0], "250")
        message = self.relay.only()
        self.assertEqual(message.rcpt_to, [
            "bob@example.net", "carol@example.net", "dave@example.net"])
        self.same_bytes(message.content, WHOLE)
        self.assertEqual(client.end(), (0, b"", b""))
        self.assertIn("aliases:1:", self.log_lines()[0])

    def test_the_only_one(self):
        client, answers = self.start_with("root@client.test")
        self.assertEqual(answers[0][0], "451")
        self.assertEqual(client.say(b"DATA\r\n")[0], "503")
        self.write("aliases", "root: carol@example.net\n")
        self.assertEqual(client.say(b"RCPT TO:<root>\r\n")[0], "250")
        client.say(b"DATA\r\n")
        self.assertEqual(client.say(WHOLE + b".\r\n")[0], "250")
        self.assertEqual(self.relay.only().rcpt_to, ["carol@example.net"])
        client.end()

    def test_a_file_that_breaks_in_the_middle_names_all_of_them(self):
        client, answers = self.start_with("bob@example.net", "ops", "eve@x.test")
        self.assertEqual([code for code, _ in answers], 3 * ["250"])
        client.say(b"DATA\r\n")
        client.process.stdin.write(b"From: a@x.test\r\n")
        self.write("aliases", "ops: /dev/null\n")
        client.process.stdin.write(WHOLE + b"half\r\n")
        code, lines = client.say(b"more\r\n.\r\n")
        self.assertEqual((code, len(lines)), ("451", 3))
        for line, who in zip(lines, ("bob@example.net", "ops@client.test",
                                     "eve@x.test")):
            self.assertRegex(line, r"^4\.3\.5 %s: deferred: ops@client\.test: "
                             ".*aliases:1: " % re.escape(who))
        self.assertEqual(self.relay.sessions, [])
        # Once it is mended, the client sends it again, and once it arrives.
        self.write("aliases", self.file)
        for command in (FROM, TO, b"RCPT TO:<ops>\r\n",
                        b"RCPT TO:<eve@x.test>\r\n"):
            self.assertEqual(client.say(command)[0], "250")
        client.say(b"DATA\r\n")
        self.assertEqual(client.say(WHOLE + b".\r\n")[0], "250")
        self.assertEqual(sorted(self.relay.only().rcpt_to), [
            "bob@example.net", "carol@example.net", "dave@example.net",
            "eve@x.test"])
        client.end()

    def test_two_ways_to_one_person_are_one_copy(self):
        client, _ = self.start_with("web", "carol@example.net", "ops")
        client.say(b"DATA\r\n")
        self.assertEqual(client.say(WHOLE + b".\r\n")[0], "250")
        self.assertEqual(self.relay.only().rcpt_to, [
            "carol@example.net", "dave@example.net"])
        client.end()


class Surroundings(Bs):
    def test_a_broken_configuration_is_said_in_the_greeting(self):
        conf = self.write("broken", "hostname a.example\nnonsense\n")
        done = run(["-bs"], HELLO, conf=conf)
        self.expect(done, 78)
        self.assertRegex(done.out, r"\A421 4\.3\.5 .*broken:2: .*\r\n\Z")
        self.assertRegex(done.err, r"\Asendroute: .*broken:2: .*\n\Z")

    def test_standard_input_is_closed(self):
        done = subprocess.run(["/bin/sh", "-c", "exec \"$0\" -bs <&-",
                               SENDROUTE], capture_output=True, timeout=30,
                              env=clean_environment(SENDROUTE_CONF=self.good))
        self.assertEqual(done.returncode, 74)

    def test_standard_output_is_full(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [SENDROUTE, "-bs"], input=BEFORE, stdout=full,
                stderr=subprocess.PIPE, timeout=30,
                env=clean_environment(SENDROUTE_CONF=self.good))
        self.assertEqual(done.returncode, 74)

    def test_the_client_reads_no_more(self):
        client = self.client()
        client.say(HELLO)
        client.process.stdout.close()
        client.process.stdin.write(FROM)
        self.assertEqual(client.process.wait(30), 74)
        self.assertEqual(self.relay.sessions, [])

    def test_options_that_callers_add(self):
        for args in (["-bs", "-i"], ["-bs", "-oi", "-t"], ["-oem", "-bs"],
                     ["-bs", "-f", "x@example.com"], ["-b", "s"]):
            with self.subTest(args=args):
                client = self.client(*args)
                self.assertEqual(client.say(b"QUIT\r\n")[0], "221")
                self.assertEqual(client.end(), (0, b"", b""))

    def test_log_lines_of_a_delivery(self):
        self.whole(BEFORE + WHOLE + b".\r\nQUIT\r\n")
        entry, = self.log_pairs()
        self.assertEqual((entry["from"], entry["to"], entry["status"]),
                         ("alice@example.com", "bob@example.net", "sent"))

    def test_rubbish(self):
        """No input gets anything but replies, nor sends a message."""
        chance = random.Random(20261124)
        pieces = [HELLO, FROM, TO, b"RSET\r\n", b"MAIL FROM:<", b">", b"\r\n",
                  b"\n", b"\r", b"\0", b"RCPT TO:", b" SIZE=", b"NOTIFY=",
                  b"ORCPT=;+", b"\"", b"\\", b"@", b"[", b" ", b"HELP\r\n",
                  b"x" * 3000, b"\xff\xfe", b"EHLO", b"%s%n", b".\r\n"]
        for turn in range(60):
            data = b"".join(
                chance.choice(pieces) if chance.random() < 0.9 else
                chance.randbytes(chance.randrange(40))
                for _ in range(chance.randrange(1, 400)))
            data = data.replace(b"QUIT", b"").replace(b"DATA", b"")
            with self.subTest(turn=turn):
                self.whole(data, program=SANITIZED)
        self.assertEqual(self.relay.sessions, [])


class Programs(Bs):
    """Clients by other people."""

    def test_smtplib(self):
        ours, theirs = socket.socketpair()
        process = subprocess.Popen(
            [SENDROUTE, "-bs"], stdin=theirs, stdout=theirs,
            stderr=subprocess.PIPE,
            env=clean_environment(SENDROUTE_CONF=self.good))
        theirs.close()
        ours.settimeout(30)
        self.relay.replies["rcpt <bad@x.example>"] = "550 5.1.1 no such user"
        client = smtplib.SMTP(local_hostname="client.example")
        client.sock = ours
        self.assertEqual(client.getreply()[0], 220)
        text = WHOLE.decode() + "one\n.\n..two\n"
        self.assertEqual(client.sendmail(
            "alice@example.com", ["bob@example.net", "c@example.net"], text,
            mail_options=["BODY=8BITMIME", "RET=HDRS"],
            rcpt_options=["NOTIFY=FAILURE"]), {})
        self.same_bytes(self.relay.only().content, crlf(text.encode()))
        with self.assertRaises(smtplib.SMTPDataError) as caught:
            client.sendmail("alice@example.com", "bad@x.example", text)
        self.assertEqual(caught.exception.smtp_code, 554)
        self.assertIn(b"no such user", caught.exception.smtp_error)
        self.assertEqual(client.verify("root")[0], 252)
        self.assertEqual(client.quit()[0], 221)
        self.assertEqual(process.communicate(timeout=30)[1], b"")
        self.assertEqual(process.returncode, 0)

    @unittest.skipUnless(shutil.which("swaks"), "swaks is not installed")
    def test_swaks_over_a_pipe(self):
        data = self.write("data", HEAD + b"\nfrom swaks\n.\n..\nend\n")
        for i, more in enumerate(([], ["--pipeline"])):
            with self.subTest(more=more):
                done = subprocess.run(
                    ["swaks", "--pipe", SENDROUTE + " -bs", "--data",
                     "@" + data, "-f", "alice@example.com", "-t",
                     "bob@example.net,carol@example.net", *more],
                    capture_output=True, timeout=60,
                    env=clean_environment(SENDROUTE_CONF=self.good))
                self.assertEqual(done.returncode, 0, done)
                self.relay.settle()
                self.assertEqual(len(self.relay.messages), i + 1)
                message = self.relay.messages[-1]
                self.assertEqual(message.rcpt_to, [
                    "bob@example.net", "carol@example.net"])
                self.assertTrue(message.content.startswith(crlf(
                    HEAD + b"\nfrom swaks\n.\n..\nend\n")), message.content)


if __name__ == "__main__":
    harness.main()
