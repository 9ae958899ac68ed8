"""TLS towards a relay and towards SES: who is trusted, who is not, and that
nothing is sent to the one who is not."""
import harness
from certs import certificates
from harness import Case, MESSAGE, crlf, run
from relay import DROP, RST, SILENT, Relay
from ses import Ses

USERS = {"apikey": "secret-password"}
ARGS = ("-i", "-f", "alice@example.com", "bob@example.net")


class Tls(Case):
    def relay(self, **how):
        how.setdefault("users", USERS)
        return self.start(Relay(**how))

    def send(self, relay, top="", **how):
        how.setdefault("user", "apikey")
        how.setdefault("password_file", self.secret(USERS["apikey"]))
        return run(ARGS, MESSAGE, conf=self.conf(relay.route(**how), top=top))

    def nothing_came(self, relay):
        """Neither password nor mail, in the clear or inside TLS."""
        relay.settle()
        for session in relay.sessions:
            self.assertEqual(session.secret, b"")
            for word in (b"AUTH", b"MAIL", b"RCPT", b"DATA",
                         USERS["apikey"].encode(), b"Hello Bob"):
                self.assertNotIn(word, session.plain)
        self.assertEqual(relay.messages, [])


class Trusted(Tls):
    def test_certificates_that_are_right(self):
        for kind in ("good", "rsa", "rsa3072", "p384", "chained", "wildcard"):
            for mode in ("starttls", "implicit"):
                with self.subTest(kind=kind, mode=mode):
                    relay = self.relay(cert=kind, tls=mode)
                    self.quiet(self.send(relay))
                    self.same_bytes(relay.only().content, crlf(MESSAGE))

    def test_ca_file_for_all_routes(self):
        relay = self.relay()
        done = self.send(relay, top="ca-file %s\n" % certificates.ca,
                         extra="# ca-file of the top")
        self.quiet(done)

    def test_a_bundle_without_a_last_line_end(self):
        with open(certificates.ca) as file:
            text = file.read().rstrip("\n")
        bundle = self.write("bare.pem", text)
        relay = self.relay(cert="rsa")      # its root is the last one
        self.quiet(self.send(relay, extra="ca-file " + bundle))

    def test_a_bundle_with_text_crlf_and_rubbish_between(self):
        with open(certificates.ca) as file:
            text = file.read()
        parts = text.split("-----BEGIN CERTIFICATE-----")[1:]
        text = "# Some roots\n" + "".join(
            "\nCN = Root of something\n-----BEGIN CERTIFICATE-----" + p
            for p in parts)
        text = ("-----BEGIN CERTIFICATE-----\nMIIBrubbish\n"
                "-----END CERTIFICATE-----\n" + text)
        for kind in ("good", "rsa"):
            for end in ("\n", "\r\n"):
                with self.subTest(kind=kind, end=end):
                    bundle = self.write("mixed.pem", text.replace("\n", end))
                    self.quiet(self.send(self.relay(cert=kind),
                                         extra="ca-file " + bundle))

    def test_a_root_far_down_in_a_long_bundle(self):
        with open(certificates.authority("stranger-ca")) as file:
            other = file.read()
        with open(certificates.ca) as file:
            bundle = self.write("long.pem", other * 400 + file.read())
        self.quiet(self.send(self.relay(), extra="ca-file " + bundle))

    def test_a_pinned_key(self):
        for kind in ("good", "rsa", "self-signed", "expired", "other-name"):
            with self.subTest(kind=kind):
                relay = self.relay(cert=kind)
                self.quiet(self.send(relay, extra="tls-pin "
                                     + certificates.pin(kind)))
                self.same_bytes(relay.only().content, crlf(MESSAGE))

    def test_one_of_several_pins(self):
        relay = self.relay(cert="self-signed")
        self.quiet(self.send(relay, extra="tls-pin sha256:%s\ntls-pin %s" % (
            "00" * 32, certificates.pin("self-signed"))))

    def test_an_address_as_host_with_a_pin(self):
        relay = self.relay()
        self.quiet(self.send(relay, host="127.0.0.1",
                             extra="tls-pin " + certificates.pin("good")))

    def test_ses_with_every_good_certificate(self):
        for kind in ("good", "rsa", "p384", "chained"):
            with self.subTest(kind=kind):
                ses = self.start(Ses(cert=kind))
                self.quiet(run(ARGS, MESSAGE, conf=self.conf(ses.route())))
                self.same_bytes(ses.only().raw, crlf(MESSAGE))


