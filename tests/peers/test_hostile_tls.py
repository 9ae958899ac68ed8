"""A peer that is not who it should be, or breaks the handshake: whatever it
shows, not one byte of password, request or mail may reach it.

Every chain is shown by a relay after STARTTLS and by an SES endpoint.
"""
import struct
import tempfile
import time

import harness
import rawcerts as raw
from hostile import (DONE, TEMP, Http, Smtp, can_bind_hosts, tests,
                     with_names)
from rawcerts import (CA, Cert, HOST, Key, basic, constraints, extension,
                      inter, leaf, purpose, root, rsa_root, san, seq, tlv,
                      usage)
from relay import DROP, RST, SILENT

SHORT = "timeout 1s\n"
ROWS = []


def chains():
    """name: (kind, words, certificates made when asked for, more for Row)"""
    weird = (("secp256k1", "secp256k1"), ("brainpool", "brainpoolP256r1"),
             ("P-224", "P-224"))
    ca = lambda *more: (basic(True), usage(5, 6), *more)
    good = lambda **how: [leaf(root, **how)]
    under = lambda middle, **how: [leaf(middle, **how), middle]
    yes, no = DONE, TEMP

    yield "a good one", yes, "", good
    yield "a good chain", yes, "", lambda: under(inter())
    yield "rsa", yes, "", lambda: [leaf(rsa_root, key=raw.rsa_key)]
    yield "P-384", yes, "", lambda: good(key=Key("ec:P-384"))
    yield "P-521", yes, "", lambda: good(key=Key("ec:P-521"))

    # Whose it is.
    yield "another name", no, "is for other.test, not " + HOST, lambda: good(
        names=("other.test",))
    yield "a name in CN alone", no, "holds no host name", lambda: good(names=())
    yield "no names in a SAN", no, "holds no host name", lambda: [leaf(
        root, own=(basic(False), extension("2.5.29.17", seq())))]
    yield "an address alone", no, "holds no host name", lambda: good(
        names=((0x87, b"\x7f\0\0\1"),))
    yield "an e-mail address and a URL alone", no, "holds no host name", \
        lambda: good(names=((0x81, b"root@localhost"),
                            (0x86, b"https://localhost/")))
    for title, text in {
            "a NUL behind the name": b"localhost\0.evil.example",
            "a NUL at the end": b"localhost\0", "a NUL in front": b"\0localhost",
            "a blank behind": b"localhost ", "a line end behind": b"localhost\n",
            "a dot behind": b"localhost.", "a dot in front": b".localhost",
            "a longer name": b"localhost.evil.example",
            "a shorter name": b"localhos", "nothing": b"",
            "a star": b"*", "a star and a dot": b"*.", "stars": b"*.*",
            "part of a label": b"local*", "the end of a label": b"*host",
            "a star for nothing": b"*.localhost", "a star behind": b"localhost.*",
            "ESC": b"\x1b[2J\x9b2J\xc2\x9b", "a log line":
            b"x\" status=sent\n", "300 bytes": b"x" * 300,
            "UTF-8 that looks alike": "lоcalhost".encode(),
            "a percent sign": b"%s%n%x"}.items():
        yield "for " + title, no, "is for .*, not " + HOST, \
            lambda text=text: good(names=(text,))
    yield "the name in capitals", yes, "", lambda: good(names=("LOCALHOST",))
    yield "the name behind another", yes, "", lambda: good(
        names=(b"other.test\0x", b"\xff\xfe", HOST))
    yield "2000 names", yes, "", lambda: good(names=[
        "host%d.example" % i for i in range(1500)] + [HOST])
    yield "2000 names without ours", no, "is for host0.example", lambda: good(
        names=["host%d.example" % i for i in range(1500)])

    # When.
    yield "expired", no, "expired on", lambda: good(days=(-30, -1))
    yield "not yet valid", no, "not valid before", lambda: good(days=(1, 30))
    yield "an issuer that has expired", no, "has expired or", lambda: under(
        inter(days=(-30, -1)))
    for title, text in {"month 13": b"20261301000000Z", "no digits":
                        b"garbagegarbage", "no zone": b"20991231235959",
                        "a NUL": b"2099123123595\0Z",
                        "nothing": b""}.items():
        yield "an end with " + title, no, "TLS: .*certificate", \
            lambda text=text: good(dates=seq(raw.when(-1), tlv(0x18, text)))

    # Issued by whom.
    yield "self-signed", no, "self-signed", lambda: [leaf(None)]
    yield "of an unknown root", no, "Root of Nobody.*not in", lambda: under(
        Cert("Root of Nobody", raw.inter_key, None, CA))
    yield "of an unknown root that is kept back", no, \
        "Root of Nobody.*not in", lambda: under(
            Cert("Root of Nobody", raw.inter_key, None, CA))[:1]
    yield "of one who bears our root's name", no, "not signed by .Raw Root.", \
        lambda: under(Cert("Raw Root", Key("ec"), None, CA))
    yield "of one who bears our root's name and is kept back", no, \
        "not signed by .Raw Root.", lambda: under(
            Cert("Raw Root", raw.inter_key, None, CA))[:1]
    yield "of an issuer that is missing", no, "Raw Intermediate.*not in", \
        lambda: under(inter())[:1]
    yield "of an issuer with a key that is not its own", no, \
        "signature .* is wrong", lambda: [leaf(inter()), inter(key=Key("ec"))]
    yield "changed after it was signed", no, "not signed by .Raw Root.", \
        lambda: good(names=("localhosx",), spoil=lambda b: b.replace(
            b"localhosx", b"localhost"))
    yield "an issuer changed after it was signed", no, \
        "not signed by .Raw Root.", lambda: under(inter(
            extensions=(basic(True, 3), usage(5)), spoil=lambda b: b.replace(
                b"\x02\1\3", b"\x02\1\4")))
    # The outer one counts; the inner one is signed text like any other.
    yield "two algorithms", yes, "", lambda: good(
        inner=Cert.algorithm("ec", "sha1"))

    def unordered():
        one = inter("One")
        two = inter("Two", Key("ec"), one)
        return [leaf(two), one, two]
    yield "out of order", no, "out of order", unordered
    # What stands behind the one that our root has signed does not matter.
    yield "twice over", yes, "", lambda: good() * 2
    yield "a stranger behind it", no, "out of order", lambda: [
        leaf(inter()), Cert("Stranger", Key("ec"), None, CA)]

    def last_first():
        middle = inter()
        return [inter(extensions=(basic(True), usage(0, 5))), leaf(middle)]
    yield "the issuer first", no, "holds no host name", last_first

    # May that one issue at all?
    yield "of one that is no CA", no, "no CA", lambda: under(
        inter(extensions=(basic(False), usage(5))))
    yield "of one that does not say that it is a CA", no, "no CA", \
        lambda: under(inter(extensions=(usage(5),)))
    yield "of one with no extensions", no, "no CA", lambda: under(
        inter(extensions=()))
    yield "of one of version 1", no, "no CA|malformed", lambda: under(
        inter(extensions=(), version=0))
    yield "of another's server certificate", no, "no CA", lambda: under(
        leaf(root, key=raw.inter_key, names=("evil.example",)))
    yield "of one that may not sign certificates", no, "may not be used", \
        lambda: under(inter(extensions=(basic(True), usage(0))))

    def too_long(first=0):
        one = inter("One", extensions=(basic(True, first), usage(5)))
        two = inter("Two", Key("ec"), one)
        return [leaf(two), two, one]
    yield "a path longer than allowed", no, "no CA", too_long
    yield "a path as long as allowed", yes, "", lambda: too_long(1)

    # How it is signed, and with what.
    yield "rsa of 1024 bits", no, "weak key", lambda: [leaf(
        rsa_root, key=raw.weak_key)]
    yield "an issuer with rsa of 1024 bits", no, "weak key", lambda: under(
        inter(key=raw.weak_key))
    yield "rsa of 512 bits", no, "weak key", lambda: [leaf(
        rsa_root, key=Key("rsa:512"))]
    yield "sha-1", no, "SHA-1, MD5", lambda: [leaf(
        rsa_root, key=raw.rsa_key, digest="sha1")]
    yield "md5", no, "SHA-1, MD5", lambda: [leaf(
        rsa_root, key=raw.rsa_key, digest="md5")]
    yield "ecdsa with sha-1", no, "SHA-1, MD5", lambda: good(digest="sha1")
    yield "an issuer by sha-1", no, "SHA-1, MD5", lambda: under(
        inter(digest="sha1"))
    yield "rsa of 4096 bits", yes, "", lambda: good(
        key=Key("rsa:4096:rsa_keygen_primes=4"))
    yield "rsa of 8192 bits", no, "TLS: .*certificate", lambda: good(
        key=Key("rsa:8192:rsa_keygen_primes=5"))
    yield "an issuer with rsa of 8192 bits", no, "TLS: .*certificate", \
        lambda: under(inter(key=Key("rsa:8192:rsa_keygen_primes=5")))
    yield "rsa with the exponent 3", yes, "", lambda: good(
        key=Key("rsa:2048:rsa_keygen_pubexp=3"))
    yield "rsa with an exponent of 64 bits", yes, "", lambda: good(
        key=Key("rsa:2048:rsa_keygen_pubexp=18446744073709551557"))
    for title, curve in weird:
        yield "the curve " + title, no, "TLS: .*(certificate|cipher)", \
            lambda curve=curve: good(key=Key("ec:" + curve))
    yield "a point that is on no curve", no, "signature .* is wrong", \
        lambda: under(inter(public=raw.inter_key.public[:-64] + b"\1" * 64))
    yield "a point of no length", no, "TLS: .*certificate", lambda: under(
        inter(public=seq(seq(raw.oid("1.2.840.10045.2.1"), raw.oid(
            "1.2.840.10045.3.1.7")), tlv(0x03, b"\0"))))
    for title, (n, e) in {"exponent 1": (None, 1), "exponent 2": (None, 2),
                          "exponent 0": (None, 0),
                          "an even modulus": (1 << 2047, 65537),
                          "a modulus of 0": (0, 65537),
                          "an exponent of 4096 bits": (None, 1 << 4095 | 1)
                          }.items():
        yield "an issuer whose rsa has " + title, no, "TLS: .*certificate", \
            lambda n=n, e=e: under(inter(key=raw.rsa_key, public=rsa_public(
                n, e)))

    # Extensions.
    yield "for clients alone", yes, "", lambda: [leaf(root, own=(
        basic(False), usage(0), purpose(2), san(HOST)))]
    yield "for clients alone, critically", no, "critical extension", \
        lambda: [leaf(root, own=(basic(False), usage(0), san(HOST),
                                 purpose(2, critical=True)))]
    yield "a key that may not sign", no, "may not be used|no cipher", \
        lambda: [leaf(root, own=(basic(False), usage(2), san(HOST)))]
    yield "an unknown extension", yes, "", lambda: good(
        more=(extension("1.2.3.4.5", b"x" * 100),))
    yield "an unknown critical extension", no, "critical extension", \
        lambda: good(more=(extension("1.2.3.4.5", b"x", True),))
    yield "an issuer with an unknown critical extension", no, \
        "critical extension", lambda: under(inter(extensions=ca(
            extension("1.2.3.4.5", b"x", True))))
    # Not looked at: README says so.
    yield "name constraints against it", yes, "", lambda: under(inter(
        extensions=ca(constraints(HOST, False))))
    yield "critical name constraints against it", no, "critical extension", \
        lambda: under(inter(extensions=ca(constraints(HOST, True))))

    # How much.
    yield "64 KB", no, "TLS: .*certificate", lambda: good(
        more=(extension("1.2.3.4.5", bytes(65536)),))
    yield "an issuer of 64 KB", no, "TLS: .*certificate", lambda: under(inter(
        extensions=ca(extension("1.2.3.4.5", bytes(65536)))))
    yield "30 KB", yes, "", lambda: good(
        more=(extension("1.2.3.4.5", bytes(30000)),))
    yield "an issuer's name with ESC", no, "not in", lambda: under(
        Cert(b"\x1b[2J\x9b\xc2\x9bNobody\0x", raw.inter_key, None, CA,
             cn_tag=0x14))
    yield "an issuer's name of 20 KB", no, "malformed", lambda: under(
        Cert("N" * 20000, raw.inter_key, None, CA))
    yield "an issuer's name in BMPString", no, "not in", lambda: under(
        Cert("Nobody".encode("utf-16-be"), raw.inter_key, None, CA,
             cn_tag=0x1e))


