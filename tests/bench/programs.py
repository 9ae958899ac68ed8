"""The programs that are measured, and how each is told to do the same work.

Each class has
    footprint()     bytes of the program and of every shared library it loads
    smtp(job)       a Run that sends job.message to job.port, or None
    ses(job)        the same through the SES API, or None
    queue(job)      fills a queue with job.count messages: a Filled, or None
and raises Absent with the reason when it cannot be had here.
"""
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "peers"))

import unpack                                           # noqa: E402
from harness import SENDROUTE, clean_environment        # noqa: E402
from measure import Run                                 # noqa: E402

PYTHON = "/usr/bin/python3"


class Absent(Exception):
    pass


class Filled:
    """A queue with messages in it, and the command that sends them.

    left()  how many files are left of a queue that empties
    """

    def __init__(self, argv, env, spool, wrap=()):
        self.argv, self.env, self.wrap = list(argv), env, list(wrap)
        self.spool = spool

    def left(self):
        return len(os.listdir(self.spool))


class Job:
    """What is to be done: the message, where to, and as whom."""

    def __init__(self, folder, message, port, cafile, tls="starttls",
                 recipients=("bob@example.net",)):
        self.folder, self.message, self.port = folder, message, port
        self.cafile, self.tls, self.recipients = cafile, tls, recipients
        self.sender = "alice@example.com"
        self.user, self.password = "apikey", "benchmark"
        self.key = self.secret = self.region = None

    def body(self):
        """Path of the message's text without its header."""
        with open(self.message, "r", encoding="ascii") as file:
            return self.write("body", file.read().partition("\n\n")[2])

    def write(self, name, text, mode=0o644):
        path = os.path.join(self.folder, "%s.%d" % (name, self.port))
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, mode)
        return path


def shared_libraries(path, env=None):
    done = subprocess.run(["ldd", path], env=env, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True)
    return set(re.findall(r"(/\S+) \(0x", done.stdout))


def bytes_of(paths):
    return sum(os.path.getsize(p) for p in {os.path.realpath(p)
                                            for p in paths})


class Program:

    env = None
    # Whether the message that comes is the one that was given; one that makes
    # a header of its own is held to the body.
    whole = True

    def footprint(self):
        return bytes_of({self.path} | shared_libraries(self.path, self.env))

    def smtp(self, job):
        return None

    def ses(self, job):
        return None

    def queue(self, job):
        return None


class Sendroute(Program):

    name, note = "sendroute", ""

    def __init__(self):
        self.path = SENDROUTE
        if not os.access(self.path, os.X_OK):
            raise Absent("no program at " + self.path)

    def footprint(self):
        found = shared_libraries(self.path)
        return bytes_of({self.path} | found)

    def conf(self, job, route, log="log none"):
        return job.write("sendroute.conf", "hostname client.test\n%s\n"
                         "max-size 60m\nca-file %s\nroute bench\n%s"
                         "senders *\n" % (log, job.cafile, route))

    def run(self, job, route):
        conf = self.conf(job, route)
        argv = [self.path, "-i", "-f", job.sender, *job.recipients]
        return Run(argv, clean_environment(SENDROUTE_CONF=conf), job.message)

    def smtp(self, job):
        secret = job.write("password", job.password + "\n", 0o600)
        return self.run(job, self.smtp_route(job) +
                        "user %s\npassword-file %s\n" % (job.user, secret))

    @staticmethod
    def smtp_route(job):
        return "type smtp\nhost localhost\nport %d\ntls %s\n" % (
            job.port, job.tls)

    def ses(self, job):
        return self.run(job, self.ses_route(job))

    @staticmethod
    def ses_route(job):
        secret = job.write("secret", job.secret + "\n", 0o600)
        return ("type ses\nendpoint https://localhost:%d\nregion %s\n"
                "access-key-id %s\nsecret-access-key-file %s\n" % (
                    job.port, job.region, job.key, secret))

    DIGITS = "0123456789abcdefghijklmnopqrstuv"

    def queue(self, job):
        """The program stores one message; the others are copies of the file."""
        spool = os.path.join(job.folder, "queue")
        os.mkdir(spool)
        route = self.ses_route(job) if job.key else self.smtp_route(job)
        conf = self.conf(job, route, "log %s/log\nqueue %s" % (job.folder,
                                                               spool))
        env = clean_environment(SENDROUTE_CONF=conf)
        subprocess.run([self.path, "-odq", "-i", "-f", job.sender,
                        *job.recipients], env=env, input=job.letter(0),
                       check=True)
        first, = os.listdir(spool + "/queue")
        with open("%s/queue/%s" % (spool, first), "rb") as file:
            stored = file.read()
        if job.due:
            at = stored.index(b"\nnext ") + 6
            stored = stored[:at] + b"%020d" % job.due + stored[at + 20:]
        os.unlink("%s/queue/%s" % (spool, first))
        for number in range(job.count):
            # An id is a time and a random number: here all have one time.
            tail = "".join(self.DIGITS[number >> shift & 31]
                           for shift in range(40, -1, -5))
            with open("%s/queue/%s%s" % (spool, first[:11], tail),
                      "xb") as file:
                file.write(job.numbered(stored, number))
        return Filled([self.path, "-q"], env, spool + "/queue")


