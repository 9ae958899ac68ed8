#!/usr/bin/python3
"""make check-arch: the program and its unit tests on other processors.

    arch.py ARCH...

For each: fetch a compiler and musl (dist/cross), build, and run the unit tests
and the deliveries named below under qemu's user emulation.  The servers are
those of the other tests and run here; what arrived is compared byte for byte.
A processor whose packages cannot be had is skipped, and the reason is shown; a
program that does not build, or a test that fails, is a failure.
"""
import glob
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, "build")
CROSS = os.path.join(ROOT, "dist", "cross")

# Programs and words for harness.main(): what a relay gets behind STARTTLS and
# AUTH, which certificates are believed, what SES gets, and all that by way of
# the queue.
DELIVERIES = (
    ("test_smtp.py", "starttls_and_auth_small", "test_one_megabyte",
     "implicit_tls", "a_password_command", "many_at_once"),
    ("test_tls.py", "certificates_that_are", "a_pinned_key"),
    ("test_ses.py", "small_message_over_tls", "test_one_megabyte",
     "every_size_around"),
    ("test_queue.py", "sent_at_once_and_nothing", "three_in_one_session",
     "sizes_around_the_blocks", "in_the_background"),
)
# What qemu gets wrong: on MIPS, SO_ERROR brings the host's number of an error.
LEFT_OUT = {"mipsel": {"test_dial", "test_runner"},
            "mips64el": {"test_dial", "test_runner"}}
COUNT = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", re.M)


class Missing(Exception):
    """The processor's packages cannot be had."""


class Broken(Exception):
    """It does not build; the text is what the compiler said."""


def last_line(text):
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no reason given"


def cross(what, arch):
    done = subprocess.run([CROSS, what, arch], cwd=ROOT, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    if done.returncode == 75:
        raise Missing(last_line(done.stderr))
    if done.returncode != 0:
        raise Broken(done.stderr)
    return done.stdout.strip()


def build(arch):
    make = os.environ.get("MAKE", "make")
    done = subprocess.run(
        [make, "--no-print-directory", "cross-tests-" + arch], cwd=ROOT,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise Broken(done.stdout[-4000:])


def counted(command, cwd, runner, arch):
    """(passed, failed) of a program that prints TAP or of tests/run."""
    done = subprocess.run(
        command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace", timeout=1500,
        env=dict(os.environ, RUNNER=runner, BUILD=BUILD,
                 SENDROUTE=os.path.join(BUILD, arch, "sendroute")))
    last = COUNT.search(done.stdout)
    if last:
        passed, failed = int(last.group(1)), int(last.group(2))
    else:
        passed = len(re.findall(r"(?m)^ok (?!.*# SKIP)", done.stdout))
        failed = len(re.findall(r"(?m)^not ok ", done.stdout))
    if not passed or (done.returncode != 0 and not failed):
        failed += 1
    if failed:
        print(done.stdout[-12000:])
    return passed, failed


def deliveries(tree, runner, arch):
    return [counted(["/usr/bin/python3", os.path.join(
        ROOT, "tests", "peers", name), *words], tree, runner, arch)
        for name, *words in DELIVERIES]


def total(counts):
    return tuple(map(sum, zip(*counts)))


def by_itself(program):
    """Whether this machine's processor runs it, as x86-64 does i386's."""
    try:
        return subprocess.run([program, "--version"], timeout=20,
                              stdout=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


def check(arch):
    """(bytes, unit tests, deliveries), the last two as (passed, failed)."""
    for what in ("compiler", "cmocka"):
        cross(what, arch)
    runner = cross("emulator", arch)
    build(arch)
    tree = os.path.join(BUILD, arch, "tree")
    names = {os.path.basename(p)[:-2] for p in glob.glob(
        ROOT + "/tests/unit/test_*.c")} - LEFT_OUT.get(arch, set())
    units = [counted(["tests/run", *("build/unit/" + name for name in sorted(
        names))], tree, runner, arch)]
    sent = deliveries(tree, runner, arch)
    program = os.path.join(BUILD, arch, "sendroute")
    if by_itself(program):
        # Only so are system calls those of that processor.
        units.append(counted(["tests/run", "build/unit/test_sandbox"], tree,
                             "", arch))
        sent += deliveries(tree, "", arch)
    return os.path.getsize(program), total(units), total(sent)


def main(archs):
    passed = failed = skipped = 0
    lines = [("processor", "bytes", "unit tests", "deliveries")]
    for arch in archs:
        try:
            size, units, sent = check(arch)
        except Missing as reason:
            skipped += 1
            lines.append((arch, "-", "skipped: %s" % reason, ""))
        except Broken as said:
            failed += 1
            print(said)
            lines.append((arch, "-", "does not build: FAILED", ""))
        else:
            passed += units[0] + sent[0]
            failed += units[1] + sent[1]
            lines.append((arch, "{:,d}".format(size),
                          *("%d%s" % (good, ", %d FAILED" % bad if bad else "")
                            for good, bad in (units, sent))))
        print("%-10s %9s  %-16s %s" % lines[-1], flush=True)
    print()
    for line in lines:
        print(("%-10s %9s  %-16s %s" % line).rstrip())
    print("%d passed, %d failed%s" % (
        passed, failed, ", %d skipped" % skipped if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
