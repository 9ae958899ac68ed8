"""Credentials that have to be asked for: the answers of IMDS, container endpoint
and STS, good and bad; renewal; the file in which they are kept."""
import grp
import os
import shutil
import stat
import time
import unittest

import harness
from awsfakes import Container, Imds, Sts
from certs import certificates
from harness import MESSAGE, Case, closed_port, run
from ses import KEY, SECRET, Answer, Ses

ARGS = ("-i", "-f", "alice@example.com", "bob@example.net")
ROLE = "arn:aws:iam::123456789012:role/mail"
FULL_URI = "AWS_CONTAINER_CREDENTIALS_FULL_URI"


class Fetched(Case):
    def setUp(self):
        super().setUp()
        self.ses = self.start(Ses())

    def send(self, kind="auto", extra="", top="", args=ARGS, **env):
        route = self.ses.route(credentials=kind, extra=extra)
        return run(args, MESSAGE, conf=self.conf(route, top=top),
                   env=dict({"HOME": self.dir}, **env))

    def taken(self, done):
        """The key id that the message came with."""
        self.expect(done, 0)
        self.assertEqual(self.ses.errors, [])
        return self.ses.sent[-1].key

    def secretless(self, done, *issuers):
        for issuer in issuers:
            for key in issuer.issued:
                self.assertNotIn("secret+/" + key, done.err + done.out)
                self.assertNotIn("token+/==" + key, done.err + done.out)


