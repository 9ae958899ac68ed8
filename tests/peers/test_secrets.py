"""Secrets in the memory of the program: while it waits, each is in the one place
from which the next connection needs it, and nowhere else; nor can they be had by
other ways."""
import base64
import os
import re
import subprocess
import unittest

import harness
from awsfakes import Imds, Sts
from harness import (MESSAGE, SENDROUTE, Case, clean_environment, for_others,
                     run)
from proxies import Proxy
from relay import SILENT, Relay
from ses import KEY, SECRET, Ses
from test_sandbox import family, until

PASSWORD = "Zq7-seCret.Passw0rd/9xY"
# As long as they are: what is written over its beginning leaves the rest.
TOKEN = "ya29." + "".join("%04x" % (i * 7919 % 65521) for i in range(400))
ARGS = ("-i", "-f", "alice@example.com", "bob@example.net")
MAIL = (b"EHLO a\r\nMAIL FROM:<alice@example.com>\r\nRCPT TO:<bob@example.net>"
        b"\r\nDATA\r\n" + MESSAGE.replace(b"\n", b"\r\n") + b".\r\n")


def pieces(secret):
    """The secret, and of one that is long pieces too."""
    if len(secret) < 64:
        return [secret]
    return [secret[at:at + 24] for at in range(0, len(secret) - 24, 48)]


def forms(piece):
    """In the clear and wherever it may stand in base64."""
    found = [piece.encode()]
    for before in range(3):
        text = base64.b64encode(b"x" * before + piece.encode())
        found.append(text[(0, 2, 3)[before]:len(text) - 4])
    return found


def memory(pid):
    """(name of the place, bytes) of all that it can read of itself."""
    with open("/proc/%d/maps" % pid) as maps, \
            open("/proc/%d/mem" % pid, "rb", 0) as mem:
        for line in maps:
            words = line.split()
            low, high = (int(x, 16) for x in words[0].split("-"))
            name = words[5] if len(words) > 5 else ""
            if "r" in words[1] and name not in ("[vvar]", "[vsyscall]",
                                                "[vvar_vclock]"):
                try:
                    mem.seek(low)
                    yield name, mem.read(high - low)
                except OSError:
                    pass


