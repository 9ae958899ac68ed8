"""What the tests of the queue stand on.

Spool       a queue folder: its files by state, parsed, and changed in place
Stored      one queue file
Case        a test case with such a folder, a relay and a configuration
Mounted     a private view of the system with a small or read-only file system
Tracer      the program under ptrace(2): every system call of it can be looked
            at, cut short, made to fail, or be the last one
"""
import contextlib
import ctypes
import errno
import fcntl
import json
import os
import re
import signal
import struct
import subprocess
import tempfile
import threading
import time
import unittest

import harness
from harness import (MESSAGE, SENDROUTE, clean_environment, crlf, run)
from relay import Relay

ALICE, BOB = "alice@example.com", "bob@example.net"
TAKEN, WAITING, REFUSED, SETTLED = "+-!x"     # states of a recipient
FIRST_RETRY, LONGEST_RETRY = 300, 4 * 3600
MINUTE, HOUR, DAY, YEAR = 60, 3600, 86400, 365 * 86400
ID = re.compile(r"[0-9a-v]{20}")
FLAGS = "8h.lupwt"      # the letters, in the order of their places
DIGITS = "0123456789abcdefghijklmnopqrstuv"
WIDTH = {"born": 20, "next": 20, "tries": 10, "size": 20, "flags": 12,
         "uid": 10}


def numbered(number, size=0, head=b""):
    """A complete message that tells itself from others."""
    text = (b"From: Alice <alice@example.com>\nTo: Bob <bob@example.net>\n"
            b"Subject: number %d\nDate: Tue, 24 Nov 2026 01:02:03 +0000\n"
            b"Message-ID: <number.%d@client.test>\n" % (number, number) +
            head + b"\nThis is number %d.\n.\n..\n" % number)
    line = b"%-76d\n" % number
    while len(text) < size:
        text += line[:max(2, size - len(text))]
    return text


def number_of(content):
    """Which one it is; also of a bounce that carries it."""
    found = re.findall(rb"(?m)^Message-ID: <number\.(\d+)@client\.test>\r?$",
                       content)
    return int(found[-1]) if found else None


# --- the folder ------------------------------------------------------------

class Recipient:
    def __init__(self, state, address, at):
        self.state, self.address, self.at = state, address, at
        self.code = self.enhanced = self.text = self.notify = self.orcpt = None


class Damaged(AssertionError):
    pass


