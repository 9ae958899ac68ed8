"""What every test of the finished program stands on: a temporary prefix, the
program run with a clean environment and a hard time-out, and TAP for unittest.

    SENDROUTE   the program under test (default: ./sendroute of this tree)
    BUILD       the build folder, for what is unpacked or installed for tests
    RUNNER      what runs a program of another processor (qemu-arm-static)
"""
import atexit
import os
import pwd
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
SENDROUTE = os.environ.get("SENDROUTE") or os.path.join(ROOT, "sendroute")
BUILD = os.environ.get("BUILD") or os.path.join(ROOT, "build")
RUNNER = os.environ.get("RUNNER")
TIMEOUT = 60            # seconds for one run of the program

# Complete: nothing has to be added to it, so it arrives as it is.
HEAD = (b"From: Alice <alice@example.com>\n"
        b"To: Bob <bob@example.net>\n"
        b"Subject: peers\n"
        b"Date: Tue, 24 Nov 2026 01:02:03 +0000\n"
        b"Message-ID: <peers.1@client.test>\n")
# With these a body of any bytes goes as it is to a peer with 8BITMIME.
EIGHT_BIT = (b"MIME-Version: 1.0\nContent-Type: text/plain; charset=x-any\n"
             b"Content-Transfer-Encoding: 8bit\n")
MESSAGE = HEAD + b"\nHello Bob,\nthis is the body.\n"


def crlf(data):
    """LF, CRLF and bare CR to CRLF, as the program has to; the last line ends."""
    data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if data and not data.endswith(b"\n"):
        data += b"\n"
    return data.replace(b"\n", b"\r\n")


def letter(size, width=76):
    """A complete message of exactly `size` bytes with LF line ends."""
    out = bytearray(HEAD + b"\n")
    seed = (b"The quick brown fox jumps over the lazy dog. 0123456789 .,;:-_#'+"
            b"abcdefghijklm")[:width - 1]
    line = 0
    blocks = []
    have = len(out)
    while have < size:
        text = b"%07d " % line + seed[8:] + b"\n"
        if line % 17 == 3:
            text = b".." + text[2:]
        blocks.append(text)
        have += len(text)
        line += 1
    out += b"".join(blocks)
    del out[size - 1:]
    return bytes(out) + b"\n"


class Done:
    """How a run of the program ended."""

    def __init__(self, args, status, out, err, seconds, peak=None):
        self.args, self.exit, self.seconds = args, status, seconds
        self.out = out.decode("utf-8", "replace")
        self.err = err.decode("utf-8", "replace")
        self.peak = peak            # KiB, when measured

    def __str__(self):
        text = "%s\nexit %s after %.2f s" % (
            " ".join(shlex.quote(a) for a in self.args), self.exit,
            self.seconds)
        for name, what in (("stdout", self.out), ("stderr", self.err)):
            if what:
                text += "\n--- %s\n%s" % (name, what[:6000])
        return text


def clean_environment(**more):
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C",
           "HOME": "/nonexistent", "AWS_EC2_METADATA_DISABLED": "true"}
    env.update(more)
    return {k: v for k, v in env.items() if v is not None}


def for_others(program):
    """A copy of the program where every user reaches it: the tree may lie in a
    home folder that is closed to them."""
    if program not in _copies:
        folder = tempfile.mkdtemp(prefix="sendroute-")
        atexit.register(shutil.rmtree, folder, True)
        os.chmod(folder, 0o755)
        _copies[program] = shutil.copy(program, folder)
        os.chmod(_copies[program], 0o755)
    return _copies[program]


_copies = {}


