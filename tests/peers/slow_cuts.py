"""The cut sweep where there is TLS: a relay that hangs up after each byte of what
it says, within dialogues that the unit tests have no TLS for."""
import ssl

import harness
from certs import certificates
from harness import HEAD, MESSAGE, Case, crlf, run
from relay import DROP, Closed, Relay

ARGS = ("-i", "-f", "alice@example.com", "bob@example.net")
TEXT = b"<peers.1@client.test>"          # within what is sent
PASSWORD = "s3cret/+="
REQUIRETLS = (b"EHLO c.test\r\nMAIL FROM:<alice@example.com> REQUIRETLS\r\n"
              b"RCPT TO:<bob@example.net>\r\nDATA\r\n" + crlf(HEAD) +
              b"\r\n.\r\nQUIT\r\n")


class CutRelay(Relay):
    """limit: so many bytes are said, then it hangs up, or resets. The last that
    it says is what became of the message."""

    limit, resets, said = 1 << 30, False, 0

    def __init__(self, **how):
        how.setdefault("replies", {})["quit"] = (DROP,)
        super().__init__(**how)

    def _serve(self, session):
        wire = session.wire
        send, self.said = wire.send, 0

        def send_some(data):
            part = data[:self.limit - self.said]
            if part:
                send(part)
            self.said += len(part)
            if len(part) < len(data):
                (wire.reset if self.resets else wire.close)()
                raise Closed("cut")

        wire.send = send_some
        super()._serve(session)


class Cuts(Case):
    def sweep(self, relay, extra, stdin=MESSAGE, args=ARGS,
              taken=lambda done: done.exit == 0):
        conf = self.conf(relay.route(extra=extra), top="timeout 5s\n")
        whole = run(args, stdin, conf=conf)
        self.assertTrue(taken(whole), str(whole))
        total = relay.settle().said
        self.assertGreater(total, 200)
        secret = PASSWORD.encode()
        for relay.limit in range(total):
            relay.resets = relay.limit % 2 == 1
            relay.sessions.clear()
            relay.messages.clear()
            done = run(args, stdin, conf=conf)
            relay.settle()
            with self.subTest(limit=relay.limit, total=total):
                self.assertFalse(taken(done), str(done))
                self.assertIn(done.exit, (0, 75) if "-bs" in args else (75,))
                self.assertNotRegex(done.out, "(?m)^5")
                self.assertEqual("duplicate" in done.err + done.out,
                                 any(TEXT in session.secret for session in
                                     relay.sessions), str(done))
                for session in relay.sessions:
                    self.assertNotIn(secret, session.plain)
                    self.assertNotIn(b"AUTH", session.plain)
                    self.assertNotIn(b"MAIL", session.plain)

    def test_starttls_auth_and_a_chunk(self):
        relay = self.start(CutRelay(users={"u": PASSWORD}, extensions=(
            "PIPELINING", "CHUNKING", "8BITMIME")))
        self.sweep(relay, "user u\npassword-file " + self.secret(PASSWORD))

    def test_starttls_login_step_by_step(self):
        relay = self.start(CutRelay(users={"u": PASSWORD}, mechs=("LOGIN",),
                                    extensions=()))
        self.sweep(relay, "user u\npassword-file " + self.secret(PASSWORD))

    def test_a_certificate_and_external(self):
        relay = self.start(CutRelay(tls="implicit", auth_line="AUTH EXTERNAL",
                                    replies={"auth": "235 2.7.0 hello"}))
        relay.context.verify_mode = ssl.CERT_REQUIRED
        relay.context.load_verify_locations(certificates.authority("ca"))
        self.sweep(relay, "client-cert %s\nclient-key %s"
                   % certificates.server("good"))

    def test_requiretls(self):
        relay = self.start(CutRelay(extensions=("PIPELINING", "REQUIRETLS")))
        self.sweep(relay, "", REQUIRETLS, ("-bs",),
                   lambda done: "\n250 2.0.0" in done.out)


if __name__ == "__main__":
    harness.main()