class Unpacked(Program):

    def __init__(self):
        try:
            root = unpack.tree(self.name)
        except unpack.Unavailable as reason:
            raise Absent(str(reason))
        self.env = clean_environment(LD_LIBRARY_PATH=unpack.library_path(root))
        self.path = root + self.place


class Msmtp(Unpacked):

    name, place, note = "msmtp", "/usr/bin/msmtp", ""

    def smtp(self, job):
        conf = job.write("msmtprc", "account default\nhost localhost\n"
                         "port %d\ntls on\ntls_starttls %s\n"
                         "tls_trust_file %s\nauth plain\nuser %s\n"
                         "password %s\n" % (
                             job.port, "on" if job.tls == "starttls" else
                             "off", job.cafile, job.user, job.password), 0o600)
        return Run([self.path, "-C", conf, "-f", job.sender, "--",
                    *job.recipients], self.env, job.message)


class Dma(Unpacked):

    name, place = "dma", "/usr/sbin/dma"
    note = "verifies no certificate"

    # dma knows one place for its configuration and one for its spool: it sees
    # an /etc and a /var/spool of its own, in a namespace of its own.
    INSIDE = ("mount --bind %(etc)s /etc && mount --bind %(spool)s /var/spool"
              " && exec \"$@\"")

    def inside(self, job, more=""):
        """Lay the two out; (what to put before a command, the spool)."""
        etc = os.path.join(job.folder, "etc.%d" % job.port)
        spool = os.path.join(job.folder, "spool.%d" % job.port)
        for folder in (etc, etc + "/dma", spool, spool + "/dma"):
            os.makedirs(folder, exist_ok=True)
        os.chmod(spool + "/dma", 0o777)
        for name in ("passwd", "group", "hosts", "nsswitch.conf",
                     "resolv.conf", "ld.so.cache", "localtime"):
            if os.path.exists("/etc/" + name):
                shutil.copy("/etc/" + name, etc)
        with open(etc + "/dma/auth.conf", "w") as file:
            file.write("%s|localhost:%s\n" % (job.user, job.password))
        with open(etc + "/dma/dma.conf", "w") as file:
            file.write("SMARTHOST localhost\nPORT %d\nSECURETRANSFER\n%s"
                       "MAILNAME client.test\nNULLCLIENT\n%s" % (
                           job.port, "STARTTLS\n" if job.tls == "starttls"
                           else "", more))
        inside = self.INSIDE % {"etc": etc, "spool": spool}
        wrap = ["unshare", "-m"] + ["-r"] * (os.getuid() != 0)
        return wrap + ["sh", "-c", inside, "sh"], spool + "/dma"

    def smtp(self, job):
        wrap, _ = self.inside(job, "AUTHPATH /etc/dma/auth.conf\n")
        return Run([self.path, "-D", "-i", "-f", job.sender,
                    *job.recipients], self.env, job.message, wrap=wrap)

    def queue(self, job):
        """As sendroute's: it stores one, the others are copies."""
        wrap, spool = self.inside(job, "DEFER\n")
        subprocess.run([*wrap, self.path, "-D", "-i", "-f", job.sender,
                        *job.recipients], env=self.env, input=job.letter(0),
                       check=True)
        first, = {name[1:] for name in os.listdir(spool)
                  if name[0] in "MQ"}
        for kind in "MQ":
            with open(spool + "/" + kind + first, "rb") as file:
                stored = file.read()
            owner = os.stat(spool + "/" + kind + first)
            os.unlink(spool + "/" + kind + first)
            for number in range(job.count):
                name = "%x.%s" % (0x100000 + number, first.split(".")[1])
                text = job.numbered(stored, number).replace(
                    b"ID: " + first.encode(), b"ID: " + name.encode())
                with open(spool + "/" + kind + name, "xb") as file:
                    file.write(text)
                    if os.getuid() == 0:
                        os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
                    os.fchmod(file.fileno(), owner.st_mode & 0o777)
        return Filled([self.path, "-D", "-q"], self.env, spool, wrap)