def rsa_public(n, e):
    if n is None:
        n = int(raw.openssl("rsa", "-in", raw.rsa_key.path, "-noout",
                            "-modulus").split(b"=")[1], 16)
    return seq(seq(raw.oid("1.2.840.113549.1.1.1"), b"\x05\0"),
               tlv(0x03, b"\0", seq(raw.integer(n), raw.integer(e))))


class Shown:
    """A chain made once, by whoever needs it first."""

    def __init__(self, make):
        self.make, self.made = make, None

    def __call__(self, server):
        with raw.LOCK:
            if self.made is None:
                self.made = raw.context(self.make())
        server.context = self.made


for title, kind, words, make in chains():
    how = dict(extra="ca-file " + raw.bundle, prepare=Shown(make),
               trusted=kind is DONE, within=8)
    words = [words] if words else []
    ROWS.append(Smtp("relay with " + title, kind, *words, **how))
    ROWS.append(Http("SES with " + title, kind, *words, **how))


# Names with several labels need to be found on loopback.
FOLDER = tempfile.mkdtemp(prefix="sendroute-", dir=raw.DIR)
for pattern, kind in {
        "b.c.a.example": DONE, "*.c.a.example": DONE, "*.a.example": TEMP,
        "b.*.a.example": TEMP, "*.*.a.example": TEMP, "b*.c.a.example": TEMP,
        "*b.c.a.example": TEMP, "*.example": TEMP, "*": TEMP,
        "c.a.example": TEMP, "*.b.c.a.example": TEMP, "**.c.a.example": TEMP,
        "b.c.a.example.": TEMP, "*.C.A.Example": DONE}.items():
    ROWS.append(Smtp(
        "a certificate for %s for b.c.a.example" % pattern.replace(
            "*", "star"), kind, *([] if kind is DONE else ["is for .*, not"]),
        extra="ca-file " + raw.bundle, trusted=kind is DONE,
        host="b.c.a.example", under=with_names(FOLDER, "b.c.a.example"),
        skip=None if can_bind_hosts() else "unshare(1) is not allowed here",
        prepare=Shown(lambda pattern=pattern: [leaf(root,
                                                    names=(pattern,))])))


