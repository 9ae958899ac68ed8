"""Power cuts: everything that a run writes is recorded, and the queue folder is
built anew as a disk could hold it had the power gone at any point of that log.
A run over what is left must not lose a message, nor send a part of one.

The disk is thought of in four ways, from the meanest to the kindest:

    synced      what was fsynced, and nothing else: a file's bytes as of its last
                fsync, a folder's names as of its own
    named       the same, but fsync of a file keeps its names too
    ordered     folders as they were at that moment, files as of their fsync
    written     all that was written
"""
import collections
import os
import shutil
import time

import harness
from harness import crlf, run
from spooldir import (ALICE, BOB, Case, O_CREAT, Stored, Tracer, new_id,
                      number_of, numbered)

NEVER, LATER = "550 5.1.1 no such user", "450 4.2.1 later"
NOBODY, BUSY = "nobody@d.test", "busy@d.test"
MODELS = ("synced", "named", "ordered", "written")


class Disk:
    """What is in the folder and what of it has reached the disk: names
    {path: file number}, files {number: bytes}."""

    def __init__(self, names, files, folders):
        self.names, self.files = dict(names), dict(files)
        self.folders = set(folders)
        self.kept_names, self.kept_files = dict(names), dict(files)
        self.kept_folders = set(folders)

    def apply(self, model, op, *args):
        getattr(self, "do_" + op)(model, *args)

    def do_create(self, model, path, number):
        self.names[path] = number
        self.files[number] = b""

    def do_mkdir(self, model, path):
        self.folders.add(path)

    def do_write(self, model, number, at, data):
        old = self.files[number].ljust(at, b"\0")
        self.files[number] = old[:at] + data + old[at + len(data):]

    def do_truncate(self, model, number, size):
        self.files[number] = self.files[number][:size].ljust(size, b"\0")

    def do_rename(self, model, old, new):
        self.names[new] = self.names.pop(old)

    def do_link(self, model, old, new):
        self.names[new] = self.names[old]

    def do_unlink(self, model, path):
        self.names.pop(path, None)

    def do_sync(self, model, number):
        self.kept_files[number] = self.files[number]
        if model == "named":
            for path, one in self.names.items():
                if one == number:
                    self.kept_names[path] = number
                    self.kept_folders.add(os.path.dirname(path))

    def do_syncdir(self, model, folder):
        def here(path):
            return os.path.dirname(path) == folder
        for path in [p for p in self.kept_names if here(p)]:
            del self.kept_names[path]
        for path, number in self.names.items():
            if here(path):
                self.kept_names[path] = number
        self.kept_folders |= {f for f in self.folders if here(f)}

    def after(self, model):
        """{path: bytes} and the folders, once the power is back."""
        if model == "written":
            return {p: self.files[n] for p, n in self.names.items()}, \
                self.folders
        folders = self.folders if model == "ordered" else self.kept_folders
        names = self.names if model == "ordered" else self.kept_names
        return {p: self.kept_files.get(n, b"") for p, n in names.items()
                if os.path.dirname(p) in folders | {""}}, folders


class Recorder:
    """The log of what a traced run does to the folder `root`, with what the
    relay had taken before and after each entry."""

    def __init__(self, root, taken):
        self.root, self.taken = os.path.realpath(root), taken
        self.ops, self.before, self.after = [], [], []
        self.numbers, self.next = {}, 0
        names, files, folders = {}, {}, set()
        for folder, inner, found in os.walk(self.root):
            for name in inner:
                folders.add(self.short(os.path.join(folder, name)))
            for name in found:
                path = os.path.join(folder, name)
                names[self.short(path)] = number = self.number(os.stat(path),
                                                               True)
                with open(path, "rb") as file:
                    files[number] = file.read()
        self.start = names, files, folders
        self.pending = {}

    def disk(self):
        return Disk(*self.start)

    def short(self, path):
        """The path below the root, or None for one elsewhere."""
        if path == self.root:
            return ""
        if path.startswith(self.root + "/"):
            return path[len(self.root) + 1:]
        return None

    def number(self, stat, new=False):
        key = stat.st_dev, stat.st_ino
        if new:
            self.numbers[key] = self.next
            self.next += 1
        return self.numbers.get(key)

    def file(self, call):
        """The number of the file behind its descriptor; None: not ours."""
        try:
            return self.number(os.stat("/proc/%d/fd/%d" % (call.pid,
                                                           call.fd)))
        except OSError:
            return None

    def enter(self, call):
        entry = None
        if call.name in ("open", "openat") and call.open_flags() & O_CREAT:
            path, = call.paths()
            if self.short(path) is not None and not os.path.lexists(path):
                entry = ("create", self.short(path), path)
        elif call.name in ("write", "pwrite64", "writev", "ftruncate"):
            number = self.file(call)
            if number is not None:
                if call.name == "writev":
                    raise AssertionError("writev to the queue: teach me")
                entry = ("truncate", number, call.args[1]) \
                    if call.name == "ftruncate" else \
                    ("write", number, call.position(), call.data())
        elif call.name in ("fsync", "fdatasync"):
            folder = self.short(call.fd_path())
            number = self.file(call)
            if number is not None:
                entry = ("sync", number)
            elif folder is not None:
                entry = ("syncdir", folder)
        elif call.name in ("rename", "renameat", "renameat2", "link",
                           "linkat", "unlink", "unlinkat", "mkdir",
                           "mkdirat"):
            paths = [self.short(p) for p in call.paths()]
            if None not in paths:
                verb = call.name.rstrip("2")
                verb = verb[:-2] if verb.endswith("at") else verb
                entry = (verb, *paths)
        if entry:
            self.pending[call.pid] = entry, self.taken()

    def leave(self, call):
        entry, before = self.pending.pop(call.pid, (None, None))
        if entry is None or call.result < 0:
            return
        if entry[0] == "create":
            entry = entry[0], entry[1], self.number(os.stat(entry[2]), True)
        elif entry[0] == "write":
            entry = (*entry[:3], entry[3][:call.result])
        self.ops.append(entry)
        self.before.append(before)
        self.after.append(self.taken())


