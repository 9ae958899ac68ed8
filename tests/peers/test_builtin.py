"""make CONFIG= SENDERS= CA=: a program that needs no file at all, what it says
of itself, what wins over it, and what is refused when it is built."""
import os
import stat
import subprocess
import unittest

import harness
from building import Jail, Names, Tree
from certs import certificates
from harness import Case, MESSAGE, crlf
from relay import Relay
from ses import Ses

SYSTEM = "/etc/ssl/certs/ca-certificates.crt"
PASSWORD = "s3cret-of-the-relay"


def without_ca(route, more=""):
    """The section, but no certificates are named in it."""
    return "\n".join(line for line in route.splitlines()
                     if "ca-file" not in line) + "\n" + more


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


class Built(Case):
    """One program with two routes, an own list, and our roots compiled in."""

    @classmethod
    def setUpClass(cls):
        cls.tree = Tree()
        cls.relay = Relay(users={"u": PASSWORD})
        cls.named = Relay(cert="named")
        cls.ses = Ses()
        cls.conf_file = cls.file("site.conf", "\n".join((
            "hostname appliance.test", "domain appliance.test", "log none",
            without_ca(cls.ses.route(senders="builtin")),
            without_ca(cls.named.route(name="named", host="relay.test",
                                       senders="carol@example.com")),
            without_ca(cls.relay.route(), "user u\npassword %s\n"
                       % PASSWORD))))
        cls.list_file = cls.file("senders", "# ours\nalice@example.com\n")
        cls.args = ("CONFIG=" + cls.conf_file, "SENDERS=" + cls.list_file,
                    "CA=" + certificates.ca)
        status, cls.said = cls.tree.make(*cls.args)
        if status != 0:
            raise AssertionError(cls.said)

    @classmethod
    def file(cls, name, text):
        path = os.path.join(cls.tree.dir, name)
        with open(path, "w") as out:
            out.write(text)
        return path

    @classmethod
    def tearDownClass(cls):
        for server in (cls.relay, cls.named, cls.ses):
            server.close()
        cls.tree.close()

    def setUp(self):
        super().setUp()
        for relay in (self.relay, self.named):
            relay.settle()
            relay.messages.clear()
            relay.sessions.clear()
        self.ses.sent.clear()
        self.jail = Jail(self.tree.program, self.path("jail"))

    def send(self, sender, args=(), status=0, **more):
        done = self.jail.run(["-i", "-f", sender, *args, "bob@example.net"],
                             MESSAGE, **more)
        self.expect(done, status)
        return done


class Nothing(Built):
    """There is no file but the program."""

    def test_a_listed_sender_goes_through_ses(self):
        self.quiet(self.send("alice@example.com"))
        self.same_bytes(self.ses.only().raw, crlf(MESSAGE))
        self.assertEqual(self.relay.messages, [])
        self.assertEqual(self.jail.files(), ["sendroute"])

    def test_another_goes_through_the_relay_with_the_password(self):
        self.quiet(self.send("dave@example.com"))
        message = self.relay.only()
        self.same_bytes(message.content, crlf(MESSAGE))
        self.assertEqual(message.mail_from, "dave@example.com")
        self.assertEqual(message.session.user, "u")
        self.assertEqual(self.ses.sent, [])

    def test_a_name_needs_resolv_conf_and_no_more(self):
        names = Names()
        self.addCleanup(names.close)
        self.jail.put("/etc/resolv.conf", "nameserver %s\n" % names.address)
        self.quiet(self.send("carol@example.com"))
        self.same_bytes(self.named.only().content, crlf(MESSAGE))
        self.assertTrue(names.asked)

    def test_the_password_is_not_shown(self):
        done = self.send("dave@example.com", ["-v"])
        self.assertIn("MAIL FROM", done.err)
        self.assertNotIn(PASSWORD, done.err + done.out)
        done = self.jail.run(["--dry-run", "-f", "dave@example.com", "b@c.de"],
                             MESSAGE)
        self.assertEqual(self.groups(done)[0]["route"], "relay")

    def test_without_a_queue_mailq_says_so(self):
        done = self.expect(self.jail.run([], name="mailq"), 0)
        self.assertEqual(done.out,
                         "there is no mail queue: none is configured\n")

    def test_version_tells(self):
        done = self.quiet_but_out(self.jail.run(["--version"]))
        self.assertIn("sender list of 2 lines\n", done.out)
        self.assertIn("built in: a configuration\n", done.out)
        self.assertIn("built in: 2 root certificates\n", done.out)

    def quiet_but_out(self, done):
        self.expect(done, 0)
        self.assertEqual(done.err, "")
        return done


