"""What dist/ holds and what `make install` makes of it: modes and owners with
and without SETGID, a queue folder that stays, units and scripts that parse."""
import configparser
import grp
import os
import pwd
import re
import shutil
import stat
import subprocess
import unittest

import harness
from harness import Case, HEAD, MESSAGE, ROOT, SENDROUTE, run

GROUP = "mail"
FOLDERS = ("", "/tmp", "/queue", "/failed")
UNITS = ("sendroute-run.service", "sendroute-run.timer", "sendroute.service")


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def group(path):
    return grp.getgrgid(os.stat(path).st_gid).gr_name


class Install(Case):
    """`make install` from a copy of what it needs, so that nothing is built."""

    def setUp(self):
        super().setUp()
        os.chmod(self.dir, 0o755)
        self.tree = self.path("tree")
        os.mkdir(self.tree)
        for name in ("Makefile", "README", "LICENSE"):
            shutil.copy(os.path.join(ROOT, name), self.tree)
        for name in ("dist", "man"):
            shutil.copytree(os.path.join(ROOT, name),
                            os.path.join(self.tree, name))
        shutil.copy(SENDROUTE, os.path.join(self.tree, "sendroute"))
        self.at = self.path("at")
        self.spool = self.at + "/var/spool/sendroute"
        self.program = self.at + "/usr/local/sbin/sendroute"

    def make(self, *args, status=0, user=None):
        more = {}
        if user:
            entry = pwd.getpwnam(user)
            more = dict(user=entry.pw_uid, group=entry.pw_gid, extra_groups=[])
            subprocess.run(["chown", "-R", user, self.tree], check=True)
        done = subprocess.run(
            ["make", "-s", "-C", self.tree, "-o", "sendroute",
             "DESTDIR=" + self.at, *args], stdin=subprocess.DEVNULL,
            env=harness.clean_environment(), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, umask=0o077, **more)
        self.assertEqual(done.returncode != 0, status != 0, done.stdout)
        return done.stdout

    def files(self, below):
        return sorted(os.path.relpath(os.path.join(folder, name), below)
                      for folder, _, names in os.walk(below)
                      for name in names)


class Plain(Install):
    def test_the_program_its_names_and_its_papers(self):
        self.make("install")
        for name in ("sbin/sendroute", "sbin/sendmail", "bin/mailq",
                     "bin/newaliases", "libexec/sendroute/qmail-remote"):
            path = self.at + "/usr/local/" + name
            self.assertEqual(os.path.realpath(path), self.program)
        self.assertEqual(mode(self.program), 0o755)
        doc = self.at + "/usr/local/share/doc/sendroute"
        self.assertEqual(self.files(doc), sorted([
            "LICENSE", "README", "sendroute.conf", "cron.d/sendroute",
            "openrc/sendroute", "procd/sendroute"] +
            ["systemd/" + unit for unit in UNITS]))
        for name in self.files(doc):
            self.assertEqual(mode(os.path.join(doc, name)), 0o644, name)
        self.assertEqual(self.files(self.at + "/usr/local/share/man"),
                         ["man5/sendroute.conf.5", "man8/sendroute-qmail-remote.8",
                          "man8/sendroute.8"])

    def test_without_a_group_the_queue_is_its_owner_s(self):
        self.make("install")
        for folder in FOLDERS:
            self.assertEqual(mode(self.spool + folder), 0o700, folder)
            self.assertEqual(os.stat(self.spool + folder).st_uid, os.getuid())

    def test_a_queue_that_is_there_stays_as_it_is(self):
        os.makedirs(self.spool + "/queue")
        os.chmod(self.spool, 0o750)
        self.write(self.spool + "/queue/message", "mail", 0o640)
        self.make("install")
        self.make("install")
        self.assertEqual(mode(self.spool), 0o750)
        self.assertEqual(self.files(self.spool), ["queue/message"])

    def test_uninstall_leaves_configuration_and_queue(self):
        self.make("install")
        self.write(self.spool + "/queue/message", "mail", 0o640)
        told = self.make("uninstall")
        self.assertRegex(told, r"^the queue stays: \S+/var/spool/sendroute\n$")
        self.assertEqual(self.files(self.at), [
            "etc/sendroute.conf", "var/spool/sendroute/queue/message"])
        self.make("uninstall")

    def test_other_places(self):
        self.make("install", "PREFIX=/usr", "SPOOLDIR=/srv/mail/out")
        self.assertEqual(mode(self.at + "/srv/mail/out/queue"), 0o700)
        doc = self.at + "/usr/share/doc/sendroute"
        for name in ("cron.d", "openrc", "procd"):
            with open("%s/%s/sendroute" % (doc, name)) as file:
                text = file.read()
            self.assertIn("/usr/sbin/sendroute", text)
            self.assertNotRegex(text, "/usr/local|/var/spool/sendroute")
        with open(doc + "/systemd/sendroute.service") as file:
            self.assertIn("\nReadWritePaths=/srv/mail/out\n", file.read())


