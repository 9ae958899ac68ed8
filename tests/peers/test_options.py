"""Every option of the command line, attached, detached and combined with
others: the exit status, and what the relay received.  One test for a row of
the table of options; then what a hostile caller may try with them."""
import grp
import os
import pwd
import pty
import re
import shutil
import signal
import subprocess
import unittest

import harness
from harness import Case, MESSAGE, SENDROUTE, clean_environment, crlf, run
from relay import Relay

BOB = "bob@example.net"
ALICE = "alice@example.com"
USER = pwd.getpwuid(os.getuid()).pw_name + "@client.test"
BODY = MESSAGE.partition(b"\n\n")[2]


class Options(Case):
    def setUp(self):
        super().setUp()
        self.relay = self.start(Relay(tls="off"))
        self.good = self.conf(self.relay.route(host="127.0.0.1"))

    def send(self, args, message=MESSAGE, status=0, **more):
        """Run it and return what came."""
        before = len(self.relay.messages)
        more.setdefault("conf", self.good)
        self.done = self.expect(run(args, message, **more), status)
        return self.relay.messages[before:]

    def one(self, args, rcpts=(BOB,), sender=USER, message=MESSAGE, due=None,
            **more):
        """One message came, unaltered, and nothing was said."""
        got = self.send(args, message, **more)
        self.assertEqual(len(got), 1, str(self.done))
        self.assertEqual((self.done.out, self.done.err), ("", ""))
        self.assertEqual(sorted(got[0].rcpt_to), sorted(rcpts),
                         str(self.done))
        self.assertEqual(got[0].mail_from, sender, str(self.done))
        self.same_bytes(got[0].content, crlf(due or message))
        return got[0]

    def all(self, forms, *args, **more):
        for form in forms:
            with self.subTest(form=form):
                self.one([*form, *args], **more)

    def refused(self, args, *words, status=64, message=MESSAGE, **more):
        with self.subTest(args=args):
            more.setdefault("conf", self.good)
            self.one_line(run(args, message, **more), status, *words)
            self.assertEqual(self.relay.messages, [])


