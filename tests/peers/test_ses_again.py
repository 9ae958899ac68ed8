"""What SES puts off: tries within a run, the queue, and another region."""
import os
import re
import time

import harness
from harness import Case, MESSAGE, closed_port, crlf, letter, run
from proxies import Proxy
from relay import Relay
from ses import Answer, Ses, identity
from spooldir import Spool

ARGS = ("-i", "-f", "alice@example.com", "bob@example.net")
OFF = dict(status=429, code="TooManyRequestsException", message="slow down")
UNVERIFIED = ("Email address is not verified. The following identities failed "
              "the check in region EU-WEST-1: alice@example.com")


def put_off(*fields, **how):
    return Answer(**dict(OFF, fields=fields, **how))


class Again(Case):
    def ses(self, **how):
        how.setdefault("tls", False)
        return self.start(Ses(**how))

    def send(self, *routes, message=MESSAGE, top="", args=ARGS):
        return run(args, message, conf=self.conf(*routes, top=top))

    def taken(self, ses, message=MESSAGE):
        self.same_bytes(ses.only().raw, crlf(message))
        self.assertEqual(ses.errors, [])

    def queue(self):
        os.mkdir(self.path("queue"), 0o700)
        self.spool = Spool(self.path("queue"))
        return "queue %s\n" % self.path("queue")


class Throttled(Again):
    def test_twice_put_off_and_taken(self):
        for answers in ((put_off(), put_off()),
                        (Answer(400, "ThrottlingException", None,
                                place="__type"), put_off(form="html")),
                        (Answer(408, form="empty"),)):
            ses = self.ses(script=answers)
            self.quiet(self.send(ses.route()))
            self.taken(ses)
            self.assertEqual(len(ses.requests), len(answers) + 1)
            # The same message each time, and signed anew.
            self.assertEqual({r.body for r in ses.requests},
                             {ses.requests[0].body})

    def test_three_tries_and_no_more(self):
        ses = self.ses(always=put_off())
        done = self.one_line(self.send(ses.route()), 75, "429 TooMany")
        self.assertEqual(len(ses.requests), 3)

    def test_as_long_as_it_asks(self):
        for field, least in (("Retry-After: 2", 2),
                             ("x-amz-retry-after: 1300", 1.3)):
            ses = self.ses(script=[put_off(field)])
            done = self.quiet(self.send(ses.route()))
            self.assertGreater(done.seconds, least)
            self.assertLess(done.seconds, least + 10)
            self.taken(ses)

    def test_a_date(self):
        for skew in (0, 7000):          # by the clock of the reply
            ses = self.ses(script=[None, None], skew=skew)
            date = time.strftime("%a, %d %b %Y %H:%M:%S GMT",
                                 time.gmtime(time.time() + skew + 3))
            ses.script = [put_off("Retry-After: " + date)]
            done = self.quiet(self.send(ses.route()))
            self.assertGreater(done.seconds, 1)
            self.assertLess(done.seconds, 15)
            self.same_bytes(ses.only().raw, crlf(MESSAGE))

    def test_longer_than_a_caller_waits(self):
        ses = self.ses(always=put_off("Retry-After: 21"))
        done = self.send(ses.route())
        self.one_line(done, 75, "429")
        self.assertLess(done.seconds, 10)
        self.assertEqual(len(ses.requests), 1)
        # `timeout` is the most of any one step.
        ses = self.ses(always=put_off("Retry-After: 2"))
        self.one_line(self.send(ses.route(), top="timeout 1s\n"), 75, "429")
        self.assertEqual(len(ses.requests), 1)

    def test_with_a_fallback_it_is_waited_for_briefly(self):
        for field, requests in (("Retry-After: 4", 1), ("Retry-After: 1", 3)):
            ses, relay = self.ses(), self.start(Relay(tls="off"))
            ses.always = put_off(field)
            done = self.expect(self.send(ses.route(fallback="relay"),
                                         relay.route(senders=None)), 0)
            self.same_bytes(relay.only().content, crlf(MESSAGE))
            self.assertEqual(len(ses.requests), requests)
            self.assertLess(done.seconds, 15)
        ses = self.ses(script=[put_off()])
        relay = self.start(Relay(tls="off"))
        self.quiet(self.send(ses.route(fallback="relay"),
                             relay.route(senders=None)))
        self.taken(ses)
        self.assertEqual(relay.sessions, [])

    def test_5xx_before_the_body_is_whole(self):
        message = letter(12 << 20)
        for tls in (True, False):
            ses = self.ses(tls=tls, script=[
                Answer(503, "ServiceUnavailable", "busy", early=True)])
            self.quiet(self.send(ses.route(), message=message))
            self.taken(ses, message)
            self.assertEqual((len(ses.requests), ses.connections), (2, 2))

    def test_never_after_an_ambiguous_end(self):
        for answer in (Answer(503, "ServiceUnavailable",
                              fields=["Retry-After: 1"]),
                       Answer(500, form="html"), Answer(drop="after"),
                       Answer(ok=True, drop="within")):
            ses, relay = self.ses(always=answer), self.start(Relay(tls="off"))
            self.one_line(self.send(ses.route(fallback="relay"),
                                    relay.route(senders=None)), 75,
                          "Possible duplicate")
            self.assertEqual(len(ses.requests), 1)
            self.assertEqual(relay.sessions, [])

    def test_questions_too(self):
        many = [identity("d%03d.test" % n) for n in range(250)]
        ses = self.ses(identities=many, page=100, script=[
            None, put_off(), Answer(503, "ServiceUnavailable")])
        done = self.expect(run(["--list-verified"],
                               conf=self.conf(ses.route())), 0)
        self.assertEqual(len(done.out.splitlines()), 500)
        self.assertEqual(len(ses.requests), 5)
        ses = self.ses(script=[put_off(), None, put_off()])
        done = self.expect(run(["--check"], conf=self.conf(ses.route(
            senders="@example.com"))), 0)
        self.assertIn("route ses: identities: ok 1 verified", done.out)
        self.assertEqual(len(ses.requests), 4)
        ses = self.ses(always=put_off("Retry-After: 30"))
        path = self.write("list", "@old.test\n")
        self.one_line(run(["--list-verified", "--write", path],
                          conf=self.conf(ses.route())), 75, "429")
        self.assertEqual(len(ses.requests), 1)
        with open(path) as file:
            self.assertEqual(file.read(), "@old.test\n")

    def test_who_is_told_to_stop_does_not_wait(self):
        import signal
        import subprocess
        ses = self.ses(always=put_off("Retry-After: 15"))
        top = self.queue()
        conf = self.conf(ses.route(), top=top)
        self.quiet(run(("-odq",) + ARGS, MESSAGE, conf=conf))
        began = time.monotonic()
        process = subprocess.Popen([harness.SENDROUTE, "-q"],
                                   env=harness.clean_environment(
                                       SENDROUTE_CONF=conf))
        while not ses.requests and time.monotonic() < began + 20:
            time.sleep(0.05)
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        process.wait(10)
        self.assertLess(time.monotonic() - began, 14)
        self.assertEqual(len(ses.requests), 1)


