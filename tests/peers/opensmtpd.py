"""OpenSMTPD, unpacked and not installed: it hands on to a relay of ours.

It has its users and places compiled in, so it runs in a mount namespace of its
own, where it finds them; that takes root. Port `plain` takes mail from this
machine without TLS and AUTH, the two others want both (PLAIN or LOGIN).
"""
import crypt
import os
import shutil
import socket
import ssl
import subprocess
import unittest

import unpack
from mailserver import MailServer, free_ports

CONFIGURATION = """
pki here cert "{home}/cert.pem"
pki here key "{home}/key.pem"
table users {{ "{user}" = "{crypted}" }}
smtp max-message-size {limit}
smtp limit max-rcpt {recipients}
smtp limit max-mails {messages}
listen on 127.0.0.1 port {plain} hostname localhost
listen on 127.0.0.1 port {starttls} tls-require pki here auth <users> \
    hostname localhost
listen on 127.0.0.1 port {implicit} smtps pki here auth <users> \
    hostname localhost
action onward relay host "smtp://127.0.0.1:{relay}"
match from any for any action onward
"""

USERS = {
    "passwd": "opensmtpd:x:991:991::/:/bin/false\n"
              "opensmtpq:x:992:992::/:/bin/false\n",
    "group": "opensmtpd:x:991:\nopensmtpq:x:992:\n",
}

# Its own places over those of the system, then the server.
START = """
mount --make-rprivate / && mount --bind "$HOME_OF_IT/spool" /var/spool &&
mount --bind "$HOME_OF_IT/lib" /var/lib && mount --bind "$HOME_OF_IT/run" /run &&
for f in passwd group; do mount --bind "$HOME_OF_IT/$f" /etc/$f || exit; done &&
exec "$0" -d -f "$HOME_OF_IT/smtpd.conf"
"""


class OpenSMTPD(MailServer):

    name = "OpenSMTPD"
    LOGS = []
    QUEUES = []

    def __init__(self, relay, **how):
        if os.getuid() != 0:
            raise unpack.Unavailable("OpenSMTPD changes users and needs root")
        self.relay = relay
        super().__init__(**how)

    def lay_out(self):
        if subprocess.run(["unshare", "--mount", "true"],
                          stderr=subprocess.DEVNULL).returncode:
            raise unittest.SkipTest("unshare(1) is not allowed here")
        self.plain, = free_ports(1)
        for name in ("spool", "lib", "run", "lib/opensmtpd",
                     "lib/opensmtpd/empty", "spool/smtpd"):
            os.mkdir(self.path(name), 0o755)
        os.chmod(self.path("spool/smtpd"), 0o711)
        for name, more in USERS.items():
            with open("/etc/" + name) as file:
                self.write(name, file.read() + more)
        for source, name in ((self.cert, "cert.pem"), (self.key, "key.pem")):
            shutil.copy(source, self.path(name))
            os.chmod(self.path(name), 0o600)
        self.write("smtpd.conf", CONFIGURATION.format(
            home=self.home, user=self.user, crypted=crypt.crypt(self.password),
            limit=self.limit, recipients=self.recipients or 1000,
            messages=self.messages or 100, plain=self.plain,
            starttls=self.starttls, implicit=self.implicit, relay=self.relay))

    def start(self):
        self.launch(["unshare", "--mount", "sh", "-c", START,
                     self.root + "/usr/sbin/smtpd"],
                    unpack.environment(self.root, HOME_OF_IT=self.home))

    def no_tls(self):
        """Why its TLS is of no use, or None: version 6.8 built with OpenSSL 3
        does not find its own key, whoever asks."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            with socket.create_connection(("127.0.0.1", self.implicit)) as s:
                context.wrap_socket(s).close()
        except ssl.SSLError as reason:
            return "OpenSMTPD's TLS does not work here: %s" % reason
        return None
