"""Every allocation of every mode fails once, alone or with all that follow. The
program is a copy of the one under test whose heap can be told (make tests)."""
import os
import re
import shutil
import subprocess
import threading
import time

import spooldir
from harness import BUILD, MESSAGE, SENDROUTE, crlf, run
from relay import Relay
from ses import KEY, SECRET, Ses
from spooldir import ALICE, BOB, numbered

OOM = os.path.join(BUILD, "test/sendroute-oom")
LATER = (71, 75)                # what may pass: an error of the system, later
MAYBE = "may have been taken"
UNREAD = 74                     # the queue could not be read
ARGS = ("-i", "-f", ALICE, BOB)
DIALOGUE = (b"EHLO a\r\nMAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n" % (
    ALICE.encode(), BOB.encode()) + crlf(MESSAGE) + b".\r\nQUIT\r\n")
HEADLESS = b"To: bob@example.net, Carol <carol@example.net>\nBcc: d@x.test\n" \
           b"Subject: =?utf-8?q?x?=\n\nhello\n"


class Sweeps(spooldir.Case):
    step = 1                    # 1: every allocation
    replies = {}

    def sweep(self, judge, args, stdin=MESSAGE, conf=None, name=None,
              before=None, env=None, most=4000):
        """judge(done, note) after each; how many there were."""
        for more in ("", "+"):
            number = 1
            while number < most:
                fired = self.path("fired")
                if os.path.exists(fired):
                    os.unlink(fired)
                if before:
                    before()
                done = run(args, stdin, conf=conf, name=name, program=OOM,
                           timeout=30, env=dict(env or {}, HEAP_FAIL="%d%s:%s"
                                                % (number, more, fired)))
                note = "allocation %d%s: %s" % (number, more, done)
                # An end by a signal is none that anybody provided for.
                self.assertIsInstance(done.exit, int, note)
                self.assertGreaterEqual(done.exit, 0, note)
                judge(done, note)
                if not os.path.exists(fired):
                    self.assertIn(done.exit, (0, self.usual), note)
                    break
                number += self.step
            self.assertLess(number, most)
            self.assertGreater(number, 3)

    usual = 0                   # what comes of it when nothing fails

    def taken(self):
        """How often each message was taken, and that it was whole."""
        found = len(self.relay.accepted())
        self.relay.messages.clear()
        return found

    def once_or_not(self, done, note):
        """Without a queue: sent, or the caller is told that it was not."""
        self.assertIn(done.exit, (0,) + LATER, note)
        self.assertEqual(done.err[:10] == "sendroute:", done.exit != 0, note)
        self.assertEqual(self.taken(), done.exit == 0, note)

    def test_straight(self):
        self.sweep(self.once_or_not, ("-t", "-i", "-f", ALICE), HEADLESS,
                   self.conf(self.route()))

    def test_with_tls_a_password_and_aliases(self):
        relay = self.relay = self.start(Relay(users={"u": "p"}))
        aliases = self.write("aliases", "root: bob@example.net, ops\n"
                             "ops: carol@example.net\n")
        conf = self.conf(relay.route(user="u", password_file=self.secret("p")),
                         top="aliases %s\n" % aliases)
        self.step = 3 * self.step
        self.sweep(self.once_or_not, ("-i", "-f", ALICE, "root"), MESSAGE,
                   conf)

    def test_re_encoded(self):
        relay = self.relay = self.start(Relay(tls="off", extensions=("SIZE",)))
        text = ("Subject: x\u00e9\nFrom: %s\nContent-Type: text/plain\n\n" %
                ALICE).encode() + b"\xc3\xa9" * 600 + b"x" * 2000 + b"\n"
        self.sweep(self.once_or_not, ARGS, text, self.conf(relay.route()))

    def test_signed(self):
        folder = self.path("key")
        os.mkdir(folder)
        self.expect(run(["--dkim-keygen", folder, "s1"]), 0)
        key = [os.path.join(folder, n) for n in sorted(os.listdir(folder))
               if b"PRIVATE" in open(os.path.join(folder, n), "rb").read()][0]
        conf = self.conf(self.route(extra="dkim-domain example.com\n"
                                    "dkim-selector s1\ndkim-key " + key))

        def judge(done, note):
            for message in self.relay.accepted():
                self.assertIn(b"DKIM-Signature:", message.content, note)
            self.once_or_not(done, note)
        self.sweep(judge, ARGS, MESSAGE, conf)

    # --- the queue ---

    def settle(self, note, times=1):
        """Whatever is left is sent by a run with all the memory."""
        for stored in self.spool.all():
            self.assertEqual(stored.states().strip("-+"), "", note)
        self.assertEqual(self.spool.names("failed"), [], note)
        run(["-qf"], conf=self.good)
        self.assertEqual(self.spool.names(), [], note)
        self.assertEqual(self.taken(), times, note)

    def safe(self, done, note):
        """0: it is in the queue or was sent; else it is nowhere."""
        self.assertIn(done.exit, (0,) + LATER, note)
        self.settle(note, done.exit == 0)

    def test_queue(self):
        self.sweep(self.safe, ("-t", "-i", "-f", ALICE), HEADLESS, self.good)
        self.sweep(self.safe, ("-odq",) + ARGS, MESSAGE, self.good)

    def test_background(self):
        def judge(done, note):
            self.assertIn(done.exit, (0,) + LATER, note)
            end = time.monotonic() + 20
            locked = True
            while locked and time.monotonic() < end:
                locked = any(self.busy(self.spool.file("queue", n))
                             for n in self.spool.names())
            self.relay.settle()
            self.safe(done, note)
        self.sweep(judge, ("-odb",) + ARGS, MESSAGE, self.good)

    def busy(self, path):
        import fcntl
        try:
            with open(path) as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return False
        except FileNotFoundError:
            return False
        except OSError:
            return True

    def test_run(self):
        for args in (("-q",), ("-qf",)):
            def before():
                for i in range(3):
                    self.spool.put(numbered(i))

            def judge(done, note):
                self.assertIn(done.exit, (0, UNREAD) + LATER, note)
                self.settle(note, 3)
            self.sweep(judge, args, b"", self.good, before=before)

    def test_workers(self):
        conf = self.queue_conf(self.route(extra="connections 3"))

        def before():
            for i in range(6):
                self.spool.put(numbered(i))

        def judge(done, note):
            self.assertIn(done.exit, (0, UNREAD) + LATER, note)
            self.settle(note, 6)
        self.step *= 2
        self.sweep(judge, ("-q",), b"", conf, before=before)

    def test_bounce(self):
        """Once, and only for what was refused."""
        relay = self.relay = self.start(Relay(tls="off", replies={
            "rcpt <%s>" % BOB: "550 5.1.1 no such user"}))
        conf = self.good = self.queue_conf(relay.route())

        def before():
            self.spool.put(numbered(1), rcpts=(BOB, "carol@example.net"))

        def judge(done, note):
            self.assertIn(done.exit, (0, UNREAD) + LATER, note)
            self.assertEqual(self.spool.names("failed"), [], note)
            for _ in range(3):
                run(["-qf"], conf=conf)
            self.assertEqual(self.spool.names(), [], note +
                             "\n".join(self.log_lines()[-12:]))
            to = sorted(a for m in relay.accepted() for a in m.rcpt_to)
            self.assertEqual(to, [ALICE, "carol@example.net"], note)
            relay.messages.clear()
        self.sweep(judge, ("-q",), b"", conf, before=before)

    def test_list(self):
        """All of it, or an error."""
        for i in range(3):
            self.spool.put(numbered(i))
        for args in (("-bp",), ("-bp", "--json")):
            whole = run(args, conf=self.good).out

            def judge(done, note):
                self.assertIn(done.exit, (0, UNREAD) + LATER, note)
                if done.exit == 0 and done.err == "":
                    self.assertEqual(re.sub(r"\d+s old", "", done.out),
                                     re.sub(r"\d+s old", "", whole), note)
            self.sweep(judge, args, b"", self.good)

    # --- -bs and qmail-remote ---

    def test_dialogue(self):
        for queue in (False, True):
            conf = self.good if queue else self.conf(self.route())

            def judge(done, note):
                codes = [line[:3] for line in done.out.splitlines()
                         if line[3:4] == " "]
                # 354 and the reply to the message that was sent.
                ok = "354" in codes and \
                    codes[codes.index("354") + 1:][:1] == ["250"]
                for code in codes:
                    self.assertIn(code[:1], "2345", note)
                    if code[:1] == "5":     # what follows a 4xx
                        self.assertIn(code, ("503", "500"), note)
                self.assertIn(done.exit, (0,) + LATER, note)
                if queue:
                    self.settle(note, ok)
                else:
                    self.assertEqual(self.taken(), ok, note)
            self.sweep(judge, ("-bs",), DIALOGUE, conf)

    def test_qmail(self):
        def judge(done, note):
            sent = self.taken()
            if done.exit == 111:        # nothing could be told: again
                self.assertEqual((done.out, sent), ("", 0), note)
                return
            self.assertEqual(done.exit, 0, note)
            self.assertRegex(done.out, "^(r\0K|Z|r\0Z)", note)
            if "Possible duplicate!" not in done.out:
                self.assertEqual(sent, "\0K" in done.out, note)
        self.sweep(judge, ("example.net", ALICE, BOB), MESSAGE,
                   self.conf(self.route()), name="qmail-remote")

    # --- SES ---

    def ses_conf(self, top="", **more):
        self.ses = getattr(self, "ses", None) or self.start(Ses(tls=False))
        return self.conf(self.ses.route(**more), top=top)

    def ses_once(self, done, note):
        self.assertIn(done.exit, (0,) + LATER, note)
        if MAYBE not in done.err:       # the reply was not understood
            self.assertEqual(len(self.ses.sent), done.exit == 0, note)
        self.assertLessEqual(len(self.ses.sent), 1, note)
        self.ses.sent.clear()

    def test_ses(self):
        self.sweep(self.ses_once, ("-t", "-i", "-f", ALICE), HEADLESS,
                   self.ses_conf())

    def test_ses_with_a_profile(self):
        keys = self.write("keys", "[default]\naws_access_key_id=%s\n"
                          "aws_secret_access_key=%s\n" % (KEY, SECRET), 0o600)
        self.sweep(self.ses_once, ARGS, MESSAGE,
                   self.ses_conf(credentials="auto"),
                   env={"AWS_SHARED_CREDENTIALS_FILE": keys})

    def test_ses_with_a_queue(self):
        conf = self.ses_conf(top="queue %s\n" % self.spool.path)

        def judge(done, note):
            self.assertIn(done.exit, (0,) + LATER, note)
            for stored in self.spool.all():
                self.assertEqual(stored.states().strip("-+"), "", note)
            run(["-qf"], conf=conf)
            self.assertEqual(self.spool.names(), [], note)
            again = any(MAYBE in line for line in self.log_lines())
            self.assertEqual(len(self.ses.sent), (done.exit == 0) + again,
                             note)
            self.ses.sent.clear()
            self.write("log", "")
        self.sweep(judge, ARGS, MESSAGE, conf)

    # --- what sends nothing ---

    def whole_or_error(self, args, conf=None, stdin=b"", errors=LATER,
                       usual=0):
        whole = run(args, stdin, conf=conf)
        self.assertEqual(whole.exit, usual, str(whole))
        self.usual = usual

        def judge(done, note):
            self.assertIn(done.exit, (usual,) + errors, note)
            if done.exit == 0 and "out of memory" not in done.out:
                self.assertEqual(self.stable(done.out),
                                 self.stable(whole.out), note)
            elif done.exit not in (0, usual) and "--check" not in args:
                self.assertRegex(done.err, "^sendroute: .", note)
        self.sweep(judge, args, stdin, conf)

    def stable(self, text):
        """Without what a clock had a part in."""
        return re.sub(r"\d+(\.\d+)? (ms|seconds?|s)\b|id=\S+", "", text)

    def test_dry_run(self):
        self.whole_or_error(("--dry-run", "-t", "-i", "-f", ALICE),
                            self.conf(self.route()), HEADLESS)
        self.whole_or_error(("-bv",) + ARGS[1:], self.conf(self.route()))

    def test_check(self):
        self.whole_or_error(("--check",), self.conf(self.route(),
                                                    self.ses_conf() and ""))

    def test_list_verified(self):
        conf = self.ses_conf()
        self.whole_or_error(("--list-verified",), conf)
        path = self.write("list", "old\n")

        def judge(done, note):
            with open(path) as file:
                text = file.read()
            self.assertIn(done.exit, (0,) + LATER + (73,), note)
            self.assertEqual("@example.com" in text, done.exit == 0, note)
            self.assertEqual([n for n in os.listdir(self.dir)
                              if n.startswith("list") and n != "list"], [],
                             note)
        self.sweep(judge, ("--list-verified", "--write", path), b"", conf,
                   before=lambda: self.write("list", "old\n"))

    def test_dkim_tools(self):
        folder = self.path("key")

        def before():
            shutil.rmtree(folder, True)
            os.mkdir(folder)

        def judge(done, note):
            self.assertIn(done.exit, (0,) + LATER + (73, 74), note)
            if done.exit != 0:
                self.assertEqual(os.listdir(folder), [], note)
        self.step *= 5
        self.sweep(judge, ("--dkim-keygen", folder, "s1"), b"",
                   before=before)

    def test_verify(self):
        import dkim
        folder = self.path("key")
        os.mkdir(folder)
        done = self.expect(run(["--dkim-keygen", folder, "s1"]), 0)
        key = [os.path.join(folder, n) for n in sorted(os.listdir(folder))
               if b"PRIVATE" in open(os.path.join(folder, n), "rb").read()][0]
        with open(key, "rb") as file:
            signature = dkim.sign(MESSAGE, b"s1", b"example.com", file.read())
        found = re.search(r'v=DKIM1[^\n]*', done.out.replace('" "', ""))
        keys = self.write("keys", "s1._domainkey.example.com %s\n" %
                          found.group(0).strip('")').replace('"', ""))
        args = ("--verify-dkim", "--dkim-keys", keys)
        usual = run(args, signature + MESSAGE)
        self.whole_or_error(args, None, signature + MESSAGE,
                            usual=usual.exit)
