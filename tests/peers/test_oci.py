"""The container image of dist/make-oci: what it holds, that it is the same each
time, that others' tools take it, and that a message leaves from its root."""
import ast
import hashlib
import io
import json
import os
import re
import subprocess
import tarfile
import unittest

import harness
import unpack
from certs import certificates
from harness import Case, MESSAGE, ROOT, SENDROUTE, crlf
from relay import Relay
from ses import Ses

EPOCH = 1700000000
ARGS = ("-i", "-f", "alice@example.com", "bob@example.net")


class Image(Case):

    def image(self, name="image.tar", epoch=EPOCH):
        """Path of a new image, and of its layer."""
        path, layer = self.path(name), self.path("rootfs." + name)
        done = subprocess.run(
            [os.path.join(ROOT, "dist/make-oci"), "--version", "1.2",
             "--tag", "sendroute:1.2", "--ca", certificates.ca, SENDROUTE,
             path, layer], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
            env=harness.clean_environment(SOURCE_DATE_EPOCH=str(epoch)))
        self.assertEqual((done.stdout, done.returncode), ("", 0))
        return path, layer

    def read(self, path):
        with open(path, "rb") as file:
            return file.read()

    def files(self, path):
        with tarfile.open(path) as tar:
            return {m.name: tar.extractfile(m).read() for m in tar
                    if m.isfile()}


class Layout(Image):

    def blob(self, files, at):
        data = files["blobs/" + at["digest"].replace(":", "/")]
        self.assertEqual(len(data), at["size"])
        self.assertEqual("sha256:" + hashlib.sha256(data).hexdigest(),
                         at["digest"])
        return data

    def walked(self):
        """The configuration and the layer, from the index down."""
        path, layer = self.image()
        files = self.files(path)
        self.assertEqual(json.loads(files["oci-layout"]),
                         {"imageLayoutVersion": "1.0.0"})
        at, = json.loads(files["index.json"])["manifests"]
        self.assertEqual(at["mediaType"],
                         "application/vnd.oci.image.manifest.v1+json")
        manifest = json.loads(self.blob(files, at))
        self.assertEqual(manifest["config"]["mediaType"],
                         "application/vnd.oci.image.config.v1+json")
        config = json.loads(self.blob(files, manifest["config"]))
        layer_at, = manifest["layers"]
        self.assertEqual(layer_at["mediaType"],
                         "application/vnd.oci.image.layer.v1.tar")
        data = self.blob(files, layer_at)
        self.assertEqual(config["rootfs"]["diff_ids"], [layer_at["digest"]])
        self.assertEqual(data, self.read(layer))
        old, = json.loads(files["manifest.json"])
        self.assertEqual((json.loads(files[old["Config"]]),
                          [files[name] for name in old["Layers"]]),
                         (config, [data]))
        return config, data

    def test_from_the_index_down_to_the_files(self):
        config, data = self.walked()
        self.assertEqual((config["architecture"], config["os"],
                          config["created"]),
                         ("amd64", "linux", "2023-11-14T22:13:20Z"))
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            found = {m.name: m for m in tar}
            for member in found.values():
                self.assertEqual((member.uid, member.gid, member.mtime),
                                 (0, 0, EPOCH), member.name)
            self.same_bytes(tar.extractfile("usr/sbin/sendroute").read(),
                            self.read(SENDROUTE))
            self.same_bytes(tar.extractfile(
                "etc/ssl/certs/ca-certificates.crt").read(),
                self.read(certificates.ca))
            for link in ("usr/sbin/sendmail", "usr/lib/sendmail",
                         "usr/bin/mailq", "usr/bin/newaliases"):
                self.assertEqual(os.path.normpath(os.path.join(
                    os.path.dirname(link), found[link].linkname)),
                    "usr/sbin/sendroute")
        self.assertEqual(found["usr/sbin/sendroute"].mode, 0o755)
        self.assertEqual(found["tmp"].mode, 0o1777)
        for folder in ("", "/tmp", "/queue", "/failed"):
            self.assertEqual(found["var/spool/sendroute" + folder].mode, 0o700)
        # Nothing runs in there but the program.
        self.assertEqual([name for name, m in found.items()
                          if m.isfile() and m.mode & 0o111],
                         ["usr/sbin/sendroute"])

    def test_the_same_each_time(self):
        first, second = self.image("a.tar"), self.image("b.tar")
        self.assertEqual(*map(self.read, (first[0], second[0])))
        other = self.image("c.tar", EPOCH + 1)
        self.assertNotEqual(*map(self.read, (first[0], other[0])))

    def test_the_dockerfile_says_the_same(self):
        config = self.walked()[0]["config"]
        with open(os.path.join(ROOT, "dist/Dockerfile")) as file:
            text = file.read().partition("\nFROM scratch\n")[2]
        said = dict(re.findall(r"(?m)^(\w+) (.*)$", text))
        self.assertEqual(ast.literal_eval(said["ENTRYPOINT"]),
                         config["Entrypoint"])
        self.assertEqual(ast.literal_eval(said["CMD"]), config["Cmd"])
        self.assertEqual([said["ENV"]], config["Env"])
        self.assertEqual(said["WORKDIR"], config["WorkingDir"])

    def test_skopeo_takes_it(self):
        try:
            root = unpack.tree("skopeo")
        except unpack.Unavailable as reason:
            self.skipTest(str(reason))
        path, _ = self.image()
        for kind, at in (("oci-archive", path), ("docker-archive", path)):
            with self.subTest(kind=kind):
                done = subprocess.run(
                    [root + "/usr/bin/skopeo", "--tmpdir", self.dir,
                     "inspect", "%s:%s" % (kind, at)],
                    env=unpack.environment(root), text=True,
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE)
                self.assertEqual((done.stderr, done.returncode), ("", 0))
                seen = json.loads(done.stdout)
                self.assertEqual((seen["Architecture"], seen["Os"],
                                  len(seen["Layers"])), ("amd64", "linux", 1))
        # Copying it checks every digest.
        done = subprocess.run(
            [root + "/usr/bin/skopeo", "--insecure-policy", "--tmpdir",
             self.dir, "copy", "-q", "oci-archive:" + path,
             "dir:" + self.path("copy")], env=unpack.environment(root),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)
        self.assertEqual((done.stdout, done.returncode), ("", 0))


