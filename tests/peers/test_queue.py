"""The queue: what is in it arrives, once; when it is tried, in which order and
over how many connections; how it is listed and administered."""
import concurrent.futures
import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import harness
from harness import (EIGHT_BIT, HEAD, MESSAGE, SENDROUTE, clean_environment,
                     crlf, letter, run)
from relay import DROP, RST, SILENT, Relay
from ses import Answer, Ses
from spooldir import (ALICE, BOB, DAY, FIRST_RETRY, ID, LONGEST_RETRY, YEAR,
                      Case, Mounted, Stored, Tracer, number_of, numbered)

LATER = "450 4.2.1 mailbox busy, come back"
NEVER = "550 5.1.1 no such user here"


def stuffed(data):
    return re.sub(rb"(?m)^\.", b"..", data) + b".\r\n"


# --- submission ------------------------------------------------------------

class Submission(Case):
    def test_it_is_sent_at_once_and_nothing_is_left(self):
        self.submit()
        self.same_bytes(self.relay.only().content, crlf(MESSAGE))
        self.assertEqual(self.spool.state(),
                         {"tmp": 0, "queue": 0, "failed": 0})

    def test_whatever_the_try_brings_the_message_is_safe(self):
        """Exit 0 and not a word: cron would mail it."""
        for step, reply in (
                ("greeting", "421 4.3.2 busy"), ("greeting", "554 5.3.2 no"),
                ("greeting", (DROP,)), ("ehlo", "421 4.3.2 busy"),
                ("mail", "451 4.3.0 later"), ("rcpt", LATER),
                ("data", "451 4.3.0 later"), ("dot", "451 4.3.0 full"),
                ("dot", "421 4.3.2 bye"), ("dot", (DROP,)),
                ("dot", (RST,)), ("dot", (SILENT,))):
            with self.subTest(step=step, reply=reply):
                self.relay.replies = {step: reply}
                self.submit(conf=self.queue_conf(top="timeout 2s\n"))
                stored = self.spool.only()
                self.assertEqual((stored.states(), stored.tries), ("-", 1))
                self.relay.replies = {}
                self.forget()
                self.drain()
                self.same_bytes(self.relay.only().content, crlf(MESSAGE))
                self.forget()

    def test_the_relay_is_down(self):
        self.submit(conf=self.queue_conf(self.down()))
        stored = self.spool.only()
        self.assertEqual((stored.states(), stored.tries), ("-", 1))
        self.assertRegex(stored.rcpts[0].text, "(?i)connect|refused")
        self.drain()
        self.same_bytes(self.relay.only().content, crlf(MESSAGE))

    def test_a_refusal_is_no_matter_of_the_caller(self):
        """A bounce tells the sender."""
        for step, reply in (("rcpt", NEVER), ("dot", "554 5.7.1 spam"),
                            ("mail", "552 5.3.4 too big")):
            with self.subTest(step=step):
                self.relay.replies = {step: lambda session, argument:
                                      None if "<>" in argument or ALICE
                                      in argument and step == "rcpt"
                                      else reply}
                self.submit()
                self.drain()
                self.assertEqual(len(self.bounces()), 1)
                self.forget()

    def test_no_route_takes_it(self):
        """Deferred, with a clear line in the log."""
        conf = self.queue_conf(self.route(senders="other@example.com"))
        self.submit(conf=conf)
        self.assertEqual(self.spool.only().states(), "-")
        self.assertTrue(any("route" in line and "reason=" in line
                            for line in self.log_lines()), self.log_lines())
        self.drain()
        self.same_bytes(self.relay.only().content, crlf(MESSAGE))

    def test_when_the_try_is_made(self):
        for args, tried in (((), True), (("-odi",), True), (("-odb",), True),
                            (("-odq",), False)):
            with self.subTest(args=args):
                self.submit(args=args)
                if tried:
                    self.wait(lambda: self.relay.accepted())
                    self.wait(lambda: not self.spool.names())
                else:
                    self.assertEqual(self.relay.sessions, [])
                    stored = self.spool.only()
                    self.assertEqual((stored.states(), stored.tries),
                                     ("-", 0))
                    self.assertLessEqual(stored.next, time.time() + 1)
                    self.run_queue()
                self.same_bytes(self.relay.only().content, crlf(MESSAGE))
                self.forget()

    def test_in_the_foreground_the_caller_waits(self):
        self.relay.hold = lambda session: time.sleep(1)
        for args in ((), ("-odi",)):
            self.assertGreaterEqual(self.submit(args=args).seconds, 1)

    def test_in_the_background_it_does_not(self):
        """Neither for the process, nor for what it might still say: a caller
        reads our standard output and error to their ends."""
        self.relay.hold = lambda session: time.sleep(3)
        self.assertLess(self.submit(args=("-odb",)).seconds, 2)
        self.wait(lambda: self.relay.accepted())
        self.wait(lambda: not self.spool.names())

    def test_v_shows_the_try(self):
        done = run(["-v", "-i", "-f", ALICE, BOB], MESSAGE, conf=self.good)
        self.expect(done, 0)
        self.assertIn("MAIL FROM:<%s>" % ALICE, done.err)
        self.assertEqual(len(self.relay.accepted()), 1)

    def test_the_folders_are_made(self):
        self.keep()
        for name in ("tmp", "queue", "failed"):
            mode = os.stat(self.spool.file(name)).st_mode
            self.assertEqual(mode & 0o7007, 0, "%s: %o" % (name, mode))

    def test_others_may_not_read_a_queue_file(self):
        stored = self.keep()
        self.assertEqual(os.stat(stored.path).st_mode & 0o007, 0)

    def test_a_message_that_cannot_be_used_is_not_queued(self):
        for args, message, status in (
                ([ALICE.replace("@", "@@")], MESSAGE, 65),
                ([BOB], b"Subject: x\nX: " + b"y" * 300000 + b"\n\n", 65),
                ([], MESSAGE, 64)):
            with self.subTest(status=status):
                self.one_line(run(["-i", "-f", ALICE, "--", *args], message,
                                  conf=self.good), status)
        self.one_line(run(["-i", "-f", ALICE, BOB], letter(5000),
                          conf=self.queue_conf(top="max-size 4k\n")), 65)
        self.assertEqual(self.spool.state(),
                         {"tmp": 0, "queue": 0, "failed": 0})
        self.assertEqual(self.relay.sessions, [])

    def test_standard_input_that_cannot_be_read(self):
        folder = os.open(self.dir, os.O_RDONLY)
        self.addCleanup(os.close, folder)
        for args in ((), ("-odi",), ("-odq",)):
            done = subprocess.run(
                [SENDROUTE, "-i", "-f", ALICE, *args, BOB], stdin=folder,
                capture_output=True, timeout=30,
                env=clean_environment(SENDROUTE_CONF=self.good))
            self.assertEqual(done.returncode, 74, done)
            self.assertEqual(done.stderr.count(b"\n"), 1, done)
        self.assertEqual(self.spool.state(),
                         {"tmp": 0, "queue": 0, "failed": 0})
        self.assertEqual(self.relay.sessions, [])

    def test_a_caller_that_dies_has_sent_nothing(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            with self.subTest(number=number):
                process = self.background(["-i", "-f", ALICE, BOB],
                                          stdin=None)
                process.stdin.write(MESSAGE)
                process.stdin.flush()
                time.sleep(0.2)
                process.send_signal(number)
                process.wait(10)
                process.stdin.close()
                process.stdin = None
                self.assertEqual(self.spool.names(), [])
                self.run_queue("-qf")
        self.assertEqual(self.relay.sessions, [])

    def test_dry_run_and_verify_queue_nothing(self):
        for args in (["--dry-run", "-i", "-f", ALICE, BOB], ["-bv", BOB]):
            self.expect(run(args, MESSAGE, conf=self.good), 0)
        self.assertEqual(self.spool.names(), [])


class Smtp(Case):
    """sendmail -bs with a queue behind it."""

    SESSION = (b"EHLO client.example\r\nMAIL FROM:<alice@example.com>\r\n"
               b"RCPT TO:<bob@example.net>\r\nDATA\r\n" + stuffed(crlf(
                   MESSAGE)) + b"QUIT\r\n")

    def say(self, conf=None, session=SESSION, args=("-bs",), **more):
        """The reply to the final dot."""
        done = self.expect(run(args, session, conf=conf or self.good, **more),
                           0)
        self.assertEqual(done.err, "", str(done))
        return done.out.splitlines()[-2]

    def test_it_is_taken_as_soon_as_it_is_safe(self):
        for replies in ({}, {"mail": "451 4.3.0 later"}, {"rcpt": NEVER},
                        {"greeting": (DROP,)}):
            with self.subTest(replies=replies):
                self.relay.replies = {
                    k: (lambda s, a, v=v: None if ALICE in a and "rcpt" in
                        replies else v) for k, v in replies.items()}
                reply = self.say()
                self.assertRegex(reply,
                                 r"^250 2\.0\.0 queued as [0-9a-v]{20}$")
                self.assertTrue(any(("id=" + reply.split()[-1]) in line
                                    for line in self.log_lines()), reply)
                self.wait(lambda: self.relay.sessions)
                self.relay.replies = {}
                self.drain()
                self.forget()

    def test_odq(self):
        for args in (("-bs", "-odq"), ("-odq", "-bs")):
            ID = self.say(args=args).split()[-1]
            self.assertEqual(self.spool.names(), [ID])
            self.assertEqual(self.relay.sessions, [])
            self.same_bytes(self.spool.only().message, crlf(MESSAGE))
            self.drain()
            self.same_bytes(self.relay.only().content, crlf(MESSAGE))
            self.forget()

    def test_it_cannot_be_queued(self):
        conf = self.queue_conf(spool=self.path("missing"))
        self.assertRegex(self.say(conf), r"^451 4\.3\.\d ")
        self.assertEqual(self.relay.sessions, [])

    def test_it_cannot_be_queued_but_odi_was_asked_for(self):
        conf = self.queue_conf(spool=self.path("missing"))
        for args in (("-bs", "-odi"), ("-odi", "-bs")):
            with self.subTest(args=args):
                self.assertRegex(self.say(conf, args=args), r"^250 ")
                self.same_bytes(self.relay.only().content, crlf(MESSAGE))
                self.forget()
        self.relay.replies["mail"] = "451 4.3.0 later"
        self.assertRegex(self.say(conf, args=("-bs", "-odi")), r"^4")
        self.assertFalse(os.path.exists(self.path("missing")))

    def test_three_in_one_session(self):
        session = b"EHLO c\r\n"
        for number in range(3):
            session += (b"MAIL FROM:<a%d@example.com>\r\n"
                        b"RCPT TO:<b%d@example.net>\r\nDATA\r\n" % (
                            number, number) + stuffed(crlf(numbered(number))))
        done = self.expect(run(["-bs", "-odq"], session + b"QUIT\r\n",
                               conf=self.good), 0)
        self.assertEqual(done.out.count("queued as"), 3, str(done))
        self.assertEqual([(s.sender, s.rcpts[0].address, number_of(s.message))
                          for s in self.spool.all()],
                         [("a%d@example.com" % n, "b%d@example.net" % n, n)
                          for n in range(3)])


# --- a folder that cannot be used ------------------------------------------

class Unusable(Case):
    """One line, and nothing left behind; a direct try only if asked for."""

    def refused(self, status, *words, conf=None, program=run, args=(),
                message=MESSAGE, **more):
        for how in ((), ("-odb",), ("-odq",)):
            done = program(["-i", "-f", ALICE, *how, *args, BOB], message,
                           conf=conf or self.good, **more)
            self.one_line(done, status, *words)
        self.assertEqual(self.relay.sessions, [])

    def odi(self, conf=None, program=run, **more):
        """With -odi it goes out all the same."""
        done = program(["-odi", "-i", "-f", ALICE, BOB], MESSAGE,
                       conf=conf or self.good, **more)
        self.expect(done, 0)
        got = self.relay.settle().accepted()
        self.assertEqual([m.rcpt_to for m in got], [[BOB]], str(done))
        self.same_bytes(got[0].content, crlf(MESSAGE))
        self.forget()
        return done

    def test_missing(self):
        conf = self.queue_conf(spool=self.path("missing"))
        self.refused(73, re.escape(self.path("missing")), conf=conf)
        self.odi(conf)
        self.assertFalse(os.path.exists(self.path("missing")))

    def test_the_direct_try_is_one_without_a_queue(self):
        """0, 69 and 75 as ever, and the log says that the queue is broken."""
        args = ["-odi", "-i", "-f", ALICE, BOB]
        conf = self.queue_conf(spool=self.path("missing"))
        self.odi(conf)
        self.assertTrue(any(re.search("(?i)queue", line)
                            for line in self.log_lines()), self.log_lines())
        self.relay.replies["rcpt"] = NEVER
        self.expect(run(args, MESSAGE, conf=conf), 69)
        self.relay.replies["rcpt"] = LATER
        self.expect(run(args, MESSAGE, conf=conf), 75)
        self.expect(run(args, MESSAGE, conf=self.queue_conf(
            self.down(), spool=self.path("missing"))), 75)

    def test_a_file_in_its_place(self):
        path = self.write("file", "x")
        conf = self.queue_conf(spool=path)
        self.refused(73, re.escape(path), conf=conf)
        self.odi(conf)

    def test_a_file_in_the_place_of_a_folder_in_it(self):
        for name in ("tmp", "queue"):
            with self.subTest(name=name):
                shutil.rmtree(self.spool.path)
                os.mkdir(self.spool.path)
                self.write("spool/" + name, "x")
                self.refused(73)
                self.odi()
                left = [n for _, _, names in os.walk(self.spool.path)
                        for n in names]
                self.assertEqual(left, [name])

    def test_not_writable(self):
        user, program = None, SENDROUTE
        if os.getuid() == 0:
            try:
                user = pwd.getpwnam("nobody").pw_name
            except KeyError:
                self.skipTest("no user nobody")
            program = self.path("sendroute")
            shutil.copy(SENDROUTE, program)
            os.chmod(program, 0o755)
            os.chmod(self.dir, 0o755)

        def start(args, message, **more):
            return run(args, message, user=user, program=program, **more)

        conf = self.queue_conf(top="log none\n")
        self.addCleanup(os.chmod, self.spool.path, 0o755)
        for folders in ((), ("tmp", "queue", "failed")):
            with self.subTest(folders=folders):
                os.chmod(self.spool.path, 0o755)
                for name in folders:
                    os.mkdir(self.spool.file(name), 0o555)
                os.chmod(self.spool.path, 0o555)
                self.refused(73, "permission", conf=conf, program=start)
                self.odi(conf, program=start)
                self.assertEqual(self.spool.state(),
                                 {"tmp": 0, "queue": 0, "failed": 0})

    FOLDERS = '\nmkdir "$1/tmp" "$1/queue" "$1/failed"'

    def inside(self, script, status, *words, message=MESSAGE):
        for name in ("tmp", "queue", "failed"):
            os.makedirs(self.spool.file(name), exist_ok=True)
        place = Mounted(self, script, self.spool.path)
        self.refused(status, *words, program=place.run, message=message)
        self.odi(program=place.run)
        found = [name for folder in ("tmp", "queue", "failed") for name in
                 os.listdir(place.path(self.spool.file(folder)))]
        self.assertEqual(found, [])

    def test_a_read_only_file_system(self):
        self.inside('mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"',
                    73, "read-only")

    def test_a_read_only_file_system_without_the_folders(self):
        place = Mounted(self, 'mount -t tmpfs -o ro tmpfs "$1"',
                        self.spool.path)
        self.refused(73, program=place.run)
        self.odi(program=place.run)

    def test_a_full_disk(self):
        fill = 'dd if=/dev/zero of="$1/fill" bs=4096 2>/dev/null || true'
        self.inside('mount -t tmpfs -o size=128k tmpfs "$1"' + self.FOLDERS +
                    "\n" + fill, 74, "space|full")

    def test_a_disk_that_gets_full(self):
        self.inside('mount -t tmpfs -o size=128k tmpfs "$1"' + self.FOLDERS,
                    74, "space|full", message=letter(400000))

    def test_no_inodes(self):
        self.inside('mount -t tmpfs -o nr_inodes=4 tmpfs "$1"' + self.FOLDERS,
                    73, "space|full|inode")

    def test_no_inodes_for_the_folders(self):
        place = Mounted(self, 'mount -t tmpfs -o nr_inodes=2 tmpfs "$1"',
                        self.spool.path)
        self.refused(73, program=place.run)
        self.odi(program=place.run)

    def test_a_run_without_its_folder(self):
        conf = self.queue_conf(spool=self.path("missing"))
        self.one_line(run(["-q"], conf=conf), 73, "queue",
                      re.escape(self.path("missing")))
        self.assertEqual(self.relay.sessions, [])

    def test_a_run_on_a_full_disk_delivers(self):
        """What is queued needs no room to be sent."""
        for number in range(3):
            self.keep(message=numbered(number))
        place = Mounted(self, 'cp -a "$1" "$1.copy"\n'
                        'mount -t tmpfs -o size=128k tmpfs "$1"\n'
                        'cp -a "$1.copy/." "$1/"\nrm -r "$1.copy"\n'
                        'dd if=/dev/zero of="$1/fill" bs=4096 2>/dev/null || '
                        'true', self.spool.path)
        self.expect(place.run(["-q"], conf=self.good), 0)
        self.assertEqual(self.numbers(), [0, 1, 2])
        self.assertEqual(os.listdir(place.path(self.spool.file("queue"))), [])


# --- what is in the file ---------------------------------------------------

class File(Case):
    def same(self, message, due=None, args=()):
        """In the file and at the relay: the same bytes."""
        due = crlf(due or message)
        stored = self.keep(message=message, args=args)
        self.same_bytes(stored.message, due, "in the queue")
        self.assertEqual(stored.size, len(due))
        self.run_queue()
        self.assertEqual(self.spool.names(), [])
        self.same_bytes(self.relay.only().content, due, "at the relay")
        self.forget()
        return stored

    def test_every_byte(self):
        every = bytes(c for c in range(1, 256) if c not in (10, 13)) + b"\n"
        for body in (b"", b"x", b".\n", b".\n.\n..\n", b"a\n.", b"\n\n\n",
                     b"a\r\nb\rc\nd", b"sendroute queue 1\nborn 1\n\nx\n"):
            with self.subTest(body=body):
                self.same(HEAD + b"\n" + body)
        self.same(HEAD + EIGHT_BIT + b"\n" + every * 3)
        self.same(HEAD + EIGHT_BIT + b"\n\0\0\n", HEAD + EIGHT_BIT + b"\n  \n")

    def test_sizes_around_the_blocks(self):
        for size in (4095, 4096, 65535, 65536, 65537, 1 << 20):
            with self.subTest(size=size):
                self.same(letter(size))

    def test_the_header_of_the_file(self):
        before = int(time.time())
        stored = self.keep(BOB, "carol@example.net",
                           args=("-R", "hdrs", "-V", "id+2Bx", "-N",
                                 "failure,delay"))
        self.assertTrue(ID.fullmatch(stored.id), stored.id)
        self.assertTrue(before <= stored.born <= time.time(), stored.born)
        self.assertEqual(stored.uid, os.getuid())
        self.assertEqual(stored.sender, ALICE)
        self.assertEqual(stored.identities, [ALICE])
        self.assertEqual([(r.state, r.address) for r in stored.rcpts],
                         [("-", BOB), ("-", "carol@example.net")])
        self.assertEqual(stored.ret.upper(), "HDRS")
        self.assertEqual(stored.envid, "id+2Bx")
        for r in stored.rcpts:
            self.assertEqual(r.notify.upper(), "FAILURE,DELAY")

    def test_the_null_sender(self):
        stored = self.keep(sender="")
        self.assertEqual(stored.sender, "")
        self.run_queue()
        self.assertEqual(self.relay.only().mail[:2], "<>")

    def test_identities_decide_in_a_run_as_at_once(self):
        """SES is asked only for senders that all match, From and Sender too."""
        ses = self.start(Ses(tls=False))
        conf = self.queue_conf(ses.route(senders=ALICE), self.route())
        message = MESSAGE.replace(b"Subject", b"Sender: carol@example.org\n"
                                  b"Subject")
        self.keep(message=message, conf=conf)
        self.keep(conf=conf)
        self.run_queue(conf=conf)
        self.assertEqual(ses.errors, [])
        self.same_bytes(ses.only().raw, crlf(MESSAGE))
        self.same_bytes(self.relay.only().content, crlf(message))

    def test_ids_sort_by_age(self):
        ids = [self.keep(message=numbered(n)).id for n in range(5)]
        self.assertEqual(ids, sorted(ids))
        self.assertEqual(len(set(ids)), 5)

    def test_the_log_has_the_same_id(self):
        stored = self.keep()
        first, = self.log_pairs()
        self.assertEqual((first["status"], first["id"]),
                         ("queued", stored.id))
        self.run_queue()
        last = self.log_pairs()[-1]
        self.assertEqual((last["status"], last["id"], last["to"]),
                         ("sent", stored.id, BOB))

    def test_bcc_is_neither_kept_nor_sent(self):
        message = MESSAGE.replace(b"\n\n", b"\nBcc: secret@example.org,\n "
                                  b"second@example.org\n\n", 1)
        done = run(["-t", "-i", "-odq", "-f", ALICE], message, conf=self.good)
        self.quiet(done)
        stored = self.spool.only()
        self.assertEqual(sorted(r.address for r in stored.rcpts),
                         [BOB, "second@example.org", "secret@example.org"])
        self.same_bytes(stored.message, crlf(MESSAGE))
        self.run_queue()
        for got in self.relay.accepted():
            self.same_bytes(got.content, crlf(MESSAGE))

    def test_what_the_message_needs_is_known_in_a_run_too(self):
        """Re-encoding, dots and SMTPUTF8 do not depend on who sends it."""
        relay = self.start(Relay(tls="off", extensions=("SIZE 1000000",)))
        conf = self.queue_conf(self.route(relay))
        eight = HEAD + b"\ncaf\xc3\xa9\n"
        long = HEAD + b"\n" + b"word " * 400 + b"\n"
        for message in (eight, long, HEAD.replace(b"Subject: peers",
                                                b"Subject: \xc3\xa9") +
                        b"\nx\n"):
            with self.subTest(message=message[:300]):
                got = []
                for args in ((), ("-odq",)):
                    self.submit(message=message, args=args, conf=conf)
                    self.drain(conf)
                    got.append(relay.settle().only().content)
                    self.forget(relay)
                self.same_bytes(got[1], got[0])
                self.assertTrue(got[0].isascii())
                self.assertLessEqual(max(map(len, got[0].split(b"\r\n"))),
                                     998)

    def test_dsn_parameters_go_to_a_relay_that_offers_it(self):
        self.relay.extensions += ("DSN",)
        self.keep(args=("-R", "hdrs", "-V", "abc", "-N", "never"))
        self.run_queue()
        got = self.relay.only()
        self.assertIn("RET=HDRS", got.mail.upper())
        self.assertIn("ENVID=ABC", got.mail.upper())
        self.assertIn("NOTIFY=NEVER", got.rcpts[0].upper())

    def test_a_file_written_by_the_book(self):
        """The format is kept: an older version's folder can be taken over."""
        self.spool.put(numbered(1), rcpts=(BOB, "carol@example.net"))
        self.spool.put(numbered(2), sender="")
        self.run_queue()
        self.assertEqual(self.spool.names(), [])
        self.assertEqual([(m.mail_from, m.rcpt_to) for m in
                          self.relay.accepted()],
                         [(ALICE, [BOB, "carol@example.net"]), ("", [BOB])])
        self.same_bytes(self.relay.accepted()[0].content, crlf(numbered(1)))


# --- partial delivery ------------------------------------------------------

class Partial(Case):
    PEOPLE = ["taken@d.test", "later@d.test", "never@d.test"]
    replies = {"rcpt <later@d.test>": LATER, "rcpt <never@d.test>": NEVER}

    def test_only_those_without_a_result_are_tried_again(self):
        self.submit(*self.PEOPLE)
        stored = [s for s in self.spool.all() if s.sender][0]
        self.assertEqual([r.state for r in stored.rcpts], ["+", "-", "x"])
        self.assertEqual(stored.rcpts[1].code, 450)
        self.assertEqual(stored.rcpts[1].enhanced, "4.2.1")
        self.assertIn("come back", stored.rcpts[1].text)
        self.assertEqual([m.rcpt_to for m in self.relay.accepted()
                          if m.mail_from], [["taken@d.test"]])
        self.relay.settle()
        before = len(self.relay.sessions)
        stored.due()
        self.run_queue()                # still later
        del self.relay.replies["rcpt <later@d.test>"]
        stored.due()
        self.run_queue()
        asked = [c for s in self.relay.settle().sessions[before:]
                 for c in s.commands if c.upper().startswith("RCPT")
                 and ALICE not in c]
        self.assertEqual(len(asked), 2, asked)
        self.assertTrue(all("<later@d.test>" in c for c in asked), asked)
        self.assertEqual(self.received(), [(None, "later@d.test"),
                                           (None, "taken@d.test")])
        self.assertEqual(self.spool.names(), [])
        bounce, = self.bounces()
        self.assertEqual(bounce.rcpt_to, [ALICE])
        self.assertIn(b"never@d.test", bounce.content)
        self.assertNotIn(b"taken@d.test", bounce.body.partition(
            b"message/rfc822")[0].partition(b"text/rfc822-headers")[0])

    def test_failover_for_those_without_a_result(self):
        second = self.start(Relay(tls="off", name="second.test", replies={
            "rcpt <later@d.test>": ["450 4.2.1 not here either",
                                    "250 2.1.5 ok"]}))
        conf = self.queue_conf(self.route(name="first", fallback="second"),
                               self.route(second, name="second",
                                          senders=None))
        self.submit("taken@d.test", "later@d.test", "other@d.test", conf=conf)
        self.assertEqual(self.spool.only().states(), "+-+")
        self.spool.only().due()
        self.run_queue(conf=conf)
        self.assertEqual(self.spool.names(), [])
        self.assertEqual(self.received(), [(None, "other@d.test"),
                                           (None, "taken@d.test")])
        self.assertEqual(self.received(second), [(None, "later@d.test")])

    def test_a_result_that_never_came_is_tried_again_not_elsewhere(self):
        second = self.start(Relay(tls="off", name="second.test"))
        conf = self.queue_conf(self.route(name="first", fallback="second"),
                               self.route(second, name="second",
                                          senders=None))
        self.relay.replies["dot"] = [(DROP,), "250 2.0.0 ok"]
        self.submit(conf=conf)
        self.assertEqual(self.spool.only().states(), "-")
        self.spool.only().due()
        self.run_queue(conf=conf)
        self.assertEqual(second.sessions, [])
        self.assertEqual(len(self.relay.accepted()), 1)
        self.assertEqual(self.spool.names(), [])

    def test_ses_in_batches(self):
        """50 a call: those of a call that went well are done."""
        ses = self.start(Ses(tls=False, script=[None, Answer(
            429, "TooManyRequestsException", "Maximum sending rate",
            fields=["Retry-After: 60"])]))
        conf = self.queue_conf(ses.route())
        people = ["p%02d@d.test" % n for n in range(70)]
        self.submit(*people, conf=conf)
        states = self.spool.only().states()
        self.assertEqual((states.count("+"), states.count("-")), (50, 20))
        self.spool.only().due()
        self.run_queue(conf=conf)
        self.assertEqual(self.spool.names(), [])
        self.assertEqual(sorted(a for s in ses.sent for a in s.bcc), people)
        self.assertEqual(ses.errors, [])


# --- when ------------------------------------------------------------------

class Schedule(Case):
    replies = {"rcpt <%s>" % BOB: LATER}

    def wait_after(self, stored, *args):
        """How long it will be left alone after a failed try."""
        before = time.time()
        self.run_queue(*(args or ("-q",)))
        after = time.time()
        stored = Stored(stored.path)
        self.assertEqual(stored.states(), "-")
        return stored.next - (before + after) / 2, stored.tries

    def test_doubling_up_to_four_hours_with_jitter(self):
        stored = self.keep()
        for tries in range(1, 12):
            with self.subTest(tries=tries):
                delay, counted = self.wait_after(stored)
                due = min(FIRST_RETRY * 2 ** (tries - 1), LONGEST_RETRY)
                self.assertEqual(counted, tries)
                self.assertGreater(delay, due * 0.9 - 3)
                self.assertLess(delay, due * 1.1 + 3)
                Stored(stored.path).due()
        for tries in (30, 31, 32, 63, 64, 1000, 2 ** 31 - 1):
            with self.subTest(tries=tries):
                Stored(stored.path).set(tries=tries,
                                        next=int(time.time()) - 1)
                delay, counted = self.wait_after(stored)
                self.assertGreater(delay, LONGEST_RETRY * 0.9 - 3)
                self.assertLess(delay, LONGEST_RETRY * 1.1 + 3)

    def test_the_try_of_a_submission_is_the_first(self):
        self.submit()
        stored = self.spool.only()
        self.assertEqual(stored.tries, 1)
        self.assertGreater(stored.next - time.time(), FIRST_RETRY * 0.9 - 3)
        self.assertLess(stored.next - time.time(), FIRST_RETRY * 1.1 + 3)

    def test_jitter_differs(self):
        for number in range(12):
            self.spool.put(numbered(number), tries=5)
        self.run_queue()
        self.assertGreater(len({s.next for s in self.spool.all()}), 3)

    def test_what_is_not_due_is_left_alone(self):
        stored = self.keep()
        stored.set(next=int(time.time()) + 120, tries=1)
        self.run_queue()
        self.assertEqual(self.relay.sessions, [])
        stored.due()
        self.run_queue()
        self.assertEqual(len(self.relay.sessions), 1)

    def test_local_trouble_is_no_try(self):
        """Due at once again, and the count stays: nothing was tried."""
        self.write("place", "a file where a Maildir should be made")
        conf = self.queue_conf("route box\ntype maildir\npath %s\nsenders *\n"
                               % self.path("place/box"))
        stored = self.keep(conf=conf)
        for _ in range(2):
            self.run_queue(conf=conf)
            stored = Stored(stored.path)
            self.assertEqual((stored.tries, stored.states()), (0, "-"))
            self.assertLessEqual(stored.next, time.time())
        os.remove(self.path("place"))
        os.mkdir(self.path("place"))
        self.run_queue(conf=conf)
        self.assertEqual(self.spool.names(), [])
        self.assertEqual(len(os.listdir(self.path("place/box/new"))), 1)

    def test_local_trouble_never_bounces(self):
        self.write("place", "")
        conf = self.queue_conf("route box\ntype maildir\npath %s\nsenders *\n"
                               % self.path("place/box"), top="queue-warn 0\n")
        stored = self.keep(conf=conf).older(40 * DAY)
        self.run_queue(conf=conf)
        self.assertEqual(self.spool.state(),
                         {"tmp": 0, "queue": 1, "failed": 0})
        self.assertEqual(Stored(stored.path).states(), "-")


class Clock(Case):
    def put(self, born, due, **more):
        return self.spool.put(numbered(1), born=int(born), due=int(due),
                              **more)

    def test_the_clock_went_back(self):
        """Born and due years ahead: tried now, and not thought to be old."""
        now = time.time()
        for born, due, tries in ((now + 10 * YEAR, now + 10 * YEAR, 0),
                                 (now + 10 * YEAR, now + 10 * YEAR + 300, 3),
                                 (now - 60, now + 3 * YEAR, 1),
                                 (now + 2 * DAY, now + 2 * DAY, 1),
                                 (10 ** 15, 10 ** 15, 0)):
            with self.subTest(born=born - now, due=due - now):
                self.put(born, due, tries=tries)
                self.run_queue()
                self.assertEqual(self.numbers(), [1])
                self.assertEqual(self.spool.names(), [])
                self.forget()

    def test_the_clock_went_back_and_the_try_fails(self):
        self.relay.replies["rcpt"] = LATER
        now = time.time()
        stored = self.put(now + 10 * YEAR, now + 10 * YEAR, tries=3)
        self.run_queue()
        stored = Stored(stored.path)
        self.assertEqual(stored.states(), "-")
        self.assertLess(stored.next, time.time() + 1.2 * LONGEST_RETRY)
        self.assertEqual(self.relay.accepted(), [])

    def test_the_clock_went_forward(self):
        """Ten years away are not five days of trying."""
        self.relay.replies["rcpt <%s>" % BOB] = LATER
        now = time.time()
        stored = self.put(now - 10 * YEAR, now - 10 * YEAR + 300, tries=1)
        for _ in range(2):
            self.run_queue("-qf")
            stored = Stored(stored.path)
            self.assertEqual(stored.states(), "-")
            self.assertEqual(self.relay.accepted(), [])
            self.assertEqual(self.spool.state(),
                             {"tmp": 0, "queue": 1, "failed": 0})
        del self.relay.replies["rcpt <%s>" % BOB]
        self.drain()
        self.assertEqual(self.received(), [(1, BOB)])

    def test_a_clock_that_starts_in_1970(self):
        self.put(5, 5)
        self.run_queue()
        self.assertEqual(self.received(), [(1, BOB)])


# --- which -----------------------------------------------------------------

class Selection(Case):
    def setUp(self):
        super().setUp()
        future = int(time.time()) + 600
        self.ids = []
        for number, sender, rcpts in (
                (0, "alice@example.com", ["bob@example.net"]),
                (1, "carol@example.org", ["dave@example.net",
                                          "erin@example.net"]),
                (2, "", ["frank@other.test"])):
            self.ids.append(self.spool.put(
                numbered(number), sender=sender, rcpts=rcpts, tries=1,
                due=future).id)

    def takes(self, option, *numbers):
        with self.subTest(option=option):
            self.run_queue(option)
            self.assertEqual(sorted(self.numbers()), list(numbers))
            self.forget()

    def test_nothing_is_due(self):
        self.takes("-q")

    def test_all(self):
        self.takes("-qf", 0, 1, 2)

    def test_by_id(self):
        self.takes("-qI" + self.ids[1], 1)
        self.takes("-qI" + self.ids[0][5:], 0)
        self.takes("-qInothing")
        self.takes("-qI" + self.ids[2][:1], 2)

    def test_by_recipient(self):
        self.takes("-qRfrank@other.test", 2)
        self.takes("-qRerin", 1)
        self.takes("-qRnobody")
        self.takes("-qR@example.net", 0)

    def test_by_sender(self):
        self.takes("-qSexample.org", 1)
        self.takes("-qSalice@example.com", 0)
        self.takes("-qSalice@example.com")

    def test_what_is_selected_and_fails_is_still_a_try(self):
        self.relay.replies["rcpt"] = LATER
        self.run_queue("-qI" + self.ids[0])
        stored = Stored(self.spool.file("queue", self.ids[0]))
        self.assertEqual(stored.tries, 2)
        self.assertGreater(stored.next, time.time() + 500)

    def test_bad_intervals(self):
        for option in ("-q0", "-q0m", "-qx", "-q5y", "-q-1m", "-q1.5h",
                       "-q99999999999999999999m", "-q15mm"):
            with self.subTest(option=option):
                self.one_line(run([option], conf=self.good, timeout=10), 64,
                              re.escape("-q"))
        self.assertEqual(self.relay.sessions, [])

    def test_without_a_queue(self):
        conf = self.conf(self.route(), name="other.conf")
        for option in ("-q", "-qf", "-q15m", "-qIabc", "-qRbob", "-qSalice"):
            with self.subTest(option=option):
                self.one_line(run([option], conf=conf), 78, "queue")
        self.assertEqual(self.relay.sessions, [])

    def test_an_empty_queue(self):
        for name in self.spool.names():
            os.remove(self.spool.file("queue", name))
        for option in ("-q", "-qf", "-qIx"):
            self.run_queue(option)
        self.assertEqual(self.relay.sessions, [])


# --- administration --------------------------------------------------------

class Listing(Case):
    KEYS = {"id", "folder", "born", "next", "tries", "size", "uid", "from",
            "recipients"}

    def test_an_empty_queue(self):
        for args, name in (([], "mailq"), (["-bp"], None)):
            done = self.expect(run(args, name=name, conf=self.good), 0)
            self.assertRegex(done.out, "(?i)no message|empty")
            self.assertEqual(len(done.out.splitlines()), 1)
        self.assertEqual(self.listed(), [])

    def test_as_text(self):
        self.relay.replies["rcpt <later@d.test>"] = LATER
        self.submit("taken@d.test", "later@d.test", message=letter(3000))
        stored = self.spool.only()
        null = self.keep("x@d.test", sender="")
        for args, name in (([], "mailq"), (["-bp"], None), ([],
                                                            "/usr/bin/mailq")):
            done = self.expect(run(args, name=name, conf=self.good), 0)
            self.assertEqual(done.err, "")
            for word in (stored.id, null.id, ALICE, "later@d.test", "<>",
                         "x@d.test", str(stored.size), "450", "come back"):
                self.assertIn(word, done.out)
        # The oldest first.
        self.assertLess(done.out.index(stored.id), done.out.index(null.id))

    def test_as_json(self):
        self.relay.replies.update({"rcpt <later@d.test>": LATER,
                                   "rcpt <never@d.test>": NEVER})
        self.submit("taken@d.test", "later@d.test", "never@d.test",
                    args=("-N", "never"))
        stored = self.spool.only()
        entry, = self.listed()
        self.assertLessEqual(self.KEYS, set(entry))
        self.assertEqual(
            {k: entry[k] for k in self.KEYS - {"recipients"}},
            {"id": stored.id, "folder": "queue", "born": stored.born,
             "next": stored.next, "tries": 1, "size": stored.size,
             "uid": os.getuid(), "from": ALICE})
        people = entry["recipients"]
        self.assertEqual([(p["address"], p["state"], p["code"])
                          for p in people],
                         [("taken@d.test", "sent", people[0]["code"]),
                          ("later@d.test", "queued", 450),
                          ("never@d.test", "bounced", 550)])
        self.assertEqual(people[1]["enhanced"], "4.2.1")
        self.assertIn("come back", people[1]["result"])

    def test_json_of_odd_addresses(self):
        self.relay.replies["rcpt"] = \
            '450 4.2.1 "quoted" back\\slash \u00e4 \x07'
        people = ['"a b\\"c\\\\d"@d.test', "a'b@d.test"]
        self.submit(*people)
        entry, = self.listed()
        self.assertEqual([p["address"] for p in entry["recipients"]], people)
        self.assertIn('"quoted" back\\slash',
                      entry["recipients"][0]["result"])
        # JSON is UTF-8 whatever bytes a relay sends.
        self.relay.replies["rcpt"] = b"450 4.2.1 \xff\xc3 caf\xe9\r\n"
        self.run_queue("-qf")
        entry, = self.listed()
        self.assertIn("caf", entry["recipients"][0]["result"])

    def test_failed_is_listed_too(self):
        self.spool.put(numbered(1), folder="failed")
        self.spool.put(numbered(2))
        self.assertEqual(sorted(e["folder"] for e in self.listed()),
                         ["failed", "queue"])

    def test_many(self):
        for number in range(500):
            self.spool.put(numbered(number))
        entries = self.listed()
        self.assertEqual([e["id"] for e in entries], self.spool.names())

    def test_listing_does_not_disturb_or_wait(self):
        stored = self.keep()
        with stored.locked():
            self.assertEqual(len(self.listed()), 1)

    def test_a_damaged_file_does_not_spoil_the_list(self):
        good = self.keep()
        self.write("spool/queue/" + "0" * 20, "sendroute queue 1\nborn x\n")
        for args in ([], ["--json"]):
            done = self.expect(run(args, name="mailq", conf=self.good), 0)
            self.assertIn(good.id, done.out)

    def test_without_a_queue(self):
        conf = self.conf(self.route(), name="other.conf")
        self.assertEqual(self.listed(conf), [])
        self.assertIn("queue", self.expect(run([], name="mailq", conf=conf),
                                           0).out)


class Administration(Case):
    def test_delete(self):
        stored = self.keep(message=numbered(1))
        other = self.keep(message=numbered(2))
        self.expect(run(["--delete", stored.id], conf=self.good), 0)
        self.assertEqual(self.spool.names(), [other.id])
        self.drain()
        self.assertEqual(self.numbers(), [2])

    def test_delete_from_failed(self):
        stored = self.spool.put(numbered(1), folder="failed")
        self.expect(run(["--delete", stored.id], conf=self.good), 0)
        self.assertEqual(self.spool.names("failed"), [])

    def test_delete_what_is_being_delivered(self):
        stored = self.keep()
        with stored.locked():
            self.one_line(run(["--delete", stored.id], conf=self.good), 75,
                          stored.id)
        self.assertEqual(self.spool.names(), [stored.id])

    def test_what_is_unknown(self):
        self.keep()
        for option in ("--delete", "--requeue"):
            for name in ("0" * 20, "nothing", "", ".", "..", "../queue",
                         "../../log", "/etc/passwd", "a/b", "x" * 300):
                with self.subTest(option=option, name=name):
                    done = run([option, name], conf=self.good)
                    self.assertIn(done.exit, (64, 65), str(done))
                    self.one_line(done, done.exit)
        self.assertEqual(len(self.spool.names()), 1)

    def test_requeue(self):
        self.relay.replies["rcpt"] = NEVER
        before = int(time.time())
        self.submit(sender="", message=numbered(1))
        stored = self.spool.only("failed")
        self.assertEqual(self.spool.names(), [])
        stored.set(born=before - 40 * DAY)
        self.expect(run(["--requeue", stored.id], conf=self.good), 0)
        self.assertEqual(self.spool.names("failed"), [])
        again = self.spool.only()
        self.assertEqual((again.id, again.states(), again.tries),
                         (stored.id, "-", 0))
        self.assertTrue(before <= again.born <= time.time(), again.born)
        self.assertLessEqual(again.next, time.time())
        self.relay.replies = {}
        self.run_queue()
        self.assertEqual(self.numbers(), [1])
        self.assertEqual(self.spool.names(), [])

    def test_requeue_leaves_those_who_have_it_alone(self):
        self.relay.replies["rcpt <never@d.test>"] = NEVER
        self.submit("taken@d.test", "never@d.test", sender="",
                    message=numbered(1))
        stored = self.spool.only("failed")
        self.relay.replies = {}
        self.expect(run(["--requeue", stored.id], conf=self.good), 0)
        self.assertEqual(self.spool.only().states(), "+-")
        self.run_queue()
        self.assertEqual([m.rcpt_to for m in self.relay.accepted()],
                         [["taken@d.test"], ["never@d.test"]])

    def test_without_a_queue(self):
        conf = self.conf(self.route(), name="other.conf")
        for option in ("--delete", "--requeue"):
            self.one_line(run([option, "0" * 20], conf=conf), 78, "queue")


# --- what does not belong there --------------------------------------------

class Rubbish(Case):
    def logged(self, name):
        return [line for line in self.log_lines()
                if "id=" + name in line and "reason=" in line]

    def test_damaged_files_are_left_alone_and_logged(self):
        good = self.spool.put(numbered(1))
        raw = good.raw
        head = raw.index(b"\n\n") + 2
        bad = {"empty": b"", "short by a byte": raw[:-1],
               "the header alone": raw[:head],
               "half of the header": raw[:head // 2],
               "no recipients": re.sub(rb"(?m)^(last|rcpt) .*\n", b"", raw),
               "another version": raw.replace(b"queue 1", b"queue 2", 1),
               "zeros": b"\0" * len(raw), "text": b"hello\n",
               "born": re.sub(rb"born 0", b"born x", raw),
               "no sender": re.sub(rb"(?m)^from .*\n", b"", raw, count=1),
               "a state": raw.replace(b"rcpt - ", b"rcpt ? ", 1),
               "size": re.sub(rb"size 0", b"size 9", raw),
               "a huge header": raw[:18] + b"identity " + b"x" * (1 << 22)}
        names = {}
        for number, (what, data) in enumerate(bad.items()):
            names[what] = "00000000000000000%03d" % number
            self.write("spool/queue/" + names[what], data)
        self.run_queue("-qf")
        self.assertEqual(self.numbers(), [1])
        self.assertEqual(self.bounces(), [])
        for what, name in names.items():
            with self.subTest(what=what):
                with open(self.spool.file("queue", name), "rb") as file:
                    self.same_bytes(file.read(), bad[what])
                self.assertTrue(self.logged(name), self.log_lines())
        self.assertEqual(self.spool.names(), sorted(names.values()))
        self.assertEqual(self.spool.names("failed"), [])

    def test_longer_than_its_size(self):
        """Sent as far as it is meant to go, or left alone: never more."""
        good = self.spool.put(numbered(1))
        with open(good.path, "ab") as file:
            file.write(b"more\r\n")
        self.run_queue()
        for got in self.relay.accepted():
            self.same_bytes(got.content, crlf(numbered(1)))

    def test_foreign_things_are_left_alone(self):
        good = self.spool.put(numbered(1))
        folder = self.spool.file("queue")
        for name in ("README", ".nfs0001", "1" * 40, "1" * 19, "z" * 20):
            self.write("spool/queue/" + name, "x")
        os.mkdir(folder + "2" * 20)
        os.mkfifo(folder + "3" * 20)        # would be waited for
        target = self.write("elsewhere", "sendroute queue 1\n")
        os.symlink(target, folder + "4" * 20)
        os.symlink("/nowhere", folder + "5" * 20)
        with socket.socket(socket.AF_UNIX) as sock:
            at = os.getcwd()
            os.chdir(folder)
            try:
                sock.bind("6" * 20)
            finally:
                os.chdir(at)
        before = [n for n in self.spool.names() if n != good.id]
        for option in ("-qf", "-q"):
            self.run_queue(option, timeout=15)
        self.assertEqual(self.numbers(), [1])
        self.assertEqual(self.spool.names(), before)
        self.assertTrue(os.path.exists(target))
        done = run([], name="mailq", conf=self.good, timeout=15)
        self.expect(done, 0)

    def test_a_link_is_not_followed_out_of_the_folder(self):
        stored = self.spool.put(numbered(1))
        outside = self.path("outside")
        os.rename(stored.path, outside)
        os.symlink(outside, stored.path)
        self.run_queue("-qf")
        self.assertEqual(self.relay.accepted(), [])
        self.assertTrue(os.path.exists(outside))

    def test_tmp_is_swept_of_what_is_old(self):
        self.keep()
        day = time.time() - DAY
        for name, age in (("0" * 20, day - 60), ("1" * 20, day + 600),
                          ("2" * 20, day - 60), ("old", day - 60)):
            path = self.write("spool/tmp/" + name, "rubbish")
            os.utime(path, (age, age))
        import fcntl
        with open(self.spool.file("tmp", "2" * 20)) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self.run_queue()
        self.assertIn("1" * 20, self.spool.names("tmp"))
        self.assertIn("2" * 20, self.spool.names("tmp"))
        self.assertNotIn("0" * 20, self.spool.names("tmp"))
        self.run_queue()
        self.assertNotIn("2" * 20, self.spool.names("tmp"))
        self.assertEqual(len(self.relay.accepted()), 1)

    def test_what_lies_in_failed_is_never_touched(self):
        stored = self.spool.put(numbered(1), folder="failed", born=5)
        for option in ("-q", "-qf", "-qI" + stored.id):
            self.run_queue(option)
        self.assertEqual(self.spool.names("failed"), [stored.id])
        self.assertEqual(self.relay.sessions, [])


# --- the loop --------------------------------------------------------------

class Loop(Case):
    def loop(self, option="-q1m", conf=None):
        return self.background([option], conf=conf)

    def test_the_first_run_is_at_once(self):
        for option in ("-q1m", "-q1h", "-q1", "-q30s"):
            with self.subTest(option=option):
                self.keep(message=numbered(1))
                process = self.loop(option)
                self.wait(lambda: self.numbers() == [1])
                self.wait(lambda: not self.spool.names())
                self.assertIsNone(process.poll())
                process.terminate()
                self.ended(process)
                self.forget()

    def test_term_and_int_end_it(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number=number):
                self.keep()
                process = self.loop()
                self.wait(lambda: not self.spool.names())
                process.send_signal(number)
                self.ended(process, seconds=5)

    def test_it_ends_after_the_messages_in_hand(self):
        self.relay.hold = lambda session: time.sleep(0.2)
        for number in range(30):
            self.spool.put(numbered(number))
        process = self.loop()
        self.wait(lambda: any(m.whole for m in self.relay.messages))
        process.terminate()
        self.ended(process, seconds=15)
        taken = self.numbers()
        self.assertLess(len(taken), 30)
        left = [number_of(s.message) for s in self.spool.all()]
        self.assertEqual(sorted(taken + left), list(range(30)))
        self.relay.hold = None
        self.drain()
        self.assertEqual(sorted(self.numbers()), list(range(30)))

    def test_a_single_run_that_is_ended(self):
        """What is under way comes to its end, and nothing goes out twice."""
        self.relay.hold = lambda session: time.sleep(0.2)
        for number in range(8):
            self.spool.put(numbered(number))
        process = self.background(["-q"])
        self.wait(lambda: any(m.whole for m in self.relay.messages))
        process.terminate()
        process.communicate(timeout=10)
        self.assertEqual(process.returncode, 0)
        self.relay.hold = None
        self.drain()
        self.assertEqual(sorted(self.numbers()), list(range(8)))

    def test_again_and_again(self):
        process = self.loop("-q1s")
        for number in range(3):
            self.keep(message=numbered(number))
            self.wait(lambda: self.numbers() == list(range(number + 1)))
        process.terminate()
        self.ended(process)

    def test_what_is_deferred_is_tried_when_it_is_due(self):
        self.relay.replies["rcpt"] = [LATER, "250 2.1.5 ok"]
        self.keep(message=numbered(1))
        process = self.loop("-q1s")
        self.wait(lambda: self.relay.sessions and self.spool.all() and
                  self.spool.only().tries == 1)
        time.sleep(2.5)
        self.assertEqual(self.numbers(), [])
        self.spool.only().due()
        self.wait(lambda: self.numbers() == [1])
        process.terminate()
        self.ended(process)

    def test_hup_reads_the_configuration_afresh(self):
        second = self.start(Relay(tls="off"))
        process = self.loop("-q1s")
        self.keep(message=numbered(1))
        self.wait(lambda: self.numbers() == [1])
        other = self.queue_conf(self.route(second), name="other.conf")
        os.rename(other, self.good)
        process.send_signal(signal.SIGHUP)
        time.sleep(0.1)
        self.assertIsNone(process.poll())
        self.keep(message=numbered(2))
        self.wait(lambda: self.numbers(second) == [2])
        self.assertEqual(self.numbers(), [1])
        process.terminate()
        self.ended(process)


# --- order and connections -------------------------------------------------

class Order(Case):
    def test_the_oldest_first(self):
        now = int(time.time())
        for number in (3, 0, 2, 1):
            self.spool.put(numbered(number), born=now - 1000 + number)
        self.run_queue()
        self.assertEqual(self.numbers(), [0, 1, 2, 3])

    def test_new_mail_and_retries_take_turns(self):
        """Neither starves the other."""
        now = int(time.time())
        for number in range(6):
            self.spool.put(numbered(number), born=now - 500 + number)
            # Of retries, the one that has been due longest.
            self.spool.put(numbered(10 + number), born=now - 9000 - number,
                           due=now - 100 + number, tries=2)
        self.run_queue()
        order = self.numbers()
        self.assertEqual([n for n in order if n < 10], list(range(6)))
        self.assertEqual([n for n in order if n >= 10],
                         list(range(10, 16)))
        kinds = [n < 10 for n in order]
        self.assertTrue(all(a != b for a, b in zip(kinds, kinds[1:])), order)

    def test_many_retries_do_not_hold_up_one_new_message(self):
        now = int(time.time())
        for number in range(30):
            self.spool.put(numbered(100 + number), born=now - 9000,
                           due=now - 500, tries=3)
        self.spool.put(numbered(1))
        self.run_queue()
        self.assertIn(1, self.numbers()[:2])


class Connections(Case):
    def fill(self, count, **more):
        for number in range(count):
            self.spool.put(numbered(number), **more)

    def arrived(self, count, relay=None):
        self.assertEqual(self.received(relay), [(n, BOB) for n in
                                                range(count)])
        self.assertEqual(self.spool.names(), [])

    def test_one_connection_for_the_whole_run(self):
        self.fill(20)
        self.run_queue()
        self.arrived(20)
        self.assertEqual(len(self.relay.settle().sessions), 1)

    def test_one_turn_a_message_at_most(self):
        """The next MAIL goes out behind the final dot."""
        self.fill(20)
        self.run_queue()
        self.arrived(20)
        session, = self.relay.settle().sessions
        self.assertLessEqual(session.wire.turns, 20 + 4)

    def test_several_in_one_flight_with_chunking(self):
        relay = self.start(Relay(tls="off", extensions=(
            "PIPELINING", "SIZE 104857600", "8BITMIME", "CHUNKING",
            "ENHANCEDSTATUSCODES")))
        self.fill(40)
        self.run_queue(conf=self.queue_conf(self.route(relay)))
        self.arrived(40, relay)
        session, = relay.settle().sessions
        self.assertLessEqual(session.wire.turns, 20)
        for m in relay.accepted():
            self.same_bytes(m.content, crlf(numbered(number_of(m.content))))

    def test_each_has_a_result_of_its_own(self):
        """Whatever the others of its flight met."""
        deal = {2: ("mail", "451 4.3.0 later"), 3: ("rcpt", NEVER),
                5: ("dot", "451 4.3.0 later"), 6: ("rcpt", LATER),
                8: ("dot", "554 5.7.1 spam"), 9: ("mail", "550 5.1.0 no")}

        def reply(step):
            def find(session, argument):
                found = re.search(r"<r(\d+)@" if step == "rcpt" else
                                  r"<(\d+)@", argument)
                what = deal.get(int(found.group(1))) if found else None
                return what[1] if what and what[0] == step else None
            return find

        for extensions in ((), ("PIPELINING",), ("PIPELINING", "CHUNKING")):
            with self.subTest(extensions=extensions):
                relay = self.start(Relay(
                    tls="off", extensions=extensions, replies={
                        "mail": reply("mail"), "rcpt": reply("rcpt"),
                        "dot": reply("dot"), "bdat": reply("dot")}))
                conf = self.queue_conf(self.route(relay))
                for n in range(12):
                    self.spool.put(numbered(n), sender="%d@example.com" % n,
                                   rcpts=("r%d@example.net" % n,),
                                   lines=("ret HDRS",))
                self.run_queue(conf=conf)
                good = [n for n in range(12) if n not in deal]
                self.assertEqual(
                    self.received(relay),
                    [(n, "r%d@example.net" % n) for n in good])
                left = {s.sender: s.states() for s in self.spool.all()
                        if s.sender}
                self.assertEqual(left, {"%d@example.com" % n: "-"
                                        for n in (2, 5, 6)})
                relay.replies = {}
                self.drain(conf)
                self.assertEqual(
                    sorted(to for m in self.bounces(relay)
                           for to in m.rcpt_to),
                    ["%d@example.com" % n for n in (3, 8, 9)])
                self.assertEqual(
                    self.received(relay),
                    [(n, "r%d@example.net" % n) for n in range(12)
                     if n not in (3, 8, 9)])

    def test_a_route_that_is_down_is_probed_once(self):
        for reply in ((DROP,), "421 4.3.2 busy", "554 5.3.2 closed"):
            with self.subTest(reply=reply):
                self.relay.replies["greeting"] = reply
                self.fill(10)
                self.run_queue()
                self.assertEqual(len(self.relay.settle().sessions), 1)
                for stored in self.spool.all():
                    self.assertEqual((stored.states(), stored.tries),
                                     ("-", 1))
                    self.assertGreater(stored.next, time.time() + 200)
                    self.assertTrue(stored.rcpts[0].text)
                self.relay.replies = {}
                self.drain()
                self.arrived(10)
                self.forget()

    def test_the_fallback_of_a_route_that_is_down_takes_all(self):
        second = self.start(Relay(tls="off", name="second.test"))
        self.relay.replies["greeting"] = "421 4.3.2 busy"
        self.fill(10)
        self.run_queue(conf=self.queue_conf(
            self.route(name="first", fallback="second"),
            self.route(second, name="second", senders=None)))
        self.arrived(10, second)
        self.assertEqual(len(self.relay.settle().sessions), 1)
        self.assertEqual(len(second.settle().sessions), 1)

    def test_one_route_down_does_not_hold_up_another(self):
        second = self.start(Relay(tls="off", name="second.test"))
        for number in range(10):
            self.spool.put(numbered(number), sender=ALICE if number % 2
                           else "carol@example.org")
        conf = self.queue_conf(
            self.down("first").replace("senders *", "sender " + ALICE),
            self.route(second, name="second"))
        self.run_queue(conf=conf)
        self.assertEqual(sorted(self.numbers(second)), [0, 2, 4, 6, 8])
        self.assertEqual(len(self.spool.names()), 5)

    def test_a_connection_that_dies_on_the_way(self):
        """421 or a reset between two messages: another one is opened, or the
        rest is deferred; each is received once."""
        for step, reply in (("mail", "421 4.3.2 enough"), ("mail", (RST,)),
                            ("rset", (DROP,)), ("dot", "421 4.3.2 enough")):
            with self.subTest(step=step, reply=reply):
                ok = "250 2.0.0 ok"
                self.relay.replies = {step: [ok] * 3 + [reply] + [None] * 99}
                self.fill(8)
                self.run_queue()
                self.relay.replies = {}
                self.drain()
                self.arrived(8)
                self.forget()

    def test_three_connections_at_once(self):
        here, most, lock = set(), [0], threading.Lock()

        def hold(session):
            """Answer when three wait for an answer, or it takes too long."""
            with lock:
                here.add(session)
                most[0] = max(most[0], len(here))
            end = time.monotonic() + 3
            while most[0] < 3 and time.monotonic() < end:
                time.sleep(0.01)
            time.sleep(0.05)
            with lock:
                here.discard(session)

        self.relay.hold = hold
        conf = self.queue_conf(self.route(extra="connections 3"))
        self.fill(15)
        self.run_queue(conf=conf)
        self.relay.settle()
        self.assertEqual(most[0], 3)
        self.assertEqual(len(self.relay.sessions), 3)
        self.arrived(15)

    def test_no_more_connections_than_messages(self):
        conf = self.queue_conf(self.route(extra="connections 10"))
        self.fill(2)
        self.run_queue(conf=conf)
        self.arrived(2)
        self.assertLessEqual(len(self.relay.settle().sessions), 2)

    def test_ses_keeps_its_connection(self):
        ses = self.start(Ses())
        conf = self.queue_conf(ses.route())
        self.fill(8)
        self.run_queue(conf=conf)
        self.assertEqual(ses.errors, [])
        self.assertEqual(sorted(number_of(s.raw) for s in ses.sent),
                         list(range(8)))
        self.assertEqual(ses.connections, 1)
        self.assertEqual(self.spool.names(), [])


class Rate(Case):
    def setUp(self):
        super().setUp()
        self.times = []
        self.relay.hold = lambda session: self.times.append(time.monotonic())

    def keeps_to(self, rate, count):
        """A burst of one second, then so many a second, over all."""
        self.relay.settle()
        self.assertEqual(self.received(), [(n, BOB) for n in range(count)])
        times = sorted(self.times)
        self.assertGreater(times[-1] - times[0],
                           (count - rate) / rate - 0.35)
        for at in times:
            within = sum(1 for t in times if at <= t < at + 1)
            self.assertLessEqual(within, 2 * rate + 1)

    def test_of_one_connection(self):
        for number in range(15):
            self.spool.put(numbered(number))
        conf = self.queue_conf(self.route(extra="rate 5"))
        began = time.monotonic()
        self.run_queue(conf=conf)
        self.assertLess(time.monotonic() - began, 8)
        self.keeps_to(5, 15)

    def test_of_several_connections_and_runs(self):
        for number in range(20):
            self.spool.put(numbered(number))
        conf = self.queue_conf(self.route(extra="rate 6\nconnections 3"))
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for done in pool.map(lambda _: run(["-q"], conf=conf), range(2)):
                self.quiet(done)
        # A run that met nothing it could lock has ended early.
        self.run_queue(conf=conf)
        self.keeps_to(6, 20)

    def test_a_clock_that_went_back_does_not_stop_it(self):
        conf = self.queue_conf(self.route(extra="rate 5"))
        self.spool.put(numbered(0))
        self.run_queue(conf=conf)
        path = os.path.join(self.spool.path, "rate.relay")
        self.assertTrue(os.path.exists(path), os.listdir(self.spool.path))
        for text in (b"", b"rubbish", b"\xff" * 64, b"9" * 64 + b"\n"):
            with self.subTest(text=text):
                with open(path, "wb") as file:
                    file.write(text)
                self.forget()
                self.spool.put(numbered(0))
                done = run(["-q"], conf=conf, timeout=15)
                self.expect(done, 0)
                self.assertEqual(self.received(), [(0, BOB)])


# --- several at once -------------------------------------------------------

class AtOnce(Case):
    def test_two_runs_over_sixty_messages(self):
        for number in range(60):
            self.spool.put(numbered(number))
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for done in pool.map(lambda _: run(["-q"], conf=self.good),
                                 range(2)):
                self.quiet(done)
        self.assertEqual(self.spool.names(), [])
        self.assertEqual(self.received(), [(n, BOB) for n in range(60)])

    def test_a_run_leaves_what_a_submission_is_sending(self):
        held = threading.Event()
        self.relay.hold = lambda session: held.wait(10)
        process = self.background(["-i", "-f", ALICE, BOB], stdin=MESSAGE)
        self.wait(lambda: any(m.whole for m in self.relay.messages))
        self.assertEqual(len(self.spool.names()), 1)
        for option in ("-q", "-qf", "-qI" + self.spool.names()[0]):
            self.run_queue(option)
        held.set()
        self.ended(process)
        self.run_queue("-qf")
        self.assertEqual(len(self.relay.settle().accepted()), 1)
        self.assertEqual(self.spool.names(), [])

    def test_a_run_leaves_what_is_locked_and_takes_the_rest(self):
        locked = self.keep(message=numbered(1))
        self.keep(message=numbered(2))
        with locked.locked():
            self.run_queue("-qf")
        self.assertEqual(self.numbers(), [2])
        self.run_queue("-qf")
        self.assertEqual(self.numbers(), [2, 1])

    def test_a_message_that_goes_just_before_it_is_locked(self):
        """A run has opened the file when another one delivers and removes it."""
        Tracer.available()
        stored, others = self.keep(message=numbered(1)), []

        def leave(call):
            if call.name in ("open", "openat") and not others and \
                    call.open_flags() & os.O_ACCMODE == os.O_RDWR and \
                    call.paths() == [stored.path]:
                others.append(run(["-q"], conf=self.good))

        done = Tracer(["-q"], self.good, leave=leave).run()
        self.assertEqual((done.exit, done.err), (0, b""))
        self.quiet(*others)
        self.relay.settle()
        self.assertEqual(self.numbers(), [1])
        self.assertEqual(self.spool.names(), [])

    def test_twenty_submitters_and_two_runs(self):
        def submit(number):
            return run(["-i", "-f", ALICE, *(["-odq"] if number % 2 else []),
                        BOB], numbered(number), conf=self.good)

        def go_on(_):
            while not stop.is_set():
                self.quiet(run(["-q"], conf=self.good))

        stop = threading.Event()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            runs = [pool.submit(go_on, n) for n in range(2)]
            for done in pool.map(submit, range(60)):
                self.quiet(done)
            stop.set()
            for future in runs:
                future.result()
        self.drain()
        self.assertEqual(self.received(), [(n, BOB) for n in range(60)])


class Accounting(Case):
    def test_a_relay_that_does_what_it_likes(self):
        """Refusals, deferrals, throttling and dropped connections by a fixed
        seed: in the end each message was taken, or its sender told, once; twice
        only where a connection was cut, which can cost answers on their way."""
        dice, cut = random.Random(17), set()

        def at(step):
            def reply(session, argument):
                if "<>" in argument or argument.startswith("<s") \
                        and step == "rcpt":
                    return None         # bounces get through
                roll = dice.random()
                for limit, what in (
                        (0.04, (DROP,)), (0.08, (RST,)),
                        (0.16, "451 4.7.0 throttled"), (0.20, NEVER),
                        (0.22, "421 4.3.2 bye"), (0.26, LATER)):
                    if roll < limit:
                        if what in ((DROP,), (RST,), "421 4.3.2 bye"):
                            cut.add(session)
                        return what
                return None
            return reply

        def greeting(session, argument):
            return (DROP,) if dice.random() < 0.1 else None

        for extensions in (("PIPELINING",), ("PIPELINING", "CHUNKING")):
            with self.subTest(extensions=extensions):
                replies = {s: at(s) for s in ("rcpt", "dot", "bdat")}
                replies["greeting"] = greeting
                relay = self.start(Relay(tls="off", extensions=extensions,
                                         replies=replies))
                conf = self.queue_conf(self.route(relay,
                                                  extra="connections 2"))
                for number in range(1000):
                    self.spool.put(numbered(number),
                                   sender="s%d@example.com" % number)
                self.drain(conf, most=80)
                relay.settle()
                taken = [n for n, _ in self.received(relay)]
                told = [int(m.rcpt_to[0][1:].partition("@")[0])
                        for m in self.bounces(relay)]
                self.assertEqual(self.spool.names("failed"), [])
                self.assertEqual(sorted(set(taken + told)), list(range(1000)))
                doubled = len(taken + told) - 1000
                in_doubt = [m for m in relay.accepted() if m.session in cut]
                sure = [number_of(m.content) for m in relay.accepted()
                        if m.mail_from and m.session not in cut]
                self.assertEqual(len(sure), len(set(sure)))
                self.assertLessEqual(doubled, min(len(in_doubt), 20))


if __name__ == "__main__":
    harness.main()
