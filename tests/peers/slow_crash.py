"""The crash sweep of the queue: a submission and a queue run are killed before
and after each system call that changes something, and each such call and each
read is made to fail or to do less than asked.  Then clean runs follow, and no
message may be lost, cut short, stuck, bounced for a fault of ours, or received
twice where its acceptance was on record.  Then the same at random, for longer,
and many at once.
"""
import collections
import concurrent.futures
import errno
import os
import random
import shutil
import signal
import subprocess
import threading
import time

import harness
from harness import SENDROUTE, clean_environment, crlf, run
from spooldir import (AFTER, ALICE, BEFORE, BOB, COUNTED, READS, Case, Spool,
                      Tracer, new_id, number_of, numbered)

FAULTS = (errno.EIO, errno.ENOSPC, errno.EINTR, errno.EMFILE)
ON_DISK = (-errno.ENOSPC, -errno.EMFILE)    # no socket fails so
NEVER, LATER = "550 5.1.1 no such user", "450 4.2.1 later"
NOBODY, BUSY = "nobody@d.test", "busy@d.test"
OFFERS = ("PIPELINING", "8BITMIME", "SIZE 1000000")
# Exit statuses of sendroute(8); a traced run that was killed has -9.
STATUSES = {0, 64, 65, 69, 71, 73, 74, 75, 77, 78}


class Step:
    """Where a run is interfered with: at the n-th call that counts."""

    def __init__(self, wanted, number=0, wish=None, when=BEFORE):
        self.wanted, self.number = wanted, number
        self.wish, self.when = wish, when
        self.seen, self.hit = 0, None
        self.calls = []
        self.removed, self.renamed, self.marked = set(), set(), set()

    def enter(self, call):
        if not self.wanted(call):
            return None
        self.seen += 1
        if self.seen != self.number:
            return None
        self.hit = call
        call.where = describe(call)
        return self.wish if self.when == BEFORE else None

    def leave(self, call):
        if self.number == 0 and self.wanted(call):
            self.calls.append((call.name, describe(call)))
        if call.result is not None and call.result >= 0 and not call.fault:
            self._note(call)
        if call is self.hit and self.when == AFTER:
            return self.wish
        return None

    def _note(self, call):
        """What is on record for each file of the queue from now on."""
        if call.name in ("unlink", "unlinkat"):
            self.removed.add(os.path.basename(call.paths()[0]))
        elif call.name in ("rename", "renameat", "renameat2"):
            self.renamed.add(call.paths()[1])
        elif call.name == "pwrite64" and call.args[2] == 1 and \
                call.data() == b"+":
            self.marked.add(os.path.basename(call.fd_path()))


def describe(call):
    """For the report of a failure."""
    try:
        if call.name in ("open", "openat", "unlink", "unlinkat", "mkdir",
                         "mkdirat", "rename", "renameat", "renameat2", "link",
                         "linkat"):
            return " ".join(call.paths())
        return "%s, %d bytes" % (call.fd_path(), call.args[2])
    except OSError:
        return "?"


def changes(call):
    return call.changes()


def changes_or_reads(call):
    return call.changes() or call.name in READS


def counted(call):
    return call.name in COUNTED and call.args[2] > 1


