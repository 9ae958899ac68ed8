"""Exim, unpacked and not installed, on free ports of the loopback.

Nobody may send without AUTH (PLAIN or LOGIN), and AUTH is offered inside TLS
alone.  Exim runs as `daemon`, a user that every Debian system has, and never
regains root; started by another user than root it runs as that one.  The
program insists on the user Debian-exim before it reads any configuration: it
is shown a password file of its own, by nss_wrapper.
"""
import glob
import grp
import os
import pwd
import re
import shutil

import unpack
from mailserver import DOMAIN, OWNER, MailServer, wait_until

CONFIGURATION = r"""
exim_path = {binary}
exim_user = {uid}
exim_group = {gid}
keep_environment = LD_LIBRARY_PATH : LD_PRELOAD : ^NSS_WRAPPER
add_environment = PATH=/usr/sbin:/usr/bin:/sbin:/bin
spool_directory = {home}/spool
log_file_path = {home}/log/%slog
pid_file_path = {home}/spool/pid
log_selector = +smtp_protocol_error +tls_cipher +smtp_no_mail
primary_hostname = exim.{domain}
deliver_drop_privilege = true
local_interfaces = 127.0.0.1
daemon_startup_retries = 0
daemon_smtp_ports = {starttls} : {implicit}
tls_on_connect_ports = {implicit}
tls_advertise_hosts = *
auth_advertise_hosts = ${{if def:tls_in_cipher{{*}}}}
tls_certificate = {home}/conf/cert.pem
tls_privatekey = {home}/conf/key.pem
message_size_limit = {limit}
check_spool_space = 0
smtp_accept_max = 0
smtp_accept_queue_per_connection = 0
recipients_max = {recipients}
smtp_accept_max_per_connection = {messages}
{more}
host_lookup =
rfc1413_hosts =
dns_ipv4_lookup = *
local_from_check = false
bounce_return_message = false
acl_smtp_mail = check_mail
acl_smtp_rcpt = check_rcpt

begin acl

check_mail:
  deny !authenticated = *
       message = 5.7.1 authentication required
  accept

check_rcpt:
  require message = 5.1.1 no mailbox of that name
          verify = recipient
  accept

begin routers

mailboxes:
  driver = accept
  domains = {domain}
  local_parts = lsearch;{home}/conf/mailboxes
  transport = maildir

begin transports

maildir:
  driver = appendfile
  directory = {home}/mail/$local_part_data
  maildir_format
  create_directory
  return_path_add
  user = {uid}
  group = {gid}

begin authenticators

plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_set_id = $auth2
  server_condition = ${{if and{{{{eq{{$auth2}}{{{user}}}}}\
    {{eq{{$auth3}}{{{password}}}}}}}}}

login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = <| Username: | Password:
  server_set_id = $auth1
  server_condition = ${{if and{{{{eq{{$auth1}}{{{user}}}}}\
    {{eq{{$auth2}}{{{password}}}}}}}}}
"""


class Exim(MailServer):

    name = "Exim"
    LOGS = ["log/mainlog", "log/paniclog"]
    QUEUES = ["spool/input"]

    def more(self):
        """Of the main configuration."""
        return ""

    def lay_out(self):
        self.who = pwd.getpwnam(OWNER) if os.getuid() == 0 else \
            pwd.getpwuid(os.getuid())
        self.binary = self.root + "/usr/sbin/exim4"
        for name in ("conf", "spool", "mail", "log"):
            os.mkdir(self.path(name), 0o755)
            self.give(name)
        for source, name in ((self.cert, "conf/cert.pem"),
                             (self.key, "conf/key.pem")):
            shutil.copy(source, self.path(name))
            os.chmod(self.path(name), 0o600)
            self.give(name)
        self.write("conf/mailboxes", "".join(
            "%s: %s\n" % (name, name) for name in self.mailboxes))
        self.write("conf/exim.conf", CONFIGURATION.format(
            home=self.home, binary=self.binary, domain=DOMAIN,
            uid=self.who.pw_uid, gid=self.who.pw_gid, limit=self.limit,
            starttls=self.starttls, implicit=self.implicit, user=self.user,
            password=self.password, recipients=self.recipients,
            messages=self.messages or 1000, more=self.more()))

    def give(self, name):
        os.chown(self.path(name), self.who.pw_uid, self.who.pw_gid)

    def environment(self):
        """Users of the system and Debian-exim, which is OWNER once more."""
        paths = {}
        for kind, database in (("PASSWD", pwd.getpwall()),
                               ("GROUP", grp.getgrall())):
            paths[kind] = self.path("conf/" + kind.lower())
            lines = [":".join("" if f is None else ",".join(f) if
                              isinstance(f, list) else str(f) for f in entry)
                     for entry in database]
            number = self.who.pw_uid if kind == "PASSWD" else self.who.pw_gid
            lines.append("Debian-exim:x:%d:" % number +
                         ("%d::/:/bin/false" % self.who.pw_gid
                          if kind == "PASSWD" else ""))
            with open(paths[kind], "w") as file:
                file.write("\n".join(lines) + "\n")
            os.chmod(paths[kind], 0o644)
        wrapper = glob.glob(self.root + "/usr/lib/*/libnss_wrapper.so")[0]
        return unpack.environment(self.root, LD_PRELOAD=wrapper,
                                  NSS_WRAPPER_PASSWD=paths["PASSWD"],
                                  NSS_WRAPPER_GROUP=paths["GROUP"])

    def start(self):
        self.launch([self.binary, "-C", self.path("conf/exim.conf"), "-bdf"],
                    self.environment())

    def mechanism(self):
        """The AUTH mechanism of the last message that was taken."""
        return re.findall(r" <= .* A=(\w+):", self.log())[-1].upper()

    def saw_mail(self):
        """Whether any client that has gone had said MAIL."""
        wait_until(lambda: " no MAIL in " in self.log(), 5)
        return " no MAIL in " not in self.log()
