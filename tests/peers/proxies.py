"""Proxies on 127.0.0.1.

Proxy                       our own: keeps every byte that it is asked, tells what
                            it is told to tell
Tinyproxy, Squid, Dante,    the distribution's, unpacked and not installed; none
Microsocks, Ssh             ever sees a name that this machine could resolve
"""
import os
import pwd
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import unittest

import unpack
from harness import listener
from mailserver import Unstarted, end_with_parent, free_ports, wait_until

# Names that only a proxy knows.
NAMES = ("relay.test", "ses.test")
USER = "daemon"         # for what will not run as root


class Proxy:
    """kind      "http" or "socks"
    login     (user, password) that is asked for, as bytes
    hosts     {"name:port": port of 127.0.0.1}; others are refused
    answer    bytes that are said to whatever was asked first
    coalesce  what the host says first leaves in one packet with the answer
    inject    bytes behind the answer that are not the host's
    silent    at "connect", or "answer": nothing is said any more
    """

    def __init__(self, kind="http", login=None, hosts=None, answer=None,
                 coalesce=False, inject=b"", silent=False):
        self.kind, self.login, self.hosts = kind, login, hosts or {}
        self.answer, self.coalesce, self.inject = answer, coalesce, inject
        self.silent = silent
        self.asked = []         # "name:port", as they came
        self.heads = []         # every byte before the tunnel, a connection each
        self.clients = []       # who connected
        self.sock = listener()
        self.port = self.sock.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, login=""):
        return "%s://%slocalhost:%d" % (
            "http" if self.kind == "http" else "socks5", login, self.port)

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()

    def _accept(self):
        while True:
            try:
                client, (address, _) = self.sock.accept()
            except OSError:
                return
            self.clients.append(address)
            threading.Thread(target=self._serve, args=(client,),
                             daemon=True).start()

    def _serve(self, client):
        self.heads.append(b"")
        number = len(self.heads) - 1

        def read(n=None, end=None):
            got = b""
            while (n is not None and len(got) < n) or \
                    (end is not None and not got.endswith(end)):
                byte = client.recv(1)
                if not byte:
                    raise OSError
                got += byte
                self.heads[number] += byte
            return got

        try:
            self._talk(client, read)
        except OSError:
            pass
        client.close()

    def _talk(self, client, read):
        if self.silent == "connect":
            read(1 << 20)
        if self.answer is not None:
            read(end=b"\r\n\r\n") if self.kind == "http" else read(3)
            client.sendall(self.answer)
            read(1 << 20)
        refusal = self._http(read) if self.kind == "http" else \
            self._socks(client, read)
        if self.silent == "answer":
            read(1 << 20)
        if refusal:
            client.sendall(refusal)
            return
        port = self.hosts.get(self.asked[-1])
        if port is None:
            client.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n" if
                           self.kind == "http" else
                           b"\5\4\0\1\0\0\0\0\0\0")
            return
        server = socket.create_connection(("127.0.0.1", port))
        said = b"HTTP/1.1 200 Connection established\r\n\r\n" if \
            self.kind == "http" else b"\5\0\0\1\x7f\0\0\1\0\1"
        said += self.inject
        if self.coalesce:
            said += server.recv(4096)
        client.sendall(said)
        back = threading.Thread(target=pump, args=(server, client),
                                daemon=True)
        back.start()
        pump(client, server)
        back.join()
        server.close()

    def _http(self, read):
        head = read(end=b"\r\n\r\n").decode()
        line = head.split("\r\n")[0].split(" ")
        if len(line) != 3 or line[0] != "CONNECT" or line[2] != "HTTP/1.1":
            return b"HTTP/1.1 400 Bad Request\r\n\r\n"
        if self.login:
            import base64
            wanted = base64.b64encode(b":".join(self.login)).decode()
            if "\r\nProxy-Authorization: Basic %s\r\n" % wanted not in head:
                return (b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                        b'Proxy-Authenticate: Basic realm="x"\r\n'
                        b"Content-Length: 4\r\n\r\nno!\n")
        self.asked.append(line[1])
        return None

    def _socks(self, client, read):
        _, count = read(2)
        method = 2 if self.login else 0
        if method not in read(count):
            return b"\5\xff"
        client.sendall(bytes((5, method)))
        if self.login:
            user = read(read(2)[1])
            if (user, read(read(1)[0])) != self.login:
                return b"\1\1"
            client.sendall(b"\1\0")
        kind = read(4)[3]
        if kind == 3:
            host = read(read(1)[0]).decode()
        else:
            family = socket.AF_INET if kind == 1 else socket.AF_INET6
            host = socket.inet_ntop(family, read(4 if kind == 1 else 16))
        self.asked.append("%s:%d" % (host, struct.unpack("!H", read(2))[0]))
        return None