class Table(Options):
    def test_t(self):
        self.all([["-t"], ["-ti"], ["-it"], ["-tt"], ["-i", "-t"],
                  ["-tim"], ["-Ut"]])
        # Recipients of the command line are added.
        self.all([["-t", "carol@x.test"], ["carol@x.test", "-t"],
                  ["-t", "--", "carol@x.test"],
                  ["-t", "carol@x.test", BOB]], rcpts=[BOB, "carol@x.test"])
        # Without it the header does not count.
        self.one(["carol@x.test"], rcpts=["carol@x.test"])

    def test_t_takes_to_cc_and_bcc_and_drops_bcc(self):
        due = MESSAGE.replace(b"\n\n", b"\nCc: carol@x.test\n\n", 1)
        message = due.replace(b"\n\n", b"\nBcc: dave@x.test,\n erin@x.test\n\n",
                              1)
        self.one(["-ti"], [BOB, "carol@x.test", "dave@x.test", "erin@x.test"],
                 message=message, due=due)

    def test_t_takes_the_first_resent_block_alone(self):
        due = b"Resent-To: carol@x.test\nResent-From: a@x.test\n" + MESSAGE
        self.one(["-t"], ["carol@x.test", "dave@x.test"],
                 message=b"Resent-Bcc: dave@x.test\n" + due, due=due)

    def test_i_and_oi(self):
        dotted = MESSAGE + b".\nafter the dot\n.\n"
        for form in (["-i"], ["-oi"], ["-o", "i"], ["-im"], ["-mi"], ["-Ui"],
                     ["-i", "-oi"]):
            with self.subTest(form=form):
                self.one([*form, BOB], message=dotted)

    def test_without_i_only_a_dot_at_the_very_end_counts(self):
        self.one([BOB], message=MESSAGE + b".\n", due=MESSAGE)
        self.one([BOB], message=MESSAGE + b".", due=MESSAGE)
        self.one([BOB], message=MESSAGE + b".\nmore\n")
        self.one([BOB], message=MESSAGE + b".\n.\n",
                 due=MESSAGE + b".\n")

    def terminal(self, args, typed):
        """Type that on a terminal of the program; its exit status."""
        master, slave = pty.openpty()
        try:
            process = subprocess.Popen(
                [SENDROUTE, *args], stdin=slave, stderr=subprocess.DEVNULL,
                env=clean_environment(SENDROUTE_CONF=self.good))
            os.write(master, typed)
            return process.wait(20)
        finally:
            os.close(slave)
            os.close(master)

    def test_a_dot_ends_what_is_typed_on_a_terminal(self):
        self.assertEqual(self.terminal([BOB], MESSAGE + b".\nunread\n"), 0)
        self.same_bytes(self.relay.only().content, crlf(MESSAGE))

    def test_with_i_a_dot_on_a_terminal_is_data(self):
        self.assertEqual(self.terminal(["-i", BOB], MESSAGE +
                                       b".\nread\n\x04"), 0)
        self.same_bytes(self.relay.only().content,
                        crlf(MESSAGE + b".\nread\n"))

    def test_f_and_r(self):
        self.all([[*form, BOB] for form in (
            ["-f" + ALICE], ["-f", ALICE], ["-r" + ALICE], ["-r", ALICE],
            ["-if", ALICE], ["-if" + ALICE], ["-mir", ALICE],
            ["-f<%s>" % ALICE], ["-f", "Alice <%s>" % ALICE],
            ["-f", "a@x.test", "-f", ALICE], ["-f", "a@x.test", "-r", ALICE])],
            sender=ALICE)
        self.all([["-tf" + ALICE], ["-tf", ALICE], ["-tif", ALICE]],
                 sender=ALICE)
        self.all([["-fbare", BOB], ["-f", "bare", BOB]],
                 sender="bare@client.test")

    def test_f_with_the_null_sender(self):
        self.all([["-f", ""], ["-f", "<>"], ["-f<>"], ["-r", ""], ["-r<>"],
                  ["-r", "<>"], ["-if", ""], ["-if<>"]], BOB, sender="")

    def test_F(self):
        message = MESSAGE.partition(b"\n")[2]       # it has no From
        names = {"Full Name": "Full Name", "Comma, Name": '"Comma, Name"',
                 'A "B" C': '"A \\"B\\" C"', "CronDaemon": "CronDaemon"}
        for name, shown in names.items():
            due = message.replace(b"\n\n", b"\nFrom: %s <%s>\n\n" % (
                shown.encode(), ALICE.encode()), 1)
            for form in (["-F" + name], ["-F", name], ["-iF" + name],
                         ["-iF", name]):
                with self.subTest(form=form):
                    self.one([*form, "-f", ALICE, BOB], sender=ALICE,
                             message=message, due=due)
        # A From that is there keeps its name.
        self.one(["-F", "Other", BOB])

    def test_F_that_is_not_ascii(self):
        got = self.send(["-F", "J\u00f6rg", "-f", ALICE, BOB],
                        MESSAGE.partition(b"\n")[2])[0]
        self.assertEqual(got.fields("From"),
                         ["=?utf-8?B?SsO2cmc=?= <%s>" % ALICE])

    def dsn(self):
        self.relay = self.start(Relay(tls="off", extensions=(
            "PIPELINING", "8BITMIME", "DSN", "ENHANCEDSTATUSCODES")))
        self.good = self.conf(self.relay.route(host="127.0.0.1"))

    def test_N(self):
        self.dsn()
        for value in ("never", "failure", "delay", "success,failure,delay",
                      "FAILURE,delay"):
            for form in (["-N" + value], ["-N", value], ["-iN" + value],
                         ["-iN", value]):
                with self.subTest(form=form):
                    got = self.one([*form, BOB])
                    self.assertRegex(got.rcpts[0].upper() + " ",
                                     " NOTIFY=%s " % value.upper())
                    self.assertNotRegex(got.mail.upper(), "RET=|ENVID=")

    def test_R(self):
        self.dsn()
        for value in ("full", "hdrs", "HDRS"):
            for form in (["-R" + value], ["-R", value], ["-iR", value]):
                with self.subTest(form=form):
                    got = self.one([*form, BOB])
                    self.assertRegex(got.mail.upper() + " ",
                                     " RET=%s " % value.upper())

    def test_V(self):
        self.dsn()
        for value, wire in (("id-1", "id-1"), ("a.b@c", "a.b@c")):
            for form in (["-V" + value], ["-V", value], ["-iV", value]):
                with self.subTest(form=form):
                    got = self.one([*form, BOB])
                    self.assertIn(" ENVID=%s " % wire, got.mail + " ")

    def test_N_R_and_V_for_a_peer_without_dsn(self):
        got = self.one(["-Nfailure", "-Rhdrs", "-V", "x1", BOB])
        self.assertNotRegex(got.mail.upper(), "RET=|ENVID=")
        self.assertNotRegex(got.rcpts[0].upper(), "NOTIFY=|ORCPT=")

    def test_B(self):
        eight = MESSAGE + b"Gr\xc3\xbc\xc3\x9fe\n"
        for value in ("7BIT", "8BITMIME", "8bitmime"):
            for form in (["-B" + value], ["-B", value], ["-iB" + value],
                         ["-iB", value]):
                with self.subTest(form=form):
                    got = self.one([*form, BOB])
                    self.assertNotIn("8BITMIME", got.mail)
                    # The body is looked at instead.
                    got = self.send([*form, BOB], eight)[0]
                    self.assertIn("BODY=8BITMIME", got.mail)

    def test_bm(self):
        self.all([["-bm"], ["-b", "m"], ["-ibm"], ["-bm", "-i"],
                  ["-ib", "m"]], BOB)

    def test_bp(self):
        for form in (["-bp"], ["-b", "p"], ["-ibp"], ["-bp", "-v"]):
            self.assertEqual(self.send(form, b""), [])
            self.assertRegex(self.done.out, r"\A.*queue.*\n\Z")
        self.send(["-bp", "--json"], b"")
        self.assertEqual(self.done.out.strip(), "[]")
        self.send([], b"", name="mailq")
        self.assertRegex(self.done.out, "queue")

    def test_bv(self):
        for form in (["-bv"], ["-b", "v"], ["-ibv"]):
            with self.subTest(form=form):
                # It reads nothing: a standard input that never ends is fine.
                process = subprocess.Popen(
                    [SENDROUTE, *form, "-f", ALICE, BOB, "root"],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    env=clean_environment(SENDROUTE_CONF=self.good))
                self.assertEqual(process.wait(20), 0)
                group = harness.pairs(process.stdout.read().decode())
                process.stdin.close()
                process.stdout.close()
                self.assertEqual(group["route"], "relay")
                self.assertEqual(group["from"], ALICE)
                self.assertIn(BOB, group["to"])
                self.assertIn("root@client.test", group["to"])
        self.assertEqual(self.relay.sessions, [])

    def test_bi_I_and_newaliases(self):
        for form in (["-bi"], ["-b", "i"], ["-I"], ["-iI"]):
            self.assertEqual(self.send(form, b""), [])
            self.assertEqual(self.done.err, "")
        self.send([], b"", name="newaliases")
        self.assertEqual(self.relay.sessions, [])

    def test_modes_of_a_daemon(self):
        for form in (["-bd"], ["-bD"], ["-bt"], ["-bh"], ["-b", "d"], ["-ibd"],
                     ["-bd", "-q15m"], ["-bd", BOB]):
            self.refused(form, "daemon", "-b")

    def test_q_without_a_queue(self):
        for form in (["-q"], ["-qf"], ["-qIabc"], ["-qRbob"], ["-qSalice"],
                     ["-q15m"], ["-q1h30m"], ["-iq"]):
            self.refused(form, "queue", status=78)

    def test_q_with_recipients_loses_no_message(self):
        for form in (["-q", BOB], ["-qf", BOB], ["-t", "-q"], ["-q", "-t"],
                     ["--delete", "x", BOB], ["--requeue", "x", "-t"]):
            self.refused(form, "takes no recipients", status=64)

    def test_od_without_a_queue(self):
        self.all([["-odi"], ["-odb"], ["-odq"], ["-o", "di"], ["-o", "db"],
                  ["-iodq"], ["-odq", "-odi"]], BOB)

    def test_v(self):
        for form in (["-v"], ["-vi"], ["-iv"], ["-v", "-v"]):
            with self.subTest(form=form):
                got = self.send([*form, BOB])
                self.assertEqual(len(got), 1)
                self.same_bytes(got[0].content, crlf(MESSAGE))
                self.assertIn("RCPT TO:<%s>" % BOB, self.done.err)

    FLAGS = "nmUGxcs"
    LETTERS = {"O": ("Timeout.queuereturn=5d", "QueueDirectory=/nonexistent"),
               "A": ("c", "m"), "L": ("tag", "some tag"), "h": ("3",),
               "p": ("SMTP:host", "x"), "M": ("Dabc",)}

    def test_flags_for_compatibility(self):
        self.all([["-" + f] for f in self.FLAGS], BOB)
        self.all([["-i" + f] for f in self.FLAGS], BOB)
        self.all([["-" + f + "i"] for f in self.FLAGS], BOB)
        self.all([["-" + self.FLAGS], ["-" + self.FLAGS + "ti"]], BOB)

    def test_e_and_o_for_compatibility(self):
        self.all([["-e" + x] for x in "empqw"], BOB)
        self.all([["-o" + x] for x in
                  "em ep eq ee ew m s T1d Mr i A/etc/x Q/var/x L9 true "
                  "8 7 Cx/y".split()], BOB)

    def test_values_for_compatibility(self):
        for letter, values in self.LETTERS.items():
            for value in values:
                self.all([["-" + letter + value], ["-" + letter, value],
                          ["-i" + letter + value], ["-i" + letter, value]],
                         BOB)

    def test_d_only_attaches(self):
        self.all([["-d"], ["-d0.1"], ["-d0-99.100"], ["-id"]], BOB)

    def test_X_never_writes(self):
        path = self.path("trace")
        self.all([["-X" + path], ["-X", path], ["-iX" + path], ["-iX", path]],
                 BOB)
        self.assertFalse(os.path.exists(path))

    def test_C(self):
        missing = self.path("missing")
        self.all([["-C" + self.good], ["-C", self.good], ["-iC" + self.good],
                  ["-iC", self.good], ["-C", missing, "-C", self.good]], BOB,
                 conf=missing)
        before = len(self.relay.messages)
        for form in (["-C" + missing], ["-C", missing]):
            self.one_line(run([*form, BOB], MESSAGE, conf=self.good), 78,
                          "missing")
        self.assertEqual(len(self.relay.messages), before)

    def test_two_dashes(self):
        self.all([["--"], ["-i", "--"], ["-f", USER, "--"]], BOB)
        self.one(["--", BOB, "carol@x.test"], [BOB, "carol@x.test"])
        self.one(["-ti", "--"])
        self.one_line(run(["--"], MESSAGE, conf=self.good), 64, "recipient")

    def test_dry_run(self):
        for form in (["--dry-run", BOB], [BOB, "--dry-run"],
                     ["-i", "--dry-run", "--", BOB], ["--dry-run", "-t"]):
            with self.subTest(form=form):
                self.assertEqual(self.send(["-f", ALICE, *form]), [])
                group, = self.groups(self.done)
                self.assertEqual((group["route"], group["from"], group["to"]),
                                 ("relay", ALICE, [BOB]))
        self.assertEqual(self.relay.sessions, [])

    def test_version_and_help(self):
        self.send(["--version"], b"")
        self.assertRegex(self.done.out, r"\Asendroute \S+ .*\n")
        self.send(["--help"], b"")
        self.assertRegex(self.done.out, r"\Ausage: ")
        self.assertEqual(self.relay.sessions, [])

    def test_words_of_other_modes_are_known(self):
        for form in (["--check"], ["--list-verified"],
                     ["--list-verified", "--write", self.path("list")],
                     ["--list-verified", "--write=" + self.path("list")],
                     ["--delete", "x1"], ["--delete=x1"], ["--requeue", "x1"],
                     ["--requeue=x1"], ["--verify-dkim"],
                     ["--verify-dkim", "--dkim-keys", self.path("keys")]):
            with self.subTest(form=form):
                done = run(form, b"", conf=self.good)
                self.assertNotRegex(done.err, "unknown|--help", str(done))
        self.assertEqual(self.relay.messages, [])

    def test_anything_else(self):
        for form, named in (("-y", "-y"), ("-Z", "-Z"), ("-1", "-1"),
                            ("-iy", "-y"), ("-bz", "-bz"), ("--frob", "--frob"),
                            ("--dry", "--dry"), ("---", "---"), ("-", "-"),
                            ("--dry-run=1", "--dry-run=1"),
                            ("-@x.test", "-@")):
            self.refused([form, BOB], "^sendroute: %s: " % re.escape(named))
        for letter in "fFrCNRVBbOALhpXMoe":
            self.refused([BOB, "-" + letter], "-" + letter)
            self.refused([BOB, "-i" + letter], "-" + letter)

    def test_no_arguments_at_all(self):
        self.refused([], "recipient")

    def test_options_behind_recipients(self):
        self.all([[BOB, "-i"], [BOB, "-if", USER], [BOB, "-odi", "-i"]])


