"""sendroute under the programs that call sendmail: each is the distribution's
own (or npm's), unpacked and run; what it wrote is compared with what came."""
import email
import email.policy
import fcntl
import glob
import os
import pwd
import re
import shutil
import subprocess
import sys
import time
import unittest

import harness
from callers import Caller, Jail, PATIENCE, package, perl_path
from harness import BUILD

# Output of a job: dots that end no message, a long line, UTF-8.
JOB = "first\n.\n..\n .\nGr\u00fc\u00dfe\n" + "x" * 300 + "\nlast\n"
ROOT = "root@client.test"
ME = pwd.getpwuid(os.getuid()).pw_name + "@client.test"
ADDED = {"Date": None, "Message-ID": None}
# Besides, where the caller says nothing about its 8-bit text.
MIME = {"MIME-Version": "1.0", "Content-Type": "text/plain; charset=utf-8",
        "Content-Transfer-Encoding": "8bit"}


def job(folder):
    """A command that writes JOB."""
    path = os.path.join(folder, "job.text")
    with open(path, "w") as file:
        file.write(JOB)
    os.chmod(path, 0o644)
    return "cat " + path


class Cron(Caller):
    def one_of(self, script, argv, uid=0):
        """The script runs until sendmail has been called."""
        with self.jail.running(script):
            call = self.one_call(argv)
        self.assertEqual(call.uid, uid)
        return call

    def test_cron_of_debian(self):
        self.jail = Jail(self, "cron")
        self.jail.put("/etc/crontab", "MAILTO=root\n@reboot root %s\n"
                      % job(self.dir))
        call = self.one_of("exec cron -f", ["-FCronDaemon", "-i",
                                            "-B8BITMIME", "-oem", "root"])
        got = self.arrived(call, ROOT, [ROOT], JOB, added=ADDED, changed={
            "From": ROOT + " (Cron Daemon)", "To": ROOT})
        self.assertRegex(got.fields("Subject")[0],
                         r"^Cron <root@.*> cat .*job\.text$")

    def test_cron_of_debian_for_a_user_and_an_address(self):
        self.jail = Jail(self, "cron")
        self.jail.put("/var/spool/cron/crontabs/daemon",
                      "MAILTO=ops@example.net\n@reboot %s\n" % job(self.dir),
                      0o600, "daemon", "daemon")
        self.jail.put("/etc/crontab", "")
        call = self.one_of("exec cron -f", ["-FCronDaemon", "-i", "-B8BITMIME",
                                            "-oem", "ops@example.net"],
                           pwd.getpwnam("daemon").pw_uid)
        self.arrived(call, "daemon@client.test", ["ops@example.net"], JOB,
                     added=ADDED,
                     changed={"From": ROOT + " (Cron Daemon)"})

    def test_anacron(self):
        self.jail = Jail(self, "anacron")
        self.jail.put("/etc/anacrontab", "SHELL=/bin/sh\nLOGNAME=root\n"
                      "1 0 backup %s\n" % job(self.dir))
        call = self.one_of("anacron -f -n -d; sleep 9",
                           ["-FAnacron", "-odi", "root"])
        self.arrived(call, ROOT, [ROOT], JOB, added=ADDED, changed={
            "From": "Anacron <%s>" % ROOT, "To": ROOT})

    def test_at(self):
        self.jail = Jail(self, "at")
        self.jail.put("/job", job(self.dir) + "\n")
        call = self.one_of(
            "cd /var/spool/cron; mkdir -p atjobs atspool; touch atjobs/.SEQ;"
            "chown -R daemon:daemon at*; cd /;"
            "atd -f -l 1000 -b 1 & sleep 0.2; LOGNAME=root at -m now < /job;"
            "wait", ["-i", "root"])
        got = self.arrived(call, ROOT, [ROOT], JOB, changed={"To": ROOT},
                           added={"From": ROOT, **MIME, **ADDED})
        self.assertRegex(got.fields("Subject")[0], "^Output from your job")

    def test_systemd_cron_s_mail_of_a_failed_job(self):
        self.jail = Jail(self, "systemd-cron")
        self.jail.put("/usr/bin/systemctl", "#!/bin/sh\n"
                      "case $*:$1 in *User:*) echo User=root;;\n"
                      "*Environment:*) echo Environment=MAILTO=root;;\n"
                      "*:status) %s; exit 3; esac\n" % job(self.dir), 0o755)
        done = self.jail.run("PATH=/usr/sbin:/usr/bin LC_ALL=C.UTF-8 "
                             "/lib/systemd-cron/mail_on_failure cron-x.service")
        self.assertEqual(done.returncode, 0, done)
        call = self.one_call(["-i", "-B8BITMIME", "root"])
        self.arrived(call, ROOT, [ROOT], added={"Message-ID": None}, changed={
            "From": ROOT + " (systemd-cron)", "To": ROOT})
        self.assertEqual(email.message_from_bytes(
            self.relay.only().content).get_payload(decode=True),
            JOB.encode())


