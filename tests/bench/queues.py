"""make bench: queues of many messages, sendroute beside dma and nullmailer.

Each line of the table is one run over a queue that was filled beforehand:
messages a second, connections, processes, the most memory that one of them
held, processor time, and, in a run of their own with fewer messages under
strace, system calls and fsyncs a message.

    QUEUE_MESSAGES=10000    in the queue (of 2 KB); peers get fewer, as noted
    LISTED_MESSAGES=100000  in the queue that is only looked at
"""
import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import measure
import programs
import sink
from certs import certificates
from harness import BUILD, crlf, letter

MESSAGES = int(os.environ.get("QUEUE_MESSAGES", 10000))
LISTED = int(os.environ.get("LISTED_MESSAGES", 100000))
# A peer that needs a process and a handshake for each message gets fewer.
FEWER = {"dma": (500, 500), "nullmailer": (200, 30)}
TURN = 0.05                 # seconds, where a turn takes any
UNCHUNKED_SLOW = 400        # messages that are sent one a turn
TRACED = 300                # messages in a run under strace; peers a third
LIMIT = {"sendroute": 45}   # seconds for one run
PEER_LIMIT = 30
ENOUGH = 400                # seconds after which nothing more is begun
TMPFS = 0x01021994
SYNCS = ("fsync", "fdatasync", "syncfs", "sync", "sync_file_range")
PIPELINING = ("PIPELINING", "SIZE 104857600", "8BITMIME",
              "ENHANCEDSTATUSCODES")
OURS = "sendroute"


# --- the disk --------------------------------------------------------------

LIBC = ctypes.CDLL(None, use_errno=True)


def in_memory(folder):
    """Is that a file system where fsync costs nothing?"""
    buffer = (ctypes.c_long * 32)()
    return LIBC.statfs(folder.encode(), buffer) == 0 and buffer[0] == TMPFS


def disk_folder():
    """A temporary folder that lies on a disk."""
    for place in (tempfile.gettempdir(), "/var/tmp", BUILD):
        if not in_memory(place):
            folder = tempfile.mkdtemp(prefix="bench-queue-", dir=place)
            os.chmod(folder, 0o755)
            return folder
    raise measure.Failed("no folder on a disk: fsync would cost nothing")


def written_back(folder):
    """What filling a queue left to be written is not the run's to write."""
    fd = os.open(folder, os.O_RDONLY)
    LIBC.syncfs(fd)
    os.close(fd)