class Sweep(Case):
    extensions = OFFERS
    args, stdin = (), b""
    more = ""               # lines of the route

    def setUp(self):
        Tracer.available()
        super().setUp()
        self.number = 0

    def fresh(self):
        """A folder, a configuration and a relay that remembers nothing."""
        self.number += 1
        if self.number > 1:
            shutil.rmtree(self.spool.path)
        self.spool = Spool(self.path("spool%d" % self.number))
        self.prepare()
        self.good = self.queue_conf(self.route(extra=self.more),
                                    top="timeout 5s\n")
        with self.relay.lock:
            self.relay.sessions.clear()
            self.relay.messages.clear()

    def prepare(self):
        os.mkdir(self.spool.path)

    def trace(self, step):
        self.relay.replies = dict(self.replies)
        done = Tracer(self.args, self.good, self.stdin, step.enter,
                      step.leave).run()
        self.relay.settle()
        return done

    def steps(self, wanted):
        """How many calls there are to interfere with."""
        self.fresh()
        step = Step(wanted)
        done = self.trace(step)
        self.assertEqual(done.exit, 0, done)
        self.recover()
        self.judge(step, done)
        return step.calls

    def recover(self):
        """Clean runs until nothing is left to do."""
        self.relay.replies = {"rcpt <%s>" % NOBODY: NEVER}
        for _ in range(4):
            if not self.spool.names():
                break
            self.quiet(run(["-qf"], conf=self.good, timeout=20))
        self.relay.settle()
        self.assertEqual(self.spool.names(), [], "stuck")
        self.assertEqual(self.spool.names("failed"), [], "failed")

    def sweep(self, wanted, wishes, judge=None):
        judge = judge or self.judge
        calls = self.steps(wanted)
        self.assertGreater(len(calls), 3)
        troubles = missed = 0
        for number, (name, where) in enumerate(calls, 1):
            for when, wish in wishes:
                if wish in ON_DISK and where.startswith("socket:"):
                    continue
                step = Step(wanted, number, wish, when)
                try:
                    self.fresh()
                    done = self.trace(step)
                    missed += step.hit is None
                    self.recover()
                    judge(step, done)
                except AssertionError as e:
                    # Each is a finding of its own; a few are enough to read.
                    troubles += 1
                    if troubles <= 12:
                        with self.subTest(call="%d of %d: %s %s" % (
                                number, len(calls), name, where),
                                when=when, wish=wish):
                            raise AssertionError("%s\n%s" % (e, "\n".join(
                                self.log_lines()[-6:])))
        self.assertEqual(troubles, 0, "of %d runs" % (
            len(calls) * len(wishes)))
        # Runs differ by a read or two; most calls must have been met.
        self.assertLess(missed, 0.2 * len(calls) * len(wishes) + 3)

    def kills(self):
        self.sweep(changes, [(BEFORE, Tracer.KILL), (AFTER, Tracer.KILL)])

    def faults(self):
        self.sweep(changes_or_reads, [(BEFORE, -e) for e in FAULTS])

    def shorts(self):
        self.sweep(counted, [(BEFORE, 1)])

    # --- judgement ---

    def tally(self):
        """{(number, recipient): times}; what was cut short is an error."""
        found = collections.Counter()
        for m in self.relay.messages:
            if not m.whole or not m.reply.startswith("2"):
                continue
            number = number_of(m.content)
            if m.mail_from:
                self.same_bytes(m.content, crlf(numbered(number)),
                                "truncated")
            for to in m.rcpt_to:
                found[number, to if m.mail_from else "<>"] += 1
        return found

    def judge(self, step, done):
        raise NotImplementedError


class Submission(Sweep):
    """The message is number 1."""
    args, stdin = ("-i", "-f", ALICE, BOB), numbered(1)

    def promised(self, done):
        return done.exit == 0

    def judge(self, step, done):
        self.assertIn(done.exit, STATUSES | {-9}, done)
        count = self.tally()[1, BOB]
        queued = any("/queue/" in path for path in step.renamed)
        if self.promised(done) or queued and done.exit == -9:
            self.assertGreaterEqual(count, 1, "lost; %s" % done)
        elif done.exit != -9:
            # The caller was told that it failed, and will try again.
            self.assertEqual(count, 0, "sent all the same; %s" % done)
        if count > 1:
            self.doubled(step, count)
        self.age_rubbish()

    def doubled(self, step, count):
        """Fair only when the answer to the final dot could not be noted."""
        self.assertEqual(count, 2)
        self.assertFalse(step.marked, "doubled though marked")
        queued = {os.path.basename(path) for path in step.renamed}
        self.assertFalse(queued & step.removed, "doubled though removed")

    def test_killed(self):
        self.kills()

    def test_failing_calls(self):
        self.faults()

    def test_short_counts(self):
        self.shorts()

    def test_a_sync_that_fails_is_no_success(self):
        """What is in memory alone was not queued, even if it is still there."""
        def syncs(call):
            return call.name in ("fsync", "fdatasync")

        calls = [where.partition(",")[0] for _, where in self.steps(syncs)]
        folders = [os.path.basename(os.path.dirname(p)) for p in calls]
        names = [os.path.basename(p) for p in calls]
        # The file, while it is in tmp/, and the folder it was moved into.
        for number in (1 + folders.index("tmp"), 1 + names.index("queue")):
            for why in (errno.EIO, errno.ENOSPC):
                with self.subTest(call=calls[number - 1], why=why):
                    self.fresh()
                    done = self.trace(Step(syncs, number, -why))
                    self.assertEqual(done.exit, 74, done)
                    self.assertEqual(len(done.err.splitlines()), 1, done)
                    self.assertEqual(self.spool.state(),
                                     {"tmp": 0, "queue": 0, "failed": 0})
                    self.assertEqual(self.relay.sessions, [])