# --- handshakes by hand -----------------------------------------------------

def record(kind, body, version=0x0303):
    return struct.pack(">BHH", kind, version, len(body)) + body


def message(kind, body):
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def server_hello(version=0x0303, suite=0xc02b, sid=b"", compression=0,
                 extensions=b"", random=b"r" * 32):
    return message(2, struct.pack(">H", version) + random + bytes([len(sid)])
                   + sid + struct.pack(">HB", suite, compression)
                   + (struct.pack(">H", len(extensions)) + extensions
                      if extensions else b""))


def certificate(*ders):
    lump = b"".join(len(d).to_bytes(3, "big") + d for d in ders)
    return message(11, len(lump).to_bytes(3, "big") + lump)


def exchange(talk, curve=23, point=None, scheme=0x0403, key=None, spoil=False):
    """ServerKeyExchange, signed by `key` over what the client said."""
    if point is None:
        point = raw.inter_key.public[-65:]
    body = bytes([3]) + struct.pack(">H", curve) + bytes([len(point)]) + point
    signed = talk.client_random + b"r" * 32 + body
    sign = raw.openssl("dgst", "-sha1" if scheme == 0x0203 else "-sha256",
                       "-sign", (key or raw.leaf_key).path, data=signed)
    if spoil:
        sign = sign[:-1] + bytes([sign[-1] ^ 1])
    return message(12, body + struct.pack(">HH", scheme, len(sign)) + sign)


