"""Peak memory: at most 1 MiB on every route (the big messages: slow_big.py)."""
import harness
from certs import certificates
from harness import Case, MESSAGE, Unmeasurable, crlf, letter, run_measured
from relay import Relay
from ses import Ses

ARGS = ("-i", "-f", "alice@example.com", "bob@example.net")
BUDGET = 1024           # KiB


class Memory(Case):
    def measured(self, message, conf, args=ARGS):
        try:
            done = run_measured(args, self.write("message", message), conf)
        except Unmeasurable as e:
            self.skipTest(str(e))
        self.expect(done, 0)
        self.assertIsNotNone(done.peak)
        self.assertLessEqual(done.peak, BUDGET, "KiB; " + str(done))
        return done

    def relay(self, **how):
        return self.start(Relay(users={"u": "p"}, **how))

    def conf_for(self, relay):
        return self.conf(relay.route(user="u",
                                     password_file=self.secret("p")))

    def test_one_kilobyte_through_a_relay(self):
        for cert in ("good", "rsa", "chained"):
            with self.subTest(cert=cert):
                relay = self.relay(cert=cert)
                message = letter(1024)
                self.measured(message, self.conf_for(relay))
                self.same_bytes(relay.only().content, crlf(message))

    def test_one_kilobyte_through_ses(self):
        ses = self.start(Ses())
        message = letter(1024)
        self.measured(message, self.conf(ses.route()))
        self.same_bytes(ses.only().raw, crlf(message))

    def test_four_megabytes_through_a_relay(self):
        relay = self.relay()
        message = letter(4 << 20)
        self.measured(message, self.conf_for(relay))
        self.same_bytes(relay.only().content, crlf(message))

    def test_four_megabytes_through_ses(self):
        ses = self.start(Ses())
        message = letter(4 << 20)
        self.measured(message, self.conf(ses.route()))
        self.same_bytes(ses.only().raw, crlf(message))

    def test_four_megabytes_into_a_maildir(self):
        self.measured(letter(4 << 20), self.conf(
            "route box\ntype maildir\npath %s\nsenders *\n"
            % self.path("box")))

    def test_four_megabytes_in_one_line(self):
        relay = self.relay()
        self.measured(MESSAGE + b"x" * (4 << 20), self.conf_for(relay))

    def test_a_list_of_100000_lines(self):
        relay = self.relay()
        self.write("list", "".join("user%06d@customer%05d.example\n" % (
            i, i % 9973) for i in range(100000)) + "alice@example.com\n")
        conf = self.conf(relay.route(
            user="u", password_file=self.secret("p"),
            senders=self.path("list")))
        self.measured(MESSAGE, conf)

    def test_a_ca_bundle_of_two_thousand_roots(self):
        with open(certificates.authority("stranger-ca")) as file:
            other = file.read()
        with open(certificates.ca) as file:
            bundle = self.write("long.pem", other * 2000 + file.read())
        relay = self.relay()
        conf = self.conf(relay.route(
            user="u", password_file=self.secret("p"),
            extra="ca-file " + bundle))
        self.measured(MESSAGE, conf)


if __name__ == "__main__":
    harness.main()
