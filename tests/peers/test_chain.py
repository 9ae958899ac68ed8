"""Which credentials are chosen: the program and botocore, AWS's own resolver, are
given the same environment, files and machine, and must come to the same key."""
import contextlib
import io
import logging
import os
import warnings
from unittest import mock

import botocore.credentials
import botocore.session
from botocore.exceptions import HTTPClientError

import harness
from awsfakes import Container, Imds, Sts
from harness import MESSAGE, Case, clean_environment, run
from ses import Ses

ARGS = ("-i", "-f", "alice@example.com", "bob@example.net")
ROLE = "arn:aws:iam::123456789012:role/"
TOKEN = "eyJ.web.identity+/="
# Keys that are known to SES and STS: where each stands in its name.
PLACES = ("ENV", "SHARED", "CONFIG", "PROCESS", "BASE", "OTHER")
KEYS = {name: ("AKIA" + name, "secret/of+" + name) for name in PLACES}


def keys(name, token=None):
    return "aws_access_key_id = %s\naws_secret_access_key = %s\n" % KEYS[
        name] + ("aws_session_token = %s\n" % token if token else "")


def process(name):
    return ("credential_process = /bin/echo '{\"Version\": 1, \"AccessKeyId\": "
            "\"%s\", \"SecretAccessKey\": \"%s\"}'\n" % KEYS[name])


SSO = ("sso_start_url = https://s.test/start\nsso_region = eu-west-1\n"
       "sso_account_id = 123456789012\nsso_role_name = mail\n")