class Wins(Built):
    """What is there at run time comes first."""

    def test_a_configuration_file(self):
        self.jail.put("/etc/sendroute.conf", self.relay.route(
            extra="user u\npassword %s" % PASSWORD, senders="*").replace(
            certificates.ca, "/roots"))
        with open(certificates.ca) as file:
            self.jail.put("/roots", file.read())
        self.quiet(self.send("alice@example.com"))
        self.relay.only()
        self.assertEqual(self.ses.sent, [])

    def test_one_that_is_wrong_is_not_passed_over(self):
        self.jail.put("/etc/sendroute.conf", "rout x\n")
        done = self.send("alice@example.com", status=78)
        self.assertIn("/etc/sendroute.conf:1: 'rout' is no keyword", done.err)
        self.assertEqual(self.ses.sent, [])

    def test_one_that_is_named_must_be_there(self):
        for args, env in ((["-C", "/none.conf"], {}),
                          ([], {"SENDROUTE_CONF": "/none.conf"})):
            done = self.send("alice@example.com", args, 78, env=env)
            self.assertIn("/none.conf does not exist", done.err)
        self.assertEqual(self.ses.sent, [])

    def test_a_ca_file_that_is_named(self):
        with open(certificates.authority("stranger-ca")) as file:
            self.jail.put("/roots", file.read())
        self.jail.put("/etc/sendroute.conf", "ca-file /roots\n" + without_ca(
            self.relay.route(), "user u\npassword %s\n" % PASSWORD))
        done = self.send("alice@example.com", status=75)
        self.assertIn("not in /roots", done.err)
        self.assertEqual(self.relay.messages, [])

    def test_not_what_lies_where_systems_keep_theirs(self):
        with open(certificates.authority("stranger-ca")) as file:
            self.jail.put(SYSTEM, file.read())
        self.quiet(self.send("dave@example.com"))
        self.relay.only()

    def test_the_builtin_configuration_is_named_in_errors(self):
        self.relay.users = {"u": "another"}
        try:
            done = self.send("dave@example.com", status=75)
        finally:
            self.relay.users = {"u": PASSWORD}
        self.assertIn("route relay", done.err)
        self.assertNotIn(PASSWORD, done.err)


class Roots(Built):
    def test_a_stranger_is_refused(self):
        for cert, word in (("stranger", "not in the certificates compiled in"),
                           ("self-signed", "not in the certificates compiled"),
                           ("expired", "expired on"),
                           ("other-name", "is for other.test")):
            with self.subTest(cert=cert):
                relay = self.start(Relay(cert=cert))
                self.jail.put("/etc/sendroute.conf", without_ca(relay.route()))
                done = self.send("dave@example.com", status=75)
                self.assertIn(word, done.err)
                self.assertEqual(relay.messages, [])

    def test_every_kind_of_key_and_chain(self):
        for cert in ("good", "rsa", "rsa3072", "p384", "chained", "wildcard"):
            with self.subTest(cert=cert):
                relay = self.start(Relay(cert=cert))
                self.jail.put("/etc/sendroute.conf", without_ca(relay.route()))
                self.quiet(self.send("dave@example.com"))
                self.same_bytes(relay.only().content, crlf(MESSAGE))

    def test_no_file_of_roots_is_opened(self):
        relay = self.start(Relay())
        conf = self.write("c", without_ca(relay.route()))
        trace = self.path("trace")
        done = subprocess.run(
            ["strace", "-f", "-e", "trace=open,openat", "-o", trace,
             self.tree.program, "-C", conf, "-f", "dave@example.com",
             "b@c.de"], input=MESSAGE, env=harness.clean_environment(),
            stderr=subprocess.PIPE)
        with open(trace) as file:
            text = file.read()
        if "ptrace" in text or not text:
            self.skipTest("strace cannot be used here")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertIn(conf, text)
        self.assertNotRegex(text, "/etc/ssl|/etc/pki|/certs")


