"""A frame for peers that mean harm: a table with a row for each hostility.

Every row is sent to its peer twice.  First without a fallback: exit status, one
line of error, time and memory are judged.  Then with a fallback route and -v: it
must get the message when the peer certainly has not taken it, and only then.

After both, whatever the row: no control byte has come through to stderr or the
log, no secret is in either, and none of the secrets has reached the peer in the
clear, nor in TLS when the peer's certificate is not to be trusted.
"""
import base64
import os
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import harness
from harness import MESSAGE, Case, Unmeasurable, run, run_measured
from relay import Relay
from ses import SECRET, Ses

ARGS = ("-i", "-f", "alice@example.com", "bob@example.net")
USER, PASSWORD = "apikey", "pa55-of-the-relay"
TOKEN = "IQoJb3JpZ2luX2VjEPEERS+/=="
BUDGET = 1536                   # KiB of memory, whatever the peer does
WORKERS = 10

with open(harness.SENDROUTE, "rb") as _file:
    _bytes = _file.read()
# Under valgrind (a script) or with sanitizers time and memory tell nothing.
SLOWED = _bytes.startswith(b"#!") or b"__asan_init" in _bytes

# What became of the message: (exit status, has the fallback got it?).
DONE = (0, False)               # taken
TEMP = (75, True)               # certainly not taken
MAYBE = (75, False)             # it may have been: never tried elsewhere
PERM = (69, False)              # the recipient or the message is refused
ROUTE = (69, True)              # refused for good, but by this route alone


def crowd():
    """How many want each processor: a second is not one for us alone."""
    return max(1, os.getloadavg()[0] / (os.cpu_count() or 1))


def forms(secret):
    """A secret as it may stand in text or on the wire."""
    raw = secret.encode()
    found = {raw}
    for start in range(3):      # within base64 of something longer
        text = base64.b64encode(b"\0" * start + raw)
        found.add(text[(0, 2, 3)[start]:len(text) // 4 * 4 - 4])
    return found


class Row:
    """
    kind        one of the five above
    words       patterns that the line of error holds
    peer        peer(case) makes the server
    within      seconds that the first run may take
    trusted     False: nothing at all may come inside TLS
    """

    peer_name = "peer"
    secrets = (PASSWORD,)

    def __init__(self, name, kind, *words, within=6, trusted=True, top="",
                 message=MESSAGE, extra="", args=ARGS, under=(), env=None,
                 skip=None, plain=False, **how):
        self.name, self.kind, self.words = name, kind, words
        self.within, self.trusted, self.top = within, trusted, top
        self.message, self.extra, self.args = message, extra, args
        self.under, self.env, self.how = list(under), env or {}, how
        self.skip, self.plain = skip, plain

    # --- what is different for each transport ---

    def peer(self, case):
        raise NotImplementedError

    def route(self, case, peer, fallback):
        raise NotImplementedError

    def in_clear(self, peer):
        """All that came to the peer in the clear."""
        raise NotImplementedError

    def in_tls(self, peer):
        raise NotImplementedError

    def took(self, peer):
        """How many messages it says to have taken."""
        return None

    # --- the two runs ---

    def judge(self, case):
        if self.skip:
            case.skipTest(self.skip)
        self.first(case)
        self.second(case)

    def first(self, case):
        peer = self.peer(case)
        conf = case.conf(self.route(case, peer, None), top=self.top)
        done = self.measured(case, conf)
        status = self.kind[0]
        if status == 0:
            case.quiet(done)
        else:
            case.one_line(done, status, *self.words)
        if self.kind == MAYBE:
            case.one_line(done, status, "may have been taken.*duplicate")
        if not SLOWED:
            case.assertLess(done.seconds, self.within * crowd(), str(done))
            case.assertLessEqual(done.peak or 0, BUDGET, "KiB; " + str(done))
        self.leaks(case, peer, done)

    def second(self, case):
        peer = self.peer(case)
        other = case.start(Relay(tls="off"))
        conf = case.conf(self.route(case, peer, "other"),
                         other.route("other", senders=None), top=self.top)
        done = self.program(case, ("-v",) + self.args, conf)
        status, falls_back = self.kind
        case.expect(done, 0 if falls_back else status)
        if falls_back is not None:
            case.assertEqual(len(other.accepted()), int(falls_back),
                             "by the fallback: " + str(done))
        self.leaks(case, peer, done)
        words = {DONE: "sent", TEMP: "sent", MAYBE: "deferred",
                 PERM: "failed", ROUTE: "sent"}
        case.assertEqual([p["status"] for p in case.log_pairs()][-1],
                         words[self.kind])

    def measured(self, case, conf):
        if SLOWED or self.under:
            return self.program(case, self.args, conf)
        try:
            return run_measured(self.args, case.write("in", self.message),
                                conf, env=self.env, timeout=60)
        except Unmeasurable:
            return self.program(case, self.args, conf)

    def program(self, case, args, conf):
        if not self.under:
            return run(args, self.message, conf=conf, env=self.env,
                       timeout=600 if SLOWED else 60)
        script = case.write("under", "#!/bin/sh\nexec %s %s \"$@\"\n" % (
            " ".join(self.under), harness.SENDROUTE), 0o755)
        return run(args, self.message, conf=conf, env=self.env, program=script)

    def leaks(self, case, peer, done):
        with open(case.log_file, "a+b") as file:
            file.seek(0)
            log = file.read()
        told = done.err.encode() + done.out.encode() + log
        bad = re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]",
                        told.decode("utf-8", "replace"))
        case.assertIsNone(bad, "a control character: " + str(done))
        clear, tls = self.in_clear(peer), self.in_tls(peer)
        for secret in self.secrets:
            for form in forms(secret):
                case.assertNotIn(form, told)
                case.assertNotIn(form, clear)
        if not self.plain:
            case.assertNotIn(b"Hello Bob", clear)
        if not self.trusted:
            case.assertEqual(tls, b"")


