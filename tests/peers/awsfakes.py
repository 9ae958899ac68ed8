"""Who hands out AWS credentials, on 127.0.0.1: STS, the metadata service of EC2
(version 2) and the container endpoint, with the answers of the real ones.

What they issue tells by its key id who gave it and why, and is known to the Ses
that was named.
"""
import hashlib
import json
import time
import urllib.parse
from xml.sax.saxutils import escape

from ses import Refusal, Ses

ROLES = "/latest/meta-data/iam/security-credentials/"


def later(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time()
                                                           + seconds))


class Issuer(Ses):
    """lasts: seconds that the credentials are good for."""

    def __init__(self, ses, lasts=3600, tls=False, **how):
        super().__init__(tls=tls, **how)
        self.ses, self.lasts, self.delay = ses, lasts, 0
        self.issued = []

    def issue(self, *reasons):
        digest = hashlib.sha1(json.dumps(reasons).encode()).hexdigest()
        number = len([k for k in self.issued if k.startswith(
            "ASIA" + digest[:10].upper())])
        key = "ASIA%s%02d" % (digest[:10].upper(), number if self.counts else 0)
        given = {"AccessKeyId": key, "SecretAccessKey": "secret+/" + key,
                 "Expiration": later(self.lasts)}
        token = "token+/==" + key
        self.issued.append(key)
        for server in (self.ses, getattr(self.ses, "sts", None)):
            if server is not None:
                server.keys[key] = given["SecretAccessKey"], token
        return given, token

    counts = False          # another key id each time


class Sts(Issuer):
    """Knows the keys in `keys`; trusts roles but those named `denied`."""

    service, kind = "sts", "text/xml"

    def __init__(self, ses, tokens=(), denied=(), **how):
        super().__init__(ses, **how)
        ses.sts = self
        self.tokens, self.denied = set(tokens), set(denied)
        self.keys = dict(ses.keys)
        self.rubbish = None
        self.busy = []          # codes with which the next calls are put off
        self.calls = []

    def answer(self, request):
        time.sleep(self.delay)
        if self.rubbish is not None:
            return 200, self.rubbish, None
        try:
            return 200, self.serve(request).encode(), None
        except Refusal as e:
            self.note(request, e)
            return e.status, (
                '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15'
                '/">\n  <Error>\n    <Type>Sender</Type>\n    <Code>%s</Code>\n'
                '    <Message>%s</Message>\n  </Error>\n  <RequestId>1-2-3'
                '</RequestId>\n</ErrorResponse>\n' % (
                    e.code, escape(e.message))).encode(), None

    def serve(self, request):
        if (request.method, request.target) != ("POST", "/"):
            raise Refusal(404, "NotFound", request.target)
        if not (request.header("Content-Type") or "").startswith(
                "application/x-www-form-urlencoded"):
            raise Refusal(400, "MalformedInput", "Content-Type")
        form = dict(urllib.parse.parse_qsl(
            request.body.decode("ascii"), keep_blank_values=True,
            strict_parsing=True))
        action = form.get("Action")
        if self.busy:
            raise Refusal(400, self.busy.pop(0), "Rate exceeded")
        self.calls.append(form)
        if form.get("Version") != "2011-06-15":
            raise Refusal(400, "InvalidAction", "Version")
        if action == "AssumeRoleWithWebIdentity":
            if request.header("Authorization"):
                raise Refusal(400, "ValidationError", "signed")
            if form["WebIdentityToken"] not in self.tokens:
                raise Refusal(400, "InvalidIdentityToken",
                              "Couldn't retrieve verification key")
            who = form["WebIdentityToken"]
        elif action == "AssumeRole":
            self.check_signature(request)
            who = request.key
        else:
            raise Refusal(400, "InvalidAction", str(action))
        role, name = form["RoleArn"], form["RoleSessionName"]
        if role in self.denied:
            raise Refusal(403, "AccessDenied", "User: %s is not authorized to "
                          "perform: sts:%s on resource: %s" % (
                              who, action, role))
        if name.startswith("botocore-session-") or name == "sendroute":
            name = None
        given, token = self.issue(action, role, name, who,
                                  form.get("ExternalId"),
                                  form.get("DurationSeconds"))
        text = "".join("<%s>%s</%s>" % (k, escape(v), k) for k, v in
                       list(given.items()) + [("SessionToken", token)])
        return (
            '<%sResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">\n'
            '  <%sResult>\n    <AssumedRoleUser>\n      <Arn>%s</Arn>\n'
            '      <AssumedRoleId>AROA:x</AssumedRoleId>\n'
            '    </AssumedRoleUser>\n    <Credentials>%s</Credentials>\n'
            '  </%sResult>\n  <ResponseMetadata><RequestId>1</RequestId>'
            '</ResponseMetadata>\n</%sResponse>\n' % (
                action, action, escape(role), text, action, action))