def pump(source, target):
    try:
        while True:
            data = source.recv(1 << 16)
            if not data:
                break
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


# --- the distribution's ----------------------------------------------------

class Server:
    """login: (user, password), or None."""

    scheme, tree = "http", None

    def __init__(self, login=None):
        self.login = login
        self.root = unpack.tree(self.tree or type(self).__name__.lower())
        self.processes = []
        self.home = tempfile.mkdtemp(prefix="sendroute-proxy-")
        os.chmod(self.home, 0o755)
        self.write("hosts", "".join("127.0.0.1 %s\n" % n for n in
                                    ("localhost",) + NAMES))
        for tries in (1, 2, 3):
            self.port = free_ports(1)[0]
            try:
                self.start()
                return
            except Unstarted:
                self.end()
                if tries == 3:
                    self.close()
                    raise

    def url(self, login=None):
        login = self.login if login is None else login
        return "%s://%slocalhost:%d" % (
            self.scheme, "%s:%s@" % login if login else "", self.port)

    def path(self, name):
        return os.path.join(self.home, name)

    def write(self, name, text, mode=0o644):
        with open(self.path(name), "w") as file:
            file.write(text)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def program(self, name):
        for folder in ("usr/sbin", "usr/bin", "usr/lib/openssh"):
            path = os.path.join(self.root, folder, name)
            if os.path.exists(path):
                return path
        raise unpack.Unavailable("the package has no " + name)

    def environment(self, **more):
        """The tree's libraries, and names that only this server knows."""
        import glob
        found = glob.glob(self.root + "/usr/lib/*/libnss_wrapper.so*")
        if found:
            more.update(LD_PRELOAD=found[0],
                        NSS_WRAPPER_HOSTS=self.path("hosts"))
        return unpack.environment(self.root, **more)

    def launch(self, arguments, environment=None, user=None, port=None):
        how = {}
        if user and os.getuid() == 0:
            entry = pwd.getpwnam(user)
            how = dict(user=entry.pw_uid, group=entry.pw_gid, extra_groups=[])
        with open(self.path("output"), "ab") as output:
            try:
                process = subprocess.Popen(
                    arguments, env=environment or self.environment(),
                    stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                    start_new_session=True, preexec_fn=end_with_parent,
                    cwd="/", **how)
            except PermissionError:
                if not how:
                    raise
                raise unittest.SkipTest("%s lies where %s may not go" % (
                    arguments[0], user)) from None
        self.processes.append(process)
        if not wait_until(lambda: process.poll() is not None or
                          is_open(port or self.port), 20) or \
                process.poll() is not None:
            raise Unstarted("%s: %s" % (arguments[0], self.log("output")))

    def log(self, name="log"):
        try:
            with open(self.path(name), errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    def end(self):
        for process in self.processes:
            for number in (15, 9):
                try:
                    os.killpg(process.pid, number)
                    process.wait(3)
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    pass
        self.processes = []

    def close(self):
        self.end()
        shutil.rmtree(self.home, ignore_errors=True)


def is_open(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class Tinyproxy(Server):
    def start(self):
        conf = self.write("conf", "Port %d\nListen 127.0.0.1\nTimeout 60\n"
                          "MaxClients 20\nAllow 127.0.0.1\nLogFile \"%s\"\n"
                          "LogLevel Connect\n%s" % (
                              self.port, self.path("log"),
                              "BasicAuth %s %s\n" % self.login
                              if self.login else ""))
        self.launch([self.program("tinyproxy"), "-d", "-c", conf])


class Squid(Server):
    """ports: those that CONNECT is allowed to, or None: all."""

    def __init__(self, login=None, ports=None):
        self.ports = ports
        super().__init__(login)

    def start(self):
        os.chmod(self.home, 0o777)
        share = os.path.join(self.root, "usr/share/squid")
        lines = ["http_port 127.0.0.1:%d" % self.port,
                 "pid_filename none", "visible_hostname squid.test",
                 "access_log stdio:%s" % self.path("log"),
                 "cache_log " + self.path("cache.log"),
                 "coredump_dir " + self.home, "cache deny all",
                 "mime_table %s/etc/squid/mime.conf" % self.root
                 if os.path.exists(self.root + "/etc/squid/mime.conf") else
                 "mime_table %s/mime.conf" % share,
                 "icon_directory %s/icons" % share,
                 "error_directory " + self.errors(share),
                 "hosts_file " + self.path("hosts"),
                 "dns_nameservers 127.0.0.1", "shutdown_lifetime 0 seconds",
                 "cache_effective_user " + USER, "netdb_filename none",
                 "unlinkd_program /bin/true", "pinger_enable off"]
        if self.login:
            helper = self.write(
                "helper", "#!/bin/sh\nwhile read -r line; do\n"
                "case $line in '%s %s') echo OK;; *) echo ERR;; esac\ndone\n"
                % self.login, 0o755)
            lines += ["auth_param basic program " + helper,
                      "auth_param basic realm test",
                      "acl known proxy_auth REQUIRED",
                      "http_access deny !known"]
        if self.ports:
            lines += ["acl good port " + " ".join(map(str, self.ports)),
                      "http_access deny CONNECT !good"]
        lines.append("http_access allow all")
        conf = self.write("conf", "\n".join(lines) + "\n")
        self.launch([self.program("squid"), "-N", "-f", conf])

    def errors(self, share):
        """A folder of pages: the templates stand elsewhere."""
        folder = self.path("errors")
        if not os.path.exists(folder):
            shutil.copytree(share + "/errors/templates", folder)
        return folder


class Dante(Server):
    scheme = "socks5"

    def start(self):
        conf = self.write(
            "conf", "logoutput: %s\ninternal: 127.0.0.1 port = %d\n"
            "external: 127.0.0.1\nclientmethod: none\nsocksmethod: none\n"
            "user.unprivileged: %s\n"
            "client pass { from: 127.0.0.0/8 to: 0.0.0.0/0 }\n"
            "socks pass { from: 127.0.0.0/8 to: 0.0.0.0/0\n"
            "command: connect\nprotocol: tcp\nlog: connect }\n" % (
                self.path("log"), self.port,
                USER if os.getuid() == 0 else
                pwd.getpwuid(os.getuid()).pw_name))
        self.write("log", "", 0o666)
        self.launch([self.program("danted"), "-f", conf, "-p",
                     self.path("pid")])


class Microsocks(Server):
    scheme = "socks5"

    def start(self):
        arguments = [self.program("microsocks"), "-i", "127.0.0.1", "-p",
                     str(self.port)]
        if self.login:
            arguments += ["-u", self.login[0], "-P", self.login[1]]
        self.launch(arguments)

    def log(self, name="output"):
        return super().log(name)


class Ssh(Server):
    """ssh -D to an sshd of our own, both as an ordinary user."""

    scheme, tree = "socks5", "openssh"

    def start(self):
        user = USER if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
        for name in ("host", "client"):
            if not os.path.exists(self.path(name)):
                subprocess.run([self.program("ssh-keygen"), "-q", "-t",
                                "ed25519", "-N", "", "-f", self.path(name)],
                               check=True, env=unpack.environment(self.root))
        shutil.copy(self.path("client.pub"), self.path("authorized"))
        os.chmod(self.path("authorized"), 0o644)
        if os.getuid() == 0:
            entry = pwd.getpwnam(user)
            for name in ("", "host", "client"):
                os.chown(self.path(name), entry.pw_uid, entry.pw_gid)
        back = free_ports(1)[0]
        conf = self.write(
            "sshd", "Port %d\nListenAddress 127.0.0.1\nHostKey %s\n"
            "AuthorizedKeysFile %s\nStrictModes no\nUsePAM no\n"
            "PidFile none\nUseDNS no\nLogLevel DEBUG1\n" % (
                back, self.path("host"), self.path("authorized")))
        self.launch([self.program("sshd"), "-D", "-e", "-f", conf], user=user,
                    port=back)
        environment = unpack.environment(self.root, HOME=self.home)
        self.launch([self.program("ssh"), "-v", "-F", "none", "-N", "-D",
                     "127.0.0.1:%d" % self.port, "-p", str(back),
                     "-i", self.path("client"),
                     "-o", "UserKnownHostsFile=/dev/null",
                     "-o", "StrictHostKeyChecking=no",
                     "-o", "BatchMode=yes",
                     "-o", "ExitOnForwardFailure=yes",
                     "%s@127.0.0.1" % user], environment, user=user)

    def log(self, name="output"):
        return super().log(name)
