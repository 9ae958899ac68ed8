"""The Debian package: built, installed into a root of its own with dpkg --root,
used from there, removed, and purged."""
import os
import re
import shutil
import stat
import subprocess
import unittest

import harness
from certs import certificates
from harness import MESSAGE, crlf
from relay import Relay
from test_dist import Install

ARGS = ("-i", "-f", "alice@example.com", "bob@example.net")
FOLDERS = ("", "/tmp", "/queue", "/failed")


@unittest.skipUnless(shutil.which("dpkg-deb"), "there is no dpkg-deb")
class Package(Install):

    def build(self, **env):
        """Path of a new package."""
        done = subprocess.run(
            ["make", "-s", "-C", self.tree, "-o", "sendroute", "VERSION=1.2-3",
             "dist-deb"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, umask=0o077,
            env=harness.clean_environment(**env))
        self.assertEqual((done.stdout, done.returncode), ("", 0))
        found, = (name for name in os.listdir(self.tree + "/build")
                  if name.endswith(".deb"))
        return os.path.join(self.tree, "build", found)

    def field(self, package, name):
        return subprocess.run(["dpkg-deb", "-f", package, name], text=True,
                              stdout=subprocess.PIPE).stdout.strip()


class Built(Package):

    def test_what_it_says_of_itself(self):
        package = self.build()
        for name, value in (("Package", "sendroute"), ("Version", "1.2+3"),
                            ("Provides", "mail-transport-agent"),
                            ("Conflicts", "mail-transport-agent"),
                            ("Replaces", "mail-transport-agent")):
            self.assertEqual(self.field(package, name), value)
        self.assertNotIn("debconf", self.field(package, "Depends"))

    def test_the_same_each_time(self):
        both = []
        for _ in range(2):
            with open(self.build(SOURCE_DATE_EPOCH="1700000000"), "rb") as file:
                both.append(file.read())
        self.assertEqual(*both)

    @unittest.skipUnless(shutil.which("lintian"), "there is no lintian")
    def test_lintian(self):
        done = subprocess.run(
            ["lintian", "--allow-root", "--fail-on", "error,warning",
             self.build()], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)
        self.assertEqual((done.stdout, done.returncode), ("", 0))


@unittest.skipIf(os.getuid() != 0, "only root can install a package")
class Installed(Package):

    def setUp(self):
        super().setUp()
        self.root = self.path("root")
        for folder in ("etc", "tmp", "var/lib/dpkg/info",
                       "var/lib/dpkg/updates"):
            os.makedirs(self.root + "/" + folder)
        os.chmod(self.root + "/tmp", 0o1777)
        for name, text in (
                ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"
                 "nobody:x:65534:65534::/:/bin/sh\n"),
                ("etc/group", "root:x:0:\nmail:x:8:\nnogroup:x:65534:\n"),
                ("etc/hosts", "127.0.0.1 localhost\n"),
                ("var/lib/dpkg/status", ""), ("var/lib/dpkg/available", "")):
            self.write("root/" + name, text)
        shutil.copy("/etc/login.defs", self.root + "/etc")
        self.spool = self.root + "/var/spool/sendroute"

    def dpkg(self, *args):
        # Neither the shell nor the commands of the scripts are in that root.
        done = subprocess.run(
            ["dpkg", "--root=" + self.root, "--force-script-chrootless",
             "--force-depends", "--log=/dev/null", *args],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
            env=harness.clean_environment(DEBIAN_FRONTEND="noninteractive"))
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def install(self):
        self.dpkg("-i", self.build())

    def state(self):
        return subprocess.run(
            ["dpkg-query", "--admindir=" + self.root + "/var/lib/dpkg", "-W",
             "-f=${Status}", "sendroute"], stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True).stdout

    def group(self):
        with open(self.root + "/etc/group") as file:
            return int(re.search(r"(?m)^sendroute:[^:]*:(\d+):",
                                 file.read()).group(1))

    def facts(self, path):
        found = os.stat(path)
        return stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid

    def inside(self, *argv, stdin=MESSAGE, user=0):
        def enter():
            os.chroot(self.root)
            os.chdir("/")
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
        done = subprocess.run(argv, input=stdin, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, preexec_fn=enter,
                              env={"PATH": "/usr/sbin:/usr/bin"}, timeout=60)
        return harness.Done(argv, done.returncode, done.stdout, done.stderr, 0)

    def configured(self, relay):
        self.write("root/roots.pem", open(certificates.ca).read())
        with open(self.root + "/etc/sendroute.conf", "a") as file:
            file.write("hostname client.test\nlog none\n" +
                       relay.route().replace(certificates.ca, "/roots.pem"))

    def test_files_and_modes(self):
        self.install()
        self.assertEqual(self.state(), "install ok installed")
        gid = self.group()
        self.assertEqual(self.facts(self.root + "/usr/sbin/sendroute"),
                         (0o2755, 0, gid))
        for folder in FOLDERS:
            self.assertEqual(self.facts(self.spool + folder), (0o2770, 0, gid))
        self.assertEqual(self.facts(self.root + "/etc/sendroute.conf"),
                         (0o644, 0, 0))
        for name in ("usr/sbin/sendmail", "usr/lib/sendmail", "usr/bin/mailq",
                     "usr/bin/newaliases", "usr/libexec/sendroute/qmail-remote"):
            self.assertEqual(os.path.realpath(self.root + "/" + name),
                             self.root + "/usr/sbin/sendroute")
        for name in ("lib/systemd/system/sendroute-run.service",
                     "etc/cron.d/sendroute"):
            with open(self.root + "/" + name) as file:
                text = file.read()
            self.assertIn("/usr/sbin/sendroute -q", text)
            self.assertNotIn("/usr/local", text)
        wanted = self.root + "/etc/systemd/system/timers.target.wants"
        if shutil.which("deb-systemd-helper"):
            self.assertEqual(os.listdir(wanted), ["sendroute-run.timer"])

    def test_every_user_can_queue_and_root_sends(self):
        self.install()
        relay = self.start(Relay())
        if os.statvfs(self.root).f_flag & os.ST_NOSUID:
            self.skipTest("no set-id programs in the temporary folder")
        self.configured(relay)
        self.quiet(self.inside("/usr/sbin/sendmail", "-odq", *ARGS,
                               user=65534))
        self.assertEqual(relay.messages, [])
        self.quiet(self.inside("/usr/sbin/sendroute", "-qf", stdin=b""))
        self.same_bytes(relay.only().content, crlf(MESSAGE))

    def test_without_a_route_mail_is_kept(self):
        self.install()
        done = self.inside("/usr/sbin/sendmail", *ARGS)
        self.expect(done, 0)
        self.assertEqual(len(os.listdir(self.spool + "/queue")), 1)

    def test_an_upgrade_keeps_configuration_mode_and_mail(self):
        self.install()
        self.inside("/usr/sbin/sendmail", "-odq", *ARGS)
        conf = self.write("root/etc/sendroute.conf", "log none\n")
        self.install()
        self.assertEqual(open(conf).read(), "log none\n")
        self.assertEqual(self.facts(self.root + "/usr/sbin/sendroute"),
                         (0o2755, 0, self.group()))
        self.assertEqual(len(os.listdir(self.spool + "/queue")), 1)

    def test_an_administrator_s_mode_stays(self):
        self.write("root/var/lib/dpkg/statoverride",
                   "root root 0700 /usr/sbin/sendroute\n")
        self.install()
        self.assertEqual(self.facts(self.root + "/usr/sbin/sendroute"),
                         (0o700, 0, 0))

    def test_removed_and_purged(self):
        self.install()
        self.dpkg("-r", "sendroute")
        self.assertEqual(self.state(), "deinstall ok config-files")
        self.assertTrue(os.path.exists(self.root + "/etc/sendroute.conf"))
        self.assertFalse(os.path.lexists(self.root + "/usr/sbin/sendmail"))
        self.dpkg("-P", "sendroute")
        self.assertEqual(self.state(), "")
        left = [os.path.relpath(os.path.join(folder, name), self.root)
                for folder, folders, names in os.walk(self.root)
                for name in names + folders
                if "sendroute" in name or "mail" in name]
        self.assertEqual(left, [])

    def test_a_purge_leaves_mail(self):
        self.install()
        self.inside("/usr/sbin/sendmail", "-odq", *ARGS)
        told = self.dpkg("-P", "sendroute")
        self.assertIn("there is mail in %s: it stays\n" % self.spool, told)
        self.assertEqual(len(os.listdir(self.spool + "/queue")), 1)


if __name__ == "__main__":
    harness.main()