class Machine(Caller):
    """What the machine itself has to say."""

    def test_sudo(self):
        self.jail = Jail(self, "sudo")
        self.jail.put("/etc/sudoers", "Defaults mail_all_cmnds\n"
                      "Defaults mailto=root\n"
                      "root ALL=(ALL) NOPASSWD: ALL\n", 0o440)
        with self.jail.running("sudo -n /bin/true; sleep 9"):
            call = self.one_call(["-t"])
        got = self.arrived(call, ROOT, [ROOT], added=ADDED,
                           changed={"To": ROOT, "From": ROOT})
        self.assertTrue(got.body.endswith(b"COMMAND=/bin/true\r\n\r\n"))
        self.assertLessEqual(set(call.environ), {"HOME", "LOGNAME", "PATH",
                                                 "USER"})

    def test_mdadm(self):
        self.jail = Jail(self, "mdadm")
        with self.jail.running(
                "mknod /dev/md77 b 9 77;"
                "mdadm --monitor --test --oneshot --mail root /dev/md77;"
                "sleep 9"):
            call = self.one_call(["-t"])
        self.arrived(call, ROOT, [ROOT], added=ADDED, changed={"To": ROOT})

    def test_smartd_s_script_and_mail(self):
        self.jail = Jail(self, "smartmontools", "bsd-mailx")
        self.jail.put("/usr/bin/mail", '#!/bin/sh\nexec bsd-mailx "$@"\n',
                      0o755)
        done = self.jail.run(
            "SMARTD_MAILER= SMARTD_ADDRESS='root ops@example.net' "
            "SMARTD_MESSAGE='Device: /dev/sda, 8 sectors' "
            "SMARTD_FAILTYPE=CurrentPendingSector SMARTD_DEVICE=/dev/sda "
            "SMARTD_DEVICETYPE=auto SMARTD_DEVICESTRING=/dev/sda "
            "SMARTD_PREVCNT=0 SMARTD_TFIRST=now SMARTD_TFIRSTEPOCH=1 "
            "SMARTD_DEVICEINFO='A disk' HOME=/root LC_ALL=C.UTF-8 "
            "PATH=/usr/sbin:/usr/bin /usr/share/smartmontools/smartd_warning.sh")
        self.said = str(done)
        call = self.one_call(["-i", "-t"])
        got = self.arrived(
            call, ROOT, [ROOT, "ops@example.net"],
            added={"From": ROOT, **ADDED},
            changed={"To": "ops@example.net, " + ROOT})
        self.assertIn(b"Device: /dev/sda, 8 sectors\r\n", got.body)

    def test_logwatch(self):
        self.jail = Jail(self, "logwatch")
        done = self.jail.run(
            "logwatch --output mail --mailto root --service zz-sys "
            "--range all --format text", {"PATH": "/usr/sbin:/usr/bin:/bin"})
        self.said = str(done)
        call = self.one_call(["-t"])
        self.arrived(call, ROOT, [ROOT], added=ADDED,
                     changed={"To": ROOT, "From": ROOT})

    def test_fail2ban_s_action(self):
        root = package("fail2ban")
        text = ""
        for name in ("sendmail-common.conf", "sendmail.conf"):
            with open(root + "/etc/fail2ban/action.d/" + name) as file:
                text += file.read()
        ban = re.search(r"(?m)^actionban = (.*(?:\n[ \t].*)*)", text).group(1)
        ban = re.sub(r"\n[ \t]+", "\n", ban).replace("%%", "%")
        for tag, value in (("mailcmd", re.search(
                r"(?m)^mailcmd = (.*)", text).group(1)), ("name", "sshd"),
                ("ip", "192.0.2.1"), ("failures", "5"), ("dest", "root"),
                ("sender", "fail2ban"), ("sendername", "Fail2Ban"),
                ("fq-hostname", "box.test"),
                ("/usr/sbin/sendmail", self.sendmail)):
            ban = ban.replace("<%s>" % tag if tag[0] != "/" else tag, value)
        self.call(["/bin/sh", "-c", ban])
        call = self.one_call(["-f", "fail2ban", "root"])
        got = self.arrived(
            call, "fail2ban@client.test", [ROOT], "Hi,\n\nThe IP 192.0.2.1 has "
            "just been banned by Fail2Ban after\n5 attempts against sshd.\n\n"
            "Regards,\n\nFail2Ban", added={"Message-ID": None}, changed={
                "From": "Fail2Ban <fail2ban@client.test>", "To": ROOT})
        self.assertEqual(got.fields("Subject"),
                         ["[Fail2Ban] sshd: banned 192.0.2.1 from box.test"])


