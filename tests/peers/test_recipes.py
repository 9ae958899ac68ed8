"""The recipes for Alpine and OpenWrt in dist/: each is run by what it is for,
as far as stand-ins for abuild and OpenWrt's build system go."""
import os
import shutil
import stat
import subprocess
import unittest

import harness
from harness import ROOT, SENDROUTE
from test_dist import Install

# OpenWrt's rules.mk and package.mk, as far as a package sees them.
RULES = """
INSTALL_DIR := install -d -m0755
INSTALL_BIN := install -m0755
INSTALL_CONF := install -m0600
LN := ln -sf
SED := sed -i -e
TAR := tar
TARGET_CC := mips-openwrt-linux-musl-gcc
TARGET_AR := mips-openwrt-linux-musl-gcc-ar
"""
PACKAGE = """
define BuildPackage
all:
	@echo $(if $(Package/$(1)),,no Package/$(1))
	$$(call Package/$(1)/install,$$(ROOT))
compile:
	$$(Build/Compile)
endef
"""


class Recipe(Install):

    def shell(self, path, *more):
        done = subprocess.run(["sh", "-n", path], stderr=subprocess.PIPE,
                              text=True)
        self.assertEqual((done.stderr, done.returncode), ("", 0))
        if shutil.which("shellcheck"):
            done = subprocess.run(["shellcheck", "-s", "dash", *more, path],
                                  stdout=subprocess.PIPE, text=True)
            self.assertEqual((done.stdout, done.returncode), ("", 0))

    def links(self, root):
        for name in ("usr/sbin/sendmail", "usr/lib/sendmail", "usr/bin/mailq",
                     "usr/bin/newaliases"):
            path = os.path.join(root, name)
            self.assertTrue(os.path.islink(path), name)
            self.assertEqual(os.path.realpath(path),
                             root + "/usr/sbin/sendroute")
        with open(root + "/usr/sbin/sendroute", "rb") as file, \
                open(SENDROUTE, "rb") as own:
            self.same_bytes(file.read(), own.read())

    def script(self, root):
        path = root + "/etc/init.d/sendroute"
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o755)
        with open(path) as file:
            text = file.read()
        self.assertIn("/usr/sbin/sendroute", text)
        self.assertNotIn("/usr/local", text)


class Alpine(Recipe):

    def test_scripts(self):
        folder = os.path.join(ROOT, "dist/alpine/")
        self.shell(folder + "sendroute.pre-install")
        # abuild reads and sets these.
        self.shell(folder + "APKBUILD", "-e", "SC2034,SC2154,SC3043")

    def abuild(self, call):
        """Run functions of the recipe with abuild's variables."""
        done = subprocess.run(
            ["sh", "-euc", ". ./dist/alpine/APKBUILD\n" + call],
            cwd=self.tree, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
            env=harness.clean_environment(
                srcdir=self.path("src"), pkgdir=self.at, CC="some-cc"))
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def test_package(self):
        told = self.abuild("make() { command make \"$@\" SETGID=; }; package;"
                           " echo \"$license $options $pkggroups\"")
        self.assertTrue(told.endswith("BSD-2-Clause suid sendroute\n"), told)
        self.links(self.at)
        self.script(self.at)

    def test_build(self):
        told = self.abuild("make() { printf '%s\\n' \"$@\"; }; build\n"
                           "(package 2>/dev/null) || :")
        for word in ("CC=some-cc", "BEARSSL=%s/bearssl-0.6" % self.path("src"),
                     "CJSON=%s/cJSON-1.7.15" % self.path("src"),
                     "SETGID=sendroute", "PREFIX=/usr"):
            self.assertIn("\n" + word + "\n", "\n" + told)

    def test_build_says_what_make_knows(self):
        with open(os.path.join(ROOT, "Makefile")) as file:
            known = file.read()
        for word in ("CC", "BEARSSL", "CJSON", "DESTDIR", "SETGID"):
            self.assertIn("(%s)" % word, known)


class OpenWrt(Recipe):

    def make(self, *args):
        self.write("rules.mk", RULES)
        self.write("package.mk", PACKAGE)
        done = subprocess.run(
            ["make", "-s", "-f", os.path.join(ROOT, "dist/openwrt/Makefile"),
             "TOPDIR=" + self.dir, "INCLUDE_DIR=" + self.dir,
             "DL_DIR=" + self.dir, "PKG_BUILD_DIR=" + self.tree,
             "ROOT=" + self.at, *args], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=harness.clean_environment())
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def test_install(self):
        self.assertEqual(self.make("all").strip(), "")
        self.links(self.at)
        self.script(self.at)
        mode = os.stat(self.at + "/etc/sendroute.conf").st_mode
        self.assertEqual(stat.S_IMODE(mode), 0o644)

    def test_compile(self):
        told = self.make("-n", "compile")
        for word in ('CC="mips-openwrt-linux-musl-gcc"',
                     'AR="mips-openwrt-linux-musl-gcc-ar"',
                     'BEARSSL="%s/bearssl-0.6"' % self.tree,
                     'CJSON="%s/cJSON-1.7.15"' % self.tree):
            self.assertIn(word, told)


if __name__ == "__main__":
    harness.main()
