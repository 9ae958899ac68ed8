"""Postfix, unpacked and not installed, on free ports of the loopback.

Everything it writes is in a folder of its own.  Postfix wants two users and a
group that differ; `daemon`, `nobody` and `mail` stand in every Debian system's
password file, so nothing has to be added to it.  Root is needed all the same:
its master changes users.

Nobody may send without AUTH, which is asked of DovecotAuth below.
"""
import base64
import grp
import os
import pwd
import shutil
import socketserver
import threading

import unpack
from mailserver import DOMAIN, OWNER, MailServer, wait_until

NOBODY, GROUP = "nobody", "mail"
STATES = ("active bounce corrupt defer deferred flush hold incoming private "
          "saved trace").split()

MAIN = """
compatibility_level = 3.6
queue_directory = {home}/queue
data_directory = {home}/data
command_directory = {root}/usr/sbin
daemon_directory = {root}/usr/lib/postfix/sbin
shlib_directory = {root}/usr/lib/postfix
meta_directory = {home}/conf
mail_owner = {owner}
default_privs = {nobody}
setgid_group = {group}
import_environment = MAIL_CONFIG LD_LIBRARY_PATH LC_ALL PATH
export_environment = LD_LIBRARY_PATH PATH
maillog_file = {home}/log
maillog_file_prefixes = {home}
inet_interfaces = loopback-only
inet_protocols = ipv4
mynetworks =
mynetworks_style = host
myhostname = postfix.{domain}
mydestination =
local_recipient_maps =
local_header_rewrite_clients =
alias_maps =
alias_database =
disable_dns_lookups = yes
smtpd_peername_lookup = no
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {home}/mail
virtual_mailbox_maps = texthash:{home}/conf/mailboxes
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
virtual_mailbox_limit = 0
mailbox_size_limit = 0
message_size_limit = {limit}
queue_minfree = 0
smtpd_tls_cert_file = {home}/conf/cert.pem
smtpd_tls_key_file = {home}/conf/key.pem
smtpd_tls_security_level = encrypt
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:{auth}
smtpd_client_restrictions = permit_sasl_authenticated, reject
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_error_sleep_time = 0
smtpd_recipient_limit = {recipients}
smtpd_client_connection_count_limit = 0
"""

MASTER = """
127.0.0.1:{starttls} inet n - n - - smtpd
127.0.0.1:{implicit} inet n - n - - smtpd
  -o smtpd_tls_wrappermode=yes
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


class DovecotAuth(socketserver.ThreadingTCPServer):
    """The server side of Dovecot's auth protocol: PLAIN and LOGIN, one user.

    `attempts` tells what was tried: (mechanism, user, password, accepted).
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, user, password):
        super().__init__(("127.0.0.1", 0), DovecotSession)
        self.account = (user, password)
        self.attempts = []
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, args=(0.05,),
                         daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()


class DovecotSession(socketserver.StreamRequestHandler):

    def say(self, *fields):
        self.wfile.write("\t".join(fields).encode() + b"\n")

    def handle(self):
        self.say("VERSION", "1", "2")
        self.say("MECH", "PLAIN", "plaintext")
        self.say("MECH", "LOGIN", "plaintext")
        self.say("SPID", str(os.getpid()))
        self.say("CUID", "1")
        self.say("COOKIE", "0123456789abcdef0123456789abcdef")
        self.say("DONE")
        self.pending = {}
        for line in self.rfile:
            fields = line.decode().rstrip("\n").split("\t")
            if fields[0] == "AUTH":
                self.begin(fields[1], fields[2], fields[3:])
            elif fields[0] == "CONT":
                self.go_on(fields[1], base64.b64decode(fields[2]))

    def begin(self, number, mechanism, options):
        initial = [o[5:] for o in options if o.startswith("resp=")]
        self.pending[number] = [mechanism]
        if initial:
            self.go_on(number, base64.b64decode(initial[0]))
        else:
            self.ask(number, b"Username:" if mechanism == "LOGIN" else b"")

    def ask(self, number, prompt):
        self.say("CONT", number, base64.b64encode(prompt).decode())

    def go_on(self, number, answer):
        state = self.pending[number]
        if state[0] == "PLAIN":
            state += answer.split(b"\0")[1:]
        else:
            state.append(answer)
            if len(state) == 2:
                return self.ask(number, b"Password:")
        self.decide(number, state[0], *[part.decode() for part in state[1:]])

    def decide(self, number, mechanism, user="", password=""):
        good = (user, password) == self.server.account
        self.server.attempts.append((mechanism, user, password, good))
        del self.pending[number]
        self.say("OK" if good else "FAIL", number, "user=" + user)


class Postfix(MailServer):

    name = "Postfix"
    LOGS = ["log"]
    QUEUES = ["queue/incoming", "queue/active", "queue/maildrop"]

    def __init__(self, **how):
        if os.getuid() != 0:
            raise unpack.Unavailable("Postfix changes users and so needs root")
        self.auth = None
        super().__init__(**how)

    def close(self):
        super().close()
        if self.auth:
            self.auth.close()
            self.auth = None

    def lay_out(self):
        self.auth = DovecotAuth(self.user, self.password)
        owner, group = pwd.getpwnam(OWNER), grp.getgrnam(GROUP)
        self.folders(owner, group)
        shutil.copy(self.cert, self.path("conf/cert.pem"))
        shutil.copy(self.key, self.path("conf/key.pem"))
        os.chmod(self.path("conf/key.pem"), 0o600)
        self.write("conf/mailboxes", "".join(
            "%s@%s %s/\n" % (name, DOMAIN, name) for name in self.mailboxes))
        self.write("conf/master.cf", MASTER.format(
            starttls=self.starttls, implicit=self.implicit))
        self.write("conf/main.cf", MAIN.format(
            home=self.home, root=self.root, owner=OWNER, nobody=NOBODY,
            group=GROUP, uid=owner.pw_uid, gid=owner.pw_gid, domain=DOMAIN,
            limit=self.limit, recipients=self.recipients or 1000,
            auth=self.auth.port))

    def folders(self, owner, group):
        """As its own installation lays them out, owners and modes included."""
        for name in ("conf", "queue", "queue/pid", "data", "mail"):
            os.mkdir(self.path(name), 0o755)
        for name in ("data", "mail"):
            os.chown(self.path(name), owner.pw_uid, 0)
        for name in STATES:
            os.mkdir(self.path("queue/" + name))
            os.chown(self.path("queue/" + name), owner.pw_uid, 0)
            os.chmod(self.path("queue/" + name), 0o700)
        for name, mode in (("queue/public", 0o710), ("queue/maildrop", 0o730)):
            os.mkdir(self.path(name))
            os.chown(self.path(name), owner.pw_uid, group.gr_gid)
            os.chmod(self.path(name), mode)

    def start(self):
        self.launch([self.root + "/usr/lib/postfix/sbin/master", "-c",
                     self.path("conf"), "-d"], unpack.environment(self.root))

    def mechanism(self):
        """The AUTH mechanism of the last client that was let in."""
        return [a[0] for a in self.auth.attempts if a[3]][-1]

    def saw_mail(self):
        """Whether any client that has gone had said MAIL."""
        wait_until(lambda: "auth=" in self.log(), 5)
        return " mail=" in self.log()