class Php(Caller):
    def php(self, code, *settings, **more):
        root = package("php-cli")
        binary = sorted(glob.glob(root + "/usr/bin/php[0-9]*"))[-1]
        modules = glob.glob(root + "/usr/lib/php/2*")[-1]
        flags = []
        for setting in ("sendmail_path=%s -t -i" % self.sendmail,
                        "extension_dir=" + modules, "extension=ctype",
                        *settings):
            flags += ["-d", setting]
        done = self.call([binary, "-n", *flags, "-r", code], root=root,
                         **more)
        return done.stdout.decode()

    MAIL = ('var_dump(mail("bob@example.net, root", "H\u00e9llo", '
            '"line one\\n.\\nline three", '
            '["From" => "Alice <alice@example.com>", "Cc" => "carol@x.test",'
            ' "Bcc" => "hidden@x.test", "X-Mailer" => "test"]%s));')

    def mail(self, sender, *more):
        self.assertEqual(self.php(self.MAIL % "".join(
            ', "%s"' % m for m in more)), "bool(true)\n")
        call = self.one_call(["-t", "-i", *more])
        self.assertIn("Subject: H\u00e9llo\n".encode(), call.stdin.replace(
            b"\r\n", b"\n"))
        # The relay offers no SMTPUTF8.
        self.arrived(call, sender, [
            "bob@example.net", ROOT, "carol@x.test", "hidden@x.test"],
            "line one\n.\nline three\n", added=ADDED, dropped=["Bcc"],
            changed={"To": "bob@example.net, " + ROOT,
                     "Subject": "=?utf-8?B?SMOpbGxv?="})

    def test_mail(self):
        self.mail(ME)

    def test_mail_with_a_sender(self):
        self.mail("alice@example.com", "-falice@example.com")

    def test_mail_refused(self):
        self.relay.replies["rcpt"] = "550 5.1.1 nobody"
        self.assertIn("bool(false)", self.php(self.MAIL % ""))
        self.one_call(["-t", "-i"], 69)

    MAILER = """
foreach (["Exception", "PHPMailer"] as $name) require "%s/src/$name.php";
$mail = new PHPMailer\\PHPMailer\\PHPMailer(true);
$mail->isSendmail(); %s
$mail->CharSet = "utf-8"; $mail->Encoding = "quoted-printable";
$mail->setFrom("alice@example.com", "Al\u00efce");
$mail->addAddress("bob@example.net", "Bob"); $mail->addBCC("hidden@x.test");
$mail->Subject = "Sch\u00f6n"; $mail->Body = "<b>\u00e9</b>\\n.\\nend";
$mail->isHTML(true); $mail->AltBody = "\u00e9\\n.\\nend";
$mail->addStringAttachment(implode("", array_map("chr", range(0, 255))),
                           "all.bin");
var_dump($mail->send());
"""

    def phpmailer(self, more_code="", **more):
        mailer = package("libphp-phpmailer") + "/usr/share/php/libphp-phpmailer"
        return self.php(self.MAILER % (mailer, more_code), **more)

    def test_phpmailer(self):
        self.assertEqual(self.phpmailer("$mail->Sendmail = '%s';"
                                        % self.sendmail), "bool(true)\n")
        call = self.one_call(["-oi", "-falice@example.com", "-t"])
        got = self.arrived(call, "alice@example.com",
                           ["bob@example.net", "hidden@x.test"],
                           dropped=["Bcc"])
        message = email.message_from_bytes(got.content,
                                           policy=email.policy.default)
        self.assertEqual(message["subject"], "Sch\u00f6n")
        self.assertEqual(
            [p.get_content().replace("\r\n", "\n") if p.get_content_maintype()
             == "text" else p.get_content()
             for p in message.walk() if not p.is_multipart()],
            ["\u00e9\n.\nend", "<b>\u00e9</b>\n.\nend\n",
             bytes(range(256))])

    def test_phpmailer_learns_of_a_failure(self):
        self.relay.replies["greeting"] = "421 4.3.2 later"
        self.assertIn("Could not execute", self.phpmailer(status=255)
                      + self.said)
        self.one_call(["-t", "-i", "-oi", "-falice@example.com", "-t"], 75)