@unittest.skipIf(os.getuid() != 0, "only root can give files away")
class SetGid(Install):
    def check(self, owner="root"):
        self.assertEqual((mode(self.program), group(self.program)),
                         (0o2755, GROUP))
        for folder in FOLDERS:
            path = self.spool + folder
            self.assertEqual((mode(path), group(path), os.stat(path).st_uid),
                             (0o2770, GROUP, 0), folder)

    def test_modes_and_owners(self):
        self.assertEqual(self.make("install", "SETGID=" + GROUP), "")
        self.check()

    def test_again_and_over_one_without_a_group(self):
        self.make("install")
        path = self.write(self.spool + "/queue/message", "mail", 0o640)
        os.chown(path, 1, 2)
        before = os.stat(path)
        for _ in range(2):
            self.make("install", "SETGID=" + GROUP)
            self.check()
        after = os.stat(path)
        self.assertEqual((after.st_uid, after.st_gid, after.st_mode,
                          after.st_mtime_ns, after.st_ctime_ns),
                         (before.st_uid, before.st_gid, before.st_mode,
                          before.st_mtime_ns, before.st_ctime_ns))

    def test_back_to_none_the_program_lends_nothing(self):
        self.make("install", "SETGID=" + GROUP)
        self.make("install")
        self.assertEqual(mode(self.program), 0o755)

    def test_a_group_that_is_none(self):
        told = self.make("install", "SETGID=no-such-group", status=2)
        self.assertEqual([line for line in told.splitlines()
                          if not line.startswith("make: ***")],
                         ["make-queue: there is no group no-such-group "
                          "(groupadd --system no-such-group makes it)"])
        self.assertFalse(os.path.exists(self.at))

    def test_a_link_in_the_folder_is_not_followed(self):
        self.make("install", "SETGID=" + GROUP)
        other = self.path("other")
        os.mkdir(other, 0o700)
        os.rmdir(self.spool + "/failed")
        os.symlink(other, self.spool + "/failed")
        told = self.make("install", "SETGID=" + GROUP, status=2)
        self.assertIn("make-queue: cannot give ", told)
        self.assertEqual((mode(other), group(other)), (0o700, "root"))

    def test_who_is_not_root_is_told_what_is_left_to_do(self):
        os.mkdir(self.at)
        shutil.chown(self.at, "nobody")
        told = self.make("install", "SETGID=" + GROUP, user="nobody")
        self.assertEqual(told, "not root: left for you to do: sendroute "
                         "root:mail 2755, %s and its folders root:mail 2770\n"
                         % self.spool)
        self.assertEqual(mode(self.program), 0o755)
        for folder in FOLDERS:
            self.assertEqual(mode(self.spool + folder), 0o700)

    def in_there(self, *args, stdin=b""):
        """Run the program as nobody, with DESTDIR for the whole system."""
        entry = pwd.getpwnam("nobody")

        def enter():
            os.chroot(self.at)
            os.chdir("/")
            os.setgroups([])
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)
        argv = ["/usr/local/sbin/sendroute", *args]
        done = subprocess.run(argv, input=stdin, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, preexec_fn=enter,
                              env=harness.clean_environment())
        return harness.Done(argv, done.returncode, done.stdout, done.stderr, 0)

    def configured(self):
        os.mkdir(self.at + "/tmp")
        os.chmod(self.at + "/tmp", 0o1777)
        self.write(self.at + "/etc/sendroute.conf",
                   "hostname client.test\nlog none\n"
                   "queue /var/spool/sendroute\nroute none\ntype smtp\n"
                   "host unix:/none\ntls off\nsenders *\n")
        if os.statvfs(self.program).f_flag & os.ST_NOSUID:
            self.skipTest("no set-id programs in the temporary folder")

    def nobody(self, *command):
        entry = pwd.getpwnam("nobody")
        return subprocess.run(command, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, user=entry.pw_uid,
                              group=entry.pw_gid, extra_groups=[]).returncode

    def test_a_user_can_add_to_the_queue_and_do_no_more(self):
        self.make("install", "SETGID=" + GROUP)
        self.configured()
        self.quiet(self.in_there("-i", "-odq", "-f", "alice@example.com",
                                 "bob@example.net", stdin=MESSAGE))
        names = os.listdir(self.spool + "/queue")
        self.assertEqual(len(names), 1)
        path = self.spool + "/queue/" + names[0]
        with open(path, "rb") as file:
            data = file.read()
        self.assertTrue(data.endswith(harness.crlf(MESSAGE)))
        self.assertIn(b"\nuid %010d\n" % pwd.getpwnam("nobody").pw_uid, data)
        self.assertEqual(group(path), GROUP)
        self.assertEqual(mode(path) & 0o007, 0)
        for command in (["ls", self.spool], ["ls", self.spool + "/queue"],
                        ["cat", path], ["rm", path],
                        ["truncate", "-s0", path],
                        ["touch", self.spool + "/queue/other"]):
            self.assertNotEqual(self.nobody(*command), 0, command)

    def test_without_a_group_only_root_can(self):
        self.make("install")
        self.configured()
        self.one_line(self.in_there("-i", "-f", "alice@example.com",
                                    "bob@example.net", stdin=MESSAGE), 73,
                      "/var/spool/sendroute")
        self.assertEqual(self.files(self.spool), [])