# name: (credentials file, config file); PATH is the test's folder.
FILES = {
    "none": (None, None),
    "empty": ("", ""),
    "shared": ("[default]\n" + keys("SHARED"), None),
    "config": (None, "[default]\n" + keys("CONFIG")),
    "both": ("[default]\n" + keys("SHARED"), "[default]\n" + keys("CONFIG")),
    "other profile": ("[mail]\n" + keys("OTHER"),
                      "[profile mail]\nregion = eu-west-1\n"),
    "default and other": ("[default]\n" + keys("SHARED") + "[mail]\n"
                          + keys("OTHER"), None),
    "other in config": ("[default]\n" + keys("SHARED"),
                        "[profile mail]\n" + keys("OTHER")),
    "token": ("[default]\n" + keys("SHARED", "tok"), None),
    "process": (None, "[default]\n" + process("PROCESS")),
    "process in shared": ("[default]\n" + process("PROCESS"), None),
    "process and config": (None, "[default]\n" + process("PROCESS")
                           + keys("CONFIG")),
    "process and shared": ("[default]\n" + keys("SHARED"),
                           "[default]\n" + process("PROCESS")),
    "process fails": ("", "[default]\ncredential_process = /bin/false\n"
                      + keys("CONFIG")),
    "process is old": ("", "[default]\ncredential_process = /bin/echo "
                       "'{\"Version\": 2}'\n"),
    "process prints rubbish": ("", "[default]\ncredential_process = /bin/echo "
                               "hello\n"),
    "process is not there": ("", "[default]\ncredential_process = "
                             "/nowhere/keys\n"),
    "process is unquoted": ("", "[default]\ncredential_process = "
                            "/bin/echo 'x\n"),
    "sso": (None, "[default]\n" + SSO),
    "sso beside keys": ("[default]\n" + keys("SHARED"), "[default]\n" + SSO),
    "sso account beside keys": (None, "[default]\nsso_account_id = 1\n"
                                + keys("CONFIG")),
    "sso beside a process": (None, "[default]\n" + SSO + process("PROCESS")),
    "sso token beside keys": (None, "[default]\nsso_session = s\n"
                              "sso_start_url = https://s.test\n"
                              + keys("CONFIG")),
    "login beside shared keys": ("[default]\n" + keys("SHARED"),
                                 "[default]\nlogin_session = x\n"),
    "login beside keys": (None, "[default]\nlogin_session = x\n"
                          + keys("CONFIG")),
    "login beside a process": (None, "[default]\nlogin_session = x\n"
                               + process("PROCESS")),
    "role by sso": (
        "[b]\n" + keys("OTHER"), "[default]\nrole_arn = " + ROLE + "a\n"
        "source_profile = b\n[profile b]\n" + SSO),
    "role beside sso": (
        "[base]\n" + keys("BASE"), "[default]\nrole_arn = " + ROLE + "a\n"
        "source_profile = base\n" + SSO),
    "role": ("[base]\n" + keys("BASE"), "[default]\nrole_arn = " + ROLE + "a\n"
             "source_profile = base\n"),
    "role with everything": (
        "[base]\n" + keys("BASE"), "[default]\nrole_arn = " + ROLE + "a b\n"
        "source_profile = base\nexternal_id = x y+&=%\n"
        "role_session_name = me@host\nduration_seconds = 1800\n"),
    "role beside keys": ("[default]\n" + keys("SHARED") + "[base]\n"
                         + keys("BASE"), "[default]\nrole_arn = " + ROLE
                         + "a\nsource_profile = base\n"),
    "role names itself": (None, "[default]\nrole_arn = " + ROLE + "a\n"
                          "source_profile = default\n" + keys("CONFIG")),
    "role names itself in vain": (None, "[default]\nrole_arn = " + ROLE
                                  + "a\nsource_profile = default\n"),
    "role of a role": (
        "[base]\n" + keys("BASE"), "[default]\nrole_arn = " + ROLE + "a\n"
        "source_profile = b\n[profile b]\nrole_arn = " + ROLE + "b\n"
        "source_profile = base\n"),
    "role of a role with keys": (
        "[base]\n" + keys("BASE"), "[default]\nrole_arn = " + ROLE + "a\n"
        "source_profile = b\n[profile b]\nrole_arn = " + ROLE + "b\n"
        "source_profile = base\n" + keys("OTHER")),
    "circle": (None, "[default]\nrole_arn = " + ROLE + "a\n"
               "source_profile = b\n[profile b]\nrole_arn = " + ROLE + "b\n"
               "source_profile = default\n"),
    "circle with keys": (
        None, "[default]\nrole_arn = " + ROLE + "a\nsource_profile = b\n"
        + keys("CONFIG") + "[profile b]\nrole_arn = " + ROLE + "b\n"
        "source_profile = default\n"),
    "role of nobody": (None, "[default]\nrole_arn = " + ROLE + "a\n"
                       "source_profile = nobody\n" + keys("CONFIG")),
    "role of a profile without keys": (
        None, "[default]\nrole_arn = " + ROLE + "a\nsource_profile = b\n"
        "[profile b]\nregion = eu-west-1\n"),
    "role without a source": (None, "[default]\nrole_arn = " + ROLE + "a\n"
                              + keys("CONFIG")),
    "role with two sources": (
        "[base]\n" + keys("BASE"), "[default]\nrole_arn = " + ROLE + "a\n"
        "source_profile = base\ncredential_source = Environment\n"),
    "role denied": ("[base]\n" + keys("BASE"), "[default]\nrole_arn = " + ROLE
                    + "denied\nsource_profile = base\n" + keys("CONFIG")),
    "role by process": (None, "[default]\nrole_arn = " + ROLE + "a\n"
                        "source_profile = b\n[profile b]\n"
                        + process("PROCESS")),
    "role by environment": (None, "[default]\nrole_arn = " + ROLE + "a\n"
                            "credential_source = Environment\n"),
    "role by EC2": (None, "[default]\nrole_arn = " + ROLE + "a\n"
                    "credential_source = Ec2InstanceMetadata\n"),
    "role by container": (None, "[default]\nrole_arn = " + ROLE + "a\n"
                          "credential_source = EcsContainer\n"),
    "role by rubbish": (None, "[default]\nrole_arn = " + ROLE + "a\n"
                        "credential_source = Moon\n" + keys("CONFIG")),
    "web identity": (None, "[default]\nrole_arn = " + ROLE + "w\n"
                     "web_identity_token_file = PATH/token\n"),
    "web identity beside keys": (
        "[default]\n" + keys("SHARED"), "[default]\nrole_arn = " + ROLE
        + "w\nrole_session_name = w1\n"
        "web_identity_token_file = PATH/token\nsource_profile = x\n"),
    "web identity without a role": (
        "[default]\n" + keys("SHARED"),
        "[default]\nweb_identity_token_file = PATH/token\n"),
    "web identity without its file": (
        "[default]\n" + keys("SHARED"), "[default]\nrole_arn = " + ROLE + "w\n"
        "web_identity_token_file = PATH/none\n"),
    "role by web identity": (
        None, "[default]\nrole_arn = " + ROLE + "a\nsource_profile = b\n"
        "[profile b]\nrole_arn = " + ROLE + "w\n"
        "web_identity_token_file = PATH/token\n"),
}
# Older ones know no login, and pass it over.
if not hasattr(botocore.credentials, "LoginProvider"):
    for name in [n for n in FILES if n.startswith("login")]:
        del FILES[name]

