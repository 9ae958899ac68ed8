"""The manual pages: mandoc has nothing to say, they name every option, keyword,
exit status and variable that the program knows, what they call not built is not
built, and their examples load."""
import glob
import os
import re
import shutil
import string
import subprocess
import unittest

import harness
from harness import Case, HEAD, ROOT, run

PAGES = ("sendroute.8", "sendroute.conf.5", "sendroute-qmail-remote.8")


def text_of(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def plain(line):
    """A line of text as it is shown."""
    for escape, shown in (("\\&", ""), ("\\(dq", '"'), ("\\-", "-"),
                          ("\\e", "\\")):
        line = line.replace(escape, shown)
    return line


class Page:
    """The source of a page, by sections and subsections."""

    def __init__(self, name):
        self.source = text_of("man", name)
        self.parts = []                 # [section, subsection, lines]
        for line in self.source.splitlines():
            if line.startswith(".Sh "):
                self.parts.append([line[4:], "", []])
            elif line.startswith(".Ss "):
                self.parts.append([self.parts[-1][0], line[4:], []])
            elif self.parts:
                self.parts[-1][2].append(line)

    def lines(self, section="", subsection=""):
        """Those of the parts of these names, or of all but these."""
        for head, sub, lines in self.parts:
            if section in (head, "") and subsection in (sub, ""):
                yield from lines

    def displays(self):
        """(section, subsection, text) of each literal display."""
        for head, sub, lines in self.parts:
            text = None
            for line in lines:
                if line.startswith(".Bd -literal"):
                    text = []
                elif line == ".Ed":
                    yield head, sub, "".join(text)
                    text = None
                elif text is not None:
                    text.append(plain(line) + "\n")


def flags(lines):
    """What the macro Fl marks: {"f", "oi", "-help"}."""
    return {word for line in lines if line.startswith(".")
            for word in re.findall(r"\bFl ([^\s,]+)", line)}


def items(lines, macro):
    """[(names, line)]: list items and the names that `macro` marks in them."""
    return [(re.findall(r"\b%s ([^\s,]+)" % macro, line), line)
            for line in lines if line.startswith(".It ")]


class Lint(Case):
    @unittest.skipUnless(shutil.which("mandoc"), "there is no mandoc")
    def test_mandoc_has_nothing_to_say(self):
        """Not of style either, whatever pages this machine has: others are
        named in plain words."""
        done = subprocess.run(
            ["mandoc", "-T", "lint",
             *(os.path.join(ROOT, "man", page) for page in PAGES)],
            capture_output=True, text=True)
        self.assertEqual((done.stdout, done.stderr, done.returncode),
                         ("", "", 0))

    def test_no_reference_depends_on_what_is_installed(self):
        for page in PAGES:
            self.assertNotRegex(Page(page).source, r"(?m)^\..*\bXr\b")

    def test_every_page_is_looked_at(self):
        self.assertEqual(sorted(os.listdir(os.path.join(ROOT, "man"))),
                         sorted(PAGES))

    def test_they_end_where_a_line_ends(self):
        for page in PAGES:
            self.assertTrue(Page(page).source.endswith("\n"))
            self.assertNotRegex(Page(page).source, r"[ \t]\n|\r|[^\n\t -~]")


class Command(Case):
    """sendroute.8 beside the program."""

    LATER = "Not built yet"

    def setUp(self):
        super().setUp()
        self.page = Page("sendroute.8")
        self.named = flags(self.page.lines("OPTIONS")) | flags(
            self.page.lines("OPTIONS", self.LATER))
        self.good = self.conf("route box\ntype maildir\npath %s\nsenders *\n"
                              % self.path("Maildir"))

    def words(self):
        found = re.findall(r'\{\s*"([a-z][a-z-]+)",\s*MODE_',
                           text_of("lib", "front", "options.c"))
        self.assertIn("help", found)
        return found

    def answer(self, *args):
        return run(args, b"", conf=self.good)

    def test_every_letter_that_is_known_is_there_and_no_other(self):
        for letter in string.ascii_letters + string.digits:
            known = "unknown option" not in self.answer("-" + letter).err
            self.assertEqual(known, letter in {f[0] for f in self.named},
                             "-" + letter)

    def test_every_mode_that_is_known_is_there_and_no_other(self):
        told = {f[1] for f in self.named if re.fullmatch("b.", f)}
        told -= set("dt")               # named as examples of what is refused
        for letter in string.ascii_letters:
            done = self.answer("-b" + letter)
            self.assertEqual("no daemon" not in done.err, letter in told,
                             str(done))

    def test_every_long_option_is_there(self):
        for word in self.words():
            self.assertIn("-" + word, self.named)
        for flag in self.named:
            if flag.startswith("-"):
                self.assertIn(flag[1:], self.words() + [""])

    def test_what_it_calls_not_built_is_not_built(self):
        modifiers = {"-write", "-dkim-keys"}
        later = flags(self.page.lines("OPTIONS", self.LATER)) - modifiers
        for flag in sorted(later):
            done = self.answer("-" + flag, "value")
            if done.exit == 64 and "takes no value" in done.err:
                done = self.answer("-" + flag)
            self.assertNotEqual(done.exit, 0, str(done))
            self.assertRegex(done.err, "not built", str(done))

    def test_what_it_does_not_call_so_is_built(self):
        later = flags(self.page.lines("OPTIONS", self.LATER))
        modes = ["-bs", "-bp", "-bv", "-bi", "-I", "-bm", "-q", "-qf"]
        for option in modes + ["--" + w for w in self.words()]:
            if option[1:] in later:
                continue
            done = self.answer(option)
            self.assertNotRegex(done.err, "not built", str(done))

    def test_an_option_without_effect_is_accepted_and_has_none(self):
        ignored = flags(self.page.lines("OPTIONS", "Accepted without effect"))
        self.assertGreater(len(ignored), 12)
        for flag in sorted(ignored):
            args = ["-" + flag, "bob@example.net"]
            if "needs a value" in self.answer("-" + flag).err:
                args[1:1] = ["x"]
            done = run(["--dry-run"] + args, b"", conf=self.good)
            self.assertEqual([g["to"] for g in self.groups(done)],
                             [["bob@example.net"]], str(done))

    def test_every_exit_status_is_there(self):
        told = {number for line in self.page.lines("EXIT STATUS")
                if line.startswith(".It ") for number in
                re.findall(r"\d+", line)}
        known = set(re.findall(r"EXIT_[A-Z]+ = (\d+)",
                               text_of("lib", "base", "result.h")))
        self.assertEqual(told, known)

    def test_every_variable_is_there_and_no_other(self):
        told = {name for names, _ in items(self.page.lines("ENVIRONMENT"), "Ev")
                for name in names}
        told |= {word for line in self.page.lines("ENVIRONMENT")
                 if line.startswith(".It Ev") for word in
                 re.findall(r"[A-Z][A-Z0-9_]+", line)}
        known = {"TZ"}                  # the C library's
        for file in glob.glob(os.path.join(ROOT, "*.c")) + glob.glob(
                os.path.join(ROOT, "lib", "*", "*.c")):
            known |= set(re.findall(
                r'"(AWS_[A-Z0-9_]+|SENDROUTE_[A-Z]+|LOGNAME|TMPDIR|HOME|'
                r'(?i:(?:https|no)_proxy))"',
                text_of(file)))
        self.assertEqual(told, known)

    def test_the_keys_of_the_log_are_there(self):
        told = [word for line in self.page.lines("LOG")
                if line.startswith(".It Cm") for word in
                re.findall(r"[a-z]+", line[6:])]
        self.expect(run(["bob@example.net"], HEAD, conf=self.good), 0)
        self.assertEqual(told, list(self.log_pairs()[0]))


class Configuration(Case):
    """sendroute.conf.5 beside the program."""

    LATER = "NOT BUILT YET"

    def setUp(self):
        super().setUp()
        self.page = Page("sendroute.conf.5")
        self.source = text_of("lib", "config", "keywords.c")
        self.later = items(self.page.lines(self.LATER), "Ic")
        self.built = [item for section in ("KEYWORDS OUTSIDE OF ROUTES",
                                           "ROUTES")
                      for item in self.all_items(section)]

    def all_items(self, section):
        return [item for head, _, lines in self.page.parts if head == section
                for item in items(lines, "Ic")]

    def keywords(self):
        """{name: is it built?}"""
        found = {}
        for name, built in re.findall(r'\{ "([a-z-]+)", [^,{}]+, KW_\w+,'
                                      r'\s*([A-Z0-9]+),', self.source):
            found[name] = built != "0"
        count = re.search(r"KEYWORDS = (\d+)",
                          text_of("lib", "config", "keywords.h"))
        self.assertEqual(len(found) + 1, int(count.group(1)))   # ca-file twice
        return found

    def test_every_keyword_is_there_and_no_other(self):
        now = {name for names, _ in self.built for name in names}
        later = {name for names, _ in self.later for name in names}
        later -= {"type", "auth"}   # there for their values
        keywords = self.keywords()
        self.assertEqual(now, {k for k in keywords if keywords[k]})
        self.assertEqual(later, {k for k in keywords if not keywords[k]})

    def test_every_choice_is_there(self):
        sets = re.findall(r'#define (TYPE|AUTH|CREDENTIALS)S? "([^"]+)"',
                          self.source)
        self.assertEqual(len(sets), 3)
        for name, words in sets:
            now, _, later = words.partition("|")
            for words, where in ((now, self.built), (later, self.later)):
                if not words.strip():
                    continue
                lines = [line for names, line in where
                         if names[:1] == [name.lower()]] or [""]
                told = re.findall(r"[a-z0-9-]+", lines[0].partition(" Cm ")[2])
                self.assertEqual(sorted(told), sorted(words.split()), name)

    def here(self, text):
        """Files that the text names, made below the temporary prefix."""
        def file(match):
            path = self.dir + match.group(0)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if match.group(0) == "/var/spool/sendroute":
                os.makedirs(path, exist_ok=True)
            if not os.path.exists(path):
                self.write(path, self.content.get(match.group(0), "secret\n"),
                           0o600)
            return path
        return re.sub(r"(?<![\w./])/(?:[\w.-]+/)+[\w.-]+", file, text)

    content = {}

    def test_every_example_of_a_configuration_loads(self):
        count = 0
        senders = [t for s, _, t in self.page.displays() if s == "SENDER LISTS"]
        self.content = {"/etc/sendroute/senders": senders[0]}
        for section, title, text in self.page.displays():
            if not re.search(r"(?m)^route ", text):
                continue
            count += 1
            with self.subTest(title=title):
                conf = self.write("conf", "hostname client.test\n" +
                                  self.here(text))
                done = run(["--dry-run", "-f", "alice@example.com",
                            "bob@example.net"], HEAD, conf=conf)
                self.assertEqual(len(self.groups(done)), 1, str(done))
        self.assertGreaterEqual(count, 9)

    def example(self, title):
        return self.write("conf", "hostname client.test\n" + self.here(
            [t for _, sub, t in self.page.displays() if sub == title and
             "\nroute " in "\n" + t][0]))

    def route_of(self, conf, sender):
        done = run(["--dry-run", "-f", sender, "x@example.net"],
                   HEAD.replace(b"alice@example.com", sender.encode()),
                   conf=conf)
        return self.groups(done)[0]["route"]

    def test_the_examples_route_as_they_say(self):
        self.content = {"/etc/sendroute/senders": "@example.com\n"}
        conf = self.example("SES, and a relay for all others")
        self.assertEqual(self.route_of(conf, "alice@example.com"), "ses")
        self.assertEqual(self.route_of(conf, "carol@elsewhere.test"), "relay")
        conf = self.example("A mailbox for root")
        self.assertEqual(self.route_of(conf, "root@box.example.com"), "mailbox")
        self.assertEqual(self.route_of(conf, "alice@example.com"), "relay")

    def test_the_example_for_qmail_routes_as_it_says(self):
        self.content = {"/etc/sendroute/senders": "@example.com\n"}
        self.page = Page("sendroute-qmail-remote.8")
        conf = self.example("")
        self.assertEqual(self.route_of(conf, "alice@example.com"), "ses")
        self.assertEqual(self.route_of(conf, "eve@elsewhere.test"), "rest")

    def test_the_example_of_a_list_matches_what_it_says(self):
        text = [t for s, _, t in self.page.displays() if s == "SENDER LISTS"][0]
        conf = self.conf("route box\ntype maildir\npath %s\nsenders %s\n" % (
            self.path("Maildir"), self.write("list", text)))
        for sender, status in (("a@example.com", 0), ("a@x.example.com", 0),
                               ("alerts+web@example.org", 0),
                               ("alerts@example.org", 0),
                               ("bob@example.org", 78)):
            done = run(["-bv", "-f", sender, "x@example.net"], conf=conf)
            self.expect(done, status)
            self.assertNotIn("is no pattern", done.err)

    def test_the_example_of_aliases_does_what_it_says(self):
        text = [t for s, _, t in self.page.displays() if s == "ALIASES"][0]
        self.content = {"/etc/sendroute/oncall": "carol@example.net\n"}
        aliases = self.write("aliases", self.here(text))
        conf = self.conf("route box\ntype maildir\npath %s\nsenders *\n" %
                         self.path("Maildir"), top="aliases %s\n" % aliases)
        both = ["alice@example.com", "bob@example.net"]
        for who, where in (("root", both), ("postmaster", both),
                           ('"mail admin"', both),
                           ('"mail admin"@client.test', both),
                           ("oncall", ["carol@example.net"]),
                           ("dave", ["alerts@example.com"]),
                           ("dave@example.net", ["dave@example.net"])):
            with self.subTest(who=who):
                done = run(["-bv", who], conf=conf)
                self.assertEqual(sorted(self.groups(done)[0]["to"]), where)


if __name__ == "__main__":
    harness.main()