class Install(Built):
    def test_modes_and_no_sample_in_force(self):
        at = self.path("at")
        status, said = self.tree.make(*self.args, "install", "DESTDIR=" + at)
        self.assertEqual(status, 0, said)
        self.assertEqual(mode(at + "/usr/local/sbin/sendroute"), 0o711)
        self.assertFalse(os.path.exists(at + "/etc/sendroute.conf"))
        self.assertTrue(os.path.exists(
            at + "/usr/local/share/doc/sendroute/sendroute.conf"))

    def test_what_was_built_is_what_is_installed_and_packed(self):
        at, out = self.path("at"), self.path("out")
        status, said = self.tree.make("install", "DESTDIR=" + at)
        self.assertEqual(status, 0, said)
        self.assertIn("as built: CONFIG=" + self.conf_file, said)
        self.assertNotIn("CC\t", said)
        with open(self.tree.program, "rb") as file:
            program = file.read()
        self.assertIn(PASSWORD.encode(), program)
        status, said = self.tree.make("dist-oci", "dist-deb")
        self.assertEqual(status, 0, said)
        self.assertNotIn("CC\t", said)
        build = self.tree.dir + "/build/"
        deb, = (name for name in os.listdir(build) if name.endswith(".deb"))
        subprocess.run(["dpkg-deb", "-x", build + deb, out], check=True)
        os.mkdir(out + "/oci")
        subprocess.run(["tar", "-xf", build + "rootfs.tar", "-C", out + "/oci"],
                       check=True)
        for name in (at + "/usr/local/sbin/", out + "/usr/sbin/",
                     out + "/oci/usr/sbin/"):
            with open(name + "sendroute", "rb") as file:
                self.assertEqual(file.read(), program, name)
            self.assertEqual(mode(name + "sendroute"), 0o711, name)
        for folder in (at, out, out + "/oci"):
            self.assertFalse(os.path.exists(folder + "/etc/sendroute.conf"))

    def test_what_was_built_is_nobody_else_s_to_read(self):
        self.assertEqual(mode(self.tree.program), 0o711)
        for name in ("builtin.conf", "builtin.list"):
            self.assertEqual(mode(self.tree.dir + "/build/" + name), 0o600)
        # Objects, images and packages too.
        self.assertEqual(mode(self.tree.dir + "/build"), 0o700)