def disk_rate(folder, seconds=0.7):
    """Removals of a file, each made sure of, that the disk does in a second."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        for number in range(2000):
            with open("%s/%d" % (name, number), "wb") as file:
                file.write(b"x" * 2048)
        written_back(name)
        fd = os.open(name, os.O_RDONLY)
        began, done = time.monotonic(), 0
        while time.monotonic() - began < seconds and done < 2000:
            os.unlink("%s/%d" % (name, done))
            os.fsync(fd)
            done += 1
        took = time.monotonic() - began
        os.close(fd)
        return done / took


# --- one run ---------------------------------------------------------------

class Job(programs.Job):
    """What the queue is to hold; letter(number) has LF ends."""

    def __init__(self, folder, port, cafile, count, due=0):
        super().__init__(folder, None, port, cafile)
        self.count, self.due = count, due

    TEXT = letter(2048).replace(b"<peers.1@client.test>", sink.TOKEN % 0)

    @staticmethod
    def numbered(text, number):
        return text.replace(sink.TOKEN % 0, sink.TOKEN % number)

    def letter(self, number):
        return self.numbered(self.TEXT, number)


def execute(filled, before, limit, args=None):
    """Run it until it ends, or its queue is empty, or the limit has passed.

    Peers may go on for minutes with what could not be sent at once; they are
    told to stop.  When the queue was seen empty, else None.
    """
    emptied = None
    with tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            [*filled.wrap, *before, *(args or filled.argv)], env=filled.env,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err,
            start_new_session=True)
        began = time.monotonic()
        step = 1.0 if args or filled.left() > 3000 else 0.05
        while process.poll() is None:
            over = time.monotonic() - began > limit
            if not args and emptied is None and filled.left() == 0:
                emptied = time.monotonic()
            if over or (emptied and time.monotonic() - emptied > 2):
                for number, grace in ((signal.SIGTERM, 5), (signal.SIGKILL,
                                                            5)):
                    os.killpg(process.pid, number)
                    try:
                        process.wait(grace)
                        break
                    except subprocess.TimeoutExpired:
                        pass
                break
            try:
                process.wait(step)
            except subprocess.TimeoutExpired:
                pass
        err.seek(0)
        return emptied, err.read()


class Numbers:
    """What a run was seen to do."""

    def __init__(self, count):
        self.count, self.done = count, 0    # in the queue; gone out
        self.seconds = self.peak = self.processes = self.at_once = None
        self.connections = self.processor = self.calls = self.syncs = None
        self.disk = None
        self.note = ""

    @property
    def rate(self):
        return self.done / self.seconds


def run(filled, numbers, limit, args=None):
    with measure.Folder() as folder:
        result = os.path.join(folder, "seen")
        emptied, err = execute(filled, [
            "/usr/bin/python3", os.path.abspath(measure.__file__), result],
            limit, args)
        try:
            with open(result) as file:
                seen = json.load(file)
        except (OSError, ValueError):
            raise measure.Failed("it could not be stopped: %s" %
                                 measure.last_line(err))
    numbers.seconds = (emptied or seen["ended"]) - seen["began"]
    numbers.peak, numbers.processes = seen["peak"], seen["processes"]
    numbers.at_once, numbers.processor = seen["at once"], seen["processor"]
    if seen["status"] > 0:
        raise measure.Failed("exit %d: %s" % (seen["status"],
                                              measure.last_line(err)))


def traced_calls(filled, limit):
    """{system call: how many}, all processes together."""
    if not shutil.which("strace"):
        raise measure.Failed("strace is not installed")
    with measure.Folder() as folder:
        name = os.path.join(folder, "calls")
        execute(filled, ["strace", "-f", "-c", "-U", "calls,name", "-o", name],
                limit)
        with open(name) as file:
            found = re.findall(r"(?m)^\s*(\d+)\s+(\w+)\s*$", file.read())
    calls = {what: int(number) for number, what in found if what != "total"}
    if not calls:
        raise measure.Failed("strace said nothing")
    return calls


# --- what is sent to -------------------------------------------------------

class ToSink:
    """The quick relay, perhaps at a distance."""

    def __init__(self, folder, count, extensions, delay):
        self.server = sink.Sink(folder, count, crlf(Job.TEXT),
                                *certificates.server("rsa"), extensions,
                                delay)
        self.port = self.server.port
        self.close = self.server.close

    def equip(self, job):
        pass

    def judge(self, numbers, whole):
        tally = self.server.tally()
        numbers.done = tally.messages - tally.damaged
        numbers.connections = tally.connections
        if tally.damaged or (whole and (tally.missing or tally.doubled)):
            raise measure.Failed(str(tally))

    def most(self, count):
        return sink.most(self.server, crlf(Job.TEXT), count)


class ToSes:
    """The endpoint of the tests, which checks every signature."""

    def __init__(self, folder, count, *_):
        from ses import Ses
        self.server = Ses(cert="rsa")
        self.count, self.port = count, self.server.port
        self.close = self.server.close

    def equip(self, job):
        job.key, job.secret = self.server.key, self.server.secret
        job.region = self.server.region

    def judge(self, numbers, whole):
        wanted = crlf(Job.TEXT)
        came = [0] * self.count
        for sent in self.server.sent:
            found = sink.NUMBER.search(sent.raw)
            if not found or sent.raw != Job.numbered(wanted,
                                                     int(found.group(1))):
                raise measure.Failed("not a message of the queue came")
            came[int(found.group(1))] += 1
        numbers.done = len(self.server.sent)
        numbers.connections = self.server.connections
        if self.server.errors:
            raise measure.Failed("the endpoint says: %s" %
                                 self.server.errors[0])
        if whole and (min(came), max(came)) != (1, 1):
            raise measure.Failed("%d messages missing, %d doubled" % (
                came.count(0), sum(n > 1 for n in came)))

    def most(self, count):
        """Its last request over and over, as it came."""
        import socket
        import ssl
        request = self.server.requests[-1]
        data = "%s %s HTTP/1.1\r\n%s\r\n" % (
            request.method, request.target, "".join(
                "%s: %s\r\n" % field for field in request.headers))
        data = data.encode() + request.body
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(socket.create_connection(
                ("127.0.0.1", self.port))) as sock:
            began = time.monotonic()
            for _ in range(count):
                sock.sendall(data)
                if b" 200 " not in sock.recv(1 << 16)[:20]:
                    raise measure.Failed("a repeated request was refused")
            return count / (time.monotonic() - began)


# --- lines of the table ----------------------------------------------------

class Scene:
    """One way of sending: a line for each program that can."""

    def __init__(self, name, to, extensions=PIPELINING, delay=0.0, goal=None,
                 only=None, counted=True, count=None):
        self.name, self.to, self.extensions = name, to, extensions
        self.delay, self.goal, self.only = delay, goal, only
        self.counted, self.most_messages = counted, count

    def takes(self, program):
        return self.only is None or program.name == self.only

    def count(self, program):
        own = min(MESSAGES, self.most_messages or MESSAGES)
        return min(own, FEWER.get(program.name, (own, own))[self.delay > 0])

    def with_queue(self, program, count, cafile, use, delay):
        folder = disk_folder()
        try:
            server = self.to(folder, count, self.extensions, delay)
            try:
                job = Job(folder, server.port, cafile, count)
                server.equip(job)
                filled = program.queue(job)
                written_back(folder)
                return use(folder, filled, server)
            finally:
                server.close()
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def measure(self, program, cafile, say):
        numbers = Numbers(self.count(program))
        limit = LIMIT.get(program.name, PEER_LIMIT)

        def whole(folder, filled, server):
            rates = [disk_rate(folder)]
            run(filled, numbers, limit)
            rates.append(disk_rate(folder))
            numbers.disk = "%.0f-%.0f" % (min(rates), max(rates))
            server.judge(numbers, filled.left() == 0)
            if numbers.done < numbers.count:
                numbers.note = "%d of %d went out in %.0f s" % (
                    numbers.done, numbers.count, numbers.seconds)
            if program.name == OURS and numbers.done and \
                    (self.to is ToSes or self.extensions is CHUNKED):
                say("%s: from a client that only writes to it, the server "
                    "takes %d messages a second" % (
                        self.name, server.most(min(self.count(program),
                                                   3000))))

        def calls(folder, filled, server):
            found = traced_calls(filled, limit)
            server.judge(traced, False)
            if traced.done < traced.count:
                raise measure.Failed("under strace %d of %d went out" % (
                    traced.done, traced.count))
            numbers.calls = sum(found.values()) / traced.count
            numbers.syncs = sum(found.get(s, 0) for s in SYNCS) / traced.count
            often = sorted(found.items(), key=lambda item: -item[1])[:8]
            say("%s, %s, system calls a message: %s" % (
                self.name, program.name, ", ".join("%s %.2f" % (
                    what, n / traced.count) for what, n in often)))

        self.with_queue(program, numbers.count, cafile, whole, self.delay)
        if self.counted:
            traced = Numbers(min(TRACED if program.name == OURS else
                                 TRACED // 3, numbers.count))
            self.with_queue(program, traced.count, cafile, calls, 0.0)
        return numbers


class Looking:
    """A queue in which nothing is due."""

    goal = None
    shared = {}             # the folder, filled once

    def __init__(self, name, *args):
        self.name, self.args = name, list(args)

    def takes(self, program):
        return program.name == OURS

    def count(self, _):
        return LISTED

    def filled(self, program, cafile):
        if not self.shared:
            folder = self.shared["folder"] = disk_folder()
            job = Job(folder, 1, cafile, LISTED, int(time.time()) + 86400)
            self.shared["filled"] = program.queue(job)
            written_back(folder)
        return self.shared["filled"]

    @classmethod
    def close(cls):
        if cls.shared:
            shutil.rmtree(cls.shared["folder"], ignore_errors=True)

    def measure(self, program, cafile, say):
        filled = self.filled(program, cafile)
        best = None
        for _ in range(2):
            numbers = Numbers(LISTED)
            run(filled, numbers, 60, [program.path, *self.args])
            if best is None or numbers.seconds < best.seconds:
                best = numbers
        best.done = LISTED
        if filled.left() != LISTED:
            raise measure.Failed("something was due")
        return best


CHUNKED = PIPELINING + ("CHUNKING",)
SCENES = [
    Scene("queue, STARTTLS, no delay", ToSink, CHUNKED),
    Scene("queue, STARTTLS, 50 ms a turn", ToSink, CHUNKED, TURN, 200,
          counted=False),
    Scene("queue, SES, no delay", ToSes, only=OURS),
    Looking("listed queue, mailq", "-bp"),
    Looking("listed queue, mailq --json", "-bp", "--json"),
    Looking("scanned queue, -q, nothing due", "-q"),
    Scene("queue, STARTTLS, no delay, no CHUNKING", ToSink, only=OURS),
    Scene("queue, STARTTLS, 50 ms a turn, no CHUNKING", ToSink, PIPELINING,
          TURN, only=OURS, counted=False, count=UNCHUNKED_SLOW),
]


class Table:

    HEAD = ["what", "program", "messages", "seconds", "a second", "goal",
            "verdict", "connections", "processes", "peak memory",
            "processor", "calls", "fsyncs", "disk"]

    def __init__(self, scenes, columns):
        self.lines, self.said, self.failed = [], [], []
        self.scenes, self.columns = scenes, columns
        self.began = None

    def fill(self, cafile):
        self.began = time.monotonic()
        try:
            for scene in self.scenes:
                for program in self.columns:
                    if scene.takes(program):
                        self.one(scene, program, cafile)
        finally:
            Looking.close()

    def one(self, scene, program, cafile):
        began, numbers, why = time.monotonic(), None, ""
        try:
            if began - self.began > ENOUGH:
                raise measure.Failed("left out, the bench took too long")
            numbers = scene.measure(program, cafile, self.said.append)
            why = numbers.note
        except Exception as failure:    # a peer must not end the whole bench
            why = str(failure) or repr(failure)
            self.failed.append((scene, program, why))
        self.lines.append((scene, program, numbers))
        print("bench: %-46s %-10s %-14s %5.1f s %s" % (
            scene.name, program.name, "-" if numbers is None else
            "%.1f/s" % numbers.rate, time.monotonic() - began, why),
            file=sys.stderr, flush=True)
        if numbers and numbers.note:
            self.said.append("%s, %s: %s" % (scene.name, program.name,
                                             numbers.note))

    @staticmethod
    def verdict(scene, program, numbers):
        if scene.goal is None or program.name != OURS:
            return ""
        if numbers is None:
            return "-"
        if numbers.rate >= scene.goal:
            return "met"
        return "UNDER by %.0f %%" % (100 * (1 - numbers.rate / scene.goal))

    def cells(self, scene, program, n):
        if n is None:
            return [scene.name, program.name, "{:,d}".format(
                scene.count(program))] + ["-"] * (len(self.HEAD) - 3)

        def shown(form, value):
            return "" if value is None else form.format(value)
        processes = shown("{:,d}", n.processes)
        if n.at_once and n.at_once > 2:
            processes += " (%d at once)" % n.at_once
        return [scene.name, program.name, "{:,d}".format(n.done),
                "%.2f" % n.seconds, "{:,.{}f}".format(
                    n.rate, 0 if n.rate >= 100 else 1),
                shown("{:,d}", scene.goal if program.name == OURS else None),
                self.verdict(scene, program, n),
                shown("{:,d}", n.connections), processes,
                shown("{:,d} KiB", n.peak),
                "%.2f ms" % (1000 * n.processor / max(1, n.done)),
                shown("{:,.1f}", n.calls), shown("{:,.2f}", n.syncs),
                n.disk or ""]

    def show(self):
        """Whether something of ours is missing."""
        rows = [self.HEAD] + [self.cells(*line) for line in self.lines]
        widths = [max(map(len, column)) for column in zip(*rows)]
        print()
        for row in rows:
            print("  ".join([t.ljust(w) for t, w in zip(row[:2], widths[:2])] +
                            [t.rjust(w) for t, w in zip(row[2:], widths[2:])]
                            ).rstrip())
        print("\nmessages have 2 KB; peak memory is that of the largest "
              "process; processor, calls and\nfsyncs are a message's; disk: "
              "removals, each with fsync, that it did in a second just\n"
              "before and just after the run, which bounds a program that makes "
              "sure of each message\nby itself")
        for program in self.columns:
            if program.name in FEWER:
                print("%s gets %d messages without a delay, %d with one%s" % (
                    program.name, *FEWER[program.name],
                    "; " + program.note if program.note else ""))
        for text in self.said:
            print(text)
        for scene, program, why in self.failed:
            print("- %s, %s: %s" % (program.name, scene.name, why))
        return any(program.name == OURS for _, program, _ in self.failed)