ENVIRONMENTS = {
    "nothing": {},
    "keys": dict(AWS_ACCESS_KEY_ID=KEYS["ENV"][0],
                 AWS_SECRET_ACCESS_KEY=KEYS["ENV"][1]),
    "half": dict(AWS_ACCESS_KEY_ID=KEYS["ENV"][0]),
    "empty keys": dict(AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY=""),
    "mail": dict(AWS_PROFILE="mail"),
    "mail by the old name": dict(AWS_DEFAULT_PROFILE="mail"),
    "mail and keys": dict(AWS_PROFILE="mail",
                          AWS_ACCESS_KEY_ID=KEYS["ENV"][0],
                          AWS_SECRET_ACCESS_KEY=KEYS["ENV"][1]),
    "web identity": dict(AWS_WEB_IDENTITY_TOKEN_FILE="PATH/token",
                         AWS_ROLE_ARN=ROLE + "env"),
    "web identity, named": dict(AWS_WEB_IDENTITY_TOKEN_FILE="PATH/token",
                                AWS_ROLE_SESSION_NAME="pod-1",
                                AWS_ROLE_ARN=ROLE + "env"),
    "web identity without a role": dict(
        AWS_WEB_IDENTITY_TOKEN_FILE="PATH/token"),
    "web identity that is not trusted": dict(
        AWS_WEB_IDENTITY_TOKEN_FILE="PATH/config", AWS_ROLE_ARN=ROLE + "env"),
}

MACHINES = ("bare", "EC2", "container", "both", "EC2 without a role",
            "EC2 says no", "EC2 denies a token", "EC2 answers rubbish",
            "container answers rubbish", "container knows us not",
            "EC2 whose keys have ended")

def differs(files, environment, machine, profile):
    """Where we want another end: a profile that is named and is not there does
    not make the environment's keys wrong, for they come before it."""
    return environment == "mail and keys" and profile is None and \
        files not in ("other profile", "default and other")


def combinations():
    """(files, environment, machine, profile of the route)."""
    for files in FILES:
        yield files, "nothing", "bare", None
        yield files, "nothing", "both", None
    for environment in ENVIRONMENTS:
        for files in ("none", "shared", "other profile", "default and other",
                      "role", "web identity"):
            yield files, environment, "EC2", None
    for machine in MACHINES:
        for files in ("none", "config", "role by EC2", "role by container"):
            yield files, "nothing", machine, None
    for environment in ("nothing", "keys", "web identity", "mail"):
        for files in ("none", "other profile", "default and other",
                      "other in config", "web identity"):
            yield files, environment, "both", "mail"
    yield "role by environment", "keys", "bare", None