def hello(talk):
    """Read the ClientHello."""
    while len(talk.buffer) < 43:
        talk.more()
    talk.client_random = bytes(talk.buffer[11:43])
    talk.buffer.clear()
    talk.session.commands.clear()


HELLO_DONE = message(14, b"")
RSA_KX, CBC = 0x009c, 0xc023
_leaf = []


def leaf_der():
    with raw.LOCK:
        if not _leaf:
            _leaf.append(leaf(root).der)
        return _leaf[0]


def flight(*parts):
    """Send these handshake messages, some made from the conversation."""
    def go(talk):
        hello(talk)
        body = b"".join(p(talk) if callable(p) else p for p in parts)
        for i in range(0, len(body), 16384):
            talk.wire.send(record(22, body[i:i + 16384]))
    return (go,)


def sending(*records):
    def go(talk):
        hello(talk)
        for r in records:
            talk.wire.send(r)
    return (go,)


def for_ever(block):
    def go(talk):
        hello(talk)
        talk.wire.sock.settimeout(30)
        while True:
            talk.wire.send(block)
    return (go,)


def slowly(block, seconds):
    def go(talk):
        hello(talk)
        for i in range(len(block)):
            talk.wire.send(block[i:i + 1])
            time.sleep(seconds)
    return (go,)


