"""Certificates of our own, which a relay asks for: keys of every form, AUTH
EXTERNAL, and what is refused before anything is connected."""
import os
import shutil
import ssl
import subprocess
import unittest

import harness
import unpack
from certs import certificates
from harness import Case, MESSAGE, crlf, run
from mailserver import DOMAIN
from postfix import Postfix
from relay import Relay

ARGS = ("-i", "-f", "alice@example.com", "bob@example.net")


def openssl(*args, text=None):
    return subprocess.run(["openssl", *args], input=text, check=True,
                          stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL).stdout


class ClientCert(Case):
    KEYS = {
        "rsa2048": ("RSA", "rsa_keygen_bits:2048"),
        "rsa3072": ("RSA", "rsa_keygen_bits:3072"),
        "rsa4096": ("RSA", "rsa_keygen_bits:4096"),
        "p256": ("EC", "ec_paramgen_curve:P-256"),
        "p384": ("EC", "ec_paramgen_curve:P-384"),
        "p521": ("EC", "ec_paramgen_curve:P-521"),
        "secp256k1": ("EC", "ec_paramgen_curve:secp256k1"),
        "ed25519": ("ED25519", None),
    }
    made = {}

    def path(self, name):
        return os.path.join(self.dir, name)

    def pair(self, kind):
        """(certificate, PKCS #8 key) as PEM text; the certificate is its own
        issuer."""
        if kind not in self.made:
            algorithm, option = self.KEYS[kind]
            key = openssl("genpkey", "-quiet", "-algorithm", algorithm,
                          *(["-pkeyopt", option] if option else []))
            with open(self.path("new.key"), "wb") as file:
                file.write(key)
            cert = openssl("req", "-x509", "-new", "-key",
                           self.path("new.key"), "-subj", "/CN=client.test",
                           "-days", "30")
            self.made[kind] = (cert, key)
        return self.made[kind]

    def keep(self, name, data, mode=0o600):
        with open(self.path(name), "wb") as file:
            file.write(data)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def relay(self, trusted=None, **how):
        relay = self.start(Relay(users=None, **how))
        relay.context.verify_mode = ssl.CERT_REQUIRED
        if trusted:
            relay.context.load_verify_locations(
                cadata=trusted.decode("ascii"))
        return relay

    def send(self, relay, cert, key=None, extra=""):
        lines = "client-cert %s\n" % cert
        if key:
            lines += "client-key %s\n" % key
        return run(ARGS, MESSAGE,
                   conf=self.conf(relay.route(extra=lines + extra)))

    def works(self, cert, key, **how):
        relay = self.relay(cert, **how)
        self.quiet(self.send(relay, self.keep("c.pem", cert),
                             self.keep("k.pem", key)))
        relay.settle()
        self.same_bytes(relay.only().content, crlf(MESSAGE))
        self.assertEqual(relay.sessions[0].client,
                         ssl.PEM_cert_to_DER_cert(cert.decode()))

    def refused(self, cert, key, *words, key_mode=0o600):
        """Exit 78 that names the file, and nothing is connected to."""
        relay = self.relay()
        done = self.send(relay, self.keep("c.pem", cert),
                         self.keep("k.pem", key, key_mode))
        self.assertEqual(done.exit, 78, str(done))
        for word in words:
            self.assertRegex(done.err, word)
        self.assertEqual(relay.sessions, [])


