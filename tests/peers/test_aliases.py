"""The alias file from end to end: whom the relay is told to give the message
to, and what a program that runs with borrowed privilege reads for its caller."""
import grp
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


@unittest.skipIf(os.getuid() != 0, "only root can lend privilege")
class SetId(Aliases):
    """The program is the mail group's, as is what it reads of its own accord;
    the caller is nobody.  All of it in a folder that he takes for the root, so
    that the configuration can be /etc/sendroute.conf."""

    file = "root: alice@example.com\nops: bob@example.net, :include:/etc/list\n"

    def setUp(self):
        super().setUp()
        if os.statvfs(self.dir).f_flag & os.ST_NOSUID:
            self.skipTest("no set-id programs in the temporary folder")
        os.chmod(self.dir, 0o755)
        for name, mode in (("etc", 0o755), ("tmp", 0o1777)):
            os.mkdir(self.path(name))
            os.chmod(self.path(name), mode)
        shutil.copy(SENDROUTE, self.path("sendmail"))
        self.mail = grp.getgrnam("mail").gr_gid
        self.own("etc/aliases", self.file)
        self.own("etc/list", "carol@example.net\n")
        self.own("etc/sendroute.conf",
                 "hostname client.test\naliases /etc/aliases\nlog none\n" +
                 self.relay.route(host="127.0.0.1"))
        self.lend(0o2755)

    def own(self, name, text, mode=0o640):
        os.chown(self.write(name, text, mode), 0, self.mail)

    def lend(self, mode):
        os.chown(self.path("sendmail"), 0, self.mail)
        os.chmod(self.path("sendmail"), mode)

    def call(self, args, text=MESSAGE, env=None):
        nobody = pwd.getpwnam("nobody")

        def become():
            os.chroot(self.dir)
            os.chdir("/")
            os.setgroups([])
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)
        process = subprocess.Popen(
            ["/sendmail", *args], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env or {},
            preexec_fn=become)
        out, err = process.communicate(text, 30)
        return harness.Done(args, process.returncode, out, err, 0)

    def test_the_file_is_opened_before_privilege_is_dropped(self):
        for mode in (0o2755, 0o4755):
            with self.subTest(mode=oct(mode)):
                self.relay.messages.clear()
                self.lend(mode)
                self.quiet(self.call(["-i", "root"]))
                self.assertEqual(self.relay.only().rcpt_to,
                                 ["alice@example.com"])
        self.lend(0o755)
        self.one_line(self.call(["-i", "root"]), 77, "etc/sendroute.conf")

    def test_each_message_of_a_session_has_it(self):
        one = (b"MAIL FROM:<alice@example.com>\r\nRCPT TO:<root>\r\nDATA\r\n" +
               crlf(MESSAGE) + b".\r\n")
        done = self.call(["-bs"], b"HELO x\r\n" + one + one + b"QUIT\r\n")
        self.expect(done, 0)
        self.assertEqual([line[:3] for line in done.out.splitlines()],
                         ["220", "250", "250", "250", "354", "250", "250",
                          "250", "354", "250", "221"])
        self.assertEqual([m.rcpt_to for m in self.relay.accepted()],
                         2 * [["alice@example.com"]])

    def test_nothing_of_the_environment_counts(self):
        env = {"LOGNAME": "mallory", "TZ": "XYZ-5", "TMPDIR": "/etc",
               "SENDROUTE_CONF": "/etc/own.conf"}
        for mode in (0o2755, 0o4755):
            with self.subTest(mode=oct(mode)):
                self.relay.messages.clear()
                self.lend(mode)
                self.quiet(self.call(["-i", "root"], b"\nhi\n", env))
                message = self.relay.only()
                self.assertEqual(message.mail_from, "uid%d@client.test" %
                                 pwd.getpwnam("nobody").pw_uid)
                self.assertRegex(message.fields("Date")[0], r"\+0000$")
                self.assertEqual(message.rcpt_to, ["alice@example.com"])

    def test_what_it_includes_is_read_as_the_caller_may(self):
        for mode in (0o2755, 0o4755):
            with self.subTest(mode=oct(mode)):
                self.lend(mode)
                line = self.one_line(self.call(["-i", "ops"]), 77, "etc/list",
                                     "Permission denied")
                self.assertNotIn("carol", line)
        self.assertEqual(self.relay.sessions, [])
        os.chmod(self.path("etc/list"), 0o644)
        self.quiet(self.call(["-i", "ops"]))
        self.assertEqual(self.relay.only().rcpt_to,
                         ["bob@example.net", "carol@example.net"])

    def test_with_C_the_caller_s_rights_are_all_there_are(self):
        with open(self.path("etc/sendroute.conf")) as file:
            self.write("etc/own.conf", file.read())
        self.one_line(self.call(["-C", "/etc/own.conf", "-i", "root"]), 77,
                      "etc/aliases", "Permission denied")
        self.assertEqual(self.relay.sessions, [])

    def test_one_that_is_missing_matters_to_local_names_alone(self):
        os.unlink(self.path("etc/aliases"))
        self.quiet(self.call(["-i", "dave@example.net"]))
        self.one_line(self.call(["-i", "root"]), 78, "etc/aliases")
        self.assertEqual(self.relay.only().rcpt_to, ["dave@example.net"])