class Agents(Caller):
    """Mail user agents."""

    def test_mutt(self):
        root = package("mutt")
        muttrc = self.write("muttrc", """\
set sendmail="%s -oem -oi"
set use_envelope_from=yes use_8bitmime=yes sendmail_wait=0 copy=no
set from="alice@example.com" realname="Al\u00efce" user_agent=no
set send_charset="utf-8"
set dsn_notify="failure,delay" dsn_return=hdrs crypt_use_gpgme=no
""" % self.sendmail)
        attachment = self.write("all.bin", bytes(range(256)))
        self.call([root + "/usr/bin/mutt", "-n", "-F", muttrc, "-s",
                   "Sch\u00f6n", "-c", "carol@x.test", "-b", "hidden@x.test",
                   "-a", attachment, "--", "bob@example.net"],
                  "Gr\u00fc\u00dfe\n.\nend\n".encode(), root)
        call = self.one_call(["-oem", "-oi", "-B8BITMIME", "-f",
                              "alice@example.com", "-N", "failure,delay",
                              "-R", "hdrs", "--", "bob@example.net",
                              "carol@x.test", "hidden@x.test"])
        got = self.arrived(call, "alice@example.com", [
            "bob@example.net", "carol@x.test", "hidden@x.test"],
            dropped=["Bcc"])
        message = email.message_from_bytes(got.content,
                                           policy=email.policy.default)
        self.assertEqual(message["subject"], "Sch\u00f6n")
        self.assertEqual(
            [p.get_payload(decode=True) for p in message.walk()
             if not p.is_multipart()],
            ["Gr\u00fc\u00dfe\r\n.\r\nend\r\n".encode(), bytes(range(256))])

    def test_s_nail(self):
        root = package("s-nail")
        self.call([root + "/usr/bin/s-nail", "-:/", "-S", "mta=" + self.sendmail,
                   "-S", "v15-compat", "-S", "sendcharsets=utf-8", "-S",
                   "mime-encoding=8bit", "-r", "alice@example.com", "-s",
                   "Hello", "-S", "sendwait", "-b", "hidden@x.test", "-c",
                   "carol@x.test", "bob@example.net"],
                  "Gr\u00fc\u00dfe\n.\nend\n".encode(), root,
                  LC_ALL="C.UTF-8")
        call = self.one_call(["-i", "-f", "alice@example.com", "--",
                              "bob@example.net", "carol@x.test",
                              "hidden@x.test"])
        got = self.arrived(call, "alice@example.com", [
            "bob@example.net", "carol@x.test", "hidden@x.test"],
            "Gr\u00fc\u00dfe\n.\nend\n", dropped=["Bcc"])
        self.assertEqual(got.fields("Subject"), ["Hello"])

    def test_bsd_mailx(self):
        root = package("bsd-mailx")
        rc = self.write("mailrc", "set sendmail=%s\n" % self.sendmail)
        self.call([root + "/usr/bin/bsd-mailx", "-s", "Hello", "-c",
                   "carol@x.test", "-b", "hidden@x.test", "-r",
                   "alice@example.com", "bob@example.net", "root"],
                  b"one\n.\nend\n", root, MAILRC=rc)
        call = self.one_call(["-i", "-t", "-f", "alice@example.com"])
        got = self.arrived(call, "alice@example.com", [
            "bob@example.net", ROOT, "carol@x.test", "hidden@x.test"],
            "one\n.\nend\n", dropped=["Bcc"], added=ADDED,
            changed={"To": "bob@example.net, " + ROOT})
        self.assertEqual(got.fields("Subject"), ["Hello"])

    def test_git_send_email(self):
        root = package("git-email")
        script = root + "/usr/lib/git-core/git-send-email"
        patch = self.write("0001.patch", """\
From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001
From: =?UTF-8?q?Al=C3=AFce?= <alice@example.com>
Date: Tue, 24 Nov 2026 01:02:03 +0000
Subject: [PATCH] a change
MIME-Version: 1.0
Content-Type: text/plain; charset=UTF-8
Content-Transfer-Encoding: 8bit

Gr\u00fc\u00dfe

From now on, dots.
---
 file | 1 +

-- 
2.39.5
""")
        libs = ":".join([perl_path(root), perl_path(package(
            "libmailtools-perl")), "/usr/share/perl5"])
        for option in ("--smtp-server=" + self.sendmail,
                       "--sendmail-cmd=%s -oem" % self.sendmail):
            with self.subTest(option=option):
                before = len(self.recorder.calls())
                self.relay.messages.clear()
                self.call(["/usr/bin/perl", script, option,
                           "--from=Al\u00efce <alice@example.com>",
                           "--to=bob@example.net", "--cc=carol@x.test",
                           "--bcc=hidden@x.test",
                           "--envelope-sender=bounces@example.com",
                           "--suppress-cc=all", "--confirm=never", patch],
                          GITPERLLIB=libs, PERL5LIB=libs, status=0,
                          GIT_CONFIG_GLOBAL="/dev/null",
                          GIT_CONFIG_NOSYSTEM="1",
                          GIT_AUTHOR_NAME="Alice", GIT_COMMITTER_NAME="Alice",
                          GIT_AUTHOR_EMAIL="alice@example.com",
                          GIT_COMMITTER_EMAIL="alice@example.com")
                call = self.recorder.wait(before + 1)[-1]
                self.assertEqual(
                    call.argv, (["-oem"] if "cmd" in option else []) +
                    ["-f", "bounces@example.com", "-i", "bob@example.net",
                     "carol@x.test", "hidden@x.test"])
                self.assertEqual(call.status, 0)
                got = self.arrived(call, "bounces@example.com", [
                    "bob@example.net", "carol@x.test", "hidden@x.test"],
                    dropped=["Bcc"])
                self.assertTrue(got.body.startswith(
                    "Gr\u00fc\u00dfe\r\n\r\nFrom now on, dots.\r\n".encode()))