class Nullmailer(Unpacked):
    """A daemon; with no pause between its runs it ends after one.

    It lets its folders be moved for its own tests.
    """

    name, place = "nullmailer", "/usr/sbin/nullmailer-send"
    note = "one message: its smtp alone, which the daemon calls for each"

    def __init__(self):
        super().__init__()
        self.client = self.path[:-len(self.place)] + \
            "/usr/lib/nullmailer/smtp"

    def footprint(self):
        both = {self.path, self.client}
        return bytes_of(both.union(*(shared_libraries(p, self.env)
                                     for p in both)))

    def smtp(self, job):
        with open(job.message, "r", encoding="ascii") as file:
            stored = job.write("mail", "%s\n%s\n\n%s" % (
                job.sender, "\n".join(job.recipients), file.read()))
        return Run(["sh", "-c", 'exec "$@" 3<"$0" </dev/null', stored,
                    self.client, "--host=localhost", "--port=%d" % job.port,
                    "--starttls" if job.tls == "starttls" else "--tls",
                    "--x509cafile=" + job.cafile, "--user=" + job.user,
                    "--pass=" + job.password],
                   dict(self.env, HELOHOST="client.test"), job.message)

    def queue(self, job):
        home = os.path.join(job.folder, "nullmailer")
        spool = home + "/queue/queue"
        for name in ("conf", "queue/queue", "queue/tmp", "queue/failed"):
            os.makedirs(home + "/" + name)
        os.mkfifo(home + "/queue/trigger")
        root = self.path[:-len(self.place)]
        os.symlink(root + "/usr/lib/nullmailer", home + "/protocols")
        for name, text in (
                ("mailname", "client.test\n"), ("conf/pausetime", "0\n"),
                ("conf/remotes", "localhost smtp --port=%d --starttls "
                 "--x509cafile=%s\n" % (job.port, job.cafile))):
            with open(home + "/" + name, "w") as file:
                file.write(text)
        head = "%s\n%s\n\n" % (job.sender, "\n".join(job.recipients))
        for number in range(job.count):
            with open("%s/1700000000.%d" % (spool, 100000 + number),
                      "xb") as file:
                file.write(head.encode() + job.letter(number))
        return Filled([self.path], dict(self.env, NULLMAILER_TEST_PREFIX=home),
                      spool)


class Ssmtp(Unpacked):

    name, place = "ssmtp", "/usr/sbin/ssmtp"
    note = "verifies no certificate"

    def smtp(self, job):
        conf = job.write("ssmtp.conf", "mailhub=localhost:%d\n"
                         "hostname=client.test\nFromLineOverride=YES\n"
                         "UseTLS=YES\n%sTLS_CA_File=%s\nAuthUser=%s\n"
                         "AuthPass=%s\n" % (
                             job.port, "UseSTARTTLS=YES\n"
                             if job.tls == "starttls" else "", job.cafile,
                             job.user, job.password), 0o600)
        return Run([self.path, "-C" + conf, "-f" + job.sender,
                    *job.recipients], self.env, job.message)


