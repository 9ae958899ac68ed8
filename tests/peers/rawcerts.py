"""Certificates that no tool makes: DER put together by hand, signed by openssl(1).

root, rsa_root   what the program is told to trust (`bundle`)
chain(...)       a PEM file of certificates, the first with its key
"""
import atexit
import base64
import os
import shutil
import ssl
import subprocess
import tempfile
import threading
import time

HOST = "localhost"
DIR = tempfile.mkdtemp(prefix="sendroute-rawcerts-")
atexit.register(shutil.rmtree, DIR, True)
LOCK = threading.RLock()
_count = [0]


def openssl(*args, data=None):
    done = subprocess.run(["openssl", *args], input=data,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode != 0:
        raise RuntimeError("openssl %s: %s" % (" ".join(args), done.stderr))
    return done.stdout


# --- DER ---

def tlv(tag, *parts):
    body = b"".join(parts)
    n = len(body)
    if n < 0x80:
        size = bytes([n])
    else:
        raw = n.to_bytes((n.bit_length() + 7) // 8, "big")
        size = bytes([0x80 | len(raw)]) + raw
    return bytes([tag]) + size + body


def seq(*parts):
    return tlv(0x30, *parts)


def integer(n):
    return tlv(0x02, n.to_bytes(n.bit_length() // 8 + 1, "big"))


def oid(dotted):
    a, b, *rest = map(int, dotted.split("."))
    out = bytes([40 * a + b])
    for n in rest:
        part = bytes([n & 0x7f])
        while n > 0x7f:
            n >>= 7
            part = bytes([0x80 | n & 0x7f]) + part
        out += part
    return tlv(0x06, out)


def name(cn, tag=0x0c):
    cn = cn if isinstance(cn, bytes) else cn.encode()
    return seq(tlv(0x31, seq(oid("2.5.4.3"), tlv(tag, cn))))


def when(days):
    return tlv(0x18, time.strftime("%Y%m%d%H%M%SZ", time.gmtime(
        time.time() + days * 86400)).encode())


def extension(dotted, value, critical=False):
    return seq(oid(dotted), tlv(0x01, b"\xff") if critical else b"",
               tlv(0x04, value))


def san(*names):
    """DNS names; bytes are taken as they are, a tuple is (tag, bytes)."""
    out = b""
    for n in names:
        tag, raw = n if isinstance(n, tuple) else (
            0x82, n if isinstance(n, bytes) else n.encode())
        out += tlv(tag, raw)
    return extension("2.5.29.17", seq(out))


def basic(ca, pathlen=None):
    return extension("2.5.29.19", seq(
        tlv(0x01, b"\xff") if ca else b"",
        integer(pathlen) if pathlen is not None else b""), True)


def usage(*bits):
    """keyUsage by bit numbers: 0 digitalSignature, 2 keyEncipherment,
    5 keyCertSign."""
    value = 0
    for bit in bits:
        value |= 0x80 >> bit
    return extension("2.5.29.15", tlv(0x03, bytes([0, value])), True)


def purpose(*ids, critical=False):
    return extension("2.5.29.37", seq(*[oid("1.3.6.1.5.5.7.3.%d" % i)
                                        for i in ids]), critical)


def constraints(excluded, critical):
    return extension("2.5.29.30", seq(tlv(0xa1, seq(tlv(
        0x82, excluded.encode())))), critical)


SIGNATURES = {
    ("ec", "sha256"): ("1.2.840.10045.4.3.2", b""),
    ("ec", "sha1"): ("1.2.840.10045.4.1", b""),
    ("rsa", "sha256"): ("1.2.840.113549.1.1.11", b"\x05\0"),
    ("rsa", "sha1"): ("1.2.840.113549.1.1.5", b"\x05\0"),
    ("rsa", "md5"): ("1.2.840.113549.1.1.4", b"\x05\0"),
}


# --- keys and certificates ---

class Key:
    """kind: ec, ec:CURVE, or rsa:BITS[:MORE], made when first asked for."""

    def __init__(self, kind):
        self.kind, self._path = kind, None

    @property
    def family(self):
        return "ec" if self.kind.startswith("ec") else "rsa"

    @property
    def path(self):
        with LOCK:
            if self._path is None:
                _count[0] += 1
                path = os.path.join(DIR, "key%d" % _count[0])
                if self.family == "ec":
                    openssl("genpkey", "-quiet", "-algorithm", "EC",
                            "-pkeyopt", "ec_paramgen_curve:" + (
                                self.kind[3:] or "P-256"),
                            "-pkeyopt", "ec_param_enc:named_curve",
                            "-out", path)
                else:
                    options = self.kind.split(":")[1:]
                    more = ["-pkeyopt", "rsa_keygen_bits:" + options[0]]
                    for option in options[1:]:
                        more += ["-pkeyopt", option.replace("=", ":")]
                    openssl("genpkey", "-quiet", "-algorithm", "RSA", *more,
                            "-out", path)
                self._path = path
            return self._path

    @property
    def public(self):
        return openssl("pkey", "-in", self.path, "-pubout", "-outform", "DER")


class Cert:
    """issuer None: by itself.  The rest says what is unusual."""

    def __init__(self, subject, key, issuer=None, extensions=(), days=(-10, 30),
                 digest="sha256", version=2, public=None, spoil=None,
                 inner=None, dates=None, cn_tag=0x0c):
        self.key = key
        self.subject = name(subject, cn_tag)
        by = issuer or self
        algorithm = self.algorithm(by.key.family, digest)
        body = seq(
            tlv(0xa0, integer(version)) if version else b"",
            integer(int.from_bytes(os.urandom(8), "big") | 1),
            inner or algorithm, by.subject,
            dates or seq(when(days[0]), when(days[1])), self.subject,
            public or key.public,
            tlv(0xa3, seq(*extensions)) if extensions else b"")
        sign = openssl("dgst", "-" + digest, "-sign", by.key.path, data=body)
        if spoil:
            body = spoil(body)
        self.der = seq(body, algorithm, tlv(0x03, b"\0" + sign))

    @staticmethod
    def algorithm(family, digest):
        dotted, parameters = SIGNATURES[family, digest]
        return seq(oid(dotted), parameters)

    @property
    def pem(self):
        text = base64.encodebytes(self.der).decode().replace("\n", "")
        return "-----BEGIN CERTIFICATE-----\n" + "\n".join(
            text[i:i + 64] for i in range(0, len(text), 64)) + \
            "\n-----END CERTIFICATE-----\n"


CA = (basic(True), usage(5, 6))
root_key, inter_key, leaf_key = Key("ec"), Key("ec"), Key("ec")
rsa_key, weak_key = Key("rsa:2048"), Key("rsa:1024")


def leaf(issuer, key=leaf_key, names=(HOST,), more=(), own=None, **how):
    """A server's certificate, good but for what is said."""
    extensions = own if own is not None else (
        basic(False), usage(0, 2), purpose(1),
        *([san(*names)] if names else ()), *more)
    return Cert(how.pop("subject", HOST), key, issuer, extensions, **how)


def inter(subject="Raw Intermediate", key=inter_key, issuer=None,
          extensions=CA, **how):
    return Cert(subject, key, issuer or root, extensions, **how)


root = Cert("Raw Root", root_key, None, CA)
rsa_root = Cert("Raw RSA Root", rsa_key, None, CA)


def write(certs):
    with LOCK:
        _count[0] += 1
        path = os.path.join(DIR, "chain%d.pem" % _count[0])
    with open(path, "w") as file:
        file.write("".join(c.pem for c in certs))
    return path


bundle = write([rsa_root, root])


def context(certs):
    """An SSLContext that shows them; the first has its key in it."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.set_ciphers("DEFAULT@SECLEVEL=0")
    made.maximum_version = ssl.TLSVersion.TLSv1_2
    made.load_cert_chain(write(certs), certs[0].key.path)
    return made