def show(op):
    return "%s(%s)" % (op[0], ", ".join(
        "%d bytes" % len(a) if isinstance(a, bytes) and len(a) > 20 else
        repr(a) for a in op[1:]))


class Power(Case):
    args, stdin = (), b""
    MODELS = MODELS

    def setUp(self):
        Tracer.available()
        super().setUp()
        self.prepare()

    def prepare(self):
        """What was in the folder before."""

    def taken(self):
        """What the relay has taken so far: {(number, recipient): times}."""
        found = collections.Counter()
        for m in self.relay.accepted():
            number = number_of(m.content)
            if m.mail_from:
                self.same_bytes(m.content, crlf(numbered(number)),
                                "truncated")
            for to in m.rcpt_to:
                found[number, to if m.mail_from else "<>"] += 1
        return found

    def record(self):
        log = Recorder(self.spool.path, self.taken)
        done = Tracer(self.args, self.good, self.stdin, log.enter,
                      log.leave).run()
        self.relay.settle()
        self.assertEqual(done.exit, 0, done)
        self.assertGreater(len(log.ops), 2)
        # The log tells the whole story: it ends where the folder is now.
        disk = log.disk()
        for op in log.ops:
            disk.apply("written", *op)
        for path, data in disk.after("written")[0].items():
            with open(os.path.join(self.spool.path, path), "rb") as file:
                self.same_bytes(data, file.read(), "log of " + path)
        return log

    def build(self, files, folders):
        """The folder as it is after the cut."""
        shutil.rmtree(self.spool.path)
        os.mkdir(self.spool.path)
        for folder in sorted(folders):
            os.makedirs(os.path.join(self.spool.path, folder), 0o770,
                        exist_ok=True)
        for path, data in files.items():
            full = os.path.join(self.spool.path, path)
            with open(full, "wb") as file:
                file.write(data)
            os.chmod(full, 0o660)

    def recover(self):
        self.relay.replies = {"rcpt <%s>" % NOBODY: NEVER}
        with self.relay.lock:
            self.relay.messages.clear()
            self.relay.sessions.clear()
        for _ in range(4):
            self.quiet(run(["-qf"], conf=self.good, timeout=20))
            if not self.spool.names():
                break
        self.relay.settle()
        self.assertEqual(self.spool.names(), [], "stuck")
        return self.taken()

    def test_the_power_goes(self):
        log, seen, troubles, runs = self.record(), set(), 0, 0
        for model in self.MODELS:
            disk = log.disk()
            for at in range(len(log.ops) + 1):
                if at:
                    disk.apply(model, *log.ops[at - 1])
                files, folders = disk.after(model)
                known = dict(log.after[at - 1]) if at else {}
                state = (frozenset(files.items()), frozenset(folders),
                         frozenset(known.items()), self.promised(log, at))
                if state in seen:
                    continue
                seen.add(state)
                runs += 1
                try:
                    self.build(files, folders)
                    self.judge(log, at, known, self.recover())
                except AssertionError as e:
                    troubles += 1
                    if troubles <= 8:
                        with self.subTest(model=model, after=show(
                                log.ops[at - 1]) if at else "nothing"):
                            raise AssertionError("%s\nat %d of\n%s\n%s" % (
                                e, at, "\n".join(map(show, log.ops)),
                                "\n".join(self.log_lines()[-4:])))
        print("# %s: %d entries, %d folders rebuilt" % (
            type(self).__name__, len(log.ops), runs))
        self.assertEqual(troubles, 0)

    def promised(self, log, at):
        """Has the message to arrive, if the power goes there?"""
        return True

    DUE = frozenset()

    def judge(self, log, at, known, later):
        """`known`: what the relay had taken for certain by then."""
        if self.promised(log, at):
            missing = self.DUE - set(known) - set(later)
            self.assertEqual(missing, set(), "lost")
        self.assertLessEqual(set(later), self.DUE | self.more(), "invented")
        for key, times in later.items():
            # Two reports: the first one was safe, but not yet on record.
            self.assertLessEqual(times, 1 + (key[1] == "<>"), later)
        twice = [key for key in later if known.get(key)]
        for key in twice:
            if at == len(log.ops) or self.on_record(log, key, at):
                self.fail("%s doubled though on record" % (key,))
        self.assertLessEqual(len({number for number, _ in twice}),
                             self.in_flight(), "doubled: %s" % twice)

    def in_flight(self):
        """How many may have been taken and not be on record yet."""
        return 1

    def more(self):
        return set()

    def number_in_log(self, log, number, report):
        """The file that holds a message or the report on it, as the log
        numbers it."""
        for file, data in self.contents(log).items():
            if number_of(data.partition(b"\n\n")[2]) == number and \
                    (b"multipart/report" in data) == report:
                return file
        return None

    def contents(self, log):
        disk = log.disk()
        for op in log.ops:
            disk.apply("written", *op)
        return disk.files

    def on_record(self, log, key, at):
        """Since the relay took it, the file was synced again, or its going
        was: from then on it may not go out a second time."""
        file = self.number_in_log(log, key[0], key[1] == "<>")
        disk, gone = log.disk(), False
        for i, op in enumerate(log.ops[:at]):
            mine = op[0] == "unlink" and disk.names.get(op[1]) == file
            disk.apply("written", *op)
            if not log.before[i].get(key):
                continue
            gone = gone or mine
            if op == ("sync", file) or gone and op == ("syncdir", "queue"):
                return True
        return False