class Scripts(Case):
    """Each file of dist/ is read by what it is for, where that is at hand."""

    def dist(self, name):
        return os.path.join(ROOT, "dist", name)

    def text(self, name):
        with open(self.dist(name), encoding="ascii") as file:
            return file.read()

    def test_shell(self):
        for name in ("make-queue", "fetch-deps", "cross", "openrc/sendroute",
                     "procd/sendroute"):
            with self.subTest(name=name):
                done = subprocess.run(["sh", "-n", self.dist(name)],
                                      stderr=subprocess.PIPE, text=True)
                self.assertEqual((done.stderr, done.returncode), ("", 0))
                self.assertTrue(os.access(self.dist(name), os.X_OK))

    def scripted(self, name, helpers, call):
        """What the init script asks of its framework."""
        stub = "".join('%s() { echo "%s $*"; }\n' % (h, h) for h in helpers)
        done = subprocess.run(
            ["sh", "-eu", "-c", stub + '. "$0"\n' + call, self.dist(name)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=harness.clean_environment(RC_SVCNAME="sendroute"))
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def test_openrc(self):
        helpers = ("need", "use", "ebegin", "eend", "supervise-daemon")
        told = self.scripted("openrc/sendroute", helpers[:4],
                             'depend; echo "$supervisor $command" '
                             '"$command_args"')
        self.assertIn("supervise-daemon /usr/local/sbin/sendroute -q15m\n",
                      told)
        self.assertIn("--signal HUP", self.text("openrc/sendroute"))

    def test_procd(self):
        helpers = ["procd_" + word for word in (
            "open_instance", "close_instance", "set_param", "send_signal")]
        queue = self.path("spool/sendroute")
        told = self.scripted("procd/sendroute", helpers, "QUEUE=%s\n"
                             "start_service; reload_service" % queue)
        self.assertIn("procd_set_param command /usr/local/sbin/sendroute "
                      "-q15m\n", told)
        self.assertTrue(told.endswith("procd_send_signal sendroute * HUP\n"))
        self.assertEqual(mode(queue), 0o700)

    def test_cron(self):
        lines = [line for line in self.text("cron.d/sendroute").splitlines()
                 if not line.startswith("#")]
        self.assertEqual(len(lines), 1)
        self.assertRegex(lines[0], r"^\*/5( \*){4}\troot\t/usr/local/sbin/"
                                   r"sendroute -q 2>&1 \| logger ")

    def unit(self, name):
        parser = configparser.ConfigParser(delimiters="=", strict=True,
                                           comment_prefixes="#",
                                           interpolation=None)
        parser.optionxform = str
        parser.read_string(self.text("systemd/" + name))
        return parser

    def test_units(self):
        self.assertEqual(sorted(os.listdir(self.dist("systemd"))),
                         sorted(UNITS))
        run_once, timer, stay = map(self.unit, UNITS)
        self.assertEqual(run_once["Service"]["ExecStart"],
                         "/usr/local/sbin/sendroute -q")
        self.assertEqual(stay["Service"]["ExecStart"],
                         "/usr/local/sbin/sendroute -q15m")
        self.assertEqual(timer["Timer"]["Persistent"], "yes")
        fence = [{key: unit["Service"][key] for key in unit["Service"]
                  if re.match("Protect|Restrict|Private|System|Cap|No|Read|"
                              "Lock|Memory|UMask|Env", key)}
                 for unit in (run_once, stay)]
        self.assertEqual(fence[0], fence[1])
        self.assertGreater(len(fence[0]), 18)

    @unittest.skipUnless(shutil.which("systemd-analyze"),
                         "there is no systemd-analyze")
    def test_systemd_takes_the_units(self):
        for name in UNITS:
            self.write(name, self.text("systemd/" + name).replace(
                "/usr/local/sbin/sendroute", SENDROUTE))
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no",
             *map(self.path, UNITS)], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
            env=harness.clean_environment(SYSTEMD_UNIT_PATH=self.dir + ":"))
        if "Failed to initialize manager" in done.stdout:
            self.skipTest("systemd-analyze does not work here")
        self.assertEqual((done.stdout, done.returncode), ("", 0))