@unittest.skipIf(os.getuid() != 0, "only root can change the root")
class Container(Image):
    """The layer's files as the root of a process, as a container has them."""

    def setUp(self):
        super().setUp()
        self.root = self.path("root")
        os.mkdir(self.root)
        with tarfile.open(self.image()[1]) as tar:
            tar.extractall(self.root, numeric_owner=True)
        # What the runtime puts there.
        self.write("root/etc/hosts", "127.0.0.1 localhost\n")

    def inside(self, *argv, stdin=MESSAGE):
        def enter():
            os.chroot(self.root)
            os.chdir("/")
        done = subprocess.run(argv, input=stdin, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, preexec_fn=enter,
                              env={"PATH": "/usr/sbin:/usr/bin"}, timeout=60)
        return harness.Done(argv, done.returncode, done.stdout, done.stderr, 0)

    def configured(self, route, top=""):
        """The roots are those of the image."""
        self.write("root/etc/sendroute.conf", "hostname client.test\nlog none\n"
                   + top + re.sub(r"(?m)^\s*ca-file.*\n", "", route))

    def test_a_message_by_starttls_with_the_roots_of_the_image(self):
        relay = self.start(Relay())
        self.configured(relay.route())
        self.quiet(self.inside("/usr/sbin/sendmail", *ARGS))
        self.same_bytes(relay.only().content, crlf(MESSAGE))
        self.assertTrue(relay.sessions[0].secure)

    def test_a_message_by_ses(self):
        ses = self.start(Ses())
        self.configured(ses.route())
        self.quiet(self.inside("/usr/lib/sendmail", *ARGS))
        self.assertEqual(ses.errors, [])
        self.same_bytes(ses.only().raw, crlf(MESSAGE))

    def test_the_queue(self):
        relay = self.start(Relay())
        self.configured(relay.route(), "queue /var/spool/sendroute\n")
        self.quiet(self.inside("/usr/sbin/sendmail", "-odq", *ARGS))
        listed = self.inside("/usr/bin/mailq", stdin=b"")
        self.assertIn("bob@example.net", self.expect(listed, 0).out)
        self.assertEqual(relay.messages, [])
        self.quiet(self.inside("/usr/sbin/sendroute", "-qf", stdin=b""))
        self.same_bytes(relay.only().content, crlf(MESSAGE))

    def test_newaliases(self):
        self.quiet(self.inside("/usr/bin/newaliases", stdin=b""))


if __name__ == "__main__":
    harness.main()