class Libraries(Caller):
    """What programs are written with."""

    def perl(self, name, code):
        libs = perl_path(package(name))
        return self.call(["/usr/bin/perl", "-we", code, self.sendmail],
                         PERL5LIB=libs)

    def test_mime_lite_of_perl(self):
        self.perl("libmime-lite-perl", r"""
use strict; use MIME::Lite;
my $mail = MIME::Lite->new(From => 'Alice <alice@example.com>',
    To => 'bob@example.net', Cc => 'carol@x.test', Bcc => 'hidden@x.test',
    Subject => 'Hello', Type => 'multipart/mixed');
$mail->attach(Type => 'TEXT', Data => "one\n.\nend\n");
$mail->attach(Type => 'application/octet-stream', Filename => 'all.bin',
    Data => join('', map { chr } 0 .. 255));
$mail->send('sendmail', "$ARGV[0] -t -oi -oem") or die;
""")
        call = self.one_call(["-t", "-oi", "-oem"])
        got = self.arrived(call, ME, [
            "bob@example.net", "carol@x.test", "hidden@x.test"],
            added={"Message-ID": None}, dropped=["Bcc"])
        parts = [p.get_payload(decode=True) for p in email.message_from_bytes(
            got.content).walk() if not p.is_multipart()]
        self.assertEqual(parts[1], bytes(range(256)))
        self.assertEqual(parts[0].replace(b"\r\n", b"\n"), b"one\n.\nend\n")

    def test_email_sender_of_perl(self):
        self.perl("libemail-sender-perl", r"""
use strict; use Email::Sender::Simple qw(sendmail);
use Email::Sender::Transport::Sendmail; use Email::Simple;
my $mail = Email::Simple->create(header => [From => 'alice@example.com',
    To => 'bob@example.net', Subject => 'Hello'], body => "one\n.\nend\n");
sendmail($mail, { from => 'bounces@example.com',
    to => ['bob@example.net', 'carol@x.test'],
    transport => Email::Sender::Transport::Sendmail->new(
        { sendmail => $ARGV[0] }) });
""")
        call = self.one_call(["-i", "-f", "bounces@example.com", "--",
                              "bob@example.net", "carol@x.test"])
        self.arrived(call, "bounces@example.com",
                     ["bob@example.net", "carol@x.test"], "one\n.\nend\n",
                     added={"Message-ID": None})

    def test_mail_gem_of_ruby(self):
        self.jail = Jail(self, "ruby-mail")
        self.jail.put("/script", r"""
require 'mail'
mail = Mail.new do
  from 'alice@example.com'
  to ['bob@example.net', '-oops@x.test']
  bcc 'hidden@x.test'
  subject "Sch\u00f6n"
  body "Gr\u00fc\u00dfe\n.\nend\n"
end
mail.charset = 'UTF-8'
mail.delivery_method :sendmail
mail.deliver!
""")
        done = self.jail.run("ruby /script", {
            "PATH": "/usr/sbin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"})
        self.said = str(done)
        call = self.one_call(["-i", "-f", "alice@example.com", "--",
                              "bob@example.net", "-oops@x.test",
                              "hidden@x.test"])
        got = self.arrived(call, "alice@example.com", [
            "bob@example.net", "-oops@x.test", "hidden@x.test"],
            dropped=["Bcc"])
        self.assertEqual(email.message_from_bytes(got.content).get_payload(
            decode=True).replace(b"\r\n", b"\n"),
            "Gr\u00fc\u00dfe\n.\nend\n".encode())

    def test_python(self):
        self.call([sys.executable, "-c", """
import subprocess, sys
from email.message import EmailMessage
m = EmailMessage()
m["From"] = "Al\u00efce <alice@example.com>"
m["To"] = "Bob <bob@example.net>, root"
m["Bcc"] = "hidden@x.test"
m["Subject"] = "Sch\u00f6n" + " long" * 40
m.set_content("Gr\u00fc\u00dfe\\n.\\nend\\n", cte="8bit")
m.add_attachment(bytes(range(256)), maintype="application",
                 subtype="octet-stream", filename="all.bin")
subprocess.run(["sendmail", "-t", "-oi", "-f", "alice@example.com"],
               input=m.as_bytes(), check=True)
"""])
        call = self.one_call(["-t", "-oi", "-f", "alice@example.com"])
        got = self.arrived(call, "alice@example.com", [
            "bob@example.net", ROOT, "hidden@x.test"], dropped=["Bcc"],
            added=ADDED,
            changed={"To": "Bob <bob@example.net>, " + ROOT})
        message = email.message_from_bytes(got.content,
                                           policy=email.policy.default)
        self.assertEqual(message["subject"], "Sch\u00f6n" + " long" * 40)
        self.assertEqual([p.get_payload(decode=True) for p in message.walk()
                          if not p.is_multipart()],
                         ["Gr\u00fc\u00dfe\r\n.\r\nend\r\n".encode(),
                          bytes(range(256))])

    NODE = """
const mailer = require("nodemailer").createTransport({ sendmail: true,
  newline: "unix", path: process.argv[1] });
mailer.sendMail({ from: "Al\u00efce <alice@example.com>",
  to: "bob@example.net", cc: "carol@x.test", bcc: "hidden@x.test",
  subject: "Sch\u00f6n", text: "Gr\u00fc\u00dfe\\n.\\nend\\n",
  attachments: [{ filename: "all.bin",
                  content: Buffer.from(Array.from(Array(256).keys())) }] },
  (error, info) => { console.log(error ? String(error) : "sent");
                     process.exit(error ? 9 : 0); });
"""

    def test_nodemailer(self):
        folder = npm("nodemailer@6")
        done = self.call(["node", "-e", self.NODE, self.sendmail],
                         NODE_PATH=folder + "/node_modules")
        self.assertEqual(done.stdout, b"sent\n")
        call = self.one_call(["-i", "-f", "alice@example.com",
                              "bob@example.net", "carol@x.test",
                              "hidden@x.test"])
        got = self.arrived(call, "alice@example.com", [
            "bob@example.net", "carol@x.test", "hidden@x.test"],
            dropped=["Bcc"])
        self.assertIn(b"\nBcc: hidden@x.test\n",
                      call.stdin.replace(b"\r\n", b"\n"))
        message = email.message_from_bytes(got.content,
                                           policy=email.policy.default)
        self.assertEqual(message["subject"], "Sch\u00f6n")
        self.assertEqual([p.get_payload(decode=True) for p in message.walk()
                          if not p.is_multipart()],
                         ["Gr\u00fc\u00dfe\r\n.\r\nend\r\n".encode(),
                          bytes(range(256))])

    def test_nodemailer_learns_of_a_failure(self):
        folder = npm("nodemailer@6")
        self.relay.replies["greeting"] = "421 4.3.2 later"
        done = self.call(["node", "-e", self.NODE, self.sendmail], status=9,
                         NODE_PATH=folder + "/node_modules")
        self.assertIn(b"75", done.stdout)