class Sample(Case):
    """dist/sendroute.conf with each of its examples switched on."""

    def test_it_loads_as_it_is_and_with_every_line(self):
        with open(os.path.join(ROOT, "dist", "sendroute.conf")) as file:
            text = file.read()
        self.assertEqual(re.findall(r"(?m)^[^#\n].*", text), [])
        lines = re.findall(r"(?m)^#(\w.*|\t\S.*)", text)
        known = "\n".join(lines)
        for word in ("queue", "queue-lifetime", "queue-warn", "bounce-to",
                     "connections", "rate"):
            self.assertRegex(known, r"(?m)^\s*%s\s" % word)
        known = re.sub(r"(?m)^(\s*(?:log|ca-file)\s).*", r"", known)
        for word, content in (("senders", "alice@example.com\n"),
                              ("password-file", "secret\n")):
            known = re.sub(r"(?m)^(\s*%s\s+)/\S+" % word,
                           lambda m: m.group(1) + self.write(word, content,
                                                             0o600), known)
        os.mkdir(self.path("queue"))
        known = re.sub(r"(?m)^(queue\s+)\S+", r"\1" + self.path("queue"), known)
        conf = self.write("conf", "log none\n" + known)
        done = run(["--dry-run", "bob@example.net"], HEAD, conf=conf)
        self.assertEqual(len(self.groups(done)), 1, str(done))


if __name__ == "__main__":
    harness.main()