class Keys(ClientCert):
    def test_rsa_and_ec_as_pkcs8(self):
        for kind in ("rsa2048", "rsa3072", "rsa4096", "p256", "p384", "p521"):
            with self.subTest(kind=kind):
                self.works(*self.pair(kind))

    def test_the_same_in_the_traditional_forms(self):
        for kind in ("rsa2048", "rsa4096"):
            cert, key = self.pair(kind)
            text = openssl("rsa", "-traditional", text=key)
            self.assertIn(b"BEGIN RSA PRIVATE KEY", text)
            with self.subTest(kind=kind):
                self.works(cert, text)
        for kind in ("p256", "p384", "p521"):
            cert, key = self.pair(kind)
            text = openssl("ec", text=key)
            self.assertIn(b"BEGIN EC PRIVATE KEY", text)
            with self.subTest(kind=kind):
                self.works(cert, text)

    def test_ec_parameters_in_front(self):
        cert, key = self.pair("p256")
        self.works(cert, openssl("ecparam", "-name", "prime256v1")
                   + openssl("ec", text=key))

    def test_implicit_tls(self):
        self.works(*self.pair("p256"), tls="implicit")

    def test_both_in_one_file(self):
        for kind in ("rsa2048", "p256"):
            cert, key = self.pair(kind)
            for text in (cert + key, key + cert):
                relay = self.relay(cert)
                self.quiet(self.send(relay, self.keep("both.pem", text)))
                relay.settle()
                self.assertIsNotNone(relay.sessions[0].client)

    def test_crlf_and_text_in_between(self):
        cert, key = self.pair("rsa2048")
        relay = self.relay(cert)
        self.quiet(self.send(
            relay, self.keep("c.pem", b"Bag Attributes\n" +
                             cert.replace(b"\n", b"\r\n")),
            self.keep("k.pem", b"# mine\r\n" + key.replace(b"\n", b"\r\n"))))
        self.assertEqual(len(relay.settle().accepted()), 1)

    def test_a_chain_is_sent(self):
        relay = self.relay()
        relay.context.load_verify_locations(certificates.authority("ca"))
        chain, key = certificates.server("chained")
        self.quiet(self.send(relay, chain, key))
        self.assertEqual(len(relay.settle().accepted()), 1)

    def test_a_relay_that_does_not_ask_is_shown_nothing(self):
        cert, key = self.pair("p256")
        relay = self.relay(cert)
        relay.context.verify_mode = ssl.CERT_NONE
        self.quiet(self.send(relay, self.keep("c.pem", cert),
                             self.keep("k.pem", key)))
        self.assertIsNone(relay.settle().sessions[0].client)

    def test_without_one_a_relay_that_wants_one_is_a_failure(self):
        relay = self.relay(self.pair("p256")[0])
        done = run(ARGS, MESSAGE, conf=self.conf(relay.route()))
        self.assertEqual(done.exit, 75, str(done))
        self.assertEqual(relay.settle().messages, [])

    def test_one_that_the_relay_does_not_trust(self):
        relay = self.relay(self.pair("p384")[0])
        cert, key = self.pair("p256")
        done = self.send(relay, self.keep("c.pem", cert),
                         self.keep("k.pem", key))
        self.assertEqual(done.exit, 75, str(done))
        self.assertRegex(done.err, "alert 48|unknown")
        self.assertEqual(relay.settle().messages, [])


class Refused(ClientCert):
    def test_a_key_that_others_can_write(self):
        self.refused(*self.pair("p256"), "client-key .*k.pem",
                     "can be written by others", key_mode=0o620)

    def test_a_key_that_others_can_read_is_warned_about(self):
        cert, key = self.pair("p256")
        relay = self.relay(cert)
        log = self.path("log")
        done = run(ARGS, MESSAGE, conf=self.conf(relay.route(
            extra="client-cert %s\nclient-key %s" % (
                self.keep("c.pem", cert), self.keep("k.pem", key, 0o644))),
            top="log %s\n" % log))
        self.assertEqual(done.exit, 0, str(done))
        with open(log) as file:
            self.assertRegex(file.read(), "client-key .*k.pem can be read by "
                             "everyone")

    def test_a_key_of_another_certificate(self):
        for one, other in (("rsa2048", "rsa3072"), ("rsa2048", "p256"),
                           ("p256", "p384"), ("p256", "rsa2048")):
            with self.subTest(one=one, other=other):
                self.refused(self.pair(one)[0], self.pair(other)[1],
                             "k.pem does not belong to the certificate")

    def test_keys_over_4096_bits(self):
        key = openssl("genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt",
                      "rsa_keygen_bits:4608")
        cert = self.pair("rsa2048")[0]
        for text in (key, openssl("rsa", "-traditional", text=key)):
            self.refused(cert, text, "k.pem is no RSA key of up to 4096 bits")

    def test_keys_of_other_kinds(self):
        cert, key = self.pair("ed25519")
        self.refused(cert, key, "k.pem holds a key .* not known")
        cert, key = self.pair("secp256k1")
        self.refused(cert, key, "a curve that is not known")
        self.refused(cert, openssl("ec", text=key), "curve that is not known")

    def test_encrypted_keys(self):
        for kind in ("rsa2048", "p256"):
            cert, key = self.pair(kind)
            new = openssl("pkcs8", "-topk8", "-passout", "pass:x", text=key)
            old = openssl(kind[:3] if kind[0] == "r" else "ec", "-aes128",
                          "-passout", "pass:x",
                          *(["-traditional"] if kind[0] == "r" else []),
                          text=key)
            self.assertIn(b"BEGIN ENCRYPTED", new)
            self.assertIn(b"Proc-Type: 4,ENCRYPTED", old)
            for text in (new, old):
                self.refused(cert, text, "k.pem .*encrypted")

    def test_files_without_what_they_should_hold(self):
        cert, key = self.pair("p256")
        self.refused(key, key, "client-cert .*c.pem holds no certificate")
        self.refused(cert, cert, "client-key .*k.pem holds no private key")
        self.refused(b"", key, "c.pem holds no certificate")
        self.refused(cert, b"", "k.pem holds no private key")
        self.refused(cert.replace(b"MII", b"*II"), key, "c.pem is damaged")
        self.refused(b"x" * 70000, key, "c.pem is too long")

    def test_files_that_are_not_there(self):
        relay = self.relay()
        cert, key = self.pair("p256")
        done = self.send(relay, self.keep("c.pem", cert), self.path("none"))
        self.assertEqual(done.exit, 78, str(done))
        self.assertRegex(done.err, "client-key .*none cannot be read")
        self.assertEqual(relay.sessions, [])

    def test_another_route_is_not_concerned(self):
        relay = self.start(Relay(tls="off", users=None))
        other = self.relay()
        conf = relay.route(senders="*") + other.route(
            name="other", senders="x@example.com",
            extra="client-cert %s" % self.path("none"))
        self.quiet(run(ARGS, MESSAGE, conf=self.conf(conf)))
        self.assertEqual(len(relay.settle().accepted()), 1)


