"""Delivery into a Maildir."""
import os
import re

import harness
from harness import Case, MESSAGE, letter, run

ARGS = ("-i", "-f", "alice@example.com", "bob@example.net")


class Maildir(Case):
    def setUp(self):
        super().setUp()
        self.box = self.path("mail/box")
        os.mkdir(self.path("mail"))
        self.good = self.conf("route box\ntype maildir\npath %s\nsenders *\n"
                              % self.box)

    def new(self):
        folder = os.path.join(self.box, "new")
        files = []
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name), "rb") as file:
                files.append(file.read())
        return files

    def body_of(self, data):
        """The message as it was sent: line ends as on Unix, trace set aside."""
        return data.replace(b"\r\n", b"\n")

    def test_it_is_created_and_the_message_arrives(self):
        self.quiet(run(ARGS, MESSAGE, conf=self.good))
        self.assertEqual(sorted(os.listdir(self.box)), ["cur", "new", "tmp"])
        self.assertEqual(os.listdir(os.path.join(self.box, "tmp")), [])
        got, = self.new()
        self.assertTrue(self.body_of(got).endswith(MESSAGE), got)

    def test_lines_end_as_on_unix(self):
        self.quiet(run(ARGS, MESSAGE, conf=self.good))
        self.assertNotIn(b"\r", self.new()[0])

    def test_one_megabyte_with_dots(self):
        message = letter(1 << 20)
        self.quiet(run(ARGS, message, conf=self.good))
        got, = self.new()
        self.same_bytes(self.body_of(got)[-len(message):], message)

    def test_names_are_unique(self):
        for _ in range(5):
            self.quiet(run(ARGS, MESSAGE, conf=self.good))
        self.assertEqual(len(self.new()), 5)
        for name in os.listdir(os.path.join(self.box, "new")):
            self.assertRegex(name, r"^\d+\.[^/:]+$")

    def test_one_file_for_several_recipients(self):
        self.quiet(run([*ARGS, "carol@example.net"], MESSAGE, conf=self.good))
        self.assertIn(len(self.new()), (1, 2))

    def test_others_cannot_read_it(self):
        self.quiet(run(ARGS, MESSAGE, conf=self.good))
        for folder, _, files in os.walk(self.box):
            self.assertEqual(os.stat(folder).st_mode & 0o077, 0, folder)
            for name in files:
                mode = os.stat(os.path.join(folder, name)).st_mode
                self.assertEqual(mode & 0o077, 0, name)

    def test_a_place_where_none_can_be_made(self):
        with open(self.path("file"), "w"):
            pass
        conf = self.conf("route box\ntype maildir\npath %s/box\nsenders *\n"
                         % self.path("file"))
        done = run(ARGS, MESSAGE, conf=conf)
        self.assertIn(done.exit, (71, 73, 74, 75), str(done))
        self.one_line(done, done.exit, re.escape(self.path("file")))

    def test_the_log(self):
        self.quiet(run(ARGS, MESSAGE, conf=self.good))
        entry, = self.log_pairs()
        self.assertEqual((entry["route"], entry["status"]), ("box", "sent"))


if __name__ == "__main__":
    harness.main()
