"""The biggest messages, byte for byte, within 1 MiB of memory."""
import harness
from harness import Case, Unmeasurable, crlf, letter, run, run_measured
from relay import AioRelay, Relay
from ses import Ses

ARGS = ("-i", "-f", "alice@example.com", "bob@example.net")
MIB = 1 << 20
USERS = {"u": "p"}


class Big(Case):
    def measured(self, message, conf):
        path = self.write("message", message)
        try:
            done = run_measured(ARGS, path, conf)
            self.assertLessEqual(done.peak, 1024, "KiB; " + str(done))
        except Unmeasurable:
            done = run(ARGS, message, conf=conf, timeout=300)
        return self.expect(done, 0)

    def test_40_megabytes_through_a_relay(self):
        message = letter(40 * 1000 * 1000)
        for tls, cert in (("starttls", "good"), ("implicit", "rsa"),
                          ("off", "good")):
            with self.subTest(tls=tls):
                relay = self.start(Relay(tls=tls, cert=cert, users=USERS))
                self.measured(message, self.conf(relay.route(
                    user="u", password_file=self.secret("p"))))
                self.same_bytes(relay.only().content, crlf(message))

    def test_40_megabytes_cost_few_bytes_more_on_the_wire(self):
        message = letter(40 * 1000 * 1000)
        relay = self.start(Relay(users=USERS))
        self.measured(message, self.conf(relay.route(
            user="u", password_file=self.secret("p"))))
        self.same_bytes(relay.only().content, crlf(message))
        self.assertLessEqual(relay.sessions[0].wire.bytes_in,
                             1.01 * len(crlf(message)))

    def test_40_megabytes_of_lone_dots_cr_and_nul(self):
        unit = b".\r\n..\n.\r.a\n\0b\r\r\n" + b"x" * 40 + b"\n"
        body = unit * (40 * 1000 * 1000 // len(unit))
        relay = self.start(Relay(users=USERS))
        self.measured(harness.HEAD + b"\n" + body, self.conf(relay.route(
            user="u", password_file=self.secret("p"))))
        self.same_bytes(relay.only().content,
                        crlf(harness.HEAD + b"\n" + body.replace(b"\0", b" ")))

    def test_20_megabytes_through_aiosmtpd(self):
        message = letter(20 * 1000 * 1000)
        relay = self.start(AioRelay(users=USERS))
        self.measured(message, self.conf(relay.route(
            user="u", password_file=self.secret("p"))))
        self.same_bytes(relay.only().content, crlf(message))

    def test_29_megabytes_through_ses(self):
        # 29 MB on the wire: lines end in CRLF there.
        message = letter(28 * 1000 * 1000)
        for tls in (True, False):
            with self.subTest(tls=tls):
                ses = self.start(Ses(tls=tls))
                self.measured(message, self.conf(ses.route()))
                self.assertEqual(ses.errors, [])
                self.same_bytes(ses.only().raw, crlf(message))

    def test_exactly_29_megabytes_through_ses(self):
        size = 29 * 1000 * 1000
        message = harness.HEAD + b"\n"
        line = b"z" * 98 + b"\n"
        room = size - len(crlf(message))
        message += line * (room // 100 - 1)
        message += b"e" * (size - len(crlf(message)) - 2) + b"\n"
        self.assertEqual(len(crlf(message)), size)
        ses = self.start(Ses())
        self.measured(message, self.conf(ses.route()))
        self.same_bytes(ses.only().raw, crlf(message))


if __name__ == "__main__":
    harness.main()