class Stored:
    """A queue file as it is now."""

    def __init__(self, path):
        self.path, self.id = path, os.path.basename(path)
        with open(path, "rb") as file:
            self.raw = file.read()
        head, blank, self.message = self.raw.partition(b"\n\n")
        lines = head.decode("utf-8", "surrogateescape").split("\n")
        if not blank or lines[0] != "sendroute queue 1":
            raise Damaged("no queue file: %r" % self.raw[:400])
        self.sender = self.ret = self.envid = None
        self.identities, self.rcpts, self.place = [], [], {}
        at, last = len(lines[0]) + 1, None
        for line in lines[1:]:
            key, _, value = line.partition(" ")
            self.place[key] = at + len(key) + 1
            at += len(line.encode("utf-8", "surrogateescape")) + 1
            if key in WIDTH:
                self._fixed(key, value)
            elif key == "from":
                self.sender = value
            elif key in ("ret", "envid"):
                setattr(self, key, value)
            elif key == "identity":
                self.identities.append(value)
            elif key == "last":
                last = value
            elif key == "rcpt":
                self._recipient(value, last)
                last = None
            elif key in ("notify", "orcpt") and self.rcpts:
                setattr(self.rcpts[-1], key, value)
            else:
                raise Damaged("line %r in %r" % (line, head))
        missing = [k for k in WIDTH if not hasattr(self, k)]
        if missing or self.sender is None or not self.rcpts:
            raise Damaged("%s missing in %r" % (missing, head))

    def _fixed(self, key, value):
        if len(value) != WIDTH[key]:
            raise Damaged("%s is %d wide" % (key, len(value)))
        setattr(self, key, value if key == "flags" else int(value))

    def _recipient(self, value, last):
        new = Recipient(value[0], value[2:], self.place["rcpt"])
        if last is not None:
            new.code, new.enhanced = int(last[:3]), last[4:15].strip()
            new.text = last[16:].rstrip()
        self.rcpts.append(new)

    def states(self):
        return "".join(r.state for r in self.rcpts)

    def set(self, **fields):
        """Overwrite fixed-width fields, as the program does."""
        with open(self.path, "r+b") as file:
            for key, value in fields.items():
                text = value if key == "flags" else "%0*d" % (WIDTH[key],
                                                              value)
                file.seek(self.place[key])
                file.write(text.encode())
        return self

    def older(self, seconds):
        """As if it had been queued that much earlier, and be due now."""
        return self.set(born=int(time.time()) - seconds,
                        next=int(time.time()) - 1)

    def due(self):
        return self.set(next=int(time.time()) - 1)

    @contextlib.contextmanager
    def locked(self):
        """As another run that is delivering it holds it."""
        with open(self.path, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


class Spool:
    def __init__(self, path):
        self.path = path

    def file(self, folder, name=""):
        return os.path.join(self.path, folder, name)

    def names(self, folder="queue"):
        try:
            return sorted(os.listdir(self.file(folder)))
        except FileNotFoundError:
            return []

    def all(self, folder="queue"):
        return [Stored(self.file(folder, n)) for n in self.names(folder)]

    def only(self, folder="queue"):
        found = self.all(folder)
        if len(found) != 1:
            raise AssertionError("%d messages in %s, not one" % (len(found),
                                                                 folder))
        return found[0]

    def state(self):
        """How many files each folder holds."""
        return {f: len(self.names(f)) for f in ("tmp", "queue", "failed")}

    def put(self, message, sender=ALICE, rcpts=(BOB,), folder="queue",
            born=None, due=None, tries=0, flags=(), lines=(), name=None):
        """A queue file as the program writes it; `message` has LF ends."""
        born = int(time.time()) if born is None else born
        due = born if due is None else due
        name = name or new_id(born)
        content = crlf(message)
        have = set(flags)
        if b"\r\n." in content or content.startswith(b"."):
            have.add(".")
        if re.search(rb"[\x80-\xff]", content):
            have.add("8")
        place = "".join(c if c in have else "-" for c in FLAGS)
        text = "sendroute queue 1\n"
        for key, value in (("born", born), ("next", due), ("tries", tries),
                           ("size", len(content)),
                           ("flags", place.ljust(12, "-")),
                           ("uid", os.getuid())):
            text += "%s %s\n" % (key, value if key == "flags" else "%0*d" % (
                WIDTH[key], value))
        text += "from %s\n" % sender
        for line in lines:
            text += line + "\n"
        text += "identity alice@example.com\n"
        for address in rcpts:
            text += "last 000 %-11s %-200s\nrcpt - %s\n" % ("-", "", address)
        for one in ("tmp", "queue", "failed"):
            os.makedirs(self.file(one), mode=0o770, exist_ok=True)
        path = self.file(folder, name)
        with open(path, "xb") as file:
            file.write(text.encode() + b"\n" + content)
        return Stored(path)


def new_id(born, _used=[0]):
    """An ID of that second, later ones sorting behind earlier ones."""
    _used[0] += 1
    number, text = (born << 20 | _used[0]) << 45, ""
    for _ in range(20):
        text = DIGITS[number & 31] + text
        number >>= 5
    return text


# --- test cases ------------------------------------------------------------

class Case(harness.Case):
    """A queue folder, a relay behind it, and how to use them."""
    replies = {}
    extensions = None

    def setUp(self):
        super().setUp()
        self.spool = Spool(self.path("spool"))
        os.mkdir(self.spool.path)
        more = {} if self.extensions is None else {
            "extensions": self.extensions}
        self.relay = self.start(Relay(tls="off", replies=self.replies,
                                      **more))
        self.good = self.queue_conf()

    def route(self, relay=None, **more):
        more.setdefault("host", "127.0.0.1")
        return (relay or self.relay).route(**more)

    def down(self, name="relay", fallback=None):
        return ("route %s\ntype smtp\nhost 127.0.0.1\nport %d\ntls off\n"
                "senders *\n%s" % (name, harness.closed_port(),
                                   "fallback %s\n" % fallback
                                   if fallback else ""))

    def queue_conf(self, *routes, top="", name=None, spool=None):
        self.confs = getattr(self, "confs", 0) + 1
        return self.conf(*(routes or (self.route(),)),
                         name=name or "queue%d.conf" % self.confs,
                         top="queue %s\n%s" % (spool or self.spool.path, top))

    def submit(self, *rcpts, message=MESSAGE, args=(), sender=ALICE,
               status=0, conf=None, **more):
        done = run(["-i", "-f", sender, *args, "--", *(rcpts or (BOB,))],
                   message, conf=conf or self.good, **more)
        self.expect(done, status)
        if status == 0:
            self.assertEqual((done.out, done.err), ("", ""), str(done))
        return done

    def keep(self, *rcpts, **more):
        """Queue it without a try."""
        before = set(self.spool.names())
        more["args"] = ("-odq", *more.get("args", ()))
        self.submit(*rcpts, **more)
        new, = set(self.spool.names()) - before
        return Stored(self.spool.file("queue", new))

    def run_queue(self, *args, conf=None, **more):
        return self.quiet(run(args or ("-q",), conf=conf or self.good,
                              **more))

    def age_rubbish(self):
        """What a crash left in tmp/ is removed once it is a day old."""
        for name in self.spool.names("tmp"):
            os.utime(self.spool.file("tmp", name), (1, 1))
        if self.spool.names("tmp"):
            self.run_queue()
        self.assertEqual(self.spool.names("tmp"), [])

    def drain(self, conf=None, most=8):
        """Run until the queue is empty, due or not."""
        for _ in range(most):
            if not self.spool.names():
                break
            self.run_queue("-qf", conf=conf)
        self.assertEqual(self.spool.names(), [], "\n".join(
            self.log_lines()[-20:]))
        self.assertEqual(self.spool.names("tmp"), [])
        self.relay.settle()

    def listed(self, conf=None):
        """What mailq --json says."""
        done = self.expect(run(["--json"], name="mailq",
                               conf=conf or self.good), 0)
        self.assertEqual(done.err, "", str(done))
        self.assertNotIn("\ufffd", done.out, "not UTF-8: " + str(done))
        return json.loads(done.out)

    def numbers(self, relay=None):
        """The numbers of what was taken, in order."""
        return [number_of(m.content) for m in (relay or self.relay).accepted()]

    def received(self, relay=None):
        """[(number, recipient)] of what was taken, bounces aside."""
        return sorted((number_of(m.content), to) for m in
                      (relay or self.relay).accepted() if m.mail_from
                      for to in m.rcpt_to)

    def bounces(self, relay=None):
        return [m for m in (relay or self.relay).accepted()
                if not m.mail_from]

    def forget(self, relay=None):
        relay = (relay or self.relay).settle()
        with relay.lock:
            for session in relay.sessions:
                self.assertIsNone(session.error)
            relay.messages.clear()
            relay.sessions.clear()
            relay.used.clear()

    def background(self, args, conf=None, stdin=b""):
        """The program, running; it is killed when the test ends."""
        process = subprocess.Popen(
            [SENDROUTE, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=clean_environment(SENDROUTE_CONF=conf or self.good))

        def stop():
            if process.poll() is None:
                process.kill()
            process.communicate()
        self.addCleanup(stop)
        if stdin is not None:
            process.stdin.write(stdin)
            process.stdin.close()
            process.stdin = None
        return process

    def ended(self, process, status=0, seconds=30):
        out, err = process.communicate(timeout=seconds)
        self.assertEqual((process.returncode, out, err), (status, b"", b""))

    def wait(self, true, seconds=20, what="it did not happen"):
        end = time.monotonic() + seconds
        while not true():
            if time.monotonic() > end:
                self.fail(what + "\n" + "\n".join(self.log_lines()[-20:]))
            time.sleep(0.01)


# --- file systems ----------------------------------------------------------

class Mounted:
    """`script` mounts something in a private mount namespace; what runs inside
    sees it, the system does not.  Only root can; others skip."""

    def __init__(self, case, script, *args):
        if os.getuid() != 0:
            raise unittest.SkipTest("only root can mount a file system")
        self.holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "/bin/sh",
             "-ec", script + "\necho ready\nexec cat", "sh", *args],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        case.addCleanup(self.close)
        if self.holder.stdout.readline() != b"ready\n":
            _, err = self.holder.communicate()
            raise unittest.SkipTest("no private view of the system: " +
                                    err.decode().strip())

    def close(self):
        if self.holder.stdin:
            self.holder.communicate()

    def path(self, path):
        """The path from outside of what is inside."""
        return "/proc/%d/root%s" % (self.holder.pid, path)

    def run(self, args, stdin=b"", **more):
        return run(["--mount=/proc/%d/ns/mnt" % self.holder.pid, SENDROUTE,
                    *args], stdin, program="/usr/bin/nsenter", **more)


# --- ptrace ----------------------------------------------------------------

SYSCALLS = {
    0: "read", 1: "write", 2: "open", 3: "close", 7: "poll", 8: "lseek",
    17: "pread64", 18: "pwrite64", 19: "readv", 20: "writev", 40: "sendfile",
    41: "socket", 42: "connect", 44: "sendto", 45: "recvfrom", 46: "sendmsg",
    47: "recvmsg", 56: "clone", 57: "fork", 58: "vfork", 73: "flock",
    74: "fsync", 75: "fdatasync", 76: "truncate", 77: "ftruncate",
    82: "rename", 83: "mkdir", 84: "rmdir", 85: "creat", 86: "link",
    87: "unlink", 91: "fchmod", 217: "getdents64", 231: "exit_group",
    257: "openat", 258: "mkdirat", 262: "newfstatat", 263: "unlinkat",
    264: "renameat", 265: "linkat", 280: "utimensat", 285: "fallocate",
    96: "gettimeofday", 201: "time", 228: "clock_gettime",
    296: "pwritev", 316: "renameat2", 326: "copy_file_range",
}
# The calls that change what others can see: files, folders, connections.
CHANGES = {"write", "pwrite64", "writev", "pwritev", "sendto", "sendmsg",
           "fsync", "fdatasync", "truncate", "ftruncate", "rename",
           "renameat", "renameat2", "mkdir", "mkdirat", "link", "linkat",
           "unlink", "unlinkat", "rmdir", "creat", "fallocate", "sendfile",
           "copy_file_range"}
READS = {"read", "pread64", "readv", "recvfrom", "recvmsg", "openat", "open",
         "getdents64", "flock"}
# Those whose third argument is the number of bytes.
COUNTED = {"read", "write", "pread64", "pwrite64", "sendto", "recvfrom"}
REGISTERS = 27
R10, RAX, RDX, RSI, RDI, ORIG_RAX = 7, 10, 12, 13, 14, 15
AT_FDCWD = -100
O_CREAT = os.O_CREAT

TRACEME, GETREGS, SETREGS, SYSCALL = 0, 12, 13, 24
SETOPTIONS, GETEVENTMSG = 0x4200, 0x4201
EXITKILL, SYSGOOD, FORK, VFORK, CLONE = 0x100000, 1, 2, 4, 8
BIRTHS = (1, 2, 3)      # the events of the last three
WALL, WNOTHREAD = 0x40000000, 0x20000000

BEFORE, AFTER = "before", "after"


class Call:
    """A system call that is about to be made, or has been."""

    def __init__(self, pid, name, registers):
        self.pid, self.name = pid, name
        self.args = [registers[RDI], registers[RSI], registers[RDX],
                     registers[R10]]
        self.result = None
        self.fault = False          # it was not really made

    def __str__(self):
        return "%s(%s) = %s" % (self.name, ", ".join(
            "%#x" % a for a in self.args), self.result)

    @property
    def fd(self):
        return self.args[0]

    def fd_path(self, fd=None):
        """What a descriptor leads to: a path, "socket:[...]", "pipe:[...]"."""
        try:
            return os.readlink("/proc/%d/fd/%d" % (
                self.pid, self.args[0] if fd is None else fd))
        except OSError:
            return ""

    def memory(self, at, size):
        with open("/proc/%d/mem" % self.pid, "rb", buffering=0) as file:
            file.seek(at)
            return file.read(size)

    def string(self, at):
        data = b""
        while b"\0" not in data:
            data += self.memory(at, 4096 - at % 4096)
            at += 4096 - at % 4096
        return os.fsdecode(data.partition(b"\0")[0])

    def data(self, most=1 << 30):
        """The bytes that a write is about to write, or a read has read."""
        return self.memory(self.args[1], min(self.args[2], most))

    def position(self):
        """Where a plain read or write takes place."""
        if self.name in ("pread64", "pwrite64"):
            return self.args[3]
        with open("/proc/%d/fdinfo/%d" % (self.pid, self.fd)) as file:
            return int(re.search(r"pos:\s*(\d+)", file.read()).group(1))

    def _at(self, dirfd, name):
        path = self.string(name)
        if path.startswith("/"):
            return path
        dirfd = ctypes.c_int(dirfd & 0xffffffff).value
        base = os.readlink("/proc/%d/cwd" % self.pid) if dirfd == AT_FDCWD \
            else self.fd_path(dirfd)
        return os.path.normpath(os.path.join(base, path))

    def paths(self):
        """The one or two paths that it names."""
        a = self.args
        if self.name in ("openat", "mkdirat", "unlinkat"):
            return [self._at(a[0], a[1])]
        if self.name in ("renameat", "renameat2", "linkat"):
            return [self._at(a[0], a[1]), self._at(a[2], a[3])]
        if self.name in ("rename", "link"):
            return [self._at(AT_FDCWD, a[0]), self._at(AT_FDCWD, a[1])]
        return [self._at(AT_FDCWD, a[0])]

    def open_flags(self):
        return self.args[2] if self.name == "openat" else self.args[1]

    def changes(self):
        """Others can see what it does."""
        if self.name in ("open", "openat"):
            return bool(self.open_flags() & O_CREAT)
        return self.name in CHANGES


class Traced:
    """How a traced run ended."""

    def __init__(self):
        self.exit = None            # of the first process; -9: killed
        self.out = self.err = b""
        self.calls = []             # as far as they were kept

    def __str__(self):
        return "exit %s, stderr %s" % (self.exit, self.err.decode(
            "utf-8", "replace")[:2000])


class Tracer:
    """Run the program and be asked about every system call of it and of its
    children that SYSCALLS knows.

    enter(call) may return KILL (all of it dies now, before the call), a
    negative errno (the call is not made, and fails so) or a positive number
    (the call is made with that count of bytes).  leave(call) is asked when it
    has been made, and may return KILL.
    """
    KILL = "kill"

    libc = ctypes.PyDLL(None, use_errno=True)   # ptrace(2) itself never waits
    libc.ptrace.restype = ctypes.c_long
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p,
                            ctypes.c_void_p]

    def __init__(self, args, conf, stdin=b"", enter=None, leave=None,
                 timeout=30):
        self.args, self.conf, self.stdin = args, conf, stdin
        self.enter = enter or (lambda call: None)
        self.leave = leave or (lambda call: None)
        self.timeout = timeout
        self.live, self.buried = set(), set()
        self.within, self.wanted = {}, {}
        self.done = Traced()

    @classmethod
    def available(cls):
        """Skip the test where this cannot work."""
        if os.uname().machine != "x86_64" or struct.calcsize("P") != 8:
            raise unittest.SkipTest("registers are known for x86-64 only")
        seen = []
        try:
            done = cls(["--version"], None, leave=seen.append).run()
        except OSError as e:
            raise unittest.SkipTest("ptrace is not allowed here: %s" % e)
        if done.exit != 0 or not seen:
            raise unittest.SkipTest("ptrace is not allowed here")

    def ptrace(self, request, pid, address=None, data=None):
        if self.libc.ptrace(request, pid, address, data) == -1:
            number = ctypes.get_errno()
            if number:
                raise OSError(number, os.strerror(number))

    def kill(self):
        for pid in list(self.live):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def start(self, out, err):
        read_end, write_end = os.pipe()
        if len(self.stdin) > 60000:
            raise ValueError("more than a pipe holds")
        os.write(write_end, self.stdin)
        os.close(write_end)
        environ = clean_environment(SENDROUTE_CONF=self.conf)
        argv = [SENDROUTE, *self.args]
        child = os.fork()
        if child == 0:
            try:
                os.dup2(read_end, 0)
                os.dup2(out.fileno(), 1)
                os.dup2(err.fileno(), 2)
                if self.libc.ptrace(TRACEME, 0, None, None) == 0:
                    os.execve(SENDROUTE, argv, environ)
            finally:
                os._exit(126)
        os.close(read_end)
        return child

    def begun(self, pid):
        """The program has been loaded; nothing of it has run yet."""

    def run(self):
        with tempfile.TemporaryFile() as out, \
                tempfile.TemporaryFile() as err:
            first = self.start(out, err)
            self.live.add(first)
            _, status = os.waitpid(first, 0)
            if not os.WIFSTOPPED(status):
                raise OSError(errno.EPERM, "not stopped")
            self.ptrace(SETOPTIONS, first, None,
                        EXITKILL | SYSGOOD | FORK | VFORK | CLONE)
            self.begun(first)
            watchdog = threading.Timer(self.timeout, self.kill)
            watchdog.start()
            try:
                self.ptrace(SYSCALL, first)
                while self.live:
                    self._one(first)
            finally:
                watchdog.cancel()
                self.kill()
            for name, file in (("out", out), ("err", err)):
                file.seek(0)
                setattr(self.done, name, file.read())
        return self.done

    def _one(self, first):
        pid, status = os.waitpid(-1, WALL | WNOTHREAD)
        if not os.WIFSTOPPED(status):
            self.live.discard(pid)
            self.buried.add(pid)
            if pid == first:
                self.done.exit = os.waitstatus_to_exitcode(status)
            return
        self.live.add(pid)
        number, passed_on = os.WSTOPSIG(status), 0
        try:
            if number == signal.SIGTRAP | 0x80:
                self._syscall(pid)
            elif status >> 16 in BIRTHS:
                born = ctypes.c_ulong()
                self.ptrace(GETEVENTMSG, pid, None, ctypes.addressof(born))
                if born.value not in self.buried:
                    self.live.add(born.value)
            elif status >> 16 == 0 and number not in (signal.SIGSTOP,
                                                      signal.SIGTRAP):
                passed_on = number
            self.ptrace(SYSCALL, pid, None, passed_on)
        except ProcessLookupError:  # killed meanwhile; waitpid will tell
            pass

    def _syscall(self, pid):
        registers = (ctypes.c_ulonglong * REGISTERS)()
        self.ptrace(GETREGS, pid, None, ctypes.addressof(registers))
        if pid in self.within:
            self._leave(pid, registers)
            return
        name = SYSCALLS.get(registers[ORIG_RAX])
        call = self.within[pid] = name and Call(pid, name, registers)
        wish = self.enter(call) if call else None
        if wish is None:
            return
        if wish == self.KILL:
            registers[ORIG_RAX] = 2 ** 64 - 1
            self.ptrace(SETREGS, pid, None, ctypes.addressof(registers))
            self.kill()
        elif wish < 0:
            registers[ORIG_RAX] = 2 ** 64 - 1
            self.wanted[pid] = wish
            call.fault = True
            self.ptrace(SETREGS, pid, None, ctypes.addressof(registers))
        elif wish < registers[RDX]:
            registers[RDX] = call.args[2] = wish
            self.ptrace(SETREGS, pid, None, ctypes.addressof(registers))

    def _leave(self, pid, registers):
        call = self.within.pop(pid)
        if call is None:
            return
        if pid in self.wanted:
            registers[RAX] = self.wanted.pop(pid) + 2 ** 64
            self.ptrace(SETREGS, pid, None, ctypes.addressof(registers))
        call.result = ctypes.c_longlong(registers[RAX]).value
        if self.leave(call) == self.KILL:
            self.kill()