def run(args, stdin=b"", env=None, conf=None, timeout=TIMEOUT, name=None,
        cwd=None, user=None, program=None):
    """Run the program.  `name`: the argv[0] it sees; `user`: run as that one;
    `program`: a copy, with its mode, that the user can reach."""
    if program is None:
        program = SENDROUTE if user is None else for_others(SENDROUTE)
    environ = clean_environment(**(env or {}))
    if conf is not None:
        environ["SENDROUTE_CONF"] = conf
    more = {}
    if user is not None:
        entry = pwd.getpwnam(user)
        more = dict(user=entry.pw_uid, group=entry.pw_gid, extra_groups=[])
    argv = [name or program] + [os.fsdecode(a) for a in args]
    if RUNNER:
        argv[:1] = [RUNNER, "-0", argv[0], program]
        program = RUNNER
    began = time.monotonic()
    process = subprocess.Popen(
        argv, executable=program, stdin=subprocess.PIPE, env=environ, cwd=cwd,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
    try:
        out, err = process.communicate(stdin, timeout)
        status = process.returncode
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        status = "none: killed after %d s" % timeout
    return Done(argv, status, out, err, time.monotonic() - began)


def pairs(line):
    """{key: value} of a line of key=value, values with blanks quoted."""
    found = {}
    for key, quoted, plain in re.findall(
            r'(?:^|(?<=\s))([a-z]+)=(?:"((?:[^"\\]|\\.)*)"|(\S*))', line):
        found[key] = re.sub(r"\\(.)", r"\1", quoted) if quoted else plain
    return found


def closed_port():
    """A port of 127.0.0.1 that nothing listens on, kept so until the end."""
    keeper = socket.socket()
    keeper.bind(("127.0.0.1", 0))       # bound, never listening
    _keepers.append(keeper)
    return keeper.getsockname()[1]


_keepers = []


def listener(unix=None):
    """A listening socket on a free port of 127.0.0.1, or of a path."""
    if unix:
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(unix)
    else:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
    sock.listen(64)
    return sock


class Case(unittest.TestCase):
    """A test with a temporary prefix of its own."""

    longMessage = True
    maxDiff = 4000

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="sendroute-")
        self.addCleanup(shutil.rmtree, self.dir, True)
        self.log_file = os.path.join(self.dir, "log")

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text, mode=0o644):
        path = self.path(name)
        with open(path, "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())
        os.chmod(path, mode)
        return path

    def conf(self, *routes, top="", name="sendroute.conf"):
        """A configuration file: a sane head, `top`, then the routes."""
        head = ""
        for keyword, value in (("hostname", "client.test"),
                               ("domain", "client.test"),
                               ("log", self.log_file)):
            if not re.search(r"(?m)^\s*%s\s" % keyword, top):
                head += "%s %s\n" % (keyword, value)
        return self.write(name, head + top + "\n" + "\n".join(routes))

    def secret(self, text, name="secret"):
        return self.write(name, text + "\n", 0o600)

    def start(self, server):
        """A server is stopped when the test ends, and must have met no line
        that no client may send."""
        self.addCleanup(self._stop, server)
        return server

    def _stop(self, server):
        server.close()
        for session in getattr(server, "sessions", ()):
            self.assertIsNone(session.error)

    def expect(self, done, status):
        self.assertEqual(done.exit, status, str(done))
        return done

    def quiet(self, done):
        """All went well and nothing was said."""
        self.expect(done, 0)
        self.assertEqual(done.err, "", str(done))
        self.assertEqual(done.out, "", str(done))
        return done

    def one_line(self, done, status, *words):
        """It failed with that status and one line on stderr that says why."""
        self.expect(done, status)
        lines = done.err.splitlines()
        self.assertEqual(len(lines), 1, "one line on stderr: " + str(done))
        self.assertTrue(lines[0].startswith("sendroute: "), str(done))
        self.assertTrue(done.err.endswith("\n"), str(done))
        self.assertEqual(done.out, "", str(done))
        for word in words:
            self.assertRegex(lines[0], re.compile(word, re.I), str(done))
        return lines[0]

    def log_lines(self):
        try:
            with open(self.log_file, encoding="utf-8", errors="replace") as f:
                return f.read().splitlines()
        except FileNotFoundError:
            return []

    def log_pairs(self):
        """The delivery lines of the log, each as a dictionary."""
        return [p for p in map(pairs, self.log_lines()) if "status" in p]

    def groups(self, done):
        """What --dry-run printed, a dictionary a line; `to` becomes a list."""
        self.expect(done, 0)
        found = []
        for line in done.out.splitlines():
            group = pairs(line)
            for key in ("route", "from", "to", "reason"):
                self.assertIn(key, group, str(done))
            group["to"] = re.split(r"[, ]+", group["to"])
            found.append(group)
        return found

    def same_bytes(self, got, wanted, note=""):
        """Equality of long byte strings with a message that can be read."""
        if got == wanted:
            return
        size = min(len(got), len(wanted))
        at, low, high = 0, 0, size
        while low < high:               # the first difference, by halves
            middle = (low + high) // 2
            if got[:middle + 1] == wanted[:middle + 1]:
                low = middle + 1
            else:
                high = middle
        at = low
        self.fail("%s: %d bytes came, %d were due; they differ at %d:\n"
                  "came %r\ndue  %r" % (note or "message", len(got),
                                        len(wanted), at,
                                        got[max(0, at - 30):at + 60],
                                        wanted[max(0, at - 30):at + 60]))


# --- peak memory -----------------------------------------------------------

class Unmeasurable(Exception):
    pass


def drive(case, conf, messages, calls=1):
    """Hand messages (sender, [recipients], content) to the SMTP client alone, on
    one connection, in so many calls; its first route is taken.  What became of
    them: {(number, recipient): (outcome, code, certainly not taken)}."""
    lines = []
    for number, (sender, to, content) in enumerate(messages):
        path = case.write("m%d" % number, content)
        lines.append("%s %s %s" % (sender, ",".join(to), path))
        if (number + 1) % -(-len(messages) // calls) == 0:
            lines.append("")
    done = subprocess.run([os.path.join(BUILD, "unit/test_smtp_drive"), conf],
                          input="\n".join(lines) + "\n", text=True, timeout=120,
                          env=clean_environment(), capture_output=True)
    case.assertEqual((done.returncode, done.stderr), (0, ""))
    found = {}
    for line in done.stdout.splitlines():
        if not line.startswith("down "):
            number, to, outcome, code, untaken, _ = line.split(" ", 5)
            case.assertNotIn((int(number), to), found, "settled twice")
            found[int(number), to] = (outcome, int(code), untaken == "1")
    case.assertEqual(len(found), sum(len(m[1]) for m in messages))
    return found


def kilobytes(pid, name, key):
    try:
        with open("/proc/%d/%s" % (pid, name)) as file:
            found = re.search(r"(?m)^%s:\s+(\d+) kB" % key, file.read())
        return int(found.group(1)) if found else 0
    except OSError:
        return 0


def run_measured(args, stdin_path, conf, env=None, timeout=300):
    """Run the program and note the most memory it ever held (VmHWM).

    getrusage() would count the forked interpreter before exec; so the program
    is stopped at its exit by ptrace(2) and its own high-water mark is read.
    Newer kernels count per processor and are late by some pages; what is held
    at the exit is therefore counted page by page as well.
    """
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p,
                            ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    traceme, cont, setoptions = 0, 7, 0x4200
    exitkill, traceexit, exit_event = 0x100000, 0x40, 6
    environ = clean_environment(SENDROUTE_CONF=conf, **(env or {}))
    argv = [SENDROUTE] + list(args)
    stdin = os.open(stdin_path, os.O_RDONLY)
    out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        try:
            os.dup2(stdin, 0)
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            if libc.ptrace(traceme, 0, None, None) == 0:
                os.execve(SENDROUTE, argv, environ)
        finally:
            os._exit(126)
    os.close(stdin)
    killer = threading.Timer(timeout, os.kill, (child, signal.SIGKILL))
    killer.start()
    peak = None
    try:
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            raise Unmeasurable("ptrace is not allowed here")
        libc.ptrace(setoptions, child, None, exitkill | traceexit)
        passed_on = 0
        while True:
            libc.ptrace(cont, child, None, passed_on)
            _, status = os.waitpid(child, 0)
            if not os.WIFSTOPPED(status):
                break
            passed_on = os.WSTOPSIG(status)
            if status >> 16 == exit_event:
                passed_on = 0
                peak = max(kilobytes(child, "status", "VmHWM"),
                           kilobytes(child, "smaps_rollup", "Rss"))
    finally:
        killer.cancel()
    texts = []
    for file in (out, err):
        file.seek(0)
        texts.append(file.read())
        file.close()
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) \
        else -os.WTERMSIG(status)
    return Done(argv, code, *texts, time.monotonic() - began, peak)


# --- TAP -------------------------------------------------------------------

class Tap(unittest.TestResult):
    """One line a test method; what failed inside follows as comments."""

    def __init__(self):
        super().__init__()
        self.number = 0
        self.troubles = []
        self.skip = None

    def startTest(self, test):
        super().startTest(test)
        self.troubles, self.skip = [], None

    def stopTest(self, test):
        self.number += 1
        name = test.id().split(".", 1)[-1] if "." in test.id() else test.id()
        name = name.replace("#", "")
        print("%sok %d - %s%s" % (
            "not " if self.troubles else "", self.number, name,
            " # SKIP " + self.skip if self.skip and not self.troubles else ""))
        for trouble in self.troubles:
            for line in trouble.rstrip().splitlines():
                print("# " + line)
        sys.stdout.flush()
        super().stopTest(test)

    def _trouble(self, test, err):
        self.troubles.append("%s\n%s" % (test.id(), "".join(
            traceback.format_exception(*err))))

    def addError(self, test, err):
        super().addError(test, err)
        if isinstance(test, unittest.TestCase):
            self._trouble(test, err)
        else:                           # setUpClass, setUpModule
            self._trouble(test, err)
            self.stopTest(test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._trouble(test, err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._trouble(subtest, err)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.skip = reason.replace("\n", " ")
        if not isinstance(test, unittest.TestCase):
            self.number += 1
            print("ok %d - %s # SKIP %s" % (self.number, test.id(), self.skip))

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.troubles.append("unexpected success")


def main():
    """Run the tests of the calling program; words on the command line choose."""
    module = sys.modules["__main__"]
    if not os.access(SENDROUTE, os.X_OK):
        print("Bail out! no program at " + SENDROUTE)
        sys.exit(1)
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    words = [a for a in sys.argv[1:] if not a.startswith("-")]
    if words:
        chosen = unittest.TestSuite()
        for group in suite:
            for test in group:
                if any(word in test.id() for word in words):
                    chosen.addTest(test)
        suite = chosen
    result = Tap()
    suite.run(result)
    print("1..%d" % result.number)
    sys.stdout.flush()
    # Threads of servers may still wait for something; they are of no concern.
    atexit._run_exitfuncs()
    os._exit(0 if result.wasSuccessful() and result.number else 1)