class Hostile(Options):
    """What a web form may put into the words of a command line."""

    def test_behind_two_dashes_all_are_addresses(self):
        for word in ("-X/tmp/x@x.test", "-oQ/tmp@x.test", "-f@x.test",
                     "--help@x.test", "-C/etc/passwd@x.test", "-bs@x.test",
                     "-@x.test", "--@x.test"):
            with self.subTest(word=word):
                self.one(["-i", "--", word], [word])

    def test_an_option_behind_two_dashes_is_a_bare_name(self):
        self.one(["-i", "--", BOB, "-t"], [BOB, "-t@client.test"])
        self.one(["-i", "--", "-bs"], ["-bs@client.test"])
        self.one(["-i", "--", "--"], ["--@client.test"])

    def test_a_sender_that_looks_like_an_option(self):
        for form in (["-f", "-X@x.test"], ["-f-X@x.test"], ["-r", "-t"],
                     ["-f", "--"]):
            with self.subTest(form=form):
                name = form[-1][2 if len(form) == 1 else 0:]
                self.one([*form, BOB], sender=name if "@" in name else
                         name + "@client.test")

    def test_recipients_of_the_header_are_no_options(self):
        message = MESSAGE.replace(b"Bob <bob@example.net>",
                                  b"-X/tmp/x@x.test, -t@x.test")
        self.one(["-t"], ["-X/tmp/x@x.test", "-t@x.test"], message=message)

    def test_no_address_breaks_out_of_its_command(self):
        for bad in ("a@x.test\r\nRCPT TO:<b@x.test>", "a@x.test\nDATA",
                    "a@x.test\rX", "a@x.test> SIZE=1 <b",
                    '"a\r\n"@x.test', "a@x.test\x01", "a\x7f@x.test",
                    '"a>"@x.test', '"a<"@x.test'):
            for args in (["-i", "--", bad], ["-f", bad, BOB],
                         ["-f" + bad, BOB]):
                self.refused(args, status=65)

    def test_no_name_breaks_out_of_its_field(self):
        message = MESSAGE.partition(b"\n")[2]
        for name in ("A\r\nBcc: evil@x.test", "A\nX-Evil: 1", "A\r\n\r\nbody",
                     "A <b@x.test>, B", "A\t\x1b[1m"):
            with self.subTest(name=name):
                got = self.send(["-F", name, "-f", ALICE, BOB], message)[0]
                self.assertEqual(got.rcpt_to, [BOB])
                self.assertEqual(len(got.fields("From")), 1)
                self.assertEqual(got.fields("X-Evil"), [])
                self.assertEqual(got.fields("Bcc"), [])
                self.assertEqual(got.body, crlf(BODY))
                self.assertTrue(got.fields("From")[0].endswith(
                    " <%s>" % ALICE))

    COMMAND = re.compile(
        r"\A(EHLO client\.test|DATA|QUIT|MAIL FROM:<[^>]*>( RET=(FULL|HDRS))?"
        r"( ENVID=([!-*,-<>-~]|\+[0-9A-F]{2}){1,100})?|RCPT TO:<%s>"
        r"( NOTIFY=(NEVER|(SUCCESS|FAILURE|DELAY)(,(SUCCESS|FAILURE|DELAY))*))?"
        r"( ORCPT=rfc822;%s)?)\Z" % (re.escape(BOB), re.escape(BOB)), re.I)

    def test_no_dsn_value_breaks_out_of_its_command(self):
        self.relay = self.start(Relay(tls="off", extensions=(
            "PIPELINING", "8BITMIME", "DSN")))
        self.good = self.conf(self.relay.route(host="127.0.0.1"))
        for letter in "NRV":
            for value in ("x\r\nRSET", "never\r\nRCPT TO:<evil@x.test>",
                          "full SIZE=1", "id\nDATA", "", "a b", "\x01",
                          "never ORCPT=rfc822;x", "\u00e9", "x" * 2000):
                with self.subTest(letter=letter, value=value[:40]):
                    before = len(self.relay.messages)
                    done = run(["-" + letter, value, BOB], MESSAGE,
                               conf=self.good)
                    self.assertIn(done.exit, (0, 64, 65), str(done))
                    for session in self.relay.sessions:
                        for line in session.commands:
                            self.assertRegex(line, self.COMMAND)
                    got = self.relay.messages[before:]
                    self.assertEqual(len(got), 0 if done.exit else 1)

    def test_X_O_and_C_of_a_form_write_nothing(self):
        """The classic of web forms: mail()'s fifth argument."""
        paths = [self.path(n) for n in ("shell.php", "queue", "trace")]
        before = sorted(os.listdir(self.dir))
        for words in (["-OQueueDirectory=" + paths[1], "-X" + paths[0]],
                      ["-oQ" + paths[1], "-X", paths[0]],
                      ["-X" + paths[2], "-v"], ["-be"], ["-D" + paths[0]],
                      ["-OLogFile=" + paths[2], "-L", paths[2]],
                      ["-O", "TrustedUser=root", "-p", paths[2]],
                      ["--write", paths[2]], ["--write=" + paths[2]]):
            with self.subTest(words=words):
                run(["-t", "-i", "-f", ALICE, *words],
                    MESSAGE + b"<?php system($_GET[0]); ?>\n", conf=self.good)
                self.assertEqual([n for n in sorted(os.listdir(self.dir))
                                  if n not in before and n != "log"], [])

    @unittest.skipUnless(os.getuid() == 0, "only root can be someone else")
    def test_C_of_a_file_that_is_no_configuration_does_not_show_it(self):
        """An error names file and line; not what stands in a file that the
        caller may not read, and with his own rights alone is it opened."""
        os.chmod(self.dir, 0o755)
        secret = self.write("shadow", "root:$6$hash:19000:0:99999:7:::\n",
                            0o600)
        done = run(["-C", secret, BOB], MESSAGE, conf=self.good, user="nobody")
        self.one_line(done, 77, "shadow")
        self.assertNotIn("hash", done.err)

    @unittest.skipUnless(os.getuid() == 0, "only root can lend privilege")
    def test_with_set_id_privilege_the_caller_gains_nothing(self):
        if os.statvfs(self.dir).f_flag & os.ST_NOSUID:
            self.skipTest("no set-id programs in the temporary folder")
        os.chmod(self.dir, 0o755)
        program = self.path("sendmail")
        shutil.copy(SENDROUTE, program)
        mail = grp.getgrnam("mail").gr_gid
        secret = self.write("secret", "hash-of-root\n", 0o640)
        os.chown(secret, 0, mail)
        for mode in (0o2755, 0o4755):
            os.chown(program, 0, mail)
            os.chmod(program, mode)
            for form in (["-C", secret], ["-C" + secret],
                         ["-iC", secret]):
                with self.subTest(mode=oct(mode), form=form):
                    done = run([*form, "-X", self.path("trace"), BOB], MESSAGE,
                               program=program, user="nobody")
                    self.one_line(done, 77, "secret")
                    self.assertNotIn("hash", done.err)
        self.assertFalse(os.path.exists(self.path("trace")))
        self.assertEqual(self.relay.sessions, [])


