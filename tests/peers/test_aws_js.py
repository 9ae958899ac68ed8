"""A second opinion on what goes to SES: the emulator aws-ses-v2-local, and the
signer of AWS's SDK for JavaScript.  Both come from npm; without it: skipped."""
import base64
import fcntl
import json
import os
import shutil
import signal
import subprocess
import time
import unittest
import urllib.request
from email.message import EmailMessage

import harness
from harness import BUILD, Case, HEAD, MESSAGE, crlf, letter, listener, run
from ses import KEY, SECRET, Ses

PACKAGES = {"aws-ses-v2-local": "~2.10.0", "@smithy/signature-v4": "^5.0.0",
            "@aws-crypto/sha256-js": "^5.0.0"}
FOLDER = os.path.join(BUILD, "npm")

SIGN = """
const { SignatureV4 } = require("@smithy/signature-v4");
const { Sha256 } = require("@aws-crypto/sha256-js");
let text = "";
process.stdin.on("data", d => text += d).on("end", async () => {
  const out = [];
  for (const r of JSON.parse(text)) {
    const signer = new SignatureV4({ service: "ses", region: r.region,
      credentials: { accessKeyId: r.key, secretAccessKey: r.secret,
                     sessionToken: r.token || undefined },
      sha256: Sha256, uriEscapePath: true, applyChecksum: false });
    const signed = await signer.sign({ method: r.method, protocol: "https:",
      hostname: r.headers.host, path: r.path, query: {}, headers: r.headers,
      body: Buffer.from(r.body, "base64") },
      { signingDate: new Date(r.date),
        signableHeaders: new Set(Object.keys(r.headers)) });
    out.push(signed.headers.authorization);
  }
  process.stdout.write(JSON.stringify(out));
});
"""