class Queued(Again):
    def wait_of(self, field, run_it):
        ses = self.ses(always=put_off(field) if field else put_off())
        conf = self.conf(ses.route(), top=self.queue())
        if run_it:
            self.quiet(run(("-odq",) + ARGS, MESSAGE, conf=conf))
            self.expect(run(["-q"], conf=conf), 0)
        else:
            self.quiet(run(ARGS, MESSAGE, conf=conf))
        wait = self.spool.only().next - time.time()
        os.rename(self.path("queue"), self.path("queue.%d" % ses.port))
        return wait, len(ses.requests)

    def test_deferred_for_at_least_that_long(self):
        for run_it in (False, True):
            with self.subTest(run_it=run_it):
                wait, requests = self.wait_of("Retry-After: 7200", run_it)
                self.assertEqual(requests, 1)
                self.assertGreater(wait, 7190)
                self.assertLess(wait, 7300)
                # Not shorter than what the schedule has, nor for ever.
                wait, _ = self.wait_of("Retry-After: 30", run_it)
                self.assertGreater(wait, 260)
                self.assertLess(wait, 340)
                wait, _ = self.wait_of("Retry-After: 9999999", run_it)
                self.assertGreater(wait, 14000)
                self.assertLess(wait, 14500)

    def test_a_caller_whose_message_is_stored_waits_briefly(self):
        self.assertEqual(self.wait_of("Retry-After: 4", False)[1], 1)
        self.assertEqual(self.wait_of("x-amz-retry-after: 4000", True)[1], 3)

    def test_what_is_asked_for_holds_for_the_others_of_the_run(self):
        ses = self.ses(always=put_off("Retry-After: 7200"))
        conf = self.conf(ses.route(), top=self.queue())
        for _ in range(3):
            self.quiet(run(("-odq",) + ARGS, MESSAGE, conf=conf))
        self.expect(run(["-q"], conf=conf), 0)
        self.assertEqual(len(ses.requests), 1)
        for stored in self.spool.all():
            self.assertGreater(stored.next - time.time(), 7190)


    def test_a_connection_outlives_the_time_of_one_message(self):
        class Slow(Ses):
            def answer(self, request):
                time.sleep(0.75)
                return super().answer(request)

        ses = self.start(Slow())
        # One message may take ten times as long as a step.
        conf = self.conf(ses.route(), top=self.queue() + "timeout 1\n")
        for _ in range(16):
            self.quiet(run(("-odq",) + ARGS, MESSAGE, conf=conf))
        self.expect(run(["-q"], conf=conf, timeout=60), 0)
        self.assertEqual([len(s.bcc) for s in ses.sent], [1] * 16)
        self.assertEqual(self.spool.all(), [])
        self.assertEqual(ses.connections, 1)


