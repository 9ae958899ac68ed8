"""The command line: every option that callers use, --version, --help, -v, and
the personalities that exist already."""
import base64
import grp
import os
import re
import shutil
import unittest

import harness
from harness import Case, MESSAGE, SENDROUTE, run
from relay import Relay
from ses import SECRET, Ses


class Cli(Case):
    def setUp(self):
        super().setUp()
        self.relay = self.start(Relay(tls="off"))
        self.good = self.conf(self.relay.route())

    def sends(self, *args, to="bob@example.net", message=MESSAGE):
        before = len(self.relay.messages)
        done = self.expect(run(args, message, conf=self.good), 0)
        got = self.relay.messages[before:]
        self.assertEqual([m.rcpt_to for m in got], [[to]], str(done))
        self.assertEqual(got[0].body, MESSAGE.partition(b"\n\n")[2]
                         .replace(b"\n", b"\r\n"))
        return got[0], done


class Options(Cli):
    # Options that change nothing for this message.
    FLAGS = ("-i -oi -n -m -U -G -x -c -s -bm -odi -odb -odq -oem -oep -om -oi"
             " -oitrue -ee -em -ep -eq -ew -oee -oo -os -oT1d -Ac -Am -d -d0.1"
             " -d9-13.4 -oMr -Msomething").split()
    VALUES = {"-F": "Full Name", "-N": "failure,delay", "-R": "hdrs",
              "-V": "envid", "-B": "8BITMIME", "-O": "Timeout=1m", "-A": "c",
              "-L": "tag", "-h": "3", "-p": "ESMTP:host", "-X": "trace.log",
              "-M": None, "-f": "alice@example.com", "-r": "a@b.test"}

    def test_flags_that_change_nothing(self):
        for flag in self.FLAGS:
            with self.subTest(flag=flag):
                _, done = self.sends(flag, "bob@example.net")
                self.assertEqual(done.err, "")

    def test_values_attached_and_detached(self):
        for option, value in self.VALUES.items():
            if value is None:
                continue
            with self.subTest(option=option):
                self.sends(option + value, "bob@example.net")
                self.sends(option, value, "bob@example.net")

    def test_values_of_d_and_q_only_attach(self):
        # The next word is a recipient.
        self.sends("-d", "bob@example.net")

    def test_n_r_and_v_in_every_sensible_form(self):
        for args in (["-N", "never"], ["-Nsuccess,failure,delay"],
                     ["-R", "full"], ["-Rhdrs"], ["-V", "id-1"]):
            self.sends(*args, "bob@example.net")

    def test_flags_combine(self):
        self.sends("-ti")
        self.sends("-it")
        self.sends("-tif", "alice@example.com")
        self.sends("-tifalice@example.com")

    def test_two_dashes_end_options(self):
        self.sends("-i", "--", "bob@example.net")

    def test_options_behind_recipients(self):
        self.sends("bob@example.net", "-i", "-f", "alice@example.com")

    def test_dsn_is_left_out_when_the_relay_does_not_offer_it(self):
        got, _ = self.sends("-N", "failure", "-R", "hdrs", "-V", "x1",
                            "bob@example.net")
        self.assertNotRegex(got.mail.upper(), "RET=|ENVID=")
        self.assertNotRegex(got.rcpts[0].upper(), "NOTIFY=|ORCPT=")

    def test_X_writes_no_file(self):
        path = self.path("trace")
        self.sends("-X", path, "bob@example.net")
        self.sends("-X" + path, "bob@example.net")
        self.assertFalse(os.path.exists(path))

    def test_unknown_options(self):
        for option in ("-y", "-Z", "--frobnicate", "-bz", "--dryrun", "-1"):
            with self.subTest(option=option):
                self.one_line(run([option, "bob@example.net"], MESSAGE,
                                  conf=self.good), 64, re.escape(option[:3]))
        self.assertEqual(self.relay.sessions, [])

    def test_a_missing_option_value(self):
        for option in ("-f", "-F", "-C", "-N", "-O"):
            with self.subTest(option=option):
                self.one_line(run(["bob@example.net", option], MESSAGE,
                                  conf=self.good), 64, option)
        self.assertEqual(self.relay.sessions, [])

    def test_modes_that_are_no_daemon(self):
        for option in ("-bd", "-bD", "-bt", "-bh", "-bH"):
            with self.subTest(option=option):
                self.one_line(run([option], b"", conf=self.good), 64,
                              "daemon|" + option)

    def test_modes_of_later_issues_are_known(self):
        for args in (["-bs"], ["-bp"], ["-bp", "--json"], ["-bi"], ["-I"],
                     ["-bv", "bob@example.net"], ["-q"], ["-qf"], ["-q15m"],
                     ["-qIabc"], ["-qRbob"], ["-qSalice"],
                     ["--list-verified"],
                     ["--list-verified", "--write", self.path("out")],
                     ["--delete", "abc"], ["--requeue", "abc"],
                     ["--dkim-keygen", self.dir]):
            with self.subTest(args=args):
                done = run(args, b"", conf=self.good)
                if done.exit == 64:
                    self.assertRegex(done.err, "not built|yet", str(done))
                else:
                    self.assertIn(done.exit, (0, 78), str(done))
        self.assertEqual(self.relay.sessions, [])

    def test_bp_without_a_queue(self):
        done = self.expect(run(["-bp"], b"", conf=self.good), 0)
        self.assertRegex(done.out, "queue")

    def test_q_without_a_queue(self):
        self.one_line(run(["-q"], b"", conf=self.good), 78, "queue")

    def test_how_real_callers_call_it(self):
        message = MESSAGE.replace(b"bob@example.net", b"root") \
            .replace(b"Bob <root>", b"root")
        root = "root@client.test"
        for args, stdin, to in (
                (["-FCronDaemon", "-i", "-odi", "-oem", "-oi", "-t", "-f",
                  "root"], message, root),
                (["-i", "-FCronDaemon", "-B8BITMIME", "-oem", "root"],
                 MESSAGE, root),
                (["-ti"], message, root),
                (["-i", "-B", "8BITMIME", "root"], MESSAGE, root),
                (["-FAnacron", "-odi", "root"], MESSAGE, root),
                (["-i", "root"], MESSAGE, root),
                (["-t", "-i"], MESSAGE, "bob@example.net"),
                (["-fa@b.test", "-i", "-t"], MESSAGE, "bob@example.net"),
                (["-i", "-f", "a@b.test", "--", "c@d.test"], MESSAGE,
                 "c@d.test"),
                (["-oem", "-oi", "-B8BITMIME", "-f", "a@b.test", "-N",
                  "failure", "-R", "hdrs", "--", "c@d.test"], MESSAGE,
                 "c@d.test"),
                (["-t"], message, root),
                (["-oi", "-t"], message, root),
                (["-f", "a@b.test", "c@d.test"], MESSAGE, "c@d.test"),
                (["-B", "8BITMIME", "-f", "a@b.test", "--", "c@d.test"],
                 MESSAGE, "c@d.test"),
                (["-i", "-f", "<>", "--", "c@d.test"], MESSAGE, "c@d.test")):
            with self.subTest(args=args):
                _, done = self.sends(*args, to=to, message=stdin)
                self.assertEqual((done.out, done.err), ("", ""))

    def test_cron_s_message(self):
        message = (b'From: "(Cron Daemon)" <root>\nTo: root\n'
                   b"Subject: Cron <root@box> echo hello\nMIME-Version: 1.0\n"
                   b"Content-Type: text/plain; charset=UTF-8\n"
                   b"Content-Transfer-Encoding: 8bit\n"
                   b"X-Cron-Env: <SHELL=/bin/sh>\n\nhello\n")
        self.expect(run(["-FCronDaemon", "-i", "-odi", "-oem", "-oi", "-t",
                         "-f", "root"], message, conf=self.good), 0)
        got = self.relay.only()
        self.assertEqual(got.mail_from, "root@client.test")
        self.assertEqual(got.rcpt_to, ["root@client.test"])
        self.assertEqual(got.body, b"hello\r\n")
        self.assertEqual(len(got.fields("From")), 1)
        self.assertIn("(Cron Daemon)", got.fields("From")[0])