def cert(talk):
    return certificate(leaf_der())


EXT = {"supported_versions": struct.pack(">HHH", 43, 2, 0x0304)}
WARNING = record(21, b"\1\x5a")
HANDSHAKES = {
    "silence": (("timed out", "handshake"), (hello, SILENT)),
    "a close": (("cut the connection", "handshake"), (hello, DROP)),
    "a reset": (("reset|cut", "handshake"), (hello, RST)),
    "close_notify": (("TLS",), sending(record(21, b"\1\0"))),
    "alert 40": (("alert 40",), sending(record(21, b"\2\x28"))),
    "alert 70": (("alert 70",), sending(record(21, b"\2\x46"))),
    "alert 112": (("alert 112",), sending(record(21, b"\2\x70"))),
    "alert 255": (("alert 255",), sending(record(21, b"\2\xff"))),
    "warnings and a close": (("cut the connection",), sending(
        WARNING * 50) + (DROP,)),
    "warnings for ever": (("timed out",), for_ever(WARNING * 20000)),
    "empty records for ever": (("timed out|TLS",), for_ever(
        record(22, b"") * 20000)),
    "HelloRequests for ever": (("timed out|TLS",), for_ever(
        record(22, message(0, b"") * 4000))),
    "one byte at a time": (("timed out",), slowly(
        record(22, server_hello() * 20), 0.05)),
    "rubbish": (("is not TLS 1.2",), sending(b"\0" * 4000)),
    "rubbish for ever": (("is not TLS 1.2",), for_ever(b"\xa5" * 65536)),
    "a line of SMTP": (("is not TLS 1.2",), sending(
        b"554 5.7.1 no TLS for you\r\n")),
    "HTTP": (("is not TLS 1.2",), sending(
        b"HTTP/1.1 400 Bad Request\r\n\r\n")),
    "SSLv2": (("is not TLS 1.2",), sending(
        b"\x80\x2e\4\0\1\0\2" + b"\0" * 40)),
    "SSLv3": (("TLS",), sending(record(22, server_hello(0x0300), 0x0300))),
    "TLS 1.0": (("TLS",), sending(record(22, server_hello(0x0301), 0x0301))),
    "TLS 1.1": (("TLS",), sending(record(22, server_hello(0x0302), 0x0302))),
    "TLS 1.1 in a record of 1.2": (("TLS",), flight(server_hello(0x0302))),
    "TLS 1.3": (("TLS",), flight(server_hello(
        extensions=EXT["supported_versions"], suite=0x1301))),
    "TLS 1.2 with 1.3's extension": (("TLS",), flight(server_hello(
        extensions=EXT["supported_versions"]), cert)),
    "version 9.9": (("TLS",), flight(server_hello(0x0909))),
    "a suite with RSA key exchange": (("TLS",), flight(
        server_hello(suite=RSA_KX), cert, HELLO_DONE)),
    "a suite with CBC": (("TLS",), flight(server_hello(suite=CBC), cert)),
    "the null suite": (("TLS",), flight(server_hello(suite=0))),
    "an anonymous suite": (("TLS",), flight(server_hello(suite=0xc018))),
    "an export suite": (("TLS",), flight(server_hello(suite=3))),
    "compression": (("TLS",), flight(server_hello(compression=1))),
    "a session id of 33 bytes": (("TLS",), flight(server_hello(
        sid=b"x" * 33))),
    "a session that was never ours": (("TLS|timed out|cut",), flight(
        server_hello(sid=b"x" * 32)) + (DROP,)),
    "a ClientHello": (("TLS",), flight(message(1, server_hello()[4:]))),
    "data before the handshake": (("TLS",), sending(record(
        23, b"250 ok\r\n"))),
    "ChangeCipherSpec at once": (("TLS",), sending(record(20, b"\1"))),
    "Finished at once": (("TLS",), flight(message(20, b"x" * 12))),
    "ServerHelloDone at once": (("TLS",), flight(HELLO_DONE)),
    "an empty ServerHello": (("TLS",), flight(message(2, b""))),
    "a ServerHello of 16 MB": (("TLS",), sending(record(
        22, b"\2\xff\xff\xff" + b"\0" * 16000))),
    "a record too long": (("TLS",), sending(record(22, bytes(0x4801)))),
    "a record of type 99": (("TLS",), sending(record(99, b"x"))),
    "no certificate": (("TLS",), flight(server_hello(), certificate(),
                                        HELLO_DONE)),
    "an empty certificate": (("TLS",), flight(
        server_hello(), certificate(b""), HELLO_DONE)),
    "a certificate of rubbish": (("TLS", "certificate"), flight(
        server_hello(), certificate(b"rubbish"), HELLO_DONE)),
    "certificates of 16 MB": (("TLS|timed out",), (lambda talk: (
        hello(talk), talk.wire.send(record(22, server_hello())), [
            talk.wire.send(record(22, (b"\x0b\xff\xff\xff\xff\xff\xfc\xff\xff"
                                       b"\xf9" if i == 0 else b"") +
                                  b"\x30" * 16000)) for i in range(1048)]
        ) and None, DROP)),
    "a certificate longer than its message": (("TLS",), flight(
        server_hello(), message(11, b"\0\0\x10\xff\xff\xff" + b"x" * 13))),
    "no key exchange": (("TLS",), flight(server_hello(), cert, HELLO_DONE)),
    "a key exchange by another key": (("TLS",), flight(
        server_hello(), cert, lambda t: exchange(t, key=raw.inter_key),
        HELLO_DONE)),
    "a key exchange with a bent signature": (("TLS",), flight(
        server_hello(), cert, lambda t: exchange(t, spoil=True), HELLO_DONE)),
    "a key exchange signed with SHA-1": (("TLS",), flight(
        server_hello(), cert, lambda t: exchange(t, scheme=0x0203),
        HELLO_DONE)),
    "a key exchange of before": (("TLS",), flight(
        server_hello(), cert, lambda t: (setattr(
            t, "client_random", b"c" * 32), exchange(t))[1], HELLO_DONE)),
    "a key exchange on an unknown curve": (("TLS",), flight(
        server_hello(), cert, lambda t: exchange(t, curve=22), HELLO_DONE)),
    "a point on no curve": (("TLS",), flight(
        server_hello(), cert, lambda t: exchange(t, point=b"\4" + b"\1" * 64),
        HELLO_DONE)),
    "a point of one byte": (("TLS",), flight(
        server_hello(), cert, lambda t: exchange(t, point=b"\0"),
        HELLO_DONE)),
    "ChangeCipherSpec before keys": (("TLS",), (
        flight(server_hello(), cert)[0], lambda t: t.wire.send(
            record(20, b"\1") + record(22, b"x" * 40)))),
    # The real certificate and a good key exchange, but nobody who has the keys.
    "a Finished that was made up": (("TLS",), (
        flight(server_hello(), cert, exchange, HELLO_DONE)[0],
        lambda t: t.more(), lambda t: t.wire.send(
            record(20, b"\1") + record(22, b"x" * 40)))),
    "data in the clear for Finished": (("TLS",), (
        flight(server_hello(), cert, exchange, HELLO_DONE)[0],
        lambda t: t.more(), lambda t: t.wire.send(
            record(23, b"250 ok\r\n")))),
}


for title, (words, steps) in HANDSHAKES.items():
    endless = "for ever" in title or title in ("silence", "one byte at a time")
    for mode in ("starttls", "implicit"):
        how = dict(top=SHORT, within=6, trusted=False, tls=mode,
                   extra="ca-file " + raw.bundle)
        if mode == "implicit":
            how["first"] = steps + (SILENT,)
        else:
            how["replies"] = {"starttls": (b"220 go ahead\r\n",) + steps + (
                SILENT,)}
        ROWS.append(Smtp("%s in the handshake, %s" % (title, mode), TEMP,
                         *words, **how))

Table = tests(ROWS, "Table")

if __name__ == "__main__":
    harness.main()