class Refused(Tls):
    WRONG = {
        "other-name": ("other\\.test", "localhost"),
        "expired": ("expired",),
        "not-yet": ("not valid before|not yet valid",),
        "self-signed": ("self-signed|not in",),
        "stranger": ("Root of Nobody|issuer",),
        "rsa1024": ("weak|RSA|1024|2048",),
        "sha1": ("SHA-1|algorithm",),
        "cn-only": ("localhost", "name"),
        "chain-missing": ("issuer|Test Intermediate",),
        "leaf-issued": ("CA|certificate",),
    }

    def test_certificates_that_are_wrong(self):
        for kind, words in self.WRONG.items():
            for mode in ("starttls", "implicit"):
                with self.subTest(kind=kind, mode=mode):
                    relay = self.relay(cert=kind, tls=mode)
                    done = self.send(relay)
                    self.one_line(done, 75, "certificate", *words)
                    self.nothing_came(relay)

    def test_ses_with_certificates_that_are_wrong(self):
        for kind, words in self.WRONG.items():
            with self.subTest(kind=kind):
                ses = self.start(Ses(cert=kind))
                done = run(ARGS, MESSAGE, conf=self.conf(ses.route()))
                self.one_line(done, 75, "certificate", *words)
                self.assertEqual(ses.requests, [])

    def test_a_pin_that_does_not_fit(self):
        relay = self.relay()
        self.one_line(self.send(relay, extra="tls-pin sha256:" + "ab" * 32),
                      75, "tls-pin|pin")
        self.nothing_came(relay)

    def test_an_address_as_host_without_a_pin(self):
        relay = self.relay()
        done = self.send(relay, host="127.0.0.1")
        self.assertIn(done.exit, (75, 78), str(done))
        self.one_line(done, done.exit, "tls-pin")
        self.nothing_came(relay)

    def test_no_common_protocol(self):
        for only, cert, words in (("1.3", "good", "1\\.3"), ("1.1", "rsa", ""),
                                  ("rsa-kx", "rsa", "cipher"),
                                  ("cbc", "rsa", "cipher")):
            for mode in ("starttls", "implicit"):
                with self.subTest(only=only, mode=mode):
                    relay = self.relay(only=only, cert=cert, tls=mode)
                    self.one_line(self.send(relay), 75, "TLS", words)
                    self.nothing_came(relay)

    def test_a_ca_file_that_is_missing_or_holds_none(self):
        relay = self.relay()
        for path in (self.path("none.pem"), self.write("empty.pem", ""),
                     self.write("text.pem", "no certificate here\n")):
            with self.subTest(path=path):
                done = self.send(relay, extra="ca-file " + path)
                self.assertIn(done.exit, (75, 77, 78), str(done))
                self.one_line(done, done.exit, path)
        self.nothing_came(relay)


