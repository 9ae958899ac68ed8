"""The programs that are measured, and how each is told to do the same work.

Each class has
    footprint()     bytes of the program and of every shared library it loads
    smtp(job)       a Run that sends job.message to job.port, or None
    ses(job)        the same through the SES API, or None
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


class Job:
    """What is to be done: the message, where to, and as whom."""

    def __init__(self, folder, message, port, cafile, tls="starttls",
                 recipients=("bob@example.net",)):
        self.folder, self.message, self.port = folder, message, port
        self.cafile, self.tls, self.recipients = cafile, tls, recipients
        self.sender = "alice@example.com"
        self.user, self.password = "apikey", "benchmark"
        self.key = self.secret = self.region = None

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

    def footprint(self):
        return bytes_of({self.path} | shared_libraries(self.path, self.env))

    def smtp(self, job):
        return None

    def ses(self, job):
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

    def run(self, job, route):
        conf = job.write("sendroute.conf", "hostname client.test\nlog none\n"
                         "max-size 60m\nca-file %s\nroute bench\n%s" % (
                             job.cafile, route))
        argv = [self.path, "-i", "-f", job.sender, *job.recipients]
        return Run(argv, clean_environment(SENDROUTE_CONF=conf), job.message)

    def smtp(self, job):
        secret = job.write("password", job.password + "\n", 0o600)
        return self.run(job, "type smtp\nhost localhost\nport %d\ntls %s\n"
                        "user %s\npassword-file %s\nsenders *\n" % (
                            job.port, job.tls, job.user, secret))

    def ses(self, job):
        secret = job.write("secret", job.secret + "\n", 0o600)
        return self.run(job, "type ses\nendpoint https://localhost:%d\n"
                        "region %s\naccess-key-id %s\n"
                        "secret-access-key-file %s\nsenders *\n" % (
                            job.port, job.region, job.key, secret))


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

    def smtp(self, job):
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
                       "AUTHPATH /etc/dma/auth.conf\nMAILNAME client.test\n"
                       "NULLCLIENT\n" % (job.port, "STARTTLS\n" if job.tls ==
                                         "starttls" else ""))
        inside = self.INSIDE % {"etc": etc, "spool": spool}
        wrap = ["unshare", "-m"] + ["-r"] * (os.getuid() != 0)
        return Run([self.path, "-D", "-i", "-f", job.sender,
                    *job.recipients], self.env, job.message,
                   wrap=wrap + ["sh", "-c", inside, "sh"])


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


ALL = [Sendroute, Msmtp, Dma, Python, Curl]