# --- as tests --------------------------------------------------------------

def checked(row):
    """None, or what is wrong; where others are busy it is tried once more, for
    a time-out of a second may come in a handshake then."""
    error = once(row)
    if isinstance(error, AssertionError) and (SLOWED or crowd() > 2):
        error = once(row)
    return error


def once(row):
    """None, or what a test of its own would have raised."""
    case = Case("id")
    case.setUp()
    try:
        row.judge(case)
        return None
    except BaseException as e:  # told by the test that asks
        return e
    finally:
        try:
            case.doCleanups()
        except BaseException:
            pass


def tests(rows, name):
    """A class with a test for each row; all of them begin at once."""
    names = [r.name for r in rows]
    if len(set(names)) != len(names):
        raise ValueError("doubled: %s" % sorted(
            n for n in names if names.count(n) > 1))
    pool = ThreadPoolExecutor(WORKERS)
    promised = {}
    lock = threading.Lock()
    chosen = [a for a in sys.argv[1:] if not a.startswith("-")]

    def promise(row):
        with lock:
            if row.name not in promised:
                promised[row.name] = pool.submit(checked, row)
            return promised[row.name]

    class Rows(Case):
        @classmethod
        def setUpClass(cls):
            for row in () if chosen else rows:
                promise(row)

    def method(row):
        def test(self):
            error = promise(row).result()
            if error is not None:
                raise error
        return test

    for row in rows:
        word = "test_" + re.sub(r"[^a-z0-9]+", "_", row.name.lower()).strip(
            "_")
        setattr(Rows, word, method(row))
    Rows.__name__ = Rows.__qualname__ = name
    return Rows


def can_bind_hosts():
    """Can names be given to loopback for one program?"""
    try:
        return subprocess.run(
            ["unshare", "-rm", "true"], stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


def with_names(folder, *names):
    """What to run a program under that is to find names on loopback."""
    path = os.path.join(folder, "hosts")
    with open(path, "w") as file:
        file.write("127.0.0.1 localhost %s\n" % " ".join(names))
    return ["unshare", "-rm", "sh", "-c",
            "'mount --bind %s /etc/hosts && exec \"$@\"'" % path, "sh"]


# --- SMTP -------------------------------------------------------------------

class Smtp(Row):
    """A row for a relay; `how` goes to Relay, with a user unless it says so."""

    def peer(self, case):
        how = dict({"users": {USER: PASSWORD}}, **self.how)
        self.prepare = how.pop("prepare", None)
        how.pop("host", None)
        relay = Relay(**how)
        if self.prepare:
            self.prepare(relay)
        case.addCleanup(relay.close)
        return relay

    def route(self, case, peer, fallback):
        secret = case.secret(PASSWORD)
        login = dict(user=USER, password_file=secret) if peer.users else {}
        return peer.route(fallback=fallback, extra=self.extra,
                          host=self.how.get("host", "localhost"), **login)

    def in_clear(self, peer):
        peer.settle(2)
        if self.plain:          # tls off: there is nothing else
            return b""
        return b"".join(s.plain for s in peer.sessions)

    def in_tls(self, peer):
        return b"".join(s.secret for s in peer.sessions)


# --- SES --------------------------------------------------------------------

class Http(Row):
    """A row for an SES endpoint; `how` goes to Ses."""

    secrets = (SECRET, TOKEN)

    def peer(self, case):
        how = dict(self.how, token=TOKEN)
        prepare = how.pop("prepare", None)
        ses = Ses(**how)
        if prepare:
            prepare(ses)
        case.addCleanup(ses.close)
        return ses

    def route(self, case, peer, fallback):
        return peer.route(fallback=fallback, extra=self.extra)

    def in_clear(self, peer):
        """A secret key is sent nowhere, nor is a token but in its own field."""
        return b"".join(("%s %s\n%s" % (r.method, r.target, "\n".join(
            "%s: %s" % f for f in r.headers if f[0] !=
            "X-Amz-Security-Token"))).encode() for r in peer.requests)

    def in_tls(self, peer):
        return b"requests" if peer.requests else b""
