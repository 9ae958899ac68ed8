"""Certificates for the servers of the tests, made by openssl(1) when asked for.

    ca.pem is the bundle that the program is told to trust;
    server("good") gives (chain file, key file) of one of KINDS.
"""
import atexit
import hashlib
import os
import shutil
import ssl
import subprocess
import tempfile
import threading

# name: (key, issuer, subject, subjectAltName, begin, end), times in days from
# now; issuer None: signed by itself.
KINDS = {
    "good": ("ec", "ca", "localhost", "DNS:localhost", -1, 30),
    "rsa": ("rsa:2048", "rsa-ca", "localhost", "DNS:localhost", -1, 30),
    "rsa3072": ("rsa:3072", "rsa-ca", "localhost", "DNS:localhost", -1, 30),
    "p384": ("ec384", "ca", "localhost", "DNS:localhost", -1, 30),
    "other-name": ("ec", "ca", "other.test", "DNS:other.test", -1, 30),
    "wildcard": ("ec", "ca", "wild", "DNS:*.localhost,DNS:localhost", -1, 30),
    "named": ("ec", "ca", "relay.test", "DNS:relay.test", -1, 30),
    "expired": ("ec", "ca", "localhost", "DNS:localhost", -30, -2),
    "not-yet": ("ec", "ca", "localhost", "DNS:localhost", 2, 30),
    "self-signed": ("ec", None, "localhost", "DNS:localhost", -1, 30),
    "stranger": ("ec", "stranger-ca", "localhost", "DNS:localhost", -1, 30),
    "rsa1024": ("rsa:1024", "rsa-ca", "localhost", "DNS:localhost", -1, 30),
    "sha1": ("rsa:2048", "rsa-ca", "localhost", "DNS:localhost", -1, 30),
    "cn-only": ("ec", "ca", "localhost", "", -1, 30),
    "chained": ("ec", "inter", "localhost", "DNS:localhost", -1, 30),
    "chain-missing": ("ec", "inter", "localhost", "DNS:localhost", -1, 30),
    "named": ("ec", "ca", "named", "DNS:localhost,DNS:relay.test,DNS:ses.test,"
              "DNS:email.eu-west-1.amazonaws.com,"
              "DNS:email.us-east-1.amazonaws.com,"
              "DNS:sts.eu-west-1.amazonaws.com", -1, 30),
    "leaf-issued": ("ec", "leaf-as-ca", "localhost", "DNS:localhost", -1, 30),
}
AUTHORITIES = {
    "ca": ("ec", None, "Test Root EC"),
    "rsa-ca": ("rsa:2048", None, "Test Root RSA"),
    "stranger-ca": ("ec", None, "Root of Nobody"),
    "inter": ("ec", "ca", "Test Intermediate"),
    "leaf-as-ca": ("ec", "ca", "not-a-ca.test"),
}

CONFIG = """
[ca]
default_ca = it
[it]
database = %(dir)s/index.txt
new_certs_dir = %(dir)s
rand_serial = yes
default_md = sha256
policy = any
email_in_dn = no
unique_subject = no
[any]
commonName = supplied
[req]
distinguished_name = dn
[dn]
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature,keyEncipherment
extendedKeyUsage = serverAuth,clientAuth
%(san)s
"""


