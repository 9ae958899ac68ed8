"""The program in its sandbox: it is in force in every mode, what may be needed
later is there, and commands are run by a process that stands outside of it."""
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

import harness
import spooldir
from certs import certificates
from harness import (BUILD, MESSAGE, SENDROUTE, Case, clean_environment,
                     run)
from relay import SILENT, Relay
from ses import KEY, SECRET, Ses
from spooldir import ALICE, BOB, numbered

ARGS = ("-i", "-f", ALICE, BOB)


def field(pid, name, file="status"):
    try:
        with open("/proc/%d/%s" % (pid, file)) as status:
            found = re.search(r"(?m)^%s:?\s+(.*)$" % name, status.read())
        return found and found.group(1)
    except OSError:
        return None


def family(pid):
    """A process and all that come from it."""
    found = [pid]
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as file:
            for child in file.read().split():
                found += family(int(child))
    except OSError:
        pass
    return found


def ours():
    """Every process that runs the program under test."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if os.path.samefile("/proc/%s/exe" % name, SENDROUTE):
                    found.append(int(name))
            except OSError:
                pass
    return found


def alive(pid):
    return (field(pid, "State") or "X")[0] not in "ZX"


def until(true, seconds=20, what="it does not come about"):
    end = time.monotonic() + seconds
    while True:
        found = true()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(what)
        time.sleep(0.01)


HAS_FILTER = field(os.getpid(), "Seccomp") is not None


def has_landlock():
    try:
        with open("/sys/kernel/security/lsm") as file:
            return "landlock" in file.read()
    except OSError:
        return None         # not to be told


@unittest.skipUnless(HAS_FILTER, "the kernel has no seccomp")
class InForce(spooldir.Case):
    """Whoever talks to a relay does so confined."""

    def talking(self, args, stdin=MESSAGE, conf=None, name=None):
        """The processes of a run that waits for a silent relay, and the one
        that has the connection."""
        with tempfile.TemporaryFile() as file:
            file.write(stdin)
            file.seek(0)
            process = subprocess.Popen(
                [name or SENDROUTE, *args], executable=SENDROUTE, stdin=file,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                env=clean_environment(SENDROUTE_CONF=conf or self.good))
        self.addCleanup(self.end, process)
        port = self.relay.port
        with_it = until(lambda: [p for p in ours() if self.talks(p, port)],
                        what="nobody talks to the relay")
        return process, with_it

    def talks(self, pid, port):
        nodes = set()
        with open("/proc/net/tcp") as file:
            for line in file.readlines()[1:]:
                words = line.split()
                if words[2].endswith(":%04X" % port) and words[3] == "01":
                    nodes.add("socket:[%s]" % words[9])
        try:
            return any(os.readlink("/proc/%d/fd/%s" % (pid, f)) in nodes
                       for f in os.listdir("/proc/%d/fd" % pid))
        except OSError:
            return False

    def end(self, process):
        for pid in family(process.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        process.wait()

    def silent(self):
        self.relay = self.start(Relay(tls="off", replies={"mail": SILENT}))
        return self.queue_conf(self.route())

    def confined(self, pid):
        self.assertEqual(field(pid, "Seccomp"), "2")
        self.assertEqual(field(pid, "NoNewPrivs"), "1")
        self.assertRegex(field(pid, "Max core file size", "limits"), "^0 +0")

    def test_each_mode(self):
        dialogue = (b"EHLO a\r\nMAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n"
                    % (ALICE.encode(), BOB.encode()) +
                    MESSAGE.replace(b"\n", b"\r\n") + b".\r\n")
        for args, stdin, name, queued in (
                (ARGS, MESSAGE, None, False),
                (("-odb",) + ARGS, MESSAGE, None, True),
                (("-bs",), dialogue, None, False),
                (("-q",), b"", None, True), (("-q15m",), b"", None, True),
                (("example.net", ALICE, BOB), MESSAGE, "qmail-remote", False)):
            with self.subTest(args=args):
                conf = self.silent()
                if queued and args[0].startswith("-q"):
                    self.spool.put(numbered(1))
                if not queued:
                    conf = self.conf(self.route())
                process, pids = self.talking(args, stdin, conf, name)
                for pid in pids:
                    self.confined(pid)
                    if pid not in family(process.pid):
                        os.kill(pid, signal.SIGKILL)    # in the background
                self.end(process)
                for stored in self.spool.all():
                    os.unlink(stored.path)

    def test_each_worker(self):
        self.relay = self.start(Relay(tls="off", replies={"mail": SILENT}))
        conf = self.queue_conf(self.route(extra="connections 3"))
        for i in range(30):
            self.spool.put(numbered(i))
        process, _ = self.talking(("-q",), b"", conf)
        pids = until(lambda: len(family(process.pid)) >= 3 and
                     family(process.pid))
        for pid in pids:
            self.confined(pid)

    def test_what_waits_between_runs_is_there_for_the_next_configuration(self):
        conf = self.queue_conf(self.route())
        self.spool.put(numbered(1))
        process = subprocess.Popen(
            [SENDROUTE, "-q15m"], stdin=subprocess.DEVNULL,
            env=clean_environment(SENDROUTE_CONF=conf))
        self.addCleanup(self.end, process)
        until(lambda: self.relay.accepted())
        other = self.path("other")
        spool = spooldir.Spool(other)
        spool.put(numbered(2))
        self.queue_conf(self.route(), spool=other, name=os.path.basename(conf))
        process.send_signal(signal.SIGHUP)
        until(lambda: len(self.relay.accepted()) == 2)
        until(lambda: spool.names() == [])
        process.terminate()
        self.assertEqual(process.wait(20), 0)

    def test_it_can_be_switched_off(self):
        self.silent()
        _, pids = self.talking(ARGS, conf=self.conf(
            self.route(), top="sandbox off\n"))
        self.assertEqual(field(pids[0], "Seccomp"), "0")
        done = run(["--check"], conf=self.conf(
            "route r\ntype maildir\npath %s\nsenders *\n" % self.dir,
            top="sandbox off\n"))
        self.assertIn("sandbox: in force: warning off, without Landlock\n",
                      done.out)
        self.one_line(run(ARGS, MESSAGE, conf=self.conf(
            self.route(), top="sandbox maybe\n")), 78, "sandbox")

    def test_check_tells(self):
        done = run(["--check"], conf=self.conf(
            "route r\ntype maildir\npath %s\nsenders *\n" % self.dir))
        found = re.search(r"(?m)^sandbox: in force: (ok|warning) seccomp, "
                          r"(Landlock ABI \d+|without Landlock)$", done.out)
        self.assertTrue(found, str(done))
        if has_landlock() is not None:
            self.assertEqual(found.group(1) == "ok", has_landlock())

    @unittest.skipUnless(shutil.which("strace"), "there is no strace")
    def test_a_kernel_that_has_neither(self):
        """Both calls fail as they do there; the mail goes out."""
        conf = self.conf(self.route())
        for args, stdin, text in ((ARGS, MESSAGE, ""), (
                ("--check",), b"", "without seccomp, without Landlock")):
            done = subprocess.run(
                ["strace", "-f", "-qq", "-o", "/dev/null",
                 "-e", "inject=landlock_create_ruleset:error=ENOSYS",
                 "-e", "inject=prctl:error=EINVAL", SENDROUTE, *args],
                input=stdin, env=clean_environment(SENDROUTE_CONF=conf),
                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertIn(text, done.stdout.decode())
        self.relay.only()


class Elsewhere(Case):
    """All files lie where nobody may write or read unasked: not in /tmp."""

    def setUp(self):
        super().setUp()
        self.dir = tempfile.mkdtemp(prefix="sandbox-", dir=BUILD)
        self.addCleanup(shutil.rmtree, self.dir, True)
        self.log_file = self.path("log")
        self.relay = self.start(Relay())

    def route(self, **more):
        ca = shutil.copy(certificates.ca, self.path("ca.pem"))
        return self.relay.route(extra="ca-file " + ca, **more)

    def send(self, conf, *args, to=BOB, **more):
        return run(("-i", "-f", ALICE, *args, "--", to), MESSAGE, conf=conf,
                   **more)

    def test_lists_bundle_and_queue(self):
        os.mkdir(self.path("spool"))
        listed = self.write("list", "@example.com\n")
        conf = self.conf(self.route(senders=listed),
                         top="queue %s\n" % self.path("spool"))
        self.quiet(self.send(conf))
        self.quiet(self.send(conf, "-odq"))
        self.quiet(run(["-q"], conf=conf))
        self.assertEqual(len(self.relay.accepted()), 2)
        self.quiet(self.send(conf, "-odb"))
        until(lambda: len(self.relay.accepted()) == 3)
        self.assertEqual(os.listdir(self.path("spool/queue")), [])

    def test_aliases_and_the_files_that_they_name(self):
        os.mkdir(self.path("lists"))
        self.write("lists/ops", "carol@example.net\n:include:%s\n" %
                   self.write("more", "dave@example.net\n"))
        aliases = self.write("aliases", "root: bob@example.net\n"
                             "ops: :Include:%s\n" % self.path("lists/ops"))
        conf = self.conf(self.route(), top="aliases %s\n" % aliases)
        self.quiet(self.send(conf, to="root,ops"))
        self.assertEqual(self.relay.only().rcpt_to, [
            BOB, "carol@example.net", "dave@example.net"])

    def test_a_maildir_that_is_there_and_one_that_is_made(self):
        for name in ("box", "box", "other"):
            conf = self.conf("route m\ntype maildir\npath %s\nsenders *\n" %
                             self.path(name))
            self.quiet(self.send(conf))
        names = os.listdir(self.path("box/new"))
        self.assertEqual(len(names), 2)
        for name in names:              # what the kernel was asked for, too
            self.assertIn("." + socket.gethostname(), name)

    def test_a_folder_for_temporary_files(self):
        os.mkdir(self.path("tmp"))
        self.quiet(self.send(self.conf(self.route()),
                             env={"TMPDIR": self.path("tmp")}))
        self.relay.only()

    def test_the_time_zone(self):
        zone = "/usr/share/zoneinfo/Asia/Tokyo"
        if not os.path.exists(zone):
            self.skipTest("no zones are installed")
        for tz in (shutil.copy(zone, self.path("zone")), "Asia/Tokyo"):
            text = b"Subject: x\n\nx\n"
            run(ARGS, text, conf=self.conf(self.route()), env={"TZ": tz})
            self.assertIn("+0900", self.relay.only().fields("Date")[0])
            self.relay.messages.clear()

    def test_aws_files_tokens_and_commands(self):
        ses = self.start(Ses())
        ca = shutil.copy(certificates.ca, self.path("ca.pem"))
        route = ses.route(credentials="auto", extra="ca-file " + ca)
        conf = self.conf(route)
        os.makedirs(self.path("home/.aws"))
        keys = "aws_access_key_id = %s\naws_secret_access_key = %s\n" % (
            KEY, SECRET)
        self.write("home/.aws/credentials", "[default]\n" + keys)
        home = {"HOME": self.path("home")}
        self.quiet(self.send(conf, env=home))
        shared = self.write("shared", "[default]\n" + keys)
        self.quiet(self.send(conf, env={"AWS_SHARED_CREDENTIALS_FILE": shared}))
        self.write("home/.aws/credentials", "[other]\n" + keys)
        command = self.write("command", "#!/bin/sh\necho '{\"Version\": 1, "
                             "\"AccessKeyId\": \"%s\", \"SecretAccessKey\": "
                             "\"%s\"}'\n" % (KEY, SECRET), 0o755)
        self.write("home/.aws/config",
                   "[default]\ncredential_process = %s\n" % command)
        self.quiet(self.send(conf, env=home))
        self.assertEqual(len(ses.sent), 3)

    def test_a_list_that_is_made(self):
        ses = self.start(Ses())
        ca = shutil.copy(certificates.ca, self.path("ca.pem"))
        conf = self.conf(ses.route(extra="ca-file " + ca))
        self.quiet(run(["--list-verified", "--write", self.path("list")],
                       conf=conf))
        with open(self.path("list")) as file:
            self.assertIn("@example.com", file.read())
        self.quiet(run(["--list-verified", "--write", "here"], conf=conf,
                       cwd=self.dir))
        self.assertTrue(os.path.exists(self.path("here")))


SCRIPT = """#!/bin/sh
echo $$ >>%(dir)s/pids
%(does)s
"""


class Commands(spooldir.Case):
    """password-command, after the sandbox has been entered."""

    def setUp(self):
        super().setUp()
        self.relay = self.start(Relay(users={"u": "p"}))

    def command(self, does, top="", more=""):
        script = self.write("command", SCRIPT % {"dir": self.dir, "does": does},
                            0o755)
        return self.queue_conf(self.route(
            host="localhost", extra="user u\npassword-command \"exec %s\"\n%s" % (
                script, more)), top=top)

    def pids(self):
        try:
            with open(self.path("pids")) as file:
                return [int(line) for line in file.read().split()]
        except OSError:
            return []

    def test_each_mode(self):
        conf = self.command("echo p")
        self.submit(conf=conf)
        self.submit(conf=conf, args=("-odq",))
        self.quiet(run(["-q"], conf=conf))
        self.assertEqual(len(self.relay.accepted()), 2)
        done = run(["-bs"], b"EHLO a\r\nMAIL FROM:<%s>\r\nRCPT TO:<%s>\r\n"
                   b"DATA\r\nSubject: x\r\n\r\nx\r\n.\r\nQUIT\r\n" % (
                       ALICE.encode(), BOB.encode()), conf=conf)
        self.expect(done, 0)
        done = run(["example.net", ALICE, BOB], MESSAGE, conf=conf,
                   name="qmail-remote")
        self.assertTrue(done.out.startswith("r\0K"), str(done))
        self.assertEqual(len(self.relay.accepted()), 4)
        self.assertEqual(len(self.pids()), 4)
        done = run(["--check"], conf=conf)
        self.assertIn("route relay: auth: ok u\n", done.out)
        until(lambda: not any(alive(p) for p in self.helpers()))

    def helpers(self):
        return [p for p in ours() if self.dir in self.environ(p)]

    def environ(self, pid):
        try:
            with open("/proc/%d/environ" % pid) as file:
                return file.read()
        except OSError:
            return ""

    def test_in_the_background_nothing_keeps_the_caller_waiting(self):
        conf = self.command("sleep 1; echo p")
        began = time.monotonic()
        self.submit(conf=conf, args=("-odb",))      # waits for end of output
        self.assertLess(time.monotonic() - began, 0.8)
        until(lambda: self.relay.accepted())
        until(lambda: not self.helpers())

    def test_several_workers(self):
        conf = self.command("sleep 0.1; echo p", more="connections 4")
        for i in range(24):
            self.spool.put(numbered(i))
        self.quiet(run(["-q"], conf=conf))
        self.assertEqual(len(self.relay.accepted()), 24)
        self.assertGreater(len(self.relay.sessions), 1)
        self.assertEqual(len(self.pids()), len(self.relay.sessions))

    def test_it_is_not_run_when_it_is_not_needed(self):
        conf = self.command("echo p")
        self.submit(conf=conf, args=("-odq",))
        self.assertEqual(self.pids(), [])

    def test_it_ends_with_us(self):
        conf = self.command("exec sleep 60")
        process = subprocess.Popen(
            [SENDROUTE, *ARGS], stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=clean_environment(SENDROUTE_CONF=conf))
        process.stdin.write(MESSAGE)
        process.stdin.close()
        until(self.pids)
        all_of_them = family(process.pid)
        self.assertGreater(len(all_of_them), 2)
        process.kill()
        process.wait()
        until(lambda: not any(alive(p) for p in self.pids() + all_of_them))

    def test_what_goes_wrong(self):
        for does, word in (("exit 1", "failed"), ("kill -9 $$", "signal"),
                           ("true", "holds nothing")):
            conf = self.conf(self.route(host="localhost", extra="user u\n"
                             "password-command \"%s\"\n" % does))
            self.one_line(run(ARGS, MESSAGE, conf=conf), 75,
                          "password: its command.*" + word)


if __name__ == "__main__":
    harness.main()