class Regions(Again):
    """Two of them, found by their own names: a proxy leads there."""

    def setUp(self):
        super().setUp()
        self.one = self.region("eu-west-1")
        self.two = self.region("us-east-1")
        self.proxy = self.start(Proxy(hosts={
            self.at(s): s.port for s in (self.one, self.two)}))

    def region(self, name):
        ses = self.start(Ses(cert="named", region=name))
        ses.hosts = ("email.%s.amazonaws.com" % name,)
        return ses

    def at(self, ses):
        return "email.%s.amazonaws.com:443" % ses.region

    def routes(self, senders="*", more=""):
        proxy = "proxy " + self.proxy.url()
        return [re.sub("endpoint .*\n", "", r) for r in (
            self.one.route("first", fallback="second", extra=proxy),
            self.two.route("second", senders=senders, extra=proxy) + more)]

    def go(self, answer, **how):
        self.one.always = answer
        del self.two.sent[:], self.proxy.asked[:], self.one.requests[:]
        return self.send(*self.routes(**how))

    def test_the_first_one_takes_it(self):
        self.quiet(self.go(None))
        self.taken(self.one)
        self.assertEqual(self.proxy.asked, [self.at(self.one)])

    def test_what_goes_over(self):
        soon = ["Retry-After: 60"]
        for answer in (
                put_off(*soon), Answer(400, "Throttling", fields=soon),
                Answer(400, "LimitExceededException"),
                Answer(400, "SendingPausedException"),
                Answer(400, "AccountSuspendedException"),
                Answer(400, "MessageRejected", UNVERIFIED),
                Answer(400, "MailFromDomainNotVerifiedException"),
                Answer(404, "NotFoundException", "Configuration set"),
                Answer(403, "ExpiredTokenException"),
                Answer(403, "UnrecognizedClientException"),
                Answer(403, "SignatureDoesNotMatch"),
                Answer(403, "AccessDeniedException"),
                Answer(401, form="html"),
                Answer(503, form="html", early=True, fields=soon)):
            with self.subTest(code=answer.code, status=answer.status):
                message = letter(8 << 20) if answer.early else MESSAGE
                self.one.always = answer
                del self.two.sent[:], self.proxy.asked[:]
                self.expect(self.send(*self.routes(), message=message), 0)
                # Signed for its own region: it has checked that.
                self.taken(self.two, message)
                self.assertRegex(
                    self.two.sent[0].request.header("Authorization"),
                    r"Credential=[A-Z0-9]+/\d{8}/us-east-1/ses/aws4_request,")
                self.assertEqual(self.proxy.asked[-1], self.at(self.two))
                self.assertEqual(self.one.sent, [])
        self.assertEqual(self.one.errors, [])

    def test_what_stays(self):
        for answer, status in (
                (Answer(400, "MessageRejected", "a virus"), 69),
                (Answer(400, "BadRequestException"), 69),
                (Answer(413, form="html"), 69),
                (Answer(500, "InternalFailure"), 75),
                (Answer(503, "ServiceUnavailable"), 75),
                (Answer(502, form="html"), 75),
                (Answer(drop="after"), 75),
                (Answer(drop="within", ok=True), 75)):
            with self.subTest(code=answer.code, status=answer.status):
                self.one_line(self.go(answer), status, "route first")
                self.assertEqual(self.two.requests, [])

    def test_the_first_region_is_down(self):
        self.proxy.hosts[self.at(self.one)] = closed_port()
        self.expect(self.go(None), 0)
        self.taken(self.two)
        del self.proxy.hosts[self.at(self.one)]
        self.expect(self.go(None), 0)
        self.taken(self.two)

    def test_both_are_down(self):
        self.two.always = Answer(400, "SendingPausedException", "two")
        self.one_line(self.go(Answer(400, "SendingPausedException", "one")),
                      75, "route second", "two")

    def test_each_has_identities_of_its_own(self):
        # What is not verified in the second region does not go there.
        off = Answer(400, "LimitExceededException", "quota")
        self.one_line(self.go(off, senders="@other.test"), 75, "route first",
                      "LimitExceeded")
        self.assertEqual(self.two.requests, [])
        self.assertIn("fallback not used", "\n".join(self.log_lines()))
        relay = self.start(Relay(tls="off"))
        self.one.always = off
        self.expect(self.send(*self.routes(
            senders="@other.test", more="fallback relay\n"),
            relay.route(senders=None)), 0)
        self.same_bytes(relay.only().content, crlf(MESSAGE))
        self.assertEqual(self.two.requests, [])
        self.expect(self.go(off, senders="@example.com"), 0)
        self.taken(self.two)

    def test_the_log_names_both(self):
        self.expect(self.go(Answer(400, "LimitExceededException")), 0)
        lines = self.log_pairs()
        self.assertEqual([(l["route"], l["relay"], l["status"])
                          for l in lines],
                         [("first", "eu-west-1", "deferred"),
                          ("second", "us-east-1", "sent")])


if __name__ == "__main__":
    harness.main()