@unittest.skipIf(os.getuid() != 0, "only root can lend privilege")
class Commands(Case):
    """password-command runs when privilege is gone; the environment of the
    caller must be gone as well."""

    def setUp(self):
        super().setUp()
        if os.statvfs(self.dir).f_flag & os.ST_NOSUID:
            self.skipTest("no set-id programs in the temporary folder")
        os.chmod(self.dir, 0o755)
        self.program = self.path("sendmail")
        shutil.copy(SENDROUTE, self.program)
        self.relay = self.start(Relay(tls="off", users={"u": "right"}))
        os.mkdir(self.path("seen"))
        os.chmod(self.path("seen"), 0o1777)
        self.good = self.conf(self.relay.route(extra=
            'user u\npassword-command "cd %s && { id; env; } >env && '
            'echo ${PASSWORD:-right}"' % self.path("seen")), top="log none\n")

    def seen(self, mode, **env):
        """What the command saw of its caller."""
        before = len(self.relay.messages)
        os.chown(self.program, 0, grp.getgrnam("mail").gr_gid)
        os.chmod(self.program, mode)
        self.done = run(["-C", self.good, "-i", "bob@example.net"], MESSAGE,
                        env=env, program=self.program, user="nobody")
        self.came = self.relay.messages[before:]
        with open(self.path("seen/env")) as file:
            text = file.read()
        os.unlink(self.path("seen/env"))
        return text

    def test_it_gets_none_of_the_caller_s_environment(self):
        for mode in (0o2755, 0o4755):
            with self.subTest(mode=oct(mode)):
                text = self.seen(mode, PASSWORD="wrong", PATH="/evil:/bin",
                                 ENV="/evil", AWS_PROFILE="evil")
                self.quiet(self.done)
                message, = self.came
                self.same_bytes(message.content, crlf(MESSAGE))
                self.assertNotRegex(text, "evil|wrong|LC_ALL|HOME=")
                self.assertIn("PATH=/usr/bin:/bin\n", text)
                self.assertRegex(text, r"uid=\d+\(nobody\) gid=\d+\(nogroup\)")
                ids = text.split("\n", 1)[0]
                self.assertNotRegex(ids, "mail|root|euid|egid")

    def test_without_privilege_it_gets_all_of_it(self):
        text = self.seen(0o755, PASSWORD="wrong", AWS_PROFILE="mine")
        self.one_line(self.done, 75, "AUTH")
        self.assertEqual(self.came, [])
        self.assertIn("AWS_PROFILE=mine\n", text)


if __name__ == "__main__":
    harness.main()