class Tell(Cli):
    def test_version(self):
        done = self.expect(run(["--version"], b""), 0)
        self.assertRegex(done.out, r"^sendroute \S+")
        self.assertIn("BearSSL", done.out)
        self.assertIn("cJSON", done.out)
        self.assertEqual(done.err, "")

    def test_help(self):
        done = self.expect(run(["--help"], b""), 0)
        for option in ("-t", "-f", "--dry-run", "-C", "--version"):
            self.assertIn(option, done.out)
        self.assertEqual(done.err, "")

    def test_newaliases_and_mailq(self):
        for name in ("newaliases", "/usr/bin/newaliases"):
            done = self.expect(run([], b"", name=name, conf=self.good), 0)
            self.assertEqual(done.err, "")
        done = self.expect(run([], b"", name="mailq", conf=self.good), 0)
        self.assertIn("queue", done.out)

    def test_called_sendmail_it_is_the_same(self):
        self.expect(run(["-i", "bob@example.net"], MESSAGE,
                        name="/usr/sbin/sendmail", conf=self.good), 0)
        self.assertEqual(len(self.relay.accepted()), 1)

    def test_C_wins_over_the_environment(self):
        for args in (["-C", self.good], ["-C" + self.good]):
            self.expect(run([*args, "-i", "bob@example.net"], MESSAGE,
                            conf=self.path("missing.conf")), 0)
        self.assertEqual(len(self.relay.accepted()), 2)
        self.one_line(run(["-C", self.path("missing.conf"), "-i",
                           "bob@example.net"], MESSAGE, conf=self.good), 78,
                      "missing\\.conf")

    def test_the_program_needs_no_library_and_no_interpreter(self):
        with open(SENDROUTE, "rb") as file:
            data = file.read()
        self.assertEqual(data[:4], b"\x7fELF")
        size, count = (int.from_bytes(data[a:a + 2], "little")
                       for a in (54, 56))
        start = int.from_bytes(data[32:40], "little")
        kinds = {int.from_bytes(data[start + i * size:start + i * size + 4],
                                "little") for i in range(count)}
        self.assertNotIn(3, kinds, "PT_INTERP")
        self.assertNotIn(2, kinds, "PT_DYNAMIC")

    def test_the_program_does_not_grow_unnoticed(self):
        """The budget is 256 KiB, and `make bench` judges by it.  It is not met
        at present; here is where the program stands, to be lowered with it."""
        self.assertLessEqual(os.path.getsize(SENDROUTE), 304 * 1024)

    def test_no_environment_at_all(self):
        env = dict.fromkeys(("PATH", "HOME", "LC_ALL",
                             "AWS_EC2_METADATA_DISABLED"))
        self.expect(run(["-C", self.good, "-i", "bob@example.net"], MESSAGE,
                        env=env), 0)
        self.assertEqual(len(self.relay.accepted()), 1)