class Replays(Caller):
    """Callers that are not at hand: their command lines and messages."""

    def replay(self, argv, message, environ=None):
        """Called as such a program calls it."""
        done = subprocess.run(
            [self.sendmail, *argv], input=message.encode(),
            env=self.environ() if environ is None else environ, cwd="/",
            capture_output=True, timeout=PATIENCE)
        self.assertEqual((done.stdout, done.stderr), (b"", b""))
        self.assertEqual(done.returncode, 0)
        return self.one_call(argv)

    def test_cronie(self):
        call = self.replay(
            ["-FCronDaemon", "-i", "-odi", "-oem", "-oi", "-t", "-f", "root"],
            'From: "(Cron Daemon)" <root>\nTo: root\n'
            "Subject: Cron <root@box> run\nMIME-Version: 1.0\n"
            "Content-Type: text/plain; charset=UTF-8\n"
            "Content-Transfer-Encoding: 8bit\nAuto-Submitted: auto-generated\n"
            "Precedence: bulk\nX-Cron-Env: <XDG_SESSION_ID=1>\n"
            "X-Cron-Env: <LANG=C.UTF-8>\n\n" + JOB)
        self.arrived(call, ROOT, [ROOT], JOB, added=ADDED, changed={
            "From": '"(Cron Daemon)" <%s>' % ROOT, "To": ROOT})

    def test_dovecot_s_vacation_with_the_null_sender(self):
        call = self.replay(
            ["-i", "-f", "<>", "--", "carol@x.test"],
            "X-Sieve: Pigeonhole Sieve 0.5.19\nMessage-ID: <dovecot-1@box>\n"
            "Date: Tue, 24 Nov 2026 01:02:03 +0000\n"
            "From: <bob@example.net>\nTo: <carol@x.test>\n"
            "Subject: Auto: Hi\nIn-Reply-To: <1@x.test>\n"
            "Auto-Submitted: auto-replied (vacation)\n"
            "MIME-Version: 1.0\n\nAway.\n.\n")
        self.arrived(call, "", ["carol@x.test"], "Away.\n.\n")

    def test_proxmox(self):
        call = self.replay(
            ["-B", "8BITMIME", "-f", "root@pve.test", "--", "root@pam.test"],
            "Content-Type: text/plain;\n\tcharset=\"UTF-8\"\n"
            "Content-Transfer-Encoding: 8bit\nSubject: backup\n"
            "From: vzdump <root@pve.test>\nTo: root@pam.test\n"
            "Date: Tue, 24 Nov 2026 01:02:03 +0000\n\n" + JOB)
        self.arrived(call, "root@pve.test", ["root@pam.test"], JOB,
                     added={"Message-ID": None})

    def test_unattended_upgrades(self):
        call = self.replay(
            ["-oi", "-t"], "MIME-Version: 1.0\n"
            "Content-Type: text/plain; charset=\"utf-8\"\n"
            "Content-Transfer-Encoding: quoted-printable\n"
            "Subject: unattended-upgrades result for box: SUCCESS\n"
            "From: root\nTo: root\nAuto-Submitted: auto-generated\n\n"
            "Gr=C3=BC=C3=9Fe\n")
        self.arrived(call, ME, [ROOT], "Gr=C3=BC=C3=9Fe\n", added=ADDED,
                     changed={"From": ROOT, "To": ROOT})

    def test_a_bare_environment(self):
        call = self.replay(["-t"], "To: root\nFrom: root\nSubject: x\n\n"
                           "y\n", {})
        self.assertEqual(call.environ, {})
        self.arrived(call, ME, [ROOT], "y\n", added=ADDED,
                     changed={"From": ROOT, "To": ROOT})

    def test_a_monitor_that_forgets_i(self):
        call = self.replay(["root"], "Subject: PROBLEM\n\none\n.\ntwo\n")
        self.arrived(call, ME, [ROOT], "one\n.\ntwo\n", added={
            "From": ME, "To": "undisclosed-recipients:;", **ADDED})

    def test_a_script_that_writes_no_header(self):
        call = self.replay(["root"], "the disk\nis full\n")
        self.assertEqual(call.stdin, b"the disk\nis full\n")
        call.stdin = b"\n" + call.stdin        # the blank line that it lacks
        self.arrived(call, ME, [ROOT], "the disk\nis full\n", added={
            "From": ME, "To": "undisclosed-recipients:;", **ADDED})