class Chain(Case):
    def setUp(self):
        super().setUp()
        self.write("token", TOKEN)
        self.ses = self.start(Ses())
        self.ses.keys.update({i: (s, None) for i, s in KEYS.values()})
        self.ses.keys[KEYS["SHARED"][0]] = Shared(KEYS["SHARED"][1])
        self.sts = self.start(Sts(self.ses, tokens=[TOKEN],
                                  denied=[ROLE + "denied"]))

    def environment(self, files, environment, machine):
        """What both are given."""
        env = {"AWS_DEFAULT_REGION": "eu-west-1", "HOME": self.dir,
               "AWS_SHARED_CREDENTIALS_FILE": self.path("credentials"),
               "AWS_CONFIG_FILE": self.path("config")}
        for name, text in zip(("credentials", "config"), FILES[files]):
            if text is not None:
                self.write(name, text.replace("PATH", self.dir))
            elif os.path.exists(self.path(name)):
                os.unlink(self.path(name))
        for name, value in ENVIRONMENTS[environment].items():
            env[name] = value.replace("PATH", self.dir)
        if "EC2" in machine or machine == "both":
            mode = {"EC2 without a role": "norole", "EC2 says no": "error",
                    "EC2 denies a token": "denied",
                    "EC2 answers rubbish": "rubbish"}.get(machine, "ok")
            imds = self.start(Imds(self.ses, mode))
            if "ended" in machine:
                imds.lasts = -600
            env["AWS_EC2_METADATA_DISABLED"] = "false"
            env["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = imds.url
        if "container" in machine or machine == "both":
            container = self.start(Container(self.ses))
            if "rubbish" in machine:
                container.rubbish = b"{"
            elif "not" in machine:
                container.wanted = "some token"
            env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = container.full_uri
        return clean_environment(**env)

    def theirs(self, env, profile):
        """The key id that botocore comes to; None: none, or an error."""
        with mock.patch.dict(os.environ, env, clear=True), \
                contextlib.redirect_stderr(io.StringIO()), \
                mock.patch("time.sleep"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            logging.disable(logging.CRITICAL)
            session = botocore.session.Session(profile=profile)
            create = session.create_client
            session.create_client = lambda service, **how: create(
                service, endpoint_url=self.sts.url, **how)
            # A slow machine decides nothing.
            os.environ["AWS_METADATA_SERVICE_TIMEOUT"] = "20"
            try:
                found = session.get_credentials()
                return found and found.get_frozen_credentials().access_key
            except Exception as e:  # of many kinds; none of them a key
                self.trouble = e
                return None

    def ours(self, env, profile):
        self.ses.sent.clear()
        route = self.ses.route(credentials="auto", region=False,
                               extra="profile " + profile if profile else "")
        done = run(ARGS, MESSAGE, conf=self.conf(route),
                   env=dict(env, AWS_ENDPOINT_URL_STS=self.sts.url))
        if done.exit == 0:
            return self.ses.only().key, done
        self.one_line(done, 75, "AWS credentials")
        return None, done

    def compare(self, part, parts):
        every = sorted(set(combinations()), key=repr)
        self.assertGreater(len(every), 160)
        chosen = []
        for combination in every[part::parts]:
            with self.subTest(combination):
                *three, profile = combination
                env = self.environment(*three)
                self.trouble = None
                theirs = self.theirs(env, profile)
                if isinstance(self.trouble, HTTPClientError):
                    theirs = self.theirs(env, profile)
                ours, done = self.ours(env, profile)
                if differs(*combination):
                    self.assertIsNone(theirs)
                    theirs = KEYS["ENV"][0]
                self.assertEqual(ours, theirs, "%s\n%r" % (
                    done, self.trouble))
                chosen.append(ours)
                for server in list(self.ses.live):
                    server.end()
        # Not all of them came to nothing.
        self.assertGreater(len(set(chosen)), 8)
        self.assertGreater(len([c for c in chosen if c]), len(chosen) // 3)

    def test_the_same_key_as_botocore_1(self):
        self.compare(0, 3)

    def test_the_same_key_as_botocore_2(self):
        self.compare(1, 3)

    def test_the_same_key_as_botocore_3(self):
        self.compare(2, 3)


class Shared(tuple):
    """The secret, and any token or none."""

    def __new__(cls, secret):
        return super().__new__(cls, (secret, AnyToken()))


class AnyToken:
    def __eq__(self, other):
        return other in (None, "tok")

    def __bool__(self):
        return False


if __name__ == "__main__":
    harness.main()
