"""How much one run of a program costs.

    peak            the most memory that a process of it ever held, in KiB
    instructions    executed, as callgrind counts them
    system_calls    made, as strace counts them
    seconds         of wall clock

A program may start others (dma forks): peak and instructions are those of its
largest process, system calls are those of all.

    measure.py RESULT COMMAND...    writes what COMMAND was seen to do to RESULT
"""
import ctypes
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PTRACE_TRACEME, PTRACE_CONT, PTRACE_SETOPTIONS = 0, 7, 0x4200
# exitkill, exit, fork, vfork, clone
OPTIONS = 0x100000 | 0x40 | 0x02 | 0x04 | 0x08
EVENT_EXIT, BIRTHS = 6, (1, 2, 3)


class Failed(Exception):
    """The program could not be measured; the text says why."""


class Run:
    """A program to measure: argv, environment, the file on its stdin.

    wrap: argv of something to put before the whole, such as a namespace.
    """

    def __init__(self, argv, env, stdin, wrap=(), timeout=240):
        self.argv, self.env, self.stdin = list(argv), env, stdin
        self.wrap, self.timeout = list(wrap), timeout

    def execute(self, before=()):
        argv = [*self.wrap, *before, *self.argv]
        began = time.monotonic()
        with open(self.stdin, "rb") as stdin:
            process = subprocess.Popen(
                argv, env=self.env, stdin=stdin, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, start_new_session=True)
            try:
                out, err = process.communicate(timeout=self.timeout)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                raise Failed("took more than %d s" % self.timeout)
        if process.returncode != 0:
            raise Failed("exit %d: %s" % (process.returncode,
                                          last_line(err or out)))
        return time.monotonic() - began, err.decode("utf-8", "replace")


def last_line(data):
    lines = data.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:100] if lines else "nothing said"


def seconds(run):
    return run.execute()[0]


def peak(run):
    with Folder() as folder:
        result = os.path.join(folder, "peak")
        run.execute(["/usr/bin/python3", os.path.abspath(__file__), result])
        with open(result) as file:
            return json.load(file)["peak"]


def instructions(run):
    if not shutil.which("valgrind"):
        raise Failed("valgrind is not installed")
    with Folder() as folder:
        # What it counted stands in its log, which stays open when a program
        # gives up rights; a profile could not be written then.
        run.execute(["valgrind", "--tool=callgrind", "--vgdb=no",
                     "--trace-children=yes",
                     "--callgrind-out-file=/dev/null",
                     "--log-file=%s/log.%%p" % folder])
        # A forked process goes on counting from what its parent had.
        return max(collected(name) for name in glob.glob(folder + "/log.*"))


def collected(name):
    with open(name, errors="replace") as file:
        return max([int(n) for n in re.findall(r"Collected : (\d+)",
                                               file.read())] + [0])


def system_calls(run):
    if not shutil.which("strace"):
        raise Failed("strace is not installed")
    with Folder() as folder:
        name = os.path.join(folder, "calls")
        run.execute(["strace", "-f", "-c", "-o", name])
        with open(name) as file:
            found = re.findall(r"(?m)^\s*100\.00\s+\S+\s+\S+\s+(\d+)",
                               file.read())
        return int(found[-1])


class Folder:
    """A temporary folder that a program with fewer rights may write to."""

    def __enter__(self):
        self.name = tempfile.mkdtemp(prefix="bench-")
        os.chmod(self.name, 0o777)
        return self.name

    def __exit__(self, *_):
        shutil.rmtree(self.name, ignore_errors=True)


# --- the peak, by ptrace(2) ------------------------------------------------

def resident(pid):
    """The high-water mark of a process about to exit, in KiB."""
    found = [0]
    for name, pattern in (("status", r"VmHWM:\s+(\d+) kB"),
                          ("smaps_rollup", r"Rss:\s+(\d+) kB")):
        try:
            with open("/proc/%d/%s" % (pid, name)) as file:
                found += [int(n) for n in re.findall(pattern, file.read())]
        except OSError:
            pass
    return max(found)


def processor(pid):
    """The seconds of processor time of a process about to exit."""
    try:
        with open("/proc/%d/schedstat" % pid) as file:
            return int(file.read().split()[0]) / 1e9
    except (OSError, ValueError):
        return 0.0


def traced(argv):
    """Runs argv and tells its exit status, the peak of its largest process, how
    many processes it was, how many of them at once, their processor time, and
    when it began and ended.

    getrusage() would count this interpreter, which a child is until it
    executes another program.  So each process is stopped at its exit, and its
    own high-water mark, which begins anew with that program, is read.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long] * 2 + [ctypes.c_void_p] * 2
    # Its group may be told to stop: that is for the others. A handler, as what
    # is ignored would be ignored by them, too.
    signal.signal(signal.SIGTERM, lambda *_: None)
    child = os.fork()
    if child == 0:
        try:
            if libc.ptrace(PTRACE_TRACEME, 0, None, None) == 0:
                os.execvp(argv[0], argv)
        finally:
            os._exit(126)
    os.waitpid(child, 0)
    libc.ptrace(PTRACE_SETOPTIONS, child, None, OPTIONS)
    seen = {"status": 126, "peak": 0, "processes": 1, "at once": 1,
            "processor": 0.0, "began": time.monotonic()}
    alive = 1
    libc.ptrace(PTRACE_CONT, child, None, None)
    while True:
        try:
            pid, state = os.waitpid(-1, 0x40000000)     # __WALL
        except ChildProcessError:
            seen["ended"] = time.monotonic()
            return seen
        if not os.WIFSTOPPED(state):
            alive -= 1
            if pid == child:
                seen["status"] = os.waitstatus_to_exitcode(state)
            continue
        number = os.WSTOPSIG(state)
        if state >> 16 == EVENT_EXIT:
            seen["peak"] = max(seen["peak"], resident(pid))
            seen["processor"] += processor(pid)
        elif state >> 16 in BIRTHS:
            alive += 1
            seen["processes"] += 1
            seen["at once"] = max(seen["at once"], alive)
        if state >> 16 or number in (signal.SIGTRAP, signal.SIGSTOP):
            number = 0
        libc.ptrace(PTRACE_CONT, pid, None, number)


if __name__ == "__main__":
    found = traced(sys.argv[2:])
    with open(sys.argv[1], "w") as file:
        json.dump(found, file)
    code = found["status"]
    sys.exit(code if code >= 0 else 128 - code)