@unittest.skipUnless(os.getuid() == 0, "needs root")
class Memory(Case):
    def copies(self, process, secret):
        """How many there are of it, in all processes of a run; and what is
        around them."""
        most, around = 0, []
        for piece in pieces(secret):
            count = 0
            for pid in family(process.pid):
                for name, data in memory(pid):
                    for form in forms(piece):
                        for at in re.finditer(re.escape(form), data):
                            count += 1
                            around.append((name, data[max(0, at.start() - 40):
                                                      at.end() + 20]))
            most = max(most, count)
        return most, around

    def holds(self, process, secret, most):
        count, around = self.copies(process, secret)
        self.assertEqual(count, most, around[:6])

    def begin(self, args, conf, stdin, **env):
        process = subprocess.Popen(
            [SENDROUTE, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=clean_environment(SENDROUTE_CONF=conf, HOME=self.dir, **env))
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stdin.close)
        process.stdin.write(stdin)
        process.stdin.flush()
        return process

    # --- relays ---

    def logged_in(self, where, auth, secret=PASSWORD, replies=None,
                  extensions=None):
        """It has logged in and waits for the answer to MAIL."""
        more = {"extensions": extensions} if extensions else {}
        relay = self.start(Relay(users={"u": secret}, replies=dict(
            {"mail": SILENT}, **(replies or {})), **more))
        conf = self.conf(relay.route(extra="user u\nauth %s\n%s" % (
            auth, where)))
        process = self.begin(ARGS, conf, MESSAGE)
        process.stdin.close()
        until(lambda: any(s.user and "MAIL" in s.verbs()
                          for s in relay.sessions))
        return process

    def test_a_password(self):
        """From a file or the configuration: one, for the next connection. From
        a command: none."""
        for auth in ("plain", "login", "auto"):
            for where, most in (
                    ("password-file " + self.secret(PASSWORD), 1),
                    ("password " + PASSWORD, 1),
                    ("password-command \"cat %s\"" % self.secret(PASSWORD),
                     0)):
                with self.subTest(auth=auth, where=where):
                    self.holds(self.logged_in(where, auth), PASSWORD, most)

    def test_a_token(self):
        for auth in ("xoauth2", "oauthbearer"):
            for where, most in (
                    ("password-file " + self.secret(TOKEN), 1),
                    ("password-command \"cat %s\"" % self.secret(TOKEN), 0)):
                with self.subTest(auth=auth, where=where):
                    process = self.logged_in(
                        where, auth, TOKEN, {"auth": "235 2.7.0 ok"},
                        ("AUTH " + auth.upper(),))
                    self.holds(process, TOKEN, most)

    def test_the_login_of_a_proxy(self):
        """One, in the URL that the next connection needs."""
        for kind in ("http", "socks"):
            with self.subTest(kind=kind):
                relay = self.start(Relay(replies={"mail": SILENT}))
                proxy = self.start(Proxy(
                    kind, (b"u", PASSWORD.encode()),
                    {"localhost:%d" % relay.port: relay.port}))
                conf = self.conf(relay.route(extra="proxy " + proxy.url(
                    "u:%s@" % PASSWORD.replace("/", "%2F"))))
                process = self.begin(ARGS, conf, MESSAGE)
                process.stdin.close()
                until(lambda: any("MAIL" in s.verbs()
                                  for s in relay.sessions))
                self.holds(process, PASSWORD.partition("/")[0], 1)
                self.holds(process, PASSWORD, 0)        # it is encoded there

    # --- SES ---

    def idle(self, conf, **env):
        """It has sent a message, and keeps the connection for the next."""
        process = self.begin(("-bs",), conf, MAIL, **env)
        for line in process.stdout:
            if b" taken as " in line or line[:1] in b"45":
                break
        self.assertIn(b"taken as", line)
        return process

    def test_keys(self):
        ses = self.start(Ses())
        os.mkdir(self.path(".aws"))
        given = "access-key-id %s\nsecret-access-key-file %s" % (
            KEY, self.secret(SECRET))
        file = self.write("keys", "[default]\naws_access_key_id=%s\n"
                          "aws_secret_access_key=%s\n" % (KEY, SECRET), 0o600)
        command = self.write("command", "#!/bin/sh\necho '{\"Version\": 1, "
                             "\"AccessKeyId\": \"%s\", \"SecretAccessKey\": "
                             "\"%s\"}'\n" % (KEY, SECRET), 0o755)
        config = self.write("config", "[default]\ncredential_process = %s\n" %
                            command)
        for most, how, env in (
                # what the configuration gave, and what signs
                (2, dict(credentials=None, extra=given), {}),
                # in the environment, and what signs
                (2, dict(credentials="env"), dict(
                    AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET)),
                (1, dict(credentials="auto"), dict(
                    AWS_SHARED_CREDENTIALS_FILE=file)),
                (1, dict(credentials="auto"), dict(AWS_CONFIG_FILE=config))):
            with self.subTest(how=how):
                process = self.idle(self.conf(ses.route(**how)), **env)
                self.holds(process, SECRET, most)

    def test_keys_that_were_asked_for(self):
        """One each; and nothing of what they were asked for with."""
        ses = self.start(Ses())
        imds = self.start(Imds(ses))
        process = self.idle(self.conf(ses.route(credentials="imds")),
                            AWS_EC2_METADATA_DISABLED=None,
                            AWS_EC2_METADATA_SERVICE_ENDPOINT=imds.url)
        self.holds(process, "secret+/" + imds.issued[-1], 1)
        self.holds(process, "token+/==" + imds.issued[-1], 1)
        self.holds(process, "token-of-imds", 0)
        sts = self.start(Sts(ses))
        token = "eyJ" + TOKEN[5:]
        sts.tokens = [token]
        web = self.write("web", token + "\n", 0o600)
        process = self.idle(
            self.conf(ses.route(credentials="auto")),
            AWS_WEB_IDENTITY_TOKEN_FILE=web,
            AWS_ROLE_ARN="arn:aws:iam::123456789012:role/mail",
            AWS_ENDPOINT_URL_STS=sts.url)
        self.holds(process, "secret+/" + sts.issued[-1], 1)
        self.holds(process, "token+/==" + sts.issued[-1], 1)
        self.holds(process, token, 0)

    def test_a_key_for_dkim(self):
        """Of the PEM text nothing is left; the numbers in it stay, once."""
        relay = self.start(Relay(tls="off", replies={"dot": SILENT}))
        key = self.path("dkim")
        os.mkdir(key)
        self.expect(run(["--dkim-keygen", key, "s1"],
                        conf=self.conf(relay.route())), 0)
        pem = [os.path.join(key, n) for n in os.listdir(key)
               if b"PRIVATE" in open(os.path.join(key, n), "rb").read()][0]
        with open(pem) as file:
            lines = [line for line in file.read().splitlines()
                     if "-" not in line]
        der = base64.b64decode("".join(lines))
        conf = self.conf(relay.route(extra="dkim-domain example.com\n"
                                     "dkim-selector s1\ndkim-key " + pem))
        process = self.begin(ARGS, conf, MESSAGE)
        process.stdin.close()
        until(lambda: any(m.whole for m in relay.messages))
        self.assertIn(b"DKIM-Signature", relay.messages[0].content)
        found = 0
        for name, data in memory(process.pid):
            for line in lines[3:-1]:
                self.assertNotIn(line.encode(), data)
            found += data.count(der[600:640])
        self.assertLessEqual(found, 1)