class External(ClientCert):
    def relay_with(self, cert, auth="235 2.7.0 hello client.test", **how):
        return self.relay(cert, auth_line="AUTH PLAIN EXTERNAL",
                          replies={"auth": auth}, **how)

    def test_it_is_used_without_a_user(self):
        cert, key = self.pair("p256")
        relay = self.relay_with(cert)
        self.quiet(self.send(relay, self.keep("c.pem", cert),
                             self.keep("k.pem", key)))
        commands = relay.settle().sessions[0].commands
        self.assertEqual([c for c in commands if c.startswith("AUTH")],
                         ["AUTH EXTERNAL ="])

    def test_it_is_not_when_there_is_a_user_or_auth_is_off(self):
        cert, key = self.pair("p256")
        for extra, sent in (
                ("user u\npassword-file " + self.secret("p"),
                 ["AUTH PLAIN AHUAcA=="]), ("auth off", [])):
            relay = self.relay_with(cert)
            self.quiet(self.send(relay, self.keep("c.pem", cert),
                                 self.keep("k.pem", key), extra))
            commands = relay.settle().sessions[0].commands
            self.assertEqual([c for c in commands if c.startswith("AUTH")],
                             sent)

    def test_it_is_refused(self):
        cert, key = self.pair("p256")
        relay = self.relay_with(cert, "535 5.7.8 who are you?")
        done = self.send(relay, self.keep("c.pem", cert),
                         self.keep("k.pem", key))
        self.assertEqual(done.exit, 75, str(done))
        self.assertRegex(done.err, r"AUTH EXTERNAL refused \(check "
                         r"`client-cert`\): 535 5.7.8 who are you\?")


class CertificatePostfix(Postfix):
    """Whoever has a certificate of our authority may send, and nobody else."""

    def lay_out(self):
        super().lay_out()
        shutil.copy(certificates.authority("ca"), self.path("conf/ca.pem"))
        with open(self.path("conf/main.cf"), "a") as file:
            file.write("smtpd_tls_CAfile = %s\nsmtpd_tls_ask_ccert = yes\n"
                       "smtpd_tls_received_header = yes\n"
                       % self.path("conf/ca.pem"))
            for name in ("client", "relay"):
                file.write("smtpd_%s_restrictions = "
                           "permit_tls_all_clientcerts, reject\n" % name)


class WithPostfix(ClientCert):
    @classmethod
    def setUpClass(cls):
        try:
            cls.server = CertificatePostfix()
        except unpack.Unavailable as reason:
            if os.environ.get("CI"):
                raise
            raise unittest.SkipTest(str(reason))

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def post(self, extra=""):
        return run(("-i", "-f", "alice@example.com", "bob@" + DOMAIN), MESSAGE,
                   conf=self.conf(
                       "route r\n\ttype smtp\n\thost localhost\n\tport %d\n"
                       "\tca-file %s\n\tsenders *\n%s" % (
                           self.server.starttls, certificates.ca, extra)))

    def test_ec_and_a_chain(self):
        for kind in ("good", "chained"):
            cert, key = certificates.server(kind)
            with self.subTest(kind=kind):
                self.quiet(self.post("\tclient-cert %s\n\tclient-key %s\n" % (
                    cert, key)))
                _, content = self.server.take("bob")
                self.same_bytes(content, crlf(MESSAGE))

    def test_none_and_one_of_a_stranger(self):
        cert, key = certificates.server("rsa")
        for extra in ("", "\tclient-cert %s\n\tclient-key %s\n" % (cert, key)):
            done = self.post(extra)
            self.assertNotEqual(done.exit, 0)
            self.assertRegex(done.err, "554 5.7.1|Client host rejected")
        self.assertEqual(self.server.arrived(), set())


if __name__ == "__main__":
    harness.main()