class Deferred(Submission):
    """The try fails for now: its result has to be noted."""
    replies = {"rcpt": LATER}


class Refused(Submission):
    """The only recipient is refused: a bounce takes the message's place."""
    args, stdin = ("-i", "-f", ALICE, NOBODY), numbered(1)
    replies = {"rcpt <%s>" % NOBODY: NEVER}

    def judge(self, step, done):
        self.assertIn(done.exit, STATUSES | {-9}, done)
        count = self.tally()
        queued = any("/queue/" in path for path in step.renamed)
        if done.exit == 0 or queued and done.exit == -9:
            self.assertGreaterEqual(count[1, "<>"], 1, "lost; %s" % done)
            self.assertLessEqual(count[1, "<>"], 2)
        elif done.exit != -9:
            self.assertEqual(count[1, "<>"], 0, done)
        self.age_rubbish()


class Background(Submission):
    args = ("-odb", "-i", "-f", ALICE, BOB)

    # The rest is as in the foreground.
    test_failing_calls = test_short_counts = None
    test_a_sync_that_fails_is_no_success = None


class Dialogue(Submission):
    """-bs: what was answered with 250 is safe."""
    args = ("-bs",)
    stdin = (b"EHLO c\r\nMAIL FROM:<alice@example.com>\r\n"
             b"RCPT TO:<bob@example.net>\r\nDATA\r\n" +
             crlf(numbered(1)).replace(b"\r\n.", b"\r\n..") +
             b".\r\nQUIT\r\n")

    def promised(self, done):
        return b"queued as" in done.out

    def judge(self, step, done):
        if not self.promised(done) and done.exit == 0:
            # It ended well, but took nothing.
            self.assertNotRegex(done.out, rb"(?m)^250 2\.0\.0")
            self.assertEqual(self.tally()[1, BOB], 0, done)
            return
        # A client that saw no answer may be right or wrong to try again.
        if done.exit != 0:
            done.exit = -9
        super().judge(step, done)

    # As without -bs.
    test_short_counts = test_a_sync_that_fails_is_no_success = None


class Run(Sweep):
    """Three messages: one for one; one that is refused for one of two; one that
    is deferred for one of two."""
    args = ("-q",)
    replies = {"rcpt <%s>" % NOBODY: NEVER, "rcpt <%s>" % BUSY: LATER}
    DUE = {(1, BOB): 1, (2, BOB): 1, (2, "<>"): 1, (3, BOB): 1, (3, BUSY): 1}

    def prepare(self):
        os.mkdir(self.spool.path)
        born = int(time.time()) - 10
        self.ids = {}
        for number, rcpts in ((1, [BOB]), (2, [BOB, NOBODY]),
                              (3, [BOB, BUSY])):
            self.ids[number] = self.spool.put(
                numbered(number), rcpts=rcpts, name=new_id(born)).id

    def judge(self, step, done):
        self.assertIn(done.exit, STATUSES | {-9}, done)
        count = self.tally()
        self.assertEqual(set(count), set(self.DUE), "lost or invented")
        twice = [key for key, times in count.items() if times > 1]
        self.assertLessEqual(len(twice), self.in_flight(), count)
        for key in twice:
            self.assertEqual(count[key], 2)
            name = self.ids[key[0]]
            if key[1] == "<>":
                # Between the bounce that was queued and the mark that says so.
                continue
            self.assertNotIn(name, step.marked, "doubled though marked")
            self.assertNotIn(name, step.removed, "doubled though removed")

    def in_flight(self):
        """How many may have had their final dot, but not their answer."""
        return 1

    def test_killed(self):
        self.kills()

    def test_failing_calls(self):
        self.faults()

    def test_short_counts(self):
        self.shorts()


class Chunking(Run):
    """Several messages in one flight."""
    extensions = OFFERS + ("CHUNKING",)

    def in_flight(self):
        return 4

    test_short_counts = None    # as without


