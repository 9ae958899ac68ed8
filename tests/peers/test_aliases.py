"""The alias file from end to end: whom the relay is told to give the message
to, and what a program that runs with borrowed privilege reads for its caller."""
import grp
import os
import pwd
import shutil
import subprocess
import unittest

import harness
from harness import Case, MESSAGE, SENDROUTE, crlf, run
from relay import Relay

BODY = MESSAGE.partition(b"\n\n")[2]
FILE = """\
"mail admin": alice@example.com, "the boss"
"the boss":   bob@example.net
"a@b":        carol@example.net
"""
BOTH = ["alice@example.com", "bob@example.net"]


class Aliases(Case):
    file = FILE

    def setUp(self):
        super().setUp()
        self.relay = self.start(Relay(tls="off"))
        self.aliases = self.write("aliases", self.file)
        self.good = self.conf(self.relay.route(),
                              top="aliases %s\n" % self.aliases)

    def sent(self, args, message=MESSAGE):
        """What came when it was called so; nothing was said."""
        before = len(self.relay.messages)
        self.quiet(run(args, message, conf=self.good))
        self.relay.settle()
        came, = self.relay.messages[before:]
        return came


class NamesInQuotes(Aliases):
    """A name in quotes is completed and looked up like any other."""

    def test_on_the_command_line(self):
        for args in (['"mail admin"'], ['<"mail admin">'], ['"MAIL Admin"'],
                     ['"mail\\ admin"'], ['Us <"mail admin">'],
                     ['"the boss", "mail admin"@client.test']):
            with self.subTest(args=args):
                came = self.sent(["-i", *args])
                self.assertEqual(sorted(came.rcpt_to), BOTH)
                self.same_bytes(came.content, crlf(MESSAGE))
        self.assertEqual(self.sent(["-i", '"a@b"']).rcpt_to,
                         ["carol@example.net"])

    def test_in_the_header(self):
        text = (b"From: alice@example.com\n%sSubject: s\nMessage-ID: <1@x>\n"
                b"Date: Tue, 24 Nov 2026 10:00:00 +0000\n\n" + BODY)
        for fields in (b'To: "mail admin"\n', b'Cc: <"mail admin">\n',
                       b'To: "mail\n admin"\n'):
            with self.subTest(fields=fields):
                came = self.sent(["-t", "-i"], text % fields)
                self.assertEqual(came.rcpt_to, BOTH)
                completed = fields.replace(b'admin"', b'admin"@client.test')
                self.same_bytes(came.content, crlf(text % completed))

    def test_without_an_alias_it_is_at_the_domain(self):
        self.assertEqual(self.sent(["-i", '"no one"']).rcpt_to,
                         ['"no one"@client.test'])

    def test_over_smtp(self):
        done = run(["-bs"], b"HELO x\r\nMAIL FROM:<alice@example.com>\r\n"
                   b'RCPT TO:<"mail admin">\r\nRCPT TO:<"a@b">\r\n'
                   b"DATA\r\n" + crlf(MESSAGE) + b".\r\nQUIT\r\n",
                   conf=self.good)
        self.expect(done, 0)
        self.assertEqual([line[:3] for line in done.out.splitlines()],
                         ["220", "250", "250", "250", "250", "354", "250",
                          "221"])
        self.assertEqual(self.relay.only().rcpt_to,
                         BOTH + ["carol@example.net"])
        self.same_bytes(self.relay.only().content, crlf(MESSAGE))

    def test_what_is_no_single_name_is_still_refused(self):
        for word in ("mail admin", '"mail" "admin"', '""', '"mail admin',
                     '"mail<admin"'):
            with self.subTest(word=word):
                self.one_line(run(["-i", word], MESSAGE, conf=self.good), 65,
                              "bad address")
        self.assertEqual(self.relay.sessions, [])


if __name__ == "__main__":
    harness.main()