class NoTls(Tls):
    """STARTTLS never falls back to plain text."""

    def test_starttls_is_not_offered(self):
        relay = self.relay(offer_tls=False, auth_line="AUTH PLAIN LOGIN")
        self.one_line(self.send(relay), 75, "STARTTLS")
        self.nothing_came(relay)

    def test_starttls_is_refused(self):
        for reply in ("454 4.7.0 not now", "502 5.5.1 no", "250 ok"):
            with self.subTest(reply=reply):
                relay = self.relay(replies={"starttls": reply})
                self.one_line(self.send(relay), 75, "STARTTLS")
                self.nothing_came(relay)

    def test_bytes_injected_behind_the_answer_to_starttls(self):
        for extra in (b"250 injected\r\n", b"2", b"\r\n", b"\x16\x03\x03"):
            with self.subTest(extra=extra):
                relay = self.relay(replies={
                    "starttls": b"220 go ahead\r\n" + extra})
                self.one_line(self.send(relay), 75, "before|inject|attack")
                self.nothing_came(relay)

    def test_replies_injected_before_the_handshake_are_not_believed(self):
        relay = self.relay(replies={"starttls": (
            b"220 go ahead\r\n250-localhost\r\n250 AUTH PLAIN\r\n235 ok\r\n"
            b"250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n", SILENT)})
        self.one_line(self.send(relay, top="timeout 3s\n"), 75)
        self.nothing_came(relay)

    def test_what_ehlo_said_in_the_clear_is_forgotten(self):
        # Offered only before TLS: nothing of it may be used inside.
        def ehlo(session, argument):
            if not session.secure:
                return ("250-relay.test\n250-STARTTLS\n250-SIZE 10\n"
                        "250-PIPELINING\n250 AUTH LOGIN")
            return "250-relay.test\n250 AUTH PLAIN"
        relay = self.relay(replies={"ehlo": ehlo})
        self.quiet(self.send(relay))
        self.assertEqual(relay.only().session.mechanism, "PLAIN")
        self.assertEqual(relay.only().mail, "<alice@example.com>")

    def test_a_plain_server_where_tls_is_due(self):
        relay = self.relay(tls="off")
        self.addCleanup(self.forget, relay)
        relay.mode = "implicit"             # what the route says
        route = relay.route(user="apikey",
                            password_file=self.secret(USERS["apikey"]))
        relay.mode = "off"
        done = run(ARGS, MESSAGE, conf=self.conf(route, top="timeout 3s\n"))
        self.one_line(done, 75, "TLS")
        self.nothing_came(relay)

    @staticmethod
    def forget(relay):
        """A ClientHello is no sound line of SMTP."""
        for session in relay.sessions:
            session.error = None

    def test_a_tls_server_where_starttls_is_due(self):
        relay = self.relay(tls="implicit")
        relay.mode = "starttls"
        route = relay.route(user="apikey",
                            password_file=self.secret(USERS["apikey"]))
        relay.mode = "implicit"
        done = run(ARGS, MESSAGE, conf=self.conf(route, top="timeout 3s\n"))
        self.one_line(done, 75)
        self.nothing_came(relay)

    def test_a_plain_endpoint_where_https_is_due(self):
        ses = self.start(Ses(tls=False))
        route = ses.route(extra="ca-file " + certificates.ca).replace(
            "http://", "https://")
        done = run(ARGS, MESSAGE, conf=self.conf(route, top="timeout 3s\n"))
        self.one_line(done, 75, "TLS")
        self.assertEqual(ses.requests, [])
        self.assertLess(done.seconds, 8, "the handshake is a step")

    def test_the_connection_ends_during_the_handshake(self):
        for how in (DROP, RST, SILENT):
            with self.subTest(how=how):
                relay = self.relay(replies={"starttls": (
                    b"220 go ahead\r\n", 0.2, how)})
                done = self.send(relay, top="timeout 2s\n")
                self.one_line(done, 75)
                self.assertLess(done.seconds, 8, "the handshake is a step")
                self.nothing_came(relay)

    def test_rubbish_instead_of_a_handshake(self):
        relay = self.relay(replies={"starttls": (
            b"220 go ahead\r\n", 0.3, b"\0" * 4000, SILENT)})
        self.one_line(self.send(relay, top="timeout 2s\n"), 75, "TLS|before")
        self.nothing_came(relay)


if __name__ == "__main__":
    harness.main()
