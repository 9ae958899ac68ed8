"""Delivery through Amazon SES: an endpoint on loopback that checks every
signature with botocore and answers as AWS documents."""
import os
import time

import harness
from harness import Case, EIGHT_BIT, HEAD, MESSAGE, crlf, letter, run
from relay import Relay
from ses import KEY, SECRET, SEND, Answer, Ses

ARGS = ("-i", "-f", "alice@example.com", "bob@example.net")
# Nobody waits for that long, so what is put off is not tried again.
NOT_SOON = ["Retry-After: 3600"]


class SesCase(Case):
    def ses(self, **how):
        return self.start(Ses(**how))

    def send(self, ses, message=MESSAGE, args=ARGS, extra="", top="", env=None,
             credentials="static", fallback=None, more="", **how):
        route = ses.route(extra=extra, credentials=credentials,
                          fallback=fallback, **how)
        return run(args, message, env=env, conf=self.conf(route, more, top=top))

    def well_signed(self, ses, errors=()):
        """The endpoint met nothing that it should not have met."""
        self.assertEqual(ses.errors, list(errors))


class Arrival(SesCase):
    def arrives(self, ses, message=MESSAGE, **how):
        self.quiet(self.send(ses, message, **how))
        self.well_signed(ses)
        self.same_bytes(ses.only().raw, crlf(message))
        return ses.only()

    def test_small_message_over_tls(self):
        sent = self.arrives(self.ses())
        self.assertEqual(sent.request.target, SEND)
        self.assertEqual(sent.bcc, ["bob@example.net"])

    def test_small_message_over_plain_http(self):
        self.arrives(self.ses(tls=False))

    def test_the_document_has_what_is_due_and_no_more(self):
        sent = self.arrives(self.ses())
        sent.document["Content"]["Raw"]["Data"] = "..."
        self.assertEqual(sent.document, {
            "Content": {"Raw": {"Data": "..."}},
            "Destination": {"BccAddresses": ["bob@example.net"]},
            "FeedbackForwardingEmailAddress": "alice@example.com"})

    def test_configuration_set_tags_and_from_arn(self):
        arn = "arn:aws:ses:eu-west-1:123456789012:identity/example.com"
        sent = self.arrives(self.ses(), extra="configuration-set my-set\n"
                            "tag team=infra\ntag kind=cron_job-1\n"
                            "from-arn " + arn)
        document = sent.document
        self.assertEqual(document["ConfigurationSetName"], "my-set")
        self.assertEqual(document["EmailTags"], [
            {"Name": "team", "Value": "infra"},
            {"Name": "kind", "Value": "cron_job-1"}])
        self.assertEqual(document["FromEmailAddressIdentityArn"], arn)
        self.assertNotIn("FromEmailAddress", document)

    def test_the_display_name_of_from_stays(self):
        sent = self.arrives(self.ses())
        self.assertIn(b"From: Alice <alice@example.com>\r\n", sent.raw)

    def test_every_size_around_the_blocks(self):
        ses = self.ses()
        conf = self.conf(ses.route())
        base = len(HEAD) + 2
        sizes = list(range(base, base + 8)) + [
            s + d for s in (3072, 4096, 12288, 16384, 49152)
            for d in (-2, -1, 0, 1, 2)]
        for number, size in enumerate(sizes):
            with self.subTest(size=size):
                message = letter(size)
                self.quiet(run(ARGS, message, conf=conf))
                self.same_bytes(ses.sent[number].raw, crlf(message))
        self.well_signed(ses)

    def test_one_megabyte(self):
        self.arrives(self.ses(), letter(1 << 20))

    def test_dots_are_not_stuffed_here(self):
        self.arrives(self.ses(), HEAD + b"\n.\n..\n.a\nend\n")

    def test_line_ends_become_crlf(self):
        ses = self.ses()
        self.quiet(self.send(ses, HEAD + b"\na\rb\r\nc\n\rd"))
        self.same_bytes(ses.only().raw,
                        crlf(HEAD) + b"\r\na\r\nb\r\nc\r\n\r\nd\r\n")

    def test_bytes_of_every_value(self):
        self.arrives(self.ses(), EIGHT_BIT + HEAD + b"\n" + bytes(
            b for b in range(1, 256) if b != 13) + b"\n")

    def test_bcc_gets_it_and_never_leaks(self):
        ses = self.ses()
        message = b"Bcc: Hidden <hidden@secret.test>\n" \
                  b"Return-Path: <x@secret.test>\n" + MESSAGE
        self.quiet(self.send(ses, message, args=("-t", "-i", "-f",
                                                 "alice@example.com")))
        self.same_bytes(ses.only().raw, crlf(MESSAGE))
        self.assertEqual(sorted(ses.only().bcc), [
            "bob@example.net", "hidden@secret.test"])

    def test_strange_addresses_arrive_as_json(self):
        ses = self.ses()
        self.quiet(self.send(ses, args=(
            "-i", "-f", "alice@example.com", '"a \\"b\\\\ c"@x.test',
            "d/e+f=g@x.test")))
        self.assertEqual(sorted(ses.only().bcc), sorted([
            '"a \\"b\\\\ c"@x.test', "d/e+f=g@x.test"]))

    def test_recipients_in_batches_of_fifty(self):
        for count in (50, 51, 100, 120):
            with self.subTest(count=count):
                ses = self.ses()
                people = ["u%03d@dest.test" % i for i in range(count)]
                self.quiet(self.send(ses, args=("-i", "-f",
                                                "alice@example.com", *people)))
                self.well_signed(ses)
                self.assertEqual([len(s.bcc) for s in ses.sent],
                                 [50] * (count // 50) +
                                 [count % 50] * (count % 50 > 0))
                self.assertEqual(sorted(a for s in ses.sent for a in s.bcc),
                                 people)
                self.assertEqual(ses.connections, 1, "kept alive")
                for sent in ses.sent:
                    self.same_bytes(sent.raw, crlf(MESSAGE))

    def test_a_connection_that_is_not_kept_is_made_anew(self):
        ses = self.ses(script=[Answer(ok=True, close=True)])
        people = ["u%03d@dest.test" % i for i in range(60)]
        self.quiet(self.send(ses, args=("-i", "-f", "alice@example.com",
                                        *people)))
        self.assertEqual(ses.connections, 2)
        self.assertEqual(sorted(a for s in ses.sent for a in s.bcc), people)

    def test_a_kept_connection_that_dies_doubles_nothing(self):
        # Whether the second request has left whole is a race; a recipient
        # that gets the message twice is a defect in any case.
        for tls in (True, False):
            for _ in range(5):
                ses = self.ses(tls=tls, script=[Answer(ok=True, hangup=True)])
                people = ["u%03d@dest.test" % i for i in range(60)]
                done = self.send(ses, args=("-i", "-f", "alice@example.com",
                                            *people))
                got = sorted(a for s in ses.sent for a in s.bcc)
                self.assertEqual(len(got), len(set(got)))
                self.assertIn(done.exit, (0, 75), str(done))
                self.assertEqual(got, people if done.exit == 0
                                 else people[:50])

    def test_no_header_field_is_doubled_or_missing(self):
        sent = self.arrives(self.ses())
        names = [k.lower() for k, _ in sent.request.headers]
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual(dict((k.lower(), v) for k, v in sent.request.headers)
                         ["content-type"], "application/json")
        self.assertIn("content-length", names)
        self.assertNotIn("x-amz-security-token", names)

    def test_the_reply_in_every_framing(self):
        for answer in (Answer(ok=True, framing="chunked"),
                       Answer(ok=True, framing="close"),
                       Answer(ok=True, close=True),
                       Answer(ok=True, interim=(100,)),
                       Answer(ok=True, interim=(100, 103, 102)),
                       Answer(ok=True, framing="chunked", interim=(100,))):
            for tls in (True, False):
                with self.subTest(answer=vars(answer), tls=tls):
                    self.arrives(self.ses(tls=tls, script=[answer]))

    def test_an_rsa_certificate(self):
        self.arrives(self.ses(cert="rsa"))


class Credentials(SesCase):
    FILE = ("# a comment\n[default]\naws_access_key_id = %s\n"
            "aws_secret_access_key=%s\n%s\n[other]\n"
            "aws_access_key_id = WRONG\naws_secret_access_key = WRONG\n")

    def taken(self, done, ses):
        self.quiet(done)
        self.well_signed(ses)
        self.same_bytes(ses.only().raw, crlf(MESSAGE))

    def test_static_with_a_session_token(self):
        ses = self.ses(token="tok/en+1==")
        self.taken(self.send(ses), ses)

    def test_keys_given_in_the_route_win_without_the_keyword(self):
        ses = self.ses()
        route = ses.route(credentials=None, extra="access-key-id %s\n"
                          "secret-access-key %s" % (KEY, SECRET))
        done = run(ARGS, MESSAGE, conf=self.conf(route), env={
            "AWS_ACCESS_KEY_ID": "OTHER", "AWS_SECRET_ACCESS_KEY": "x"})
        self.taken(done, ses)

    def test_a_secret_access_key_file(self):
        ses = self.ses()
        route = ses.route(credentials="", extra=(
            "credentials static\naccess-key-id %s\nsecret-access-key-file %s"
            % (KEY, self.secret(SECRET))))
        self.taken(run(ARGS, MESSAGE, conf=self.conf(route)), ses)

    def test_environment(self):
        for kind in ("env", "auto"):
            for token in (None, "session-token-1"):
                with self.subTest(kind=kind, token=token):
                    ses = self.ses(token=token)
                    done = self.send(ses, credentials=kind, env={
                        "AWS_ACCESS_KEY_ID": KEY,
                        "AWS_SECRET_ACCESS_KEY": SECRET,
                        "AWS_SESSION_TOKEN": token})
                    self.taken(done, ses)

    def test_environment_without_the_secret(self):
        ses = self.ses()
        done = self.send(ses, credentials="env",
                         env={"AWS_ACCESS_KEY_ID": KEY})
        self.one_line(done, 75, "AWS_SECRET_ACCESS_KEY")
        self.assertEqual(ses.requests, [])

    def test_no_credentials_anywhere(self):
        ses = self.ses()
        for kind in ("auto", "env", "file"):
            with self.subTest(kind=kind):
                done = self.send(ses, credentials=kind,
                                 env={"HOME": self.dir})
                self.one_line(done, 75, "credentials")
        self.assertEqual(ses.requests, [])

    def file(self, text, name="credentials"):
        return self.write(name, text, 0o600)

    def test_shared_credentials_file(self):
        for kind in ("file", "auto"):
            for token in (None, "tok"):
                with self.subTest(kind=kind, token=token):
                    ses = self.ses(token=token)
                    path = self.file(self.FILE % (
                        KEY, SECRET,
                        "aws_session_token = tok" if token else ""))
                    done = self.send(ses, credentials=kind, env={
                        "AWS_SHARED_CREDENTIALS_FILE": path})
                    self.taken(done, ses)

    def test_credentials_file_in_the_home_folder(self):
        ses = self.ses()
        os.mkdir(self.path(".aws"))
        self.file(self.FILE % (KEY, SECRET, ""), ".aws/credentials")
        self.taken(self.send(ses, credentials="auto",
                             env={"HOME": self.dir}), ses)

    def test_a_profile_by_keyword_and_by_environment(self):
        text = ("[default]\naws_access_key_id = NO\n"
                "aws_secret_access_key = NO\n[mail]\naws_access_key_id = %s\n"
                "aws_secret_access_key = %s\n" % (KEY, SECRET))
        path = self.file(text)
        for extra, env in (("profile mail", {}), ("", {"AWS_PROFILE": "mail"})):
            with self.subTest(extra=extra):
                ses = self.ses()
                env["AWS_SHARED_CREDENTIALS_FILE"] = path
                self.taken(self.send(ses, credentials="file", extra=extra,
                                     env=env), ses)

    def test_profile_skips_the_environment(self):
        ses = self.ses()
        path = self.file("[mail]\naws_access_key_id = %s\n"
                         "aws_secret_access_key = %s\n" % (KEY, SECRET))
        self.taken(self.send(ses, credentials="auto", extra="profile mail",
                             env={"AWS_SHARED_CREDENTIALS_FILE": path,
                                  "AWS_ACCESS_KEY_ID": "OTHER",
                                  "AWS_SECRET_ACCESS_KEY": "other"}), ses)

    def test_keys_in_the_config_file(self):
        ses = self.ses()
        path = self.file("[profile mail]\naws_access_key_id = %s\n"
                         "aws_secret_access_key = %s\n" % (KEY, SECRET),
                         "config")
        self.taken(self.send(ses, credentials="file", extra="profile mail",
                             env={"AWS_CONFIG_FILE": path,
                                  "AWS_SHARED_CREDENTIALS_FILE":
                                  self.path("none")}), ses)

    def test_region_from_the_environment_and_the_profile(self):
        config = self.file("[default]\nregion = eu-west-1\n", "config")
        for env in ({"AWS_REGION": "eu-west-1",
                     "AWS_DEFAULT_REGION": "us-east-1"},
                    {"AWS_DEFAULT_REGION": "eu-west-1"},
                    {"AWS_CONFIG_FILE": config}):
            with self.subTest(env=env):
                ses = self.ses()
                self.taken(self.send(ses, region=False, env=env), ses)

    def test_no_region_anywhere(self):
        ses = self.ses()
        self.one_line(self.send(ses, region=False, env={"HOME": self.dir}),
                      78, "region")
        self.assertEqual(ses.requests, [])

    def test_a_wrong_secret(self):
        ses = self.ses()
        ses.keys = {KEY: ("another secret", None)}
        done = self.send(ses)
        self.one_line(done, 75, "SignatureDoesNotMatch")
        self.assertLessEqual(len(ses.requests), 2)
        self.assertNotIn(SECRET, done.err)

    def test_an_unknown_key(self):
        ses = self.ses()
        ses.keys = {"OTHERKEY": (SECRET, None)}
        self.one_line(self.send(ses), 75, "UnrecognizedClient")
        self.assertLessEqual(len(ses.requests), 2)


class Clock(SesCase):
    def test_a_clock_that_is_off_is_corrected_once(self):
        for skew in (-90000, -3600, -400, 400, 3600, 86400 * 400):
            with self.subTest(skew=skew):
                ses = self.ses(skew=skew)
                self.quiet(self.send(ses))
                self.same_bytes(ses.only().raw, crlf(MESSAGE))
                self.assertEqual(len(ses.requests), 2)

    def test_the_correction_holds_for_the_batches_that_follow(self):
        ses = self.ses(skew=4000)
        people = ["u%03d@dest.test" % i for i in range(130)]
        self.quiet(self.send(ses, args=("-i", "-f", "alice@example.com",
                                        *people)))
        self.assertEqual(len(ses.sent), 3)
        self.assertLessEqual(len(ses.requests), 4)

    def test_a_small_difference_is_no_reason_to_try_again(self):
        ses = self.ses(always=Answer(403, "RequestTimeTooSkewed"))
        self.one_line(self.send(ses), 75, "RequestTimeTooSkewed")
        self.assertLessEqual(len(ses.requests), 2)

    def test_every_code_of_a_wrong_clock(self):
        for status, code in ((403, "InvalidSignatureException"),
                             (403, "SignatureDoesNotMatch"),
                             (400, "RequestExpired"),
                             (403, "RequestTimeTooSkewed"),
                             (403, "RequestInTheFuture")):
            with self.subTest(code=code):
                ses = self.ses(skew=1000, script=[Answer(status, code)])
                self.quiet(self.send(ses))
                self.assertEqual(len(ses.requests), 2)
                self.assertEqual(len(ses.sent), 1)


class Errors(SesCase):
    """What SES answers: exit status alone, and with a fallback."""

    UNVERIFIED = ("Email address is not verified. The following identities "
                  "failed the check in region EU-WEST-1: alice@example.com")
    # status, code, message, exit status, may another route be tried
    TABLE = [
        (429, "TooManyRequestsException", "slow down", 75, True),
        (400, "TooManyRequestsException", "slow down", 75, True),
        (400, "Throttling", "Maximum sending rate exceeded.", 75, True),
        (400, "ThrottlingException", "Rate exceeded", 75, True),
        (429, "ThrottlingException", "Rate exceeded", 75, True),
        (400, "RequestThrottled", "Rate exceeded", 75, True),
        (400, "RequestThrottledException", "Rate exceeded", 75, True),
        (400, "LimitExceededException", "Daily message quota exceeded.", 75,
         True),
        (400, "SendingPausedException", "Email sending is disabled.", 75,
         True),
        (400, "AccountSuspendedException", "suspended", 75, True),
        (400, "MessageRejected", UNVERIFIED, 75, True),
        (400, "MessageRejected", "Email address is not verified.", 75, True),
        (400, "MessageRejected", "Sending paused for this account. For more "
         "information, please check the inbox of the email address associated "
         "with your AWS account.", 75, True),
        (400, "MessageRejected", "Sending suspended for this account.", 75,
         True),
        (400, "AccountSendingPausedException", "paused", 75, True),
        (400, "ConfigurationSetSendingPausedException", "paused", 75, True),
        (400, "ThrottledException", "Rate exceeded", 75, True),
        (400, "RequestLimitExceeded", "Rate exceeded", 75, True),
        (400, "NotAuthorized", "You do not have permission", 75, True),
        (400, "IncompleteSignature", "not conform to AWS standards", 75, True),
        (400, "MessageRejected", "Message contained a virus", 69, False),
        (400, "MessageRejected", None, 69, False),
        (400, "MailFromDomainNotVerifiedException", "not verified", 75, True),
        (404, "NotFoundException", "Configuration set does not exist", 75,
         True),
        (400, "NotFoundException", "Configuration set does not exist", 75,
         True),
        (400, "BadRequestException", "Missing final '@domain'", 69, False),
        (500, "InternalFailure", "oops", 75, False),
        (500, "InternalServiceErrorException", "oops", 75, False),
        (503, "ServiceUnavailable", "oops", 75, False),
        (502, None, "bad gateway", 75, False),
        (403, "ExpiredTokenException", "The security token included in the "
         "request is expired", 75, True),
        (403, "ExpiredToken", "expired", 75, True),
        (403, "UnrecognizedClientException", "invalid token", 75, True),
        (403, "InvalidClientTokenId", "invalid token", 75, True),
        (403, "AccessDeniedException", "User is not authorized to perform: "
         "ses:SendEmail", 75, True),
        (403, "InvalidSignatureException", "wrong", 75, True),
        (403, "SignatureDoesNotMatch", "wrong", 75, True),
        (401, "SomethingNew", "?", 75, True),
        (403, "SomethingNew", "?", 75, True),
        (404, "SomethingNew", "?", 75, True),
        (408, "SomethingNew", "?", 75, None),
        (429, "SomethingNew", "?", 75, True),
        (400, "SomethingNew", "?", 69, False),
        (422, "SomethingNew", "?", 69, False),
        (413, "SomethingNew", "?", 69, False),
    ]

    def test_every_row_alone(self):
        for status, code, message, wanted, _ in self.TABLE:
            with self.subTest(status=status, code=code, message=message):
                ses = self.ses(always=Answer(status, code, message,
                                             fields=NOT_SOON))
                done = self.send(ses)
                line = self.one_line(done, wanted, code or str(status))
                self.assertIn("ses", line)
                if message and message != "?" and len(message) > 8:
                    self.assertIn(message[:40], line)
                self.assertEqual(ses.sent, [])
                self.assertLessEqual(len(ses.requests), 2)
                self.well_signed(ses)

    def test_every_row_with_a_fallback(self):
        for status, code, message, wanted, over in self.TABLE:
            if over is None:
                continue
            with self.subTest(status=status, code=code, message=message):
                ses = self.ses(always=Answer(status, code, message,
                                             fields=NOT_SOON))
                relay = self.start(Relay(tls="off"))
                done = self.send(ses, fallback="relay", more=relay.route(
                    senders=None))
                if over:
                    self.expect(done, 0)
                    self.same_bytes(relay.only().content, crlf(MESSAGE))
                    self.assertEqual(relay.only().rcpt_to,
                                     ["bob@example.net"])
                else:
                    self.expect(done, wanted)
                    self.assertEqual(relay.sessions, [])

    def test_every_row_in_every_place_and_form(self):
        ses = self.ses()
        conf = self.conf(ses.route())
        names = sorted({row[:2] for row in self.TABLE}, key=str)
        for status, code in names:
            texts = [(m, w) for s, c, m, w, _ in self.TABLE
                     if (s, c) == (status, code)]
            for place in ("header", "__type", "code", "Code"):
                for form, (message, wanted) in \
                        [("json", t) for t in texts] + [
                            ("json", (None, texts[0][1])),
                            ("html", (None, texts[0][1]))]:
                    # What makes it the operator's is in the text alone.
                    if code == "MessageRejected" and message is None:
                        wanted = 69
                    if form == "html" and place != "header":
                        continue
                    spelled = "aws.x#%s:http://int.amazon.com/c/" % code \
                        if code and place in ("header", "__type") else code
                    with self.subTest(status=status, code=code, place=place,
                                      form=form, message=message):
                        ses.always = Answer(status, spelled, message,
                                            place=place, form=form,
                                            fields=NOT_SOON)
                        line = self.one_line(run(ARGS, MESSAGE, conf=conf),
                                             wanted, "SES: %d %s" % (
                                                 status, code or "without"))
                        self.assertNotIn("amazon", line)
                        self.assertNotIn("<h1>", line)
        self.assertEqual(ses.sent, [])
        self.well_signed(ses)

    def test_the_code_in_every_place(self):
        for place, code in (
                ("header", "TooManyRequestsException:http://internal.amazon"
                 ".com/coral/com.amazonaws.services.simpleemailv2/"),
                ("header", "aws.ses#TooManyRequestsException"),
                ("code", "TooManyRequestsException"),
                ("Code", "TooManyRequestsException"),
                ("__type", "com.amazon.coral.service"
                 "#TooManyRequestsException"),
                ("__type", "a.b.c#TooManyRequestsException:more")):
            with self.subTest(place=place, code=code):
                ses = self.ses(always=Answer(400, code, "slow", place=place,
                                             fields=NOT_SOON))
                line = self.one_line(self.send(ses), 75,
                                     "TooManyRequestsException")
                self.assertNotIn("coral", line)

    def test_replies_that_are_no_json(self):
        for status, form, wanted in ((503, "html", 75), (503, "empty", 75),
                                     (403, "html", 75), (400, "html", 69),
                                     (400, "empty", 69), (500, "html", 75)):
            for framing in ("length", "chunked", "close"):
                with self.subTest(status=status, form=form, framing=framing):
                    ses = self.ses(always=Answer(status, form=form,
                                                 framing=framing))
                    self.one_line(self.send(ses), wanted, str(status))

    def test_the_error_in_every_framing(self):
        for framing in ("length", "chunked", "close"):
            ses = self.ses(always=Answer(400, "LimitExceededException",
                                         "quota", framing=framing,
                                         interim=(100,)))
            self.one_line(self.send(ses), 75, "LimitExceeded", "quota")

    def test_a_redirect_is_not_followed(self):
        other = self.ses()
        for status in (301, 302, 307, 308):
            ses = self.ses(always=Answer(status, fields=[
                "Location: " + other.url + SEND]))
            done = self.send(ses)
            self.assertIn(done.exit, (69, 75), str(done))
        self.assertEqual(other.requests, [])

    def test_success_without_a_message_id_is_still_a_2xx(self):
        # SES documents 200 with a MessageId; a 200 that was read whole and
        # is no JSON may come from anything, so it must not be an error that
        # sends the message again elsewhere.
        relay = self.start(Relay(tls="off"))
        ses = self.ses(always=Answer(200, form="html"))
        done = self.send(ses, fallback="relay",
                         more=relay.route(senders=None))
        self.assertIn(done.exit, (0, 75), str(done))
        self.assertEqual(relay.sessions, [])

    def test_rubbish_replies(self):
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        body = b'{"MessageId":"1"}'
        for raw in (b"hello\r\n\r\n", b"", b"HTTP/1.1 99 x\r\n\r\n",
                    b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n"
                    b"Content-Length: 18\r\n\r\n" + body,
                    head + b"Content-Length: 17\r\nTransfer-Encoding: chunked"
                    b"\r\n\r\n" + body,
                    head + b"Content-Length: -1\r\n\r\n" + body,
                    head + b"Content-Length: 99999999999999999999999\r\n\r\n",
                    head + b"Content-Length: 30\r\n\r\n" + body,
                    head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
                    head + b"Transfer-Encoding: chunked\r\n\r\n"
                    b"ffffffffffffffffff\r\n",
                    head + b"Transfer-Encoding: chunked\r\n\r\n11\r\n" + body,
                    head + b"X: " + b"y" * 100000 + b"\r\n\r\n",
                    b"HTTP/1.1 100 Go\r\n\r\n" * 1000):
            with self.subTest(raw=raw[:90]):
                ses = self.ses(always=Answer(raw=raw))
                relay = self.start(Relay(tls="off"))
                done = self.send(ses, fallback="relay", top="timeout 5s\n",
                                 more=relay.route(senders=None))
                self.one_line(done, 75)
                self.assertEqual(relay.sessions, [], "ambiguous")
                self.assertEqual(len(ses.requests), 1)

    def test_a_body_that_a_plain_close_ends_in_tls_is_no_success(self):
        # No close_notify: the body may have been cut.
        ses = self.ses(always=Answer(raw=b"HTTP/1.1 200 OK\r\n\r\n"
                                     b'{"MessageId":"1"}'))
        self.one_line(self.send(ses), 75)


class Bisect(SesCase):
    def test_one_bad_recipient_does_not_take_the_others_with_it(self):
        for count, bad in ((2, [0]), (3, [1]), (7, [6]), (50, [17]),
                           (60, [3, 55]), (8, [0, 1, 2, 3, 4, 5, 6, 7])):
            with self.subTest(count=count, bad=bad):
                people = ["u%03d@dest.test" % i for i in range(count)]
                refused = [people[i] for i in bad]
                ses = self.ses(bad_recipients=refused)
                done = self.send(ses, args=("-i", "-f", "alice@example.com",
                                            *people))
                self.expect(done, 69)
                got = [a for s in ses.sent for a in s.bcc]
                self.assertEqual(sorted(got),
                                 [p for p in people if p not in refused])
                for person in people:
                    self.assertEqual(person in done.err, person in refused)

    def test_a_throttled_batch_does_not_undo_the_first(self):
        ses = self.ses(script=[None, Answer(429, "TooManyRequestsException",
                                            fields=NOT_SOON)])
        relay = self.start(Relay(tls="off"))
        people = ["u%03d@dest.test" % i for i in range(70)]
        done = self.send(ses, args=("-i", "-f", "alice@example.com", *people),
                         fallback="relay", more=relay.route(senders=None))
        self.expect(done, 0)
        self.assertEqual(sorted(ses.only().bcc +
                                relay.only().rcpt_to), people)
        self.assertEqual(len(relay.only().rcpt_to), 20)


class Cut(SesCase):
    def both(self, answer, message=MESSAGE, tls=True, top="timeout 3s\n"):
        ses = self.ses(tls=tls, always=answer)
        relay = self.start(Relay(tls="off"))
        done = self.send(ses, message, fallback="relay", top=top,
                         more=relay.route(senders=None))
        return ses, relay, done

    def test_the_connection_dies_after_the_whole_request(self):
        for tls in (True, False):
            for drop in ("after", "within", "silent"):
                with self.subTest(tls=tls, drop=drop):
                    ses, relay, done = self.both(Answer(
                        drop=drop, ok=drop == "within"), tls=tls)
                    self.one_line(done, 75)
                    self.assertEqual(relay.sessions, [], "ambiguous")
                    self.assertEqual(len(ses.requests), 1, "not tried again")

    def test_the_connection_dies_while_the_request_is_sent(self):
        for tls in (True, False):
            with self.subTest(tls=tls):
                ses, relay, done = self.both(Answer(drop="at once"),
                                             letter(12 << 20), tls=tls)
                self.expect(done, 0)
                self.same_bytes(relay.only().content, crlf(letter(12 << 20)))

    def test_an_error_that_comes_during_the_upload_is_read(self):
        for tls in (True, False):
            with self.subTest(tls=tls):
                message = letter(16 << 20)
                ses = self.ses(tls=tls, always=Answer(
                    400, "LimitExceededException", "Daily quota", early=True))
                began = time.monotonic()
                done = self.send(ses, message)
                self.one_line(done, 75, "LimitExceeded", "Daily quota")
                self.assertLess(time.monotonic() - began, 30)

    def test_an_early_answer_to_a_small_request_is_an_answer(self):
        _, relay, done = self.both(Answer(400, "BadRequestException", "no",
                                          early=True))
        self.one_line(done, 69, "BadRequest")
        self.assertEqual(relay.sessions, [])

    def test_nothing_listens(self):
        ses = self.ses()
        ses.close()
        self.one_line(self.send(ses), 75, "connect")

    def test_a_server_that_is_silent(self):
        ses = self.ses(always=Answer(drop="silent"))
        done = self.send(ses, top="timeout 1s\n")
        self.one_line(done, 75)
        self.assertLess(done.seconds, 8)


class Limits(SesCase):
    def test_over_29_megabytes_is_refused_here(self):
        # 40 MB after base64 are 30 MB of message at most.
        ses = self.ses()
        done = self.send(ses, letter(32 * 1000 * 1000))
        self.one_line(done, 69, "size|large|big|MB")
        self.assertEqual(ses.sent, [])

    def test_the_null_sender_never_goes_to_ses(self):
        ses = self.ses()
        relay = self.start(Relay(tls="off"))
        done = self.send(ses, args=("-i", "-f", "<>", "bob@example.net"),
                         more=relay.route())
        self.quiet(done)
        self.assertEqual(ses.requests, [])
        self.assertEqual(relay.only().mail_from, "")


if __name__ == "__main__":
    harness.main()