class Imds(Issuer):
    """mode: ok, v1 (no token to be had), denied, norole, error (told in a 200),
    rubbish, html, unauthorized (no token is good), silent."""

    kind = "text/plain"

    def __init__(self, ses, mode="ok", role="mail-role", **how):
        super().__init__(ses, **how)
        self.mode, self.role = mode, role
        self.url = "http://127.0.0.1:%d" % self.port

    def answer(self, request):
        time.sleep(self.delay)
        if self.mode == "silent":
            time.sleep(30)
        if self.mode == "html":
            return 200, b"<html lang=en><body>portal</body></html>", None
        if request.target == "/latest/api/token":
            return self.give_token(request)
        given = request.header("x-aws-ec2-metadata-token")
        if self.mode != "v1" and given != "token-of-imds==" or \
                self.mode == "unauthorized":
            self.errors.append("401")
            return 401, b"", None
        if request.method != "GET" or not request.target.startswith(ROLES):
            return 404, b"", None
        return self.give_role(request.target[len(ROLES):])

    def give_token(self, request):
        ttl = request.header("x-aws-ec2-metadata-token-ttl-seconds")
        if self.mode == "v1" or request.method != "PUT":
            return 405 if self.mode == "v1" else 400, b"", None
        if self.mode == "denied":
            return 403, b"", None
        if ttl != "21600" or request.header("X-Forwarded-For"):
            return 400, b"", None
        return 200, b"token-of-imds==", None

    def give_role(self, role):
        if self.mode == "norole":
            return 404, b"<html>not found</html>", None
        if not role:
            return 200, self.role.encode(), None
        if role != self.role:
            return 404, b"", None
        if self.mode == "error":
            return 200, json.dumps({
                "Code": "AssumeRoleUnauthorizedAccess",
                "Message": "EC2 cannot assume the role mail-role.",
                "LastUpdated": later(0)}).encode(), None
        if self.mode == "rubbish":
            return 200, b'{"Code": "Success", "AccessKeyId"', None
        given, token = self.issue("imds", role)
        return 200, json.dumps(dict(
            given, Code="Success", Type="AWS-HMAC", LastUpdated=later(0),
            Token=token), indent=2).encode(), None


class Container(Issuer):
    """fails: how many requests get a 500 first."""

    def __init__(self, ses, token=None, fails=0, **how):
        super().__init__(ses, **how)
        self.wanted, self.fails, self.rubbish = token, fails, None
        self.full_uri = "http://127.0.0.1:%d/v2/credentials?id=a%%2Fb" % \
            self.port

    def answer(self, request):
        time.sleep(self.delay)
        if self.fails > 0:
            self.fails -= 1
            return 500, b"later", None
        if request.target != "/v2/credentials?id=a%2Fb" or \
                request.method != "GET":
            return 404, b'{"code":"NotFound","message":"no such id"}', None
        if request.header("Authorization") != self.wanted:
            return 400, b'{"code":"InvalidToken","message":"token"}', None
        if self.rubbish is not None:
            return 200, self.rubbish, None
        given, token = self.issue("container")
        return 200, json.dumps(dict(given, Token=token,
                                    RoleArn="arn:x")).encode(), None