class OpenSmtpd(Unpacked):

    name, place, note = "opensmtpd", "/usr/bin/smtp", "its client smtp(1)"

    # It reads the roots of OpenSSL's own folder, whatever the environment says.
    INSIDE = 'mount --bind "$0" /usr/lib/ssl && exec "$@"'

    def smtp(self, job):
        folder = os.path.join(job.folder, "ssl.%d" % job.port)
        os.makedirs(folder, exist_ok=True)
        shutil.copy(job.cafile, folder + "/cert.pem")
        wrap = ["unshare", "-m"] + ["-r"] * (os.getuid() != 0)
        return Run([self.path, "-H", "client.test", "-F", job.sender, "-s",
                    "%s://%s:%s@localhost:%d" % (
                        "smtp+tls" if job.tls == "starttls" else "smtps",
                        job.user, job.password, job.port), *job.recipients],
                   self.env, job.message,
                   wrap=wrap + ["sh", "-c", self.INSIDE, folder])


class Snail(Unpacked):

    name, place = "s-nail", "/usr/bin/s-nail"
    note = "makes a header of its own; the body is compared"
    whole = False

    def smtp(self, job):
        settings = ["v15-compat", "mta=%s://%s:%s@localhost:%d" % (
            "smtp" if job.tls == "starttls" else "smtps", job.user,
            job.password, job.port), "smtp-auth=plain",
            "tls-verify=strict", "tls-ca-file=" + job.cafile,
            "tls-ca-no-defaults", "from=" + job.sender,
            "hostname=client.test", "sendwait"]
        if job.tls == "starttls":
            settings.append("smtp-use-starttls")
        return Run([self.path, "-:/", "-s", "bench",
                    *(word for s in settings for word in ("-S", s)),
                    *job.recipients], self.env,
                   job.body())


class Python(Program):

    name, note = "python3", "smtplib; botocore for SES"

    def __init__(self):
        self.path = PYTHON
        if not os.access(self.path, os.X_OK):
            raise Absent("no " + PYTHON)

    def footprint(self):
        done = subprocess.run([self.path, "-c", "import _ssl; "
                               "print(_ssl.__file__)"], text=True,
                              stdout=subprocess.PIPE)
        module = done.stdout.strip()
        return bytes_of({self.path, module} | shared_libraries(self.path) |
                        shared_libraries(module))

    def smtp(self, job):
        return Run([self.path, os.path.join(HERE, "client_smtplib.py"),
                    job.tls, str(job.port), job.cafile, job.user,
                    job.password, job.sender, *job.recipients],
                   clean_environment(), job.message)

    def ses(self, job):
        return Run([self.path, os.path.join(HERE, "client_botocore.py"),
                    str(job.port), job.cafile, job.key, job.secret,
                    job.region, *job.recipients], clean_environment(),
                   job.message)


class Curl(Program):

    name, note = "curl", "SES: the JSON was made beforehand"

    def __init__(self):
        self.path = shutil.which("curl")
        if not self.path:
            raise Absent("curl is not installed")

    def smtp(self, job):
        scheme = "smtp" if job.tls == "starttls" else "smtps"
        to = [word for r in job.recipients for word in ("--mail-rcpt", r)]
        return Run([self.path, "-q", "-sS", "--ssl-reqd", "--crlf",
                    "--cacert", job.cafile, "--user",
                    job.user + ":" + job.password, "--mail-from", job.sender,
                    *to, "--upload-file", "-",
                    "%s://localhost:%d" % (scheme, job.port)],
                   clean_environment(), job.message)

    def ses(self, job):
        return Run([self.path, "-q", "-sS", "--fail", "--cacert", job.cafile,
                    "--aws-sigv4", "aws:amz:%s:ses" % job.region, "--user",
                    job.key + ":" + job.secret, "-H",
                    "Content-Type: application/json", "--data-binary",
                    "@" + as_json(job), "https://localhost:%d/v2/email/"
                    "outbound-emails" % job.port], clean_environment(),
                   job.message)


def as_json(job):
    import base64
    import json
    with open(job.message, "rb") as file:
        data = base64.b64encode(file.read()).decode()
    return job.write("request.json", json.dumps({
        "Destination": {"BccAddresses": list(job.recipients)},
        "Content": {"Raw": {"Data": data}}}))


ALL = [Sendroute, Msmtp, Dma, Nullmailer, Ssmtp, OpenSmtpd, Snail, Curl, Python]
WITH_QUEUES = [Sendroute, Dma, Nullmailer]
