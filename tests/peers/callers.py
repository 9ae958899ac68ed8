"""Programs that call sendmail, and what the tests need to run them.

Recorder    a `sendmail` to put before them: notes how it was called, then runs
            the program under test as `sendmail`
Jail        this system with packages of the distribution unpacked into it, seen
            by what runs inside alone: for daemons that insist on their paths
Caller      a test case with a relay, a recorder and the comparison of what the
            caller wrote with what the relay received
"""
import base64
import contextlib
import email.utils
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import time
import unittest

import unpack
from harness import Case, SENDROUTE, crlf
from relay import Relay

# What stands in for sendmail.  A standard input that can be sought is noted and
# handed on as it is; of a pipe the bytes are noted while they pass.
RECORDER = """\
#!{python} -IS
import base64, json, os, stat, subprocess, sys, time
note = {{"argv": sys.argv[1:], "name": sys.argv[0], "uid": os.getuid()}}
seen = []
def pump(into):
    while True:
        data = os.read(0, 65536)
        if not data:
            return
        seen.append(data)
        into.write(data)
        into.flush()
try:
    kind = os.fstat(0).st_mode
except OSError:
    kind = 0
piped = stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind)
if stat.S_ISREG(kind):
    at = os.lseek(0, 0, os.SEEK_CUR)
    seen.append(os.pread(0, os.fstat(0).st_size, at))
# Python puts this one in where there is no locale.
env = {{k: v for k, v in os.environ.items() if k != "LC_CTYPE"}}
note["environ"] = dict(env)
env["SENDROUTE_CONF"] = {conf!r}
child = subprocess.Popen([{program!r}] + sys.argv[1:], env=env,
                         stdin=subprocess.PIPE if piped else None)
if piped:
    try:
        pump(child.stdin)
        child.stdin.close()
    except BrokenPipeError:
        pass
note["status"] = child.wait()
note["stdin"] = base64.b64encode(b"".join(seen)).decode()
path = os.path.join({calls!r}, "%d.%d" % (time.time_ns(), os.getpid()))
with open(path + ".new", "w") as file:
    json.dump(note, file)
os.rename(path + ".new", path)
sys.exit(note["status"] if note["status"] >= 0 else 128 - note["status"])
"""

PATIENCE = 30           # seconds that a caller may take


class Call:
    """One call of sendmail, as the recorder saw it."""

    def __init__(self, text):
        note = json.loads(text)
        self.argv, self.name, self.uid = note["argv"], note["name"], note["uid"]
        self.environ, self.status = note["environ"], note["status"]
        self.stdin = base64.b64decode(note["stdin"])


class Recorder:
    """Writes FOLDER/bin/sendmail.  Any user may call it."""

    def __init__(self, folder, conf):
        self.bin = os.path.join(folder, "bin")
        self.notes = os.path.join(folder, "calls")
        real = os.path.join(folder, "real")
        for name in (self.bin, self.notes, real):
            os.mkdir(name)
        os.chmod(self.notes, 0o1777)
        os.chmod(folder, 0o755)
        program = os.path.join(real, "sendmail")
        shutil.copy(SENDROUTE, program)     # others may not see the original
        os.chmod(program, 0o755)
        self.path = os.path.join(self.bin, "sendmail")
        self.text = RECORDER.format(python=sys.executable, conf=conf,
                                    program=program, calls=self.notes)
        with open(self.path, "w") as file:
            file.write(self.text)
        os.chmod(self.path, 0o755)

    def calls(self):
        names = sorted(n for n in os.listdir(self.notes)
                       if not n.endswith(".new"))
        found = []
        for name in names:
            with open(os.path.join(self.notes, name)) as file:
                found.append(Call(file.read()))
        return found

    def wait(self, count=1, seconds=PATIENCE):
        """The calls, as soon as there are `count` of them."""
        end = time.monotonic() + seconds
        while len(self.calls()) < count and time.monotonic() < end:
            time.sleep(0.02)
        return self.calls()


# --- packages --------------------------------------------------------------

def packages(*names):
    """The unpacked trees of these packages, or the test is skipped."""
    try:
        return [unpack.tree(name) for name in names]
    except unpack.Unavailable as e:
        raise unittest.SkipTest(str(e))


def package(name):
    return packages(name)[0]