class Workers(Run):
    """Three processes, which are killed together."""
    more = "connections 3"

    def in_flight(self):
        return 3

    # As in a single process.
    test_failing_calls = test_short_counts = None


# --- at random -------------------------------------------------------------

class Torture(Case):
    SECONDS, SEED = 40, 4

    def test_submitters_and_runs_that_are_killed(self):
        """Whoever was told 0 has his message received; under 1 % twice."""
        dice, stop = random.Random(self.SEED), threading.Event()
        live, lock = set(), threading.Lock()
        promised, number = [], iter(range(1, 1 << 30))
        env = clean_environment(SENDROUTE_CONF=self.queue_conf(
            self.route(extra="connections 2"),
            top="timeout 10s\nlog none\n"))

        def one(args, stdin):
            process = subprocess.Popen(
                [SENDROUTE, *args], env=env, stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            with lock:
                live.add(process)
            try:
                process.communicate(stdin, timeout=60)
            except BrokenPipeError:
                process.wait()
            finally:
                with lock:
                    live.discard(process)
            return process.returncode

        def submit(_):
            while not stop.is_set():
                with lock:
                    mine = next(number)
                if one(["-i", "-f", ALICE, BOB],
                       numbered(mine, size=500 + mine % 7000)) == 0:
                    promised.append(mine)

        def go_on(_):
            while not stop.is_set():
                status = one(["-qf"], b"")
                if status not in (0, -9):
                    raise AssertionError("-qf: exit %s" % status)

        def killer():
            killed = 0
            while not stop.wait(dice.uniform(0.05, 0.3)):
                with lock:
                    if live:
                        victim = dice.choice(sorted(live,
                                                    key=lambda p: p.pid))
                        if victim.poll() is None:
                            victim.send_signal(signal.SIGKILL)
                            killed += 1
            return killed

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            work = [pool.submit(submit, n) for n in range(4)]
            work += [pool.submit(go_on, n) for n in range(2)]
            kills = pool.submit(killer)
            time.sleep(self.SECONDS)
            stop.set()
            for future in work:
                future.result()
        self.age_rubbish()
        self.drain()
        count = self.whole()
        lost = sorted(set(promised) - set(count))
        twice = [n for n, times in count.items() if times > 1]
        print("# %d promised, %d received, %d twice, %d kills" % (
            len(promised), len(count), len(twice), kills.result()))
        self.assertEqual(lost, [])
        self.assertLess(len(twice), max(2, 0.01 * len(count)))
        self.assertTrue(all(times <= 2 for times in count.values()))
        self.assertGreater(kills.result(), 50)
        self.assertGreater(len(promised), 200)

    def whole(self):
        """{number: how often it was taken}, each as it was submitted."""
        count = collections.Counter()
        for m in self.relay.settle().accepted():
            self.assertTrue(m.mail_from)
            number = number_of(m.content)
            self.same_bytes(m.content, crlf(numbered(
                number, size=500 + number % 7000)))
            count[number] += 1
        return count

    def test_fifty_submitters_and_four_runs_at_once(self):
        """Nobody is killed: each message is received exactly once."""
        stop, seconds = threading.Event(), 60
        number, lock = iter(range(1, 1 << 30)), threading.Lock()
        conf = self.queue_conf(self.route(), top="log none\n")
        submitted = []

        def submit(n):
            while not stop.is_set():
                with lock:
                    mine = next(number)
                self.quiet(run(
                    ["-i", "-f", ALICE, *(["-odq"] if n % 2 else []), BOB],
                    numbered(mine, size=500 + mine % 7000), conf=conf))
                submitted.append(mine)

        def go_on(n):
            while not stop.is_set():
                self.quiet(run(["-q"], conf=conf))

        with concurrent.futures.ThreadPoolExecutor(54) as pool:
            work = [pool.submit(submit, n) for n in range(50)]
            work += [pool.submit(go_on, n) for n in range(4)]
            end = time.monotonic() + seconds
            while time.monotonic() < end and not any(
                    f.done() for f in work):
                time.sleep(0.1)
            stop.set()
            for future in work:
                future.result()
        self.drain()
        count = self.whole()
        print("# %d messages" % len(submitted))
        self.assertEqual(sorted(count), sorted(submitted))
        self.assertEqual([n for n, t in count.items() if t != 1], [])


if __name__ == "__main__":
    harness.main()