@unittest.skipUnless(os.getuid() == 0, "needs root")
class Others(Case):
    """Another process of the same user."""

    def test_what_can_be_looked_at(self):
        os.chmod(self.dir, 0o755)
        relay = self.start(Relay(tls="off", replies={"mail": SILENT}))
        conf = self.conf(relay.route(), top="log none\n")
        process = subprocess.Popen(
            [for_others(SENDROUTE), *ARGS], stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL, user="nobody", group="nogroup",
            extra_groups=[], env=clean_environment(
                SENDROUTE_CONF=conf, AWS_SECRET_ACCESS_KEY=SECRET))
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        process.stdin.write(MESSAGE)
        process.stdin.close()
        until(lambda: any("MAIL" in s.verbs() for s in relay.sessions))
        look = ("import os, ctypes\n"
                "for f in ('environ', 'mem', 'maps', 'exe', 'fd'):\n"
                "    p = '/proc/%d/' + f\n"
                "    try:\n"
                "        os.readlink(p) if f == 'exe' else os.listdir(p) \\\n"
                "            if f == 'fd' else open(p, 'rb').read()\n"
                "        print(f)\n"
                "    except OSError: pass\n"
                "if ctypes.CDLL(None).ptrace(16, %d, None, None) == 0:\n"
                "    print('ptrace')\n" % ((process.pid,) * 2))
        done = subprocess.run(["/usr/bin/python3", "-c", look], user="nobody",
                              group="nogroup", extra_groups=[], cwd="/",
                              capture_output=True, text=True)
        self.assertEqual((done.stdout, done.stderr), ("", ""))
        self.assertEqual(os.stat("/proc/%d/environ" % process.pid).st_uid, 0)
        # It is the program's doing, and not the system's.
        sleep = subprocess.Popen(["/bin/sleep", "60"], user="nobody",
                                 group="nogroup", extra_groups=[])
        self.addCleanup(sleep.wait)
        self.addCleanup(sleep.kill)
        done = subprocess.run(["/usr/bin/python3", "-c", look.replace(
            str(process.pid), str(sleep.pid))], user="nobody",
            group="nogroup", extra_groups=[], cwd="/", capture_output=True,
            text=True)
        self.assertIn("environ", done.stdout)

    def test_no_core_is_dumped(self):
        relay = self.start(Relay(tls="off", replies={"mail": SILENT}))
        process = subprocess.Popen(
            [SENDROUTE, *ARGS], stdin=subprocess.PIPE, cwd=self.dir,
            stderr=subprocess.DEVNULL,
            env=clean_environment(SENDROUTE_CONF=self.conf(relay.route())))
        process.stdin.write(MESSAGE)
        process.stdin.close()
        until(lambda: any("MAIL" in s.verbs() for s in relay.sessions))
        process.send_signal(11)
        _, status = os.waitpid(process.pid, 0)
        process.returncode = 0
        self.assertFalse(os.WCOREDUMP(status))