def perl_path(root):
    """PERL5LIB for the modules of a tree, compiled ones too."""
    found = [root + "/usr/share/perl5"] + glob.glob(
        root + "/usr/lib/*/perl5/5.*") + glob.glob(root + "/usr/lib/*/perl5")
    return ":".join(d for d in found if os.path.isdir(d))


# --- jail ------------------------------------------------------------------

# $1 the folder of the jail, $2 one to share, $3 a script; the rest: trees.
# Files are added through the links of a merged /usr, and folders that are
# there already keep their modes.
ENTER = """
set -e
jail=$1 shared=$2 script=$3
shift 3
mount -t tmpfs tmpfs "$jail"
mkdir "$jail/up" "$jail/work" "$jail/top"
mount -t overlay overlay -o \
"lowerdir=/,upperdir=$jail/up,workdir=$jail/work" "$jail/top"
for tree; do
	tar -C "$tree" -cf - . | tar -C "$jail/top" --keep-directory-symlink \
	    --no-overwrite-dir --same-owner --numeric-owner -xpf -
done
mkdir -p "$jail/top$shared"
mount --bind "$shared" "$jail/top$shared"
mount -t tmpfs tmpfs "$jail/top/dev"
for name in null zero full random urandom tty; do
	: > "$jail/top/dev/$name"
	mount --bind "/dev/$name" "$jail/top/dev/$name"
done
ln -s /proc/self/fd "$jail/top/dev/fd"
mount -t proc proc "$jail/top/proc"
mount -t tmpfs tmpfs "$jail/top/run"
exec chroot "$jail/top" /bin/sh -c "$script"
"""


class Jail:
    """Run scripts with packages of the distribution in their proper places.

    A private mount and process namespace: the system itself is not touched, and
    all that was started there ends with the script.  /usr/sbin/sendmail and
    /usr/lib/sendmail are the recorder.
    """

    def __init__(self, case, *names):
        if os.getuid() != 0:
            raise unittest.SkipTest("only root can put daemons into a "
                                    "namespace of their own")
        self.trees = packages(*names)
        self.folder, self.shared = case.path("jail"), case.dir
        self.stage = case.path("stage")
        os.mkdir(self.folder)
        for name in ("/usr/sbin/sendmail", "/usr/lib/sendmail"):
            self.put(name, case.recorder.text, 0o755)
        done = subprocess.run(self.command("/bin/true"), capture_output=True,
                              timeout=PATIENCE)
        if done.returncode != 0:
            raise unittest.SkipTest("no private view of the system: " +
                                    done.stderr.decode().strip())

    def put(self, path, text, mode=0o644, owner="root", group="root"):
        """A file that is there when a script starts."""
        full = self.stage + path
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as file:
            file.write(text if isinstance(text, bytes) else text.encode())
        os.chmod(full, mode)
        shutil.chown(full, owner, group)

    def command(self, script):
        return ["unshare", "--mount", "--pid", "--fork", "--kill-child",
                "--propagation", "private", "/bin/sh", "-c", ENTER, "sh",
                self.folder, self.shared, script, *self.trees, self.stage]

    def run(self, script, environ=None, stdin=b""):
        return subprocess.run(self.command(script), input=stdin, env=environ,
                              capture_output=True, timeout=PATIENCE)

    @contextlib.contextmanager
    def running(self, script):
        """A script that goes on until the block ends."""
        with open(os.path.join(self.shared, "jail.log"), "ab+") as log:
            process = subprocess.Popen(
                self.command(script), stdin=subprocess.DEVNULL, stdout=log,
                stderr=log)
            try:
                yield process
            finally:
                process.kill()
                process.wait()


# --- test cases ------------------------------------------------------------

def split(content):
    """(fields with their line ends, body) of a message in CRLF."""
    if content.startswith(b"\r\n"):
        return [], content
    head, blank, body = content.partition(b"\r\n\r\n")
    head += b"\r\n"
    return re.findall(rb"[^\r\n].*\r\n(?:[ \t].*\r\n)*", head), blank[2:] + body


def name_of(field):
    return field.partition(b":")[0].decode("latin-1").strip().lower()


