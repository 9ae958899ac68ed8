"""make demo: three messages on their way, all on this machine.

A stand-in for Amazon SES (it checks each signature with botocore, AWS's own
code) and a relay (STARTTLS, AUTH) listen on the loopback.  Shown for each
message: the command line, the envelope, the route, why, and what arrived.
"""
import os
import shlex
import shutil
import subprocess
import sys
import tempfile

from certs import certificates
from harness import SENDROUTE, clean_environment, crlf, pairs
from relay import Relay
from ses import KEY, SECRET, Ses

PASSWORD = "relay-password"
SENDERS = """\
alerts@example.com      # one address
@example.com            # and everybody else there
"""
CONFIG = """\
hostname demo.example.com
domain   example.com            # completes root to root@example.com
log      {dir}/log

route ses                       # takes what SES has verified
  type ses
  region eu-west-1
  endpoint {ses.url}
  ca-file {ca}
  access-key-id {key}
  secret-access-key-file {dir}/ses.secret
  senders {dir}/senders
  fallback relay

route relay                     # takes everything else
  type smtp
  host localhost
  port {relay.port}
  tls starttls
  ca-file {ca}
  user apikey
  password-file {dir}/relay.password
  senders *
"""
BODY = b"Hello from the demo.\n"
MESSAGES = [
    ("a sender on the list; the auditor stands in Bcc", ["-t", "-f", "alerts@example.com"],
     b"From: Alerts <alerts@example.com>\nTo: Bob <bob@example.net>\n"
     b"Bcc: audit@example.net\nSubject: Disk is full\n\n" + BODY),
    ("a mailing list's post, its From kept: not on the list",
     ["-i", "-f", "list-bounces@lists.example.org", "--", "bob@example.net"],
     b"From: Carol <carol@university.example>\nTo: list@lists.example.org\n"
     b"Subject: [list] Meeting\n\n" + BODY),
    ("cron's way of calling sendmail",
     ["-FCronDaemon", "-i", "-odi", "-oem", "-oi", "-t", "-f", "root"],
     b'From: "(Cron Daemon)" <root>\nTo: root\n'
     b"Subject: Cron <root@demo> backup\n\n" + BODY),
]


class Demo:
    def __init__(self, folder):
        self.dir = folder
        self.ses, self.relay = Ses(), Relay(users={"apikey": PASSWORD})
        self.write("ses.secret", SECRET + "\n", 0o600)
        self.write("relay.password", PASSWORD + "\n", 0o600)
        self.write("senders", SENDERS)
        self.conf = self.write("sendroute.conf", CONFIG.format(
            dir=folder, ses=self.ses, relay=self.relay, ca=certificates.ca,
            key=KEY))

    def write(self, name, text, mode=0o644):
        path = os.path.join(self.dir, name)
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def call(self, args, message):
        return subprocess.run(
            [SENDROUTE, *args], input=message, capture_output=True, timeout=60,
            env=clean_environment(SENDROUTE_CONF=self.conf))

    def arrived(self, route, before):
        """(what the peer saw of the envelope, message) or None."""
        if route == "ses" and len(self.ses.sent) == before[0] + 1:
            sent = self.ses.sent[-1]
            return ("SES received, signature correct, BccAddresses: %s"
                    % ", ".join(sent.bcc), sent.raw)
        if route == "relay" and len(self.relay.accepted()) == before[1] + 1:
            sent = self.relay.accepted()[-1]
            return ("The relay received from %s, inside TLS: MAIL FROM:%s "
                    "RCPT TO:%s" % (sent.session.user, sent.mail,
                                    " ".join(sent.rcpts)), sent.content)
        return None

    def show(self, number, title, args, message):
        print("\n%d. %s\n   $ sendmail %s" % (
            number, title, " ".join(map(shlex.quote, args))))
        plan = self.call(["--dry-run", *args], message)
        group = pairs(plan.stdout.decode().strip())
        route = group.get("route", "none")
        print("   envelope  %s -> %s\n   route     %s\n   reason    %s" % (
            group.get("from"), group.get("to"), route,
            group.get("reason", "").replace(self.dir + "/", "")))
        before = len(self.ses.sent), len(self.relay.accepted())
        done = self.call(args, message)
        came = self.arrived(route, before)
        for line in (plan.stderr + done.stderr).decode().splitlines():
            print("   stderr    " + line)
        if done.returncode != 0 or came is None or \
                not came[1].endswith(b"\r\n\r\n" + crlf(BODY)):
            print("   FAILED: exit %d, and the message did not arrive"
                  % done.returncode)
            return False
        print("   %s" % came[0])
        for line in came[1].decode().splitlines():
            print("   | " + line)
        return True


def main():
    folder = tempfile.mkdtemp(prefix="sendroute-demo-")
    try:
        demo = Demo(folder)
        print("sendroute routes every message by its sender. On this machine:\n"
              "   SES    %s (a stand-in, which checks each signature)\n"
              "   relay  localhost:%d (STARTTLS, AUTH)\n"
              "The sender list of route ses:" % (demo.ses.url, demo.relay.port))
        print("".join("   " + line + "\n" for line in SENDERS.splitlines()),
              end="")
        good = [demo.show(i + 1, *m) for i, m in enumerate(MESSAGES)]
    finally:
        shutil.rmtree(folder, True)
    print("\n%d of %d messages arrived." % (sum(good), len(good)))
    return 0 if all(good) else 1


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)        # the servers' threads may go with us