class Certificates:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="sendroute-certs-")
        atexit.register(shutil.rmtree, self.dir, True)
        self.lock = threading.RLock()
        self.made = {}
        open(self.path("index.txt"), "w").close()

    def path(self, name):
        return os.path.join(self.dir, name)

    def _openssl(self, *args):
        done = subprocess.run(["openssl", *args], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            raise RuntimeError("openssl %s: %s" % (
                " ".join(args), done.stdout.decode("utf-8", "replace")))
        return done.stdout

    def _key(self, name, kind):
        out = self.path(name + ".key")
        if kind.startswith("rsa"):
            self._openssl("genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt",
                          "rsa_keygen_bits:" + kind.split(":")[1], "-out", out)
        else:
            curve = "P-384" if kind == "ec384" else "P-256"
            self._openssl("genpkey", "-quiet", "-algorithm", "EC", "-pkeyopt",
                          "ec_paramgen_curve:" + curve, "-out", out)
        return out

    def _certificate(self, name, key, issuer, subject, san, days, section,
                     digest="sha256"):
        import datetime
        now = datetime.datetime.now(datetime.timezone.utc)
        when = [(now + datetime.timedelta(days=d)).strftime("%Y%m%d%H%M%SZ")
                for d in days]
        config, request = self.path(name + ".cnf"), self.path(name + ".csr")
        with open(config, "w") as file:
            file.write(CONFIG % {
                "dir": self.dir,
                "san": "subjectAltName = " + san if san else ""})
        self._openssl("req", "-new", "-config", config, "-key", key, "-subj",
                      "/CN=" + subject, "-out", request)
        signer = ["-selfsign", "-keyfile", key] if issuer is None else [
            "-cert", self.path(issuer + ".crt"),
            "-keyfile", self.path(issuer + ".key")]
        out = self.path(name + ".crt")
        self._openssl("ca", "-batch", "-notext", "-config", config, "-in",
                      request, "-out", out, "-startdate", when[0], "-enddate",
                      when[1], "-extensions", section, "-md", digest, *signer)
        return out

    def authority(self, name):
        with self.lock:
            if name not in self.made:
                kind, issuer, subject = AUTHORITIES[name]
                if issuer:
                    self.authority(issuer)
                section = "leaf" if name == "leaf-as-ca" else "root"
                self.made[name] = self._certificate(
                    name, self._key(name, kind), issuer, subject,
                    "DNS:" + subject if section == "leaf" else "",
                    (-40, 300), section)
            return self.made[name]

    @property
    def ca(self):
        """The bundle of roots: both of ours, behind one that is not asked for."""
        with self.lock:
            if "bundle" not in self.made:
                with open(self.path("bundle.pem"), "w") as out:
                    for name in ("ca", "rsa-ca"):
                        with open(self.authority(name)) as file:
                            out.write(file.read())
                self.made["bundle"] = self.path("bundle.pem")
            return self.made["bundle"]

    def server(self, name):
        """(chain, key) files of the server certificate of that kind."""
        with self.lock:
            self.ca
            if name not in self.made:
                kind, issuer, subject, san, begin, end = KINDS[name]
                if issuer:
                    self.authority(issuer)
                key = self._key(name, kind)
                leaf = self._certificate(
                    name, key, issuer, subject, san, (begin, end), "leaf",
                    "sha1" if name == "sha1" else "sha256")
                chain = self.path(name + ".chain")
                links = [leaf]
                if issuer in ("inter", "leaf-as-ca") and \
                        name != "chain-missing":
                    links.append(self.authority(issuer))
                with open(chain, "w") as out:
                    for link in links:
                        with open(link) as file:
                            out.write(file.read())
                self.made[name] = (chain, key)
            return self.made[name]

    def pin(self, name):
        """`tls-pin` of that server: sha256:HEX of its public key."""
        _, key = self.server(name)
        public = self._openssl("pkey", "-in", key, "-pubout", "-outform", "DER")
        return "sha256:" + hashlib.sha256(public).hexdigest()

    def context(self, name="good", only=None):
        """An SSLContext for a server.  only: "1.2" or "1.3"."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if name in ("rsa1024", "sha1"):
            made.set_ciphers("DEFAULT@SECLEVEL=0")
        made.load_cert_chain(*self.server(name))
        if only == "1.3":
            made.minimum_version = ssl.TLSVersion.TLSv1_3
        elif only == "1.1":
            made.set_ciphers("DEFAULT@SECLEVEL=0")
            made.minimum_version = ssl.TLSVersion.TLSv1
            made.maximum_version = ssl.TLSVersion.TLSv1_1
        elif only == "rsa-kx":
            made.maximum_version = ssl.TLSVersion.TLSv1_2
            made.set_ciphers("AES128-GCM-SHA256:AES256-SHA")
        elif only == "cbc":
            made.maximum_version = ssl.TLSVersion.TLSv1_2
            made.set_ciphers("ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES128-SHA")
        return made


certificates = Certificates()