class Files(Case):
    """Each kind of file with a secret: what others can read is warned about, by
    --check and in the log; what others can write is not believed."""

    def setUp(self):
        super().setUp()
        self.relay = self.start(Relay(users={"u": PASSWORD}))
        self.open = self.start(Relay())
        self.ses = self.start(Ses(key=KEY, secret=SECRET))
        for name in ("rsa", "pair"):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048",
                            "-nodes", "-subj", "/CN=c.test", "-keyout",
                            self.path(name), "-out", self.path(name + ".crt")],
                           check=True, stderr=subprocess.DEVNULL)

    def kinds(self):
        """(keyword, file, route, environment)"""
        route = self.relay.route
        password = self.secret(PASSWORD, "password")
        key = self.secret(SECRET, "secret-key")
        shared = self.secret("[default]\naws_access_key_id = %s\n"
                             "aws_secret_access_key = %s" % (KEY, SECRET),
                             "credentials")
        rsa, pair = self.path("rsa"), self.path("pair")
        return (
            ("password-file", password,
             route(extra="user u\npassword-file " + password), {}),
            ("secret-access-key-file", key,
             self.ses.route(credentials="", extra="access-key-id %s\n"
                            "secret-access-key-file %s" % (KEY, key)), {}),
            ("dkim-key", rsa,
             self.open.route(extra="dkim-domain example.com\ndkim-selector s\n"
                   "dkim-key " + rsa), {}),
            ("client-key", pair,
             self.open.route(extra="client-cert %s.crt\nclient-key %s" % (
                 pair, pair)), {}),
            ("credentials", shared, self.ses.route(credentials="file"),
             {"AWS_SHARED_CREDENTIALS_FILE": shared}))

    def taken(self):
        return len(self.relay.settle().messages) + \
            len(self.open.settle().messages) + len(self.ses.sent)

    def test_modes(self):
        for kind, path, route, env in self.kinds():
            for mode in (0o600, 0o640, 0o644, 0o620, 0o602):
                with self.subTest(kind=kind, mode=oct(mode)):
                    os.chmod(path, mode)
                    conf = self.conf(route)
                    before, lines = self.taken(), len(self.log_lines())
                    done = run(ARGS, MESSAGE, conf=conf, env=env)
                    told = [line for line in self.log_lines()[lines:]
                            if path + " can be read by everyone" in line]
                    refused = bool(mode & 0o022)
                    self.assertEqual(done.exit != 0, refused, str(done))
                    self.assertEqual(self.taken() - before, int(not refused))
                    self.assertEqual(bool(told), mode == 0o644, str(done))
                    if refused:
                        self.assertIn("can be written by others", done.err)
                        self.assertIn(path, done.err)
                    check = run(["--check"], conf=conf, env=env)
                    if refused:
                        self.assertRegex(check.out, "failed .*can be written")
                    else:
                        self.assertEqual(bool(re.search(
                            "(?m)^route [^:]+: %s: warning .*can be read by "
                            "everyone" % kind, check.out)), mode == 0o644,
                            str(check))


if __name__ == "__main__":
    harness.main()