class Caller(Case):
    """A relay, a configuration that leads there, and the recorder."""

    top = ""

    def setUp(self):
        super().setUp()
        self.relay = self.start(Relay(tls="off", replies=self.replies()))
        self.conf_file = self.conf(self.relay.route(host="127.0.0.1"),
                                   top="log none\n" + self.top)
        self.recorder = Recorder(self.dir, self.conf_file)
        self.sendmail = self.recorder.path

    def replies(self):
        return None

    def environ(self, root=None, **more):
        """For a caller: the recorder comes first in PATH."""
        env = {"PATH": self.recorder.bin + ":/usr/sbin:/usr/bin:/sbin:/bin",
               "HOME": self.dir, "LC_ALL": "C.UTF-8", "LOGNAME": "alice",
               "USER": "alice", "EMAIL": ""}
        if root:
            env["LD_LIBRARY_PATH"] = unpack.library_path(root)
        env.update(more)
        return env

    def call(self, argv, stdin=b"", root=None, status=0, cwd=None, **more):
        """Run a caller.  `status` is what it has to end with."""
        done = subprocess.run(
            argv, input=stdin, env=self.environ(root, **more),
            cwd=cwd or self.dir, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, timeout=PATIENCE)
        self.said = "%s\nexit %d\n%s%s" % (
            argv, done.returncode, done.stdout.decode("utf-8", "replace"),
            done.stderr.decode("utf-8", "replace"))
        if status is not None:
            self.assertEqual(done.returncode, status, self.said)
        return done

    said = ""

    def one_call(self, argv, status=0, seconds=PATIENCE):
        """sendmail was called once, with this argv, and exited so."""
        calls = self.recorder.wait(1, seconds)
        self.assertEqual(len(calls), 1, "calls of sendmail; " + self.said +
                         self.jail_said())
        self.assertEqual(calls[0].argv, argv)
        self.assertEqual(os.path.basename(calls[0].name), "sendmail")
        self.assertEqual(calls[0].status, status, self.said + self.jail_said())
        return calls[0]

    def jail_said(self):
        try:
            with open(self.path("jail.log"), errors="replace") as file:
                return "\n" + file.read()
        except FileNotFoundError:
            return ""

    def arrived(self, call, sender, rcpts, body=None, added=None, changed=None,
                dropped=()):
        """The relay has what the caller wrote, and nothing else.

        added       {name: value or None}: fields that it has to have besides;
                    Date and Message-ID are checked for their form
        changed     {name: value as it has to arrive}
        dropped     names of the fields that must not arrive
        body        what the caller meant, with LF line ends
        """
        got = self.relay.only()
        self.assertEqual(got.mail.split()[0], "<%s>" % sender)
        self.assertEqual(sorted(got.rcpt_to), sorted(rcpts))
        self.compare(call.stdin, got.content, added or {}, changed or {},
                     dropped)
        if body is not None:
            self.same_bytes(got.body, crlf(body.encode()), "body")
        return got

    def compare(self, wrote, came, added, changed, dropped):
        due, body = split(crlf(wrote))
        kept = []
        lowered = {k.lower(): v for k, v in changed.items()}
        for field in due:
            name = name_of(field)
            if name in (d.lower() for d in dropped):
                continue
            if name in lowered:
                field = field.partition(b":")[0] + b": " + \
                    lowered.pop(name).encode() + b"\r\n"
            kept.append(field)
        self.assertEqual(lowered, {}, "fields that the caller did not write")
        fields, came_body = split(came)
        for name, value in added.items():
            mine = [f for f in fields if name_of(f) == name.lower()]
            self.assertEqual(len(mine), 1, "%s was to be added once:\n%s" % (
                name, came.decode("utf-8", "replace")))
            self.assertNotIn(name.lower(), map(name_of, kept))
            self.well_formed(name, mine[0], value)
            fields.remove(mine[0])
        self.same_bytes(b"".join(fields) + came_body, b"".join(kept) + body)

    def well_formed(self, name, field, value):
        text = field.partition(b":")[2].decode()
        if value is not None:
            self.assertEqual(text, " %s\r\n" % value)
        elif name == "Date":
            self.assertRegex(text, r"^ \w\w\w, \d\d? \w\w\w \d{4} "
                             r"\d\d:\d\d:\d\d [+-]\d{4}\r\n$")
            when = email.utils.parsedate_to_datetime(text.strip())
            self.assertLess(abs(when.timestamp() - time.time()), 120)
        elif name == "Message-ID":
            self.assertRegex(text, r"^ <[0-9a-f]+\.[0-9a-f]+@client\.test>\r\n$")
        else:
            self.fail("what is %s to be?" % name)
