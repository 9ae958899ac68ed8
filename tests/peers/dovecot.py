"""Dovecot, unpacked and not installed: LMTP into Maildirs, and submission,
which asks for AUTH by every mechanism that we know and hands on to a relay.

It changes users and so needs root; `daemon` and `nobody` are those.
"""
import glob
import http.server
import json
import os
import pwd
import threading
import urllib.parse

import unpack
from certs import certificates
from mailserver import OWNER, MailServer, free_ports

NOBODY = "nobody"
TOKEN = "ya29.to-ken_of/the+user=="

CONFIG = """
base_dir = {home}/run
state_dir = {home}/run
libexec_dir = {root}/usr/lib/dovecot
login_plugin_dir = {home}/none
mail_plugin_dir = {root}/usr/lib/dovecot/modules
log_path = {home}/log
auth_verbose = yes
auth_failure_delay = 0
default_internal_user = {owner}
default_internal_group = {group}
default_login_user = {nobody}
default_vsz_limit = 0
import_environment = LD_LIBRARY_PATH
protocols = lmtp submission
mail_location = maildir:{home}/mail/%n
hostname = dovecot.example.test
first_valid_uid = 1
mail_plugins =
recipient_delimiter = +
ssl = required
ssl_cert = <{cert}
ssl_key = <{key}
ssl_min_protocol = TLSv1.2
disable_plaintext_auth = yes
auth_mechanisms = {mechanisms}
auth_ssl_username_from_cert = yes
ssl_cert_username_field = commonName
ssl_verify_client_cert = {verify}
ssl_ca = <{ca}
ssl_require_crl = no
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {home}/users
}}
passdb {{
  driver = oauth2
  mechanisms = oauthbearer xoauth2
  args = {home}/oauth2.conf
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={home}/mail/%n allow_all_users=yes
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
  unix_listener {home}/lmtp.sock {{
    mode = 0666
  }}
}}
service submission-login {{
  chroot =
  inet_listener submission {{
    address = 127.0.0.1
    port = {starttls}
  }}
  inet_listener submissions {{
    address = 127.0.0.1
    port = {implicit}
    ssl = yes
  }}
}}
submission_relay_host = 127.0.0.1
submission_relay_port = {relay}
submission_relay_trusted = no
submission_relay_ssl = no
"""


class Introspection(http.server.BaseHTTPRequestHandler):
    """Says of a token whose it is (RFC 7662), as Dovecot asks for it."""

    def do_GET(self):
        query = urllib.parse.urlsplit(self.path).query
        good = urllib.parse.parse_qs(query).get("token") == [TOKEN]
        body = json.dumps({"active": good, "email": self.server.user}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


# Where Dovecot looks for its modules, and the same length of a relative path:
# its processes run in base_dir.
COMPILED_IN = b"/usr/lib/dovecot/modules"
RELATIVE = b"." + b"/" * 16 + b"modules"


def relocate(root):
    """Lets the unpacked libraries find their modules: patches our copies."""
    for path in glob.glob(root + "/usr/lib/dovecot/**", recursive=True):
        if os.path.islink(path) or not os.path.isfile(path):
            continue
        with open(path, "rb") as file:
            data = file.read()
        if COMPILED_IN in data:
            with open(path + ".new", "wb") as file:
                file.write(data.replace(COMPILED_IN, RELATIVE))
            os.chmod(path + ".new", 0o755)
            os.rename(path + ".new", path)


class Dovecot(MailServer):

    name = "Dovecot"
    LOGS = ["log"]
    QUEUES = []
    MECHANISMS = "plain login cram-md5 scram-sha-256 oauthbearer xoauth2"

    def __init__(self, relay=1, mechanisms=MECHANISMS, **how):
        if os.getuid() != 0:
            raise unpack.Unavailable("Dovecot changes users and needs root")
        self.relay, self.mechanisms = relay, mechanisms
        self.tokens = None
        super().__init__(**how)

    def close(self):
        super().close()
        if self.tokens:
            self.tokens.shutdown()
            self.tokens.server_close()
            self.tokens = None

    def lay_out(self):
        self.tokens = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                                      Introspection)
        self.tokens.user = self.user
        threading.Thread(target=self.tokens.serve_forever, args=(0.05,),
                         daemon=True).start()
        self.lmtp, = free_ports(1)
        who = pwd.getpwnam(OWNER)
        for name in ("run", "mail", "none"):
            os.mkdir(self.path(name), 0o755)
        relocate(self.root)
        os.symlink(self.root + "/usr/lib/dovecot/modules",
                   self.path("run/modules"))
        os.chown(self.path("mail"), who.pw_uid, who.pw_gid)
        self.write("users", "%s:{PLAIN}%s\nlocalhost:::::::nopassword=y\n" % (
            self.user, self.password))
        self.write("oauth2.conf", "introspection_mode = get\n"
                   "introspection_url = http://127.0.0.1:%d/?token=\n"
                   "username_attribute = email\nactive_attribute = active\n"
                   "active_value = true\n" % self.tokens.server_address[1])
        self.write("dovecot.conf", CONFIG.format(
            home=self.home, root=self.root, owner=OWNER, group=OWNER,
            nobody=NOBODY, cert=self.cert, key=self.key, uid=who.pw_uid,
            gid=who.pw_gid, starttls=self.starttls, implicit=self.implicit,
            lmtp=self.lmtp, relay=self.relay, mechanisms=self.mechanisms,
            ca=certificates.authority("ca"),
            verify="yes" if "external" in self.mechanisms else "no"))

    def start(self):
        # Its own way to doveconf is /usr/bin; so that comes first.
        conf = self.path("dovecot.conf")
        self.launch([self.root + "/usr/bin/doveconf", "-f", "service=master",
                     "-c", conf, "-m", "master", "-e",
                     self.root + "/usr/sbin/dovecot", "-F", "-c", conf],
                    unpack.environment(self.root))