@unittest.skipIf(os.getuid() != 0, "only root can lend privilege")
class SetId(Cli):
    """With set-id privilege the caller's environment does not count."""

    def setUp(self):
        super().setUp()
        self.program = self.path("sendroute")
        shutil.copy(SENDROUTE, self.program)
        os.chmod(self.dir, 0o755)
        if os.statvfs(self.dir).f_flag & os.ST_NOSUID:
            self.skipTest("no set-id programs in the temporary folder")

    def lend(self, mode):
        os.chown(self.program, 0, grp.getgrnam("mail").gr_gid)
        os.chmod(self.program, mode)

    def run_as_nobody(self, *args, conf=None):
        return run([*args, "-i", "bob@example.net"], MESSAGE, conf=conf,
                   program=self.program, user="nobody")

    @unittest.skipIf(os.path.exists("/etc/sendroute.conf"),
                     "this machine has a configuration")
    def test_the_environment_names_no_configuration(self):
        conf = self.conf(self.relay.route(), top="log none\n")
        for mode in (0o2755, 0o4755):
            with self.subTest(mode=oct(mode)):
                self.lend(mode)
                self.one_line(self.run_as_nobody(conf=conf), 78,
                              "/etc/sendroute\\.conf")
        self.assertEqual(self.relay.sessions, [])
        self.lend(0o755)
        self.quiet(self.run_as_nobody(conf=conf))

    def test_C_reads_with_the_caller_s_rights(self):
        conf = self.conf(self.relay.route(), top="log none\n")
        os.chown(conf, 0, grp.getgrnam("mail").gr_gid)
        os.chmod(conf, 0o640)
        for mode in (0o2755, 0o4755):
            with self.subTest(mode=oct(mode)):
                self.lend(mode)
                self.one_line(self.run_as_nobody("-C", conf), 77,
                              "sendroute\\.conf")
        self.assertEqual(self.relay.sessions, [])


class Verbose(Cli):
    def shown(self, conf, status=0, env=None):
        return self.expect(run(["-v", "-i", "-f", "alice@example.com",
                                "bob@example.net"], MESSAGE, conf=conf,
                               env=env), status).err

    def hidden(self, text, *secrets):
        for secret in secrets:
            forms = {secret, base64.b64encode(secret.encode()).decode()}
            for user in ("apikey", "u"):
                plain = base64.b64encode(("\0%s\0%s" % (user, secret))
                                         .encode()).decode()
                forms |= {plain, plain.rstrip("=")}
            for form in forms:
                self.assertNotIn(form, text)

    def test_the_conversation_is_shown(self):
        text = self.shown(self.good)
        for word in ("220", "EHLO client.test", "MAIL FROM:<alice@example.com>",
                     "RCPT TO:<bob@example.net>", "250", "354"):
            self.assertIn(word, text)

    def test_v_shows_no_password(self):
        secret = "S3cret-Pass word"
        for mechs in (("PLAIN",), ("LOGIN",)):
            for good in (True, False):
                with self.subTest(mechs=mechs, good=good):
                    relay = self.start(Relay(
                        mechs=mechs,
                        users={"apikey": secret if good else "other"}))
                    conf = self.conf(relay.route(
                        user="apikey", password_file=self.secret(secret)))
                    text = self.shown(conf, 0 if good else 75)
                    self.assertIn("AUTH", text)
                    self.assertIn("***", text)
                    self.hidden(text, secret)
                    self.hidden("\n".join(self.log_lines()), secret)

    def test_v_shows_no_key_of_aws(self):
        for token in (None, "Session+Token/Value=="):
            ses = self.start(Ses(token=token))
            text = self.shown(self.conf(ses.route()))
            self.hidden(text, SECRET, *([token] if token else []))
            self.assertNotRegex(text, r"Signature=[0-9a-f]{8}")
            self.assertIn("200", text)

    def test_without_v_nothing_is_said(self):
        self.quiet(run(["-i", "bob@example.net"], MESSAGE, conf=self.good))


if __name__ == "__main__":
    harness.main()