class Ec2(Fetched):
    def imds(self, mode="ok", **how):
        imds = self.start(Imds(self.ses, mode, **how))
        self.env = {"AWS_EC2_METADATA_DISABLED": None,
                    "AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.url}
        return imds

    def test_the_three_questions(self):
        imds = self.imds()
        for kind in ("auto", "imds"):
            done = self.send(kind, args=("-v",) + ARGS, **self.env)
            self.assertEqual(self.taken(done), imds.issued[-1])
            self.secretless(done, imds)
            self.assertNotIn("token-of-imds", done.err)
        self.assertEqual([(r.method, r.target) for r in imds.requests[:3]], [
            ("PUT", "/latest/api/token"),
            ("GET", "/latest/meta-data/iam/security-credentials/"),
            ("GET", "/latest/meta-data/iam/security-credentials/mail-role")])
        self.assertEqual(imds.errors, [])

    def test_the_endpoint_may_have_a_path_and_come_from_the_profile(self):
        imds = self.imds()
        self.env.pop("AWS_EC2_METADATA_SERVICE_ENDPOINT")
        config = self.write("config", "[default]\n"
                            "ec2_metadata_service_endpoint = %s/\n" % imds.url)
        self.taken(self.send("imds", AWS_CONFIG_FILE=config, **self.env))

    def refused(self, *words, least=0, most=3, **env):
        for kind in ("auto", "imds"):
            began = time.monotonic()
            done = self.send(kind, **dict(self.env, **env))
            self.one_line(done, 75, "no AWS credentials", *words)
            self.assertLess(time.monotonic() - began, most)
            self.assertGreaterEqual(time.monotonic() - began, least)
        self.assertEqual(self.ses.requests, [])

    def test_version_1_alone_is_not_used(self):
        imds = self.imds("v1")
        self.refused("no IMDSv2")
        self.assertNotIn("GET", [r.method for r in imds.requests])

    def test_denied(self):
        self.imds("denied")
        self.refused("answered 403")

    def test_no_token_is_good_enough(self):
        self.imds("unauthorized")
        self.refused("answered 401")

    def test_an_instance_without_a_role(self):
        self.imds("norole")
        self.refused("no role")

    def test_an_error_in_a_200(self):
        self.imds("error")
        done = self.send(**self.env)
        self.one_line(done, 75, "AssumeRoleUnauthorizedAccess: EC2 cannot "
                      "assume the role mail-role")

    def test_rubbish(self):
        self.imds("rubbish")
        self.one_line(self.send(**self.env), 75, "gave no JSON")

    def test_a_portal_that_answers_everything(self):
        self.imds("html")
        self.refused("rubbish")

    def test_a_role_name_that_would_be_another_request(self):
        self.imds(role="x HTTP/1.1\r\nX: y")
        self.refused("rubbish")

    def test_silence_costs_a_second(self):
        self.imds("silent")
        self.refused("hop limit", least=0.9)

    def test_nobody_there(self):
        self.imds()
        self.refused("connect", AWS_EC2_METADATA_SERVICE_ENDPOINT=
                     "http://127.0.0.1:%d" % closed_port())

    def test_disabled(self):
        imds = self.imds()
        for word in ("true", "TRUE"):
            self.refused("disabled", AWS_EC2_METADATA_DISABLED=word)
        self.assertEqual(imds.requests, [])

    def test_modes(self):
        self.imds()
        self.env.pop("AWS_EC2_METADATA_SERVICE_ENDPOINT")
        done = self.send(AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE="IPv6",
                         **self.env)
        self.one_line(done, 75, r"fd00:ec2::254")

    def test_after_an_error_of_the_server_once_more(self):
        imds = self.imds()
        imds.script = [None, Answer(status=503, form="empty")]
        self.taken(self.send(**self.env))

    def test_keys_that_have_ended_are_tried(self):
        """EC2 keeps them alive when it cannot have new ones."""
        imds = self.imds(lasts=-600)
        self.assertEqual(self.taken(self.send(**self.env)), imds.issued[-1])


class InAContainer(Fetched):
    def container(self, **how):
        return self.start(Container(self.ses, **how))

    def test_full_uri_and_its_query(self):
        container = self.container()
        for kind in ("auto", "container"):
            done = self.send(kind, args=("-v",) + ARGS,
                             **{FULL_URI: container.full_uri})
            self.assertEqual(self.taken(done), container.issued[-1])
            self.secretless(done, container)

    def test_tokens(self):
        container = self.container(token="Basic  abc=")
        self.taken(self.send(**{
            FULL_URI: container.full_uri,
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": "Basic  abc="}))
        path = self.write("token", "Basic  abc=")
        done = self.send(args=("-v",) + ARGS, **{
            FULL_URI: container.full_uri,
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": "not this one",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": path})
        self.taken(done)
        self.assertNotIn("abc", done.err)

    def test_tokens_with_line_ends_are_refused(self):
        container = self.container()
        for text in ("a\nX: y", "a\r", "a\n"):
            path = self.write("token", text)
            for env in ({"AWS_CONTAINER_AUTHORIZATION_TOKEN": text},
                        {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": path}):
                done = self.send(**{FULL_URI: container.full_uri}, **env)
                self.one_line(done, 75, "line end")
        self.assertEqual(container.requests, [])

    def test_a_token_file_that_is_missing_or_empty(self):
        container = self.container()
        for path in (self.path("none"), self.write("empty", ""), self.dir,
                     self.write("big", "x" * 20000)):
            self.one_line(self.send(**{
                FULL_URI: container.full_uri,
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": path}), 75,
                "container token")
        self.assertEqual(container.requests, [])

    def test_hosts(self):
        for host in ("192.0.2.1", "169.254.170.3", "[fd00:ec2::254]",
                     "localhost.example", "169.254.169.254"):
            done = self.send(**{FULL_URI: "http://%s/x" % host})
            self.one_line(done, 75, "no https:// URL")
        for url in ("ftp://localhost/x", "/x", "http://user@localhost/"):
            self.one_line(self.send(**{FULL_URI: url}), 75,
                          "no https:// URL")

    def test_the_relative_uri_wins(self):
        container = self.container()
        began = time.monotonic()
        done = self.send(args=("-v",) + ARGS, **{
            FULL_URI: container.full_uri,
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/x?id=1"})
        self.expect(done, 75)
        # What is there depends on the machine: three tries, or an answer.
        self.assertIn(done.err.count(
            "> GET http://169.254.170.2/v2/x?id=1\n"), (1, 2, 3))
        self.assertLess(time.monotonic() - began, 10)
        self.assertEqual(container.requests, [])

    def test_three_tries(self):
        container = self.container(fails=2)
        self.taken(self.send(**{FULL_URI: container.full_uri}))
        self.assertEqual(len(container.requests), 3)
        container = self.container(fails=3)
        self.one_line(self.send(**{FULL_URI: container.full_uri}), 75,
                      "answered 500")

    def test_slow(self):
        container = self.container()
        container.delay = 5
        began = time.monotonic()
        self.one_line(self.send(**{FULL_URI: container.full_uri}), 75,
                      "container")
        self.assertLess(time.monotonic() - began, 12)

    def test_errors_and_rubbish(self):
        container = self.container(token="needed")
        self.one_line(self.send(**{FULL_URI: container.full_uri}), 75,
                      "400", "InvalidToken")
        for rubbish, words in (
                (b"{", "no JSON"), (b"[]", "AccessKeyId"), (b"", "no JSON"),
                (b'{"AccessKeyId":"A"}', "SecretAccessKey"),
                (b'{"AccessKeyId":"A","SecretAccessKey":"B"}', "is missing|is "
                 "empty"),
                (b'{"AccessKeyId":"A","SecretAccessKey":"B","Token":"t\\n"}',
                 "control"),
                (b'{"AccessKeyId":"A","SecretAccessKey":"B","Token":"t",'
                 b'"Expiration":"soon"}', "Expiration")):
            with self.subTest(rubbish):
                container = self.container()
                container.rubbish = rubbish
                self.one_line(self.send(**{FULL_URI: container.full_uri}), 75,
                              words)

    def test_a_failure_is_not_passed_over(self):
        """To go on to EC2 would be to act as somebody else."""
        imds = self.start(Imds(self.ses))
        container = self.container(fails=9)
        done = self.send(AWS_EC2_METADATA_DISABLED=None,
                         AWS_EC2_METADATA_SERVICE_ENDPOINT=imds.url,
                         **{FULL_URI: container.full_uri})
        self.one_line(done, 75, "container")
        self.assertEqual(imds.requests, [])


class Roles(Fetched):
    def setUp(self):
        super().setUp()
        self.sts = self.start(Sts(self.ses))
        self.sts.keys[KEY] = (SECRET, None)
        self.keys = ("access-key-id %s\nsecret-access-key %s\n" % (KEY, SECRET))
        self.env = {"AWS_ENDPOINT_URL_STS": self.sts.url}

    def test_role_arn_of_the_route(self):
        done = self.send("static", "role-arn " + ROLE,
                         args=("-v",) + ARGS, **self.env)
        self.assertEqual(self.taken(done), self.sts.issued[-1])
        self.secretless(done, self.sts)
        self.assertEqual(self.sts.calls, [{
            "Action": "AssumeRole", "Version": "2011-06-15", "RoleArn": ROLE,
            "RoleSessionName": "sendroute"}])

    def test_role_arn_over_what_the_chain_found(self):
        imds = self.start(Imds(self.ses))
        done = self.send("imds", "role-arn " + ROLE,
                         AWS_EC2_METADATA_DISABLED=None,
                         AWS_EC2_METADATA_SERVICE_ENDPOINT=imds.url, **self.env)
        self.assertEqual(self.taken(done), self.sts.issued[-1])
        self.assertEqual(len(imds.issued), 1)

    def test_over_tls_with_the_roots_that_the_environment_names(self):
        self.sts = self.start(Sts(self.ses, tls=True))
        self.sts.keys[KEY] = (SECRET, None)
        self.env = {"AWS_ENDPOINT_URL_STS": self.sts.url}
        route = "route ses\ntype ses\nendpoint %s\nregion eu-west-1\n" \
            "senders *\n%srole-arn %s\n" % (self.ses.url, self.keys, ROLE)
        conf = self.conf(route)
        self.taken(run(ARGS, MESSAGE, conf=conf, env=dict(
            self.env, AWS_CA_BUNDLE=certificates.ca)))
        self.one_line(run(ARGS, MESSAGE, conf=conf, env=self.env), 75,
                      "STS", "certificate|issuer|authority")
        config = self.write("config", "[default]\nca_bundle = %s\n"
                            % certificates.ca)
        self.taken(run(ARGS, MESSAGE, conf=conf, env=dict(
            self.env, AWS_CONFIG_FILE=config)))

    def refused(self, *words):
        done = self.send("static", "role-arn " + ROLE, **self.env)
        self.one_line(done, 75, "STS", *words)
        self.assertEqual(self.ses.requests, [])

    def test_denied(self):
        self.sts.denied = {ROLE}
        self.refused("403 AccessDenied: User: .* is not authorized")

    def test_keys_that_sts_does_not_know(self):
        self.sts.keys = {}
        self.refused("UnrecognizedClientException")

    def test_rubbish(self):
        for text in (b"", b"<html><body>hello</body></html>", b"{}",
                     b"<a><AccessKeyId>A</AccessKeyId></a>",
                     b"<AccessKeyId>A<SecretAccessKey>B",
                     b"<AccessKeyId>A</AccessKeyId><AccessKeyId>B"
                     b"</AccessKeyId>", b"\0" * 100):
            with self.subTest(text):
                self.sts.rubbish = text
                self.refused("rubbish|is missing|is empty")

    def test_a_wrong_clock_is_corrected_once(self):
        self.sts.skew = self.ses.skew = 3000
        self.taken(self.send("static", "role-arn " + ROLE,
                             **self.env))
        self.assertEqual(len(self.sts.requests), 2)
        self.assertEqual(len(self.ses.requests), 1)

    def test_servers_errors_are_tried_again(self):
        self.sts.script = [Answer(status=500, form="empty"),
                           Answer(status=503, form="html")]
        self.taken(self.send("static", "role-arn " + ROLE,
                             **self.env))
        self.assertEqual(len(self.sts.requests), 3)

    def test_throttling_is_tried_again(self):
        """It comes as 400."""
        for code in ("Throttling", "ThrottlingException",
                     "TooManyRequestsException"):
            del self.sts.requests[:]
            self.sts.busy = [code] * 2
            self.taken(self.send("static", "role-arn " + ROLE, **self.env))
            self.assertEqual(len(self.sts.requests), 3)
        self.sts.busy = ["Throttling"] * 4
        del self.sts.requests[:], self.ses.requests[:]
        self.refused("400 Throttling: Rate exceeded")
        self.assertEqual(len(self.sts.requests), 3)

    def test_web_identity_reads_its_file_each_time(self):
        env = dict(self.env, AWS_ROLE_ARN=ROLE, AWS_ROLE_SESSION_NAME="pod",
                   AWS_WEB_IDENTITY_TOKEN_FILE=self.path("token"))
        for token in ("one.two+/=&", "three"):
            self.write("token", token + "\n")
            self.sts.tokens = {token}
            for kind in ("auto", "env"):
                done = self.send(kind, args=("-v",) + ARGS, **env)
                self.assertEqual(self.taken(done), self.sts.issued[-1])
                self.assertNotIn(token, done.err)
        self.assertEqual(self.sts.calls[-1], {
            "Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15",
            "RoleArn": ROLE, "RoleSessionName": "pod",
            "WebIdentityToken": "three"})
        self.write("token", "four")
        self.one_line(self.send(**env), 75, "InvalidIdentityToken")

    def test_who_needs_a_person_is_not_passed_over_for_the_machine(self):
        imds = self.start(Imds(self.ses))
        for key in ("sso_session", "sso_start_url", "login_session"):
            for text in ("[profile p]\n%s = x\n",
                         "[profile p]\nrole_arn = " + ROLE +
                         "\nsource_profile = q\n[profile q]\n%s = x\n"):
                config = self.write("config", text % key)
                self.one_line(self.send(
                    AWS_CONFIG_FILE=config, AWS_PROFILE="p",
                    AWS_EC2_METADATA_DISABLED=None,
                    AWS_EC2_METADATA_SERVICE_ENDPOINT=imds.url, **self.env),
                    75, "profile [pq] has sso_.*not supported")
        self.assertEqual((imds.requests, self.ses.requests), ([], []))

    def test_mfa_is_refused(self):
        config = self.write("config", "[default]\nrole_arn = %s\n"
                            "source_profile = default\nmfa_serial = x\n"
                            "aws_access_key_id = %s\naws_secret_access_key = "
                            "%s\n" % (ROLE, KEY, SECRET))
        self.one_line(self.send(AWS_CONFIG_FILE=config, **self.env), 75,
                      "mfa_serial, which is not supported")


class Processes(Fetched):
    def config(self, command):
        return {"AWS_CONFIG_FILE": self.write(
            "config", "[default]\ncredential_process = %s\n" % command)}

    def script(self, text):
        path = self.write("keys", "#!/bin/sh\n" + text, 0o755)
        return self.config("%s 'a b' \"c\\\"d\" e\\ f '$HOME' *" % path)

    GOOD = ("printf '%%s\\n' '{\"Version\": 1, \"AccessKeyId\": \"%s\",' "
            "'\"SecretAccessKey\": \"%s\", \"Expiration\": "
            "\"2099-01-01T00:00:00+02:00\"}'\n" % (KEY, SECRET))

    def test_no_shell(self):
        env = self.script("printf '%%s|' \"$@\" >%s\n%s" % (
            self.path("seen"), self.GOOD))
        self.assertEqual(self.taken(self.send(**env)), KEY)
        with open(self.path("seen")) as file:
            self.assertEqual(file.read(), "a b|c\"d|e f|$HOME|*|")

    def test_along_the_path(self):
        self.script(self.GOOD)
        env = self.config("keys")
        self.taken(self.send(PATH="/nowhere:" + self.dir + ":/usr/bin:/bin",
                             **env))
        self.one_line(self.send(**env), 75, "not found")

    def test_what_it_says_on_stderr_shows_with_v_alone(self):
        env = self.script("echo trouble >&2\nexit 1\n")
        self.one_line(self.send(**env), 75, "failed")
        self.assertIn("trouble", self.send(args=("-v",) + ARGS, **env).err)

    def test_failures(self):
        for text, words in (
                ("exit 3\n", "failed"), ("kill -9 $$\n", "signal"),
                ("echo '{}'\n", "Version"), ("echo x\n", "no JSON"),
                ("echo '{\"Version\": 2, \"AccessKeyId\": \"A\"}'\n",
                 "Version"),
                ("echo '{\"Version\": 1, \"AccessKeyId\": \"A\"}'\n",
                 "SecretAccessKey"),
                ("head -c 100000 /dev/zero | tr '\\0' ' '; echo '{}'\n",
                 "no JSON")):
            with self.subTest(text):
                self.one_line(self.send(**self.script(text)), 75, words)
        self.one_line(self.send(**self.config("/bin/echo 'x")), 75, "quote")

    def test_the_time_is_limited(self):
        # 60 s is long for a test: that it ends the program's wait is enough.
        env = self.script("%ssleep 300 &\n" % self.GOOD)
        began = time.monotonic()
        self.taken(self.send(**env))
        self.assertLess(time.monotonic() - began, 20)


@unittest.skipUnless(os.geteuid() == 0, "not root")
class WithPrivilege(Fetched):
    """Nothing of the caller's counts when the program is set-id."""

    def setUp(self):
        super().setUp()
        self.ses = self.start(Ses(tls=False))   # the roots are root's

    def test_no_variable_and_no_file(self):
        os.chmod(self.dir, 0o755)
        imds, container = Imds(self.ses), Container(self.ses)
        self.start(imds), self.start(container)
        path = self.write("credentials", "[default]\naws_access_key_id = %s\n"
                          "aws_secret_access_key = %s\n" % (KEY, SECRET))
        program = shutil.copy(harness.SENDROUTE, self.path("sendmail"))
        os.chown(program, 0, grp.getgrnam("mail").gr_gid)
        env = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET,
               "AWS_SHARED_CREDENTIALS_FILE": path, "HOME": self.dir,
               "AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.url,
               FULL_URI: container.full_uri,
               "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
        for kind in ("env", "file", "container"):
            conf = self.conf(self.ses.route(credentials=kind), top="log none")
            for mode in (0o2755, 0o4755, 0o755):
                with self.subTest(kind=kind, mode=oct(mode)):
                    os.chmod(program, mode)
                    done = run(("-C", conf) + ARGS, MESSAGE, env=env,
                               program=program, user="nobody")
                    if mode == 0o755:
                        self.taken(done)
                        continue
                    self.one_line(done, 75, "not looked at with set-id")
        self.assertEqual(imds.requests, [])


class Kept(Fetched):
    def setUp(self):
        super().setUp()
        self.queue = self.path("queue")
        os.mkdir(self.queue, 0o700)
        self.kept = os.path.join(self.queue, "credentials.ses")
        self.imds = self.start(Imds(self.ses))
        self.imds.counts = True
        self.env = {"AWS_EC2_METADATA_DISABLED": None,
                    "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.imds.url}

    def send(self, kind="auto", extra="", **env):
        return super().send(kind, extra, "queue " + self.queue,
                            **dict(self.env, **env))

    def test_for_the_next_message(self):
        first = self.taken(self.send())
        info = os.stat(self.kept)
        self.assertEqual(stat.S_IMODE(info.st_mode), 0o600)
        self.assertEqual(os.listdir(self.queue).count("credentials.ses"), 1)
        self.assertEqual(len([n for n in os.listdir(self.queue)
                              if n.startswith("credentials")]), 1)
        asked = len(self.imds.requests)
        self.assertEqual(self.taken(self.send()), first)
        self.assertEqual(len(self.imds.requests), asked)

    def test_not_when_they_are_about_to_end(self):
        self.imds.lasts = 290
        self.assertNotEqual(self.taken(self.send()), self.taken(self.send()))

    def test_not_what_others_could_have_written_or_read(self):
        first = self.taken(self.send())
        for mode in (0o620, 0o602, 0o640, 0o604):
            os.chmod(self.kept, mode)
            now = self.taken(self.send())
            self.assertNotEqual(now, first)
            self.assertEqual(stat.S_IMODE(os.stat(self.kept).st_mode), 0o600)
            first = now
        os.rename(self.kept, self.path("elsewhere"))
        os.symlink(self.path("elsewhere"), self.kept)
        self.assertNotEqual(self.taken(self.send()), first)
        self.assertFalse(os.path.islink(self.kept))
        if os.geteuid() == 0:
            first = self.taken(self.send())
            os.chown(self.kept, 65534, 65534)
            self.assertNotEqual(self.taken(self.send()), first)

    def test_not_what_other_settings_led_to(self):
        first = self.taken(self.send())
        other = self.start(Imds(self.ses, role="other"))
        key = self.taken(self.send(
            AWS_EC2_METADATA_SERVICE_ENDPOINT=other.url))
        self.assertEqual(key, other.issued[-1])
        self.assertNotEqual(key, first)
        # Keys on this machine come first whatever is kept.
        self.taken(self.send())
        self.assertEqual(self.taken(self.send(
            AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET)), KEY)

    def test_rubbish_is_passed_over(self):
        self.taken(self.send())
        with open(self.kept) as file:
            good = file.read()
        for text in ("", "x" * 70000, "\0" * 100, good[:80], good[:-30],
                     good.replace("end = 2", "end = x"),
                     good.replace("\ntoken", "\nt"),
                     good.replace("[", "[0")):
            with self.subTest(text[:20]):
                self.write("queue/credentials.ses", text, 0o600)
                self.assertEqual(self.taken(self.send()),
                                 self.imds.issued[-1])
                with open(self.kept) as file:
                    self.assertNotEqual(file.read(), text)

    def test_rejected_ones_are_fetched_afresh(self):
        first = self.taken(self.send())
        del self.ses.keys[first]
        self.expect(self.send(), 0)
        self.assertNotEqual(self.ses.sent[-1].key, first)
        self.assertEqual(len(self.ses.errors), 1)

    def test_a_role_is_kept_in_place_of_its_source(self):
        sts = self.start(Sts(self.ses))
        sts.counts = True
        for _ in range(2):
            self.assertEqual(self.taken(self.send(
                extra="role-arn " + ROLE, AWS_ENDPOINT_URL_STS=sts.url)),
                sts.issued[-1])
        self.assertEqual((len(sts.issued), len(self.imds.issued)), (1, 1))
        self.taken(self.send(extra="role-arn " + ROLE + "2",
                             AWS_ENDPOINT_URL_STS=sts.url))
        self.assertEqual((len(sts.issued), len(self.imds.issued)), (2, 2))

    def test_keys_without_an_end_are_not_kept(self):
        self.taken(self.send(AWS_ACCESS_KEY_ID=KEY,
                             AWS_SECRET_ACCESS_KEY=SECRET))
        self.assertFalse(os.path.exists(self.kept))

    def test_a_folder_that_cannot_be_written_does_not_matter(self):
        os.mkdir(self.kept)
        self.assertNotEqual(self.taken(self.send()), self.taken(self.send()))
        self.assertEqual([n for n in os.listdir(self.queue) if "." in n],
                         ["credentials.ses"])


class Renewed(Fetched):
    """Within a run of the queue."""

    def run_queue(self, lasts, count=4):
        queue = self.path("queue")
        os.mkdir(queue, 0o700)
        imds = self.start(Imds(self.ses, lasts=lasts))
        imds.counts = True
        conf = self.conf(self.ses.route(credentials="imds"),
                         top="queue " + queue)
        env = {"AWS_EC2_METADATA_DISABLED": None,
               "AWS_EC2_METADATA_SERVICE_ENDPOINT": imds.url}
        for _ in range(count):
            self.expect(run(("-odq",) + ARGS, MESSAGE, conf=conf), 0)
        self.expect(run(["-q"], conf=conf, env=env), 0)
        self.assertEqual(len(self.ses.sent), count)
        self.assertEqual(self.ses.errors, [])
        return len(imds.issued)

    def test_once_for_all(self):
        self.assertEqual(self.run_queue(3600), 1)

    def test_not_for_each_message_when_there_are_no_better_ones(self):
        self.assertEqual(self.run_queue(200), 1)


if __name__ == "__main__":
    harness.main()