class Submission(Power):
    args, stdin = ("-i", "-f", ALICE, BOB), numbered(1)
    DUE = frozenset({(1, BOB)})

    def promised(self, log, at):
        """From the moment that the folder was synced behind the rename.  Exit 0
        comes later than that."""
        moved = [i for i, op in enumerate(log.ops) if op[0] == "rename" and
                 op[2].startswith("queue/")]
        self.assertTrue(moved, "never moved into queue/")
        synced = [i for i, op in enumerate(log.ops) if op == (
            "syncdir", "queue") and i > moved[0]]
        self.assertTrue(synced, "queue/ was not synced behind the rename")
        return at > synced[0]


class Existing(Submission):
    """The folders are there already, and the message has to wait."""
    replies = {"rcpt": LATER}

    def prepare(self):
        for name in ("tmp", "queue", "failed"):
            os.mkdir(self.spool.file(name))


class OnlyQueued(Submission):
    args = ("-odq", "-i", "-f", ALICE, BOB)


class Refused(Submission):
    """The bounce is safe before the message goes."""
    args = ("-i", "-f", ALICE, NOBODY)
    replies = {"rcpt <%s>" % NOBODY: NEVER}
    DUE = frozenset({(1, "<>")})


class Dialogue(Submission):
    args = ("-bs",)
    stdin = (b"EHLO c\r\nMAIL FROM:<alice@example.com>\r\n"
             b"RCPT TO:<bob@example.net>\r\nDATA\r\n" +
             crlf(numbered(1)).replace(b"\r\n.", b"\r\n..") +
             b".\r\nQUIT\r\n")


class Run(Power):
    """One taken, one refused in part, one deferred in part, and a bounce that
    is refused."""
    args = ("-q",)
    replies = {"rcpt <%s>" % NOBODY: NEVER, "rcpt <%s>" % BUSY: LATER}
    DUE = frozenset({(1, BOB), (2, BOB), (2, "<>"), (3, BOB), (3, BUSY)})

    def prepare(self):
        born = int(time.time()) - 10
        for number, rcpts in ((1, [BOB]), (2, [BOB, NOBODY]),
                              (3, [BOB, BUSY])):
            self.spool.put(numbered(number), rcpts=rcpts, name=new_id(born))
        self.last = self.spool.put(numbered(4), sender="", rcpts=[NOBODY],
                                   name=new_id(born)).id

    def judge(self, log, at, known, later):
        super().judge(log, at, known, later)
        self.assertEqual(self.spool.names("failed"), [self.last])
        stored = self.spool.only("failed")
        self.same_bytes(stored.message, crlf(numbered(4)))


class Chunking(Run):
    extensions = ("PIPELINING", "8BITMIME", "SIZE 1000000", "CHUNKING")

    def in_flight(self):
        return 4


class Requeue(Power):
    """From failed/ back to queue/: in one of the two at any time."""
    DUE = frozenset({(1, "<>")})

    def prepare(self):
        self.mine = self.spool.put(numbered(1), sender="", folder="failed",
                                 rcpts=[BOB]).id
        self.args = ("--requeue", self.mine)

    def judge(self, log, at, known, later):
        left = self.spool.names("failed")
        self.assertIn(left, ([], [self.mine]))
        if left:
            stored = Stored(self.spool.file("failed", self.mine))
            self.same_bytes(stored.message, crlf(numbered(1)))
        else:
            self.assertEqual(later, {(1, "<>"): 1})


del Power       # a base alone


if __name__ == "__main__":
    harness.main()