def install():
    """The packages in $BUILD/npm; raises SkipTest when they cannot be had."""
    if not shutil.which("npm") or not shutil.which("node"):
        raise unittest.SkipTest("there is no npm here")
    os.makedirs(FOLDER, exist_ok=True)
    stamp = os.path.join(FOLDER, "installed")
    wanted = json.dumps(PACKAGES, sort_keys=True)
    with open(os.path.join(FOLDER, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(stamp) and open(stamp).read() == wanted:
            return
        done = subprocess.run(
            ["npm", "install", "--prefix", FOLDER, "--no-audit", "--no-fund",
             "--ignore-scripts"] + ["%s@%s" % p for p in PACKAGES.items()],
            cwd=FOLDER, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=240)
        if done.returncode != 0:
            raise unittest.SkipTest("npm cannot install: %s" % done.stdout
                                    .decode("utf-8", "replace")[-300:])
        with open(stamp, "w") as file:
            file.write(wanted)


class Emulator(Case):
    @classmethod
    def setUpClass(cls):
        install()
        # The port is free until node has it: nobody else asks for it by name.
        sock = listener()
        cls.port = sock.getsockname()[1]
        sock.close()
        cls.node = subprocess.Popen(
            ["node", os.path.join(FOLDER, "node_modules/aws-ses-v2-local/dist/"
                                  "cli.js"), "--host", "127.0.0.1", "--port",
             str(cls.port)], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(200):
            try:
                cls.get("/health-check")
                return
            except OSError:
                time.sleep(0.1)
        cls.tearDownClass()
        raise AssertionError("the emulator does not start")

    @classmethod
    def tearDownClass(cls):
        cls.node.send_signal(signal.SIGKILL)
        cls.node.wait()

    @classmethod
    def get(cls, path):
        with urllib.request.urlopen("http://127.0.0.1:%d%s" % (cls.port, path),
                                    timeout=20) as reply:
            return reply.read()

    def setUp(self):
        super().setUp()
        request = urllib.request.Request(
            "http://127.0.0.1:%d/clear-store" % self.port, b"", method="POST")
        urllib.request.urlopen(request, timeout=20).close()
        self.good = self.conf(
            "route ses\ntype ses\nendpoint http://127.0.0.1:%d\n"
            "region eu-west-1\ncredentials static\naccess-key-id %s\n"
            "secret-access-key %s\nsenders *\n" % (self.port, KEY, SECRET))

    def mails(self):
        return json.loads(self.get("/store"))["emails"]

    def test_a_message_is_taken_and_understood(self):
        self.quiet(run(["-t", "-i", "-f", "alice@example.com",
                        "carol@example.net"], MESSAGE, conf=self.good))
        mail, = self.mails()
        self.assertIn("alice@example.com", mail["from"])
        self.assertEqual(mail["subject"], "peers")
        self.assertIn("this is the body.", mail["body"]["text"])
        # It shows what the header says; the envelope is in test_ses.py.
        self.assertEqual(mail["destination"]["bcc"], [])
        self.assertIn("bob@example.net", mail["destination"]["to"][0])

    def test_a_big_message(self):
        message = letter(8 << 20)
        self.quiet(run(["-i", "-f", "alice@example.com", "bob@example.net"],
                       message, conf=self.good))
        mail, = self.mails()
        body = message.partition(b"\n\n")[2].decode().rstrip("\n")
        self.assertEqual(mail["body"]["text"].replace("\r\n", "\n")
                         .rstrip("\n"), body)

    def test_attachments_survive(self):
        data = bytes(range(256)) * 300
        message = EmailMessage()
        message["From"], message["To"] = "alice@example.com", "bob@x.test"
        message["Subject"] = "Grüße"
        message.set_content("Häßlich\n")
        message.add_attachment(data, maintype="application",
                               subtype="octet-stream", filename="a.bin")
        self.quiet(run(["-t", "-f", "alice@example.com"], message.as_bytes(),
                       conf=self.good))
        mail, = self.mails()
        self.assertEqual(mail["subject"], "Grüße")
        self.assertIn("Häßlich", mail["body"]["text"])
        self.assertEqual(base64.b64decode(mail["attachments"][0]["content"]),
                         data)

    def test_over_its_limit(self):
        # Its JSON reader stops at 25 MB with a 413 in HTML.
        done = run(["-i", "-f", "alice@example.com", "bob@example.net"],
                   letter(22 << 20), conf=self.good)
        self.one_line(done, 69, "413")
        self.assertEqual(self.mails(), [])


class Signer(Case):
    def test_the_sdk_for_javascript_signs_the_same(self):
        install()
        requests = []
        for token, people, body in (
                (None, ["bob@example.net"], b"\ntext\n"),
                ("tok/en+with=signs==", ["a@b.test"], b"\n\n\n"),
                (None, ["u%d@b.test" % i for i in range(120)], b"\nx\n")):
            ses = self.start(Ses(token=token))
            self.quiet(run(["-i", "-f", "alice@example.com", *people],
                           HEAD + body, conf=self.conf(ses.route())))
            self.assertTrue(ses.requests)
            self.same_bytes(ses.sent[0].raw, crlf(HEAD + body))
            requests += [(token, r) for r in ses.requests]
        asked = []
        for token, request in requests:
            names = request.header("Authorization").split("SignedHeaders=")[1] \
                .split(",")[0].split(";")
            date = request.header("X-Amz-Date")
            asked.append({
                "key": KEY, "secret": SECRET, "token": token,
                "region": "eu-west-1", "method": request.method,
                "path": request.target,
                "headers": {n: request.header(n) for n in names},
                "body": base64.b64encode(request.body).decode(),
                "date": "%s-%s-%sT%s:%s:%sZ" % (
                    date[:4], date[4:6], date[6:8], date[9:11], date[11:13],
                    date[13:15])})
        done = subprocess.run(["node", "-e", SIGN], cwd=FOLDER,
                              input=json.dumps(asked).encode(), timeout=60,
                              capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        for (_, request), theirs in zip(requests, json.loads(done.stdout)):
            self.assertEqual(
                request.header("Authorization").replace(", ", ","),
                theirs.replace(", ", ","))


if __name__ == "__main__":
    harness.main()