class Surroundings(Options):
    """The state in which callers start it."""

    def shell(self, redirection, message=MESSAGE, args="-i"):
        return subprocess.run(
            ["/bin/sh", "-c", 'exec "$0" %s "$1" %s' % (args, redirection),
             SENDROUTE, BOB], input=message, capture_output=True, timeout=20,
            env=clean_environment(SENDROUTE_CONF=self.good))

    def test_closed_stdout_and_stderr(self):
        for redirection in (">&-", "2>&-", ">&- 2>&-"):
            with self.subTest(redirection=redirection):
                before = len(self.relay.messages)
                self.assertEqual(self.shell(redirection).returncode, 0)
                got = self.relay.messages[before:]
                self.assertEqual(len(got), 1)
                self.same_bytes(got[0].content, crlf(MESSAGE))

    def test_a_full_stderr_stops_no_mail(self):
        before = len(self.relay.messages)
        self.assertEqual(self.shell("2>/dev/full", args="-v -i").returncode, 0)
        self.assertEqual(len(self.relay.messages), before + 1)

    def test_a_stderr_that_nobody_reads(self):
        read, write = os.pipe()
        os.close(read)
        process = subprocess.run(
            [SENDROUTE, "-v", "-i", BOB], input=MESSAGE, stderr=write,
            timeout=20, env=clean_environment(SENDROUTE_CONF=self.good),
            preexec_fn=lambda: signal.signal(signal.SIGPIPE, signal.SIG_DFL))
        os.close(write)
        self.assertEqual(process.returncode, 0)
        self.same_bytes(self.relay.only().content, crlf(MESSAGE))

    def test_signals_that_the_caller_blocks_or_ignores(self):
        def ignore():
            for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGINT,
                           signal.SIGALRM):
                signal.signal(number, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD,
                                                      signal.SIGALRM})
        process = subprocess.run(
            [SENDROUTE, "-i", BOB], input=MESSAGE, capture_output=True,
            timeout=20, preexec_fn=ignore,
            env=clean_environment(SENDROUTE_CONF=self.good))
        self.assertEqual((process.returncode, process.stderr), (0, b""))
        self.same_bytes(self.relay.only().content, crlf(MESSAGE))

    def test_a_folder_that_is_gone(self):
        gone = self.path("gone")
        os.mkdir(gone)
        process = subprocess.Popen(
            ["/bin/sh", "-c", 'rmdir "$0"; exec "$1" -i "$2"', gone, SENDROUTE,
             BOB], stdin=subprocess.PIPE, cwd=gone,
            env=clean_environment(SENDROUTE_CONF=self.good))
        process.communicate(MESSAGE, 20)
        self.assertEqual(process.returncode, 0)
        self.same_bytes(self.relay.only().content, crlf(MESSAGE))

    @unittest.skipUnless(os.getuid() == 0, "only root can be someone else")
    def test_a_user_without_a_name(self):
        def become():
            os.setgroups([])
            os.setgid(54321)
            os.setuid(54321)
        os.chmod(self.dir, 0o755)
        program = self.path("sendmail")
        shutil.copy(SENDROUTE, program)
        for env, sender in (({}, "uid54321"), ({"LOGNAME": "carol"}, "carol")):
            with self.subTest(env=env):
                before = len(self.relay.messages)
                process = subprocess.run(
                    [program, "-i", BOB], input=MESSAGE, capture_output=True,
                    timeout=20, preexec_fn=become,
                    env=dict(env, SENDROUTE_CONF=self.good))
                self.assertEqual((process.returncode, process.stderr),
                                 (0, b""))
                self.assertEqual(self.relay.messages[before].mail_from,
                                 sender + "@client.test")


if __name__ == "__main__":
    harness.main()