class Refused(Case):
    """Faults are told when the program is built, and none is built then."""

    @classmethod
    def setUpClass(cls):
        cls.tree = Tree()

    @classmethod
    def tearDownClass(cls):
        cls.tree.close()

    def refused(self, *args):
        status, said = self.tree.make(*args, "build/builtin.c",
                                      "build/roots.c")
        self.assertNotEqual(status, 0, said)
        return said

    def test_a_configuration(self):
        for text, where in (
                ("rout x\n", ":1: 'rout' is no keyword"),
                ("\n\nroute x\ntype smpt\n", ":4: type 'smpt' is none"),
                ("route x\ntype smtp\nsenders *\n", ":1: route x has no host"),
                ("route x\ntype maildir\npath /m\nsenders builtin\n",
                 ":4: senders builtin, but no list")):
            file = self.write("site.conf", text)
            self.assertIn(file + where, self.refused("CONFIG=" + file))
        self.assertIn(self.path("none"),
                      self.refused("CONFIG=" + self.path("none")))

    def test_a_sender_list(self):
        file = self.write("list", "a@b.de\nnonsense\n")
        self.assertIn(file + ":2: 'nonsense' is no pattern",
                      self.refused("SENDERS=" + file))

    def certificate(self, name, kind, days="-days 30"):
        key, out = self.path(name + ".key"), self.path(name + ".pem")
        subprocess.run("openssl req -x509 -newkey %s -nodes -keyout %s -out "
                       "%s -subj /CN=%s %s" % (kind, key, out, name, days),
                       shell=True, check=True, stderr=subprocess.DEVNULL)
        with open(out) as file:
            return file.read()

    def test_roots_that_are_of_no_use(self):
        good = self.certificate("good", "ec -pkeyopt "
                                "ec_paramgen_curve:P-521")
        for name, kind, word in (
                ("big", "rsa:4104", "has an RSA key of more than 4096 bits"),
                ("small", "rsa:1024", "has an RSA key of less than 2048"),
                ("edwards", "ed25519", "has a key that is neither RSA nor")):
            file = self.write("roots", "text\n" + good +
                              self.certificate(name, kind))
            line = 2 + good.count("\n")
            said = self.refused("CA=" + file)
            self.assertIn("%s:%d: \"%s\" %s" % (file, line, name, word), said)
        file = self.write("roots", good)
        said = self.refused("CA=" + file, "SOURCE_DATE_EPOCH=4102444800")
        self.assertIn("%s:1: \"good\" has expired" % file, said)
        self.assertIn("holds no root certificate", self.refused(
            "CA=" + self.write("roots", "nothing\n")))

    def test_amazon_s_must_be_there(self):
        file = self.write("roots", self.certificate("good", "ec -pkeyopt "
                                                    "ec_paramgen_curve:P-256"))
        self.assertIn("holds no root certificate of Amazon's", self.refused(
            "CA=amazon", "SYSTEM_CA=" + file))

    def test_one_that_is_there_twice_is_taken_once(self):
        good = self.certificate("good", "ec -pkeyopt ec_paramgen_curve:P-384")
        file = self.write("roots", good + good)
        status, said = self.tree.make("CA=" + file, "build/roots.c")
        self.assertEqual(status, 0, said)
        self.assertIn("\"good\" stands in line 1 too; taken once", said)
        with open(self.tree.dir + "/build/roots.c") as built:
            self.assertIn("{ list, 1, data }", built.read())


class Least(Case):
    """The rest of `make small` takes longer: slow_small.py."""

    def test_it_links_without_any_part(self):
        tree = Tree()
        self.addCleanup(tree.close)
        status, said = tree.make("small", "WITHOUT=ses smtp dkim bs queue "
                                 "aliases maildir qmail check")
        self.assertEqual(status, 0, said)
        done = self.expect(harness.run(["--version"], program=tree.program), 0)
        self.assertIn("\nleft out: ses smtp dkim bs queue aliases maildir qmail "
                      "check\n", done.out)
        status, said = tree.make("install", "DESTDIR=" + self.path("at"))
        self.assertEqual(status, 0, said)
        at = self.path("at/usr/local/sbin/sendroute")
        self.assertEqual(harness.run(["--version"], program=at).out, done.out)
        status, said = tree.make("WITHOUT=", "install",
                                 "DESTDIR=" + self.path("at"))
        self.assertEqual(status, 0, said)
        self.assertNotIn("left out",
                         harness.run(["--version"], program=at).out)


class System(Case):
    def test_amazon_and_system(self):
        if not os.path.exists(SYSTEM):
            self.skipTest("no bundle of roots on this machine")
        tree = Tree()
        self.addCleanup(tree.close)
        counts = {}
        for which in ("amazon", "system"):
            status, said = tree.make("CA=" + which, "build/roots.c")
            self.assertEqual(status, 0, said)
            with open(tree.dir + "/build/roots.c") as built:
                text = built.read()
            counts[which] = text.count("\n/* ")
            hashes = [int(line[2:line.index("U")])
                      for line in text.splitlines() if line.startswith("{ ")]
            self.assertEqual(hashes, sorted(hashes))
        self.assertEqual(counts["amazon"], 5)
        self.assertGreater(counts["system"], 50)


if __name__ == "__main__":
    harness.main()