def npm(name):
    """Where npm has put that package; skipped without npm."""
    if not shutil.which("npm") or not shutil.which("node"):
        raise unittest.SkipTest("there is no npm here")
    folder = os.path.join(os.path.abspath(BUILD), "npm-callers")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = os.path.join(folder, name)
        if os.path.exists(stamp):
            return folder
        done = subprocess.run(
            ["npm", "install", "--prefix", folder, "--no-audit", "--no-fund",
             "--ignore-scripts", name], cwd=folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise unittest.SkipTest("npm cannot install: " + done.stdout)
        open(stamp, "w").close()
    return folder


class WholeMinute(Caller):
    """busybox crond begins its jobs with the minute: it is started before the
    other tests, and asked last."""

    def runTest(self):
        """No test: it is what holds the daemon's files."""

    def test_crond_of_busybox(self):
        if minute.why:
            self.skipTest(minute.why)
        self.relay, self.recorder = minute.relay, minute.recorder
        call = self.one_call(["-ti"], seconds=90)
        self.arrived(call, ROOT, [ROOT], JOB, changed={"To": ROOT},
                     added={"From": ROOT, **MIME, **ADDED})


minute = WholeMinute()


def setUpModule():
    minute.why = None
    unittest.addModuleCleanup(minute.doCleanups)
    minute.setUp()
    try:
        jail = Jail(minute, "busybox-static")
    except unittest.SkipTest as e:
        minute.why = str(e)
        return
    # One minute of the hour, so that it runs once however long the tests take.
    jail.put("/var/spool/cron/crontabs/root", "MAILTO=root\n%d * * * * %s\n" % (
        time.gmtime(time.time() + 70).tm_min, job(minute.dir)), 0o600)
    minute.enterContext(jail.running("exec busybox crond -f -l 8"))


if __name__ == "__main__":
    harness.main()
