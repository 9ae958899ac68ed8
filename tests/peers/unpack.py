"""Fetch packages of the distribution and unpack them into the build folder.

Nothing is installed: a mail server is downloaded with the system's own apt,
unpacked with dpkg -x, and run from where it lies.  Libraries that the system
does not have come along and are found through LD_LIBRARY_PATH.

    root = unpack.tree("postfix")            # the folder, fetched at most once
    subprocess.run([...], env=unpack.environment(root))

Unpacking is cached by a stamp that names the packages; two tests that ask at
the same time wait for each other.
"""

import fcntl
import glob
import os
import shutil
import stat
import subprocess

from harness import BUILD

# The C library must be the running system's, whatever apt would upgrade.
NEVER = {"libc6", "libc-bin", "libc-l10n", "locales", "base-files",
         "init-system-helpers"}

# What goes into one tree beside the package of the same name.
TREES = {
    "postfix": ["postfix"],
    "exim": ["exim4-daemon-heavy", "exim4-base", "libnss-wrapper"],
    "dovecot": ["dovecot-core", "dovecot-submissiond", "dovecot-lmtpd"],
    "msmtp": ["msmtp"],
    "dma": ["dma"],
    "opendkim": ["opendkim", "opendkim-tools"],
    "nullmailer": ["nullmailer"],
    "tinyproxy": ["tinyproxy", "libnss-wrapper"],
    "squid": ["squid"],
    "dante": ["dante-server", "libnss-wrapper"],
    "microsocks": ["microsocks", "libnss-wrapper"],
    "openssh": ["openssh-server", "openssh-client", "libnss-wrapper"],
}


class Unavailable(Exception):
    """The package cannot be had here; the text says why."""


def run_apt(arguments, options=(), cwd=None):
    environment = dict(os.environ, LC_ALL="C",
                       DEBIAN_FRONTEND="noninteractive")
    try:
        return subprocess.run(
            ["apt-get", "-q", *options, *arguments], cwd=cwd, env=environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", timeout=300)
    except FileNotFoundError:
        raise Unavailable("no apt-get: not a Debian or Ubuntu system")
    except subprocess.TimeoutExpired:
        raise Unavailable("apt-get took more than five minutes")


def simulated(names, options):
    """The packages that an installation would bring, asked for as any user."""
    done = run_apt(["install", "-s", "--reinstall",
                    "--no-install-recommends", "-o", "Debug::NoLocking=1",
                    *names], options)
    if done.returncode != 0:
        return None
    found = [line.split()[1] for line in done.stdout.splitlines()
        if line.startswith("Inst ")]
    wanted = [name for name in found if name.split(":")[0] not in NEVER]
    # An installed package that apt would not fetch again is still wanted.
    return sorted(set(wanted) | set(names))


def private_lists(base):
    """Options that make apt keep its lists in the build folder.

    A fresh machine has none, and a user without rights cannot refresh the
    system's: ours are fetched from the sources that the system names.
    """
    state = os.path.join(base, "apt")
    for folder in ("lists/partial", "cache/archives/partial"):
        os.makedirs(os.path.join(state, folder), exist_ok=True)
    return ["-o", "Dir::State::lists=" + os.path.join(state, "lists"),
        "-o", "Dir::Cache=" + os.path.join(state, "cache"),
        "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User="]


def resolve(names, base):
    """Names to download and the apt options under which they were found."""
    found = simulated(names, [])
    if found:
        return found, []
    options = private_lists(base)
    run_apt(["update"], options)
    found = simulated(names, options)
    if not found:
        raise Unavailable("apt knows no package " + " ".join(names))
    return found, options


def download(names, options, base, folder):
    done = run_apt(["download", *names], options, cwd=folder)
    if done.returncode != 0 and not options:
        # Lists that are out of date name versions that are gone.
        options = private_lists(base)
        run_apt(["update"], options)
        done = run_apt(["download", *names], options, cwd=folder)
    if done.returncode != 0:
        said = done.stdout.strip().splitlines() or ["no reason given"]
        raise Unavailable("cannot download %s: %s" % (" ".join(names),
                                                      said[-1]))


def fetch(names, base, target):
    fresh = target + ".new"
    archives = target + ".debs"
    for folder in (fresh, archives):
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
    # When root calls it, apt downloads as a user of its own.
    os.chmod(archives, 0o777)
    found, options = resolve(names, base)
    download(found, options, base, archives)
    for archive in sorted(glob.glob(os.path.join(archives, "*.deb"))):
        subprocess.run(["dpkg", "-x", archive, fresh], check=True)
    drop_set_id(fresh)
    shutil.rmtree(archives)
    shutil.rmtree(target, ignore_errors=True)
    os.rename(fresh, target)


def drop_set_id(folder):
    """No program in a build folder may lend its owner's rights to others."""
    for path, _, names in os.walk(folder):
        for name in names:
            full = os.path.join(path, name)
            mode = os.lstat(full).st_mode
            if not stat.S_ISLNK(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
                os.chmod(full, stat.S_IMODE(mode) & 0o777)


def tree(name):
    """Path of the unpacked tree; raises Unavailable with the reason."""
    base = os.path.join(os.path.abspath(BUILD), "peers")
    os.makedirs(base, exist_ok=True)
    target = os.path.join(base, name)
    names = TREES.get(name, [name])
    stamp = os.path.join(base, name + ".stamp")
    with open(os.path.join(base, name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (os.path.isdir(target) and stamped(stamp) == names):
            fetch(names, base, target)
            with open(stamp, "w") as file:
                file.write(" ".join(names) + "\n")
    return target


def stamped(path):
    try:
        with open(path) as file:
            return file.read().split()
    except OSError:
        return None


def library_path(root):
    """Folders of the tree that hold shared libraries, for LD_LIBRARY_PATH."""
    found = glob.glob(root + "/lib/**/*.so*", recursive=True) + \
        glob.glob(root + "/usr/lib/**/*.so*", recursive=True)
    return ":".join(sorted({os.path.dirname(path) for path in found}))


def environment(root, **more):
    """The environment for a program of the tree."""
    return dict(os.environ, LD_LIBRARY_PATH=library_path(root), LC_ALL="C",
                **more)


if __name__ == "__main__":
    import sys
    for wanted in sys.argv[1:]:
        print(tree(wanted))
