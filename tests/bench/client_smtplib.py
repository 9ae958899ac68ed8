"""A small script as many have it: Python's smtplib sends a file.

client_smtplib.py starttls|implicit PORT CAFILE USER PASSWORD SENDER RECIPIENT
"""
import smtplib
import ssl
import sys

mode, port, cafile, user, password, sender, recipient = sys.argv[1:]
context = ssl.create_default_context(cafile=cafile)
message = sys.stdin.buffer.read().decode("ascii")     # text gets CRLF
if mode == "implicit":
    server = smtplib.SMTP_SSL("localhost", int(port), context=context)
else:
    server = smtplib.SMTP("localhost", int(port))
    server.starttls(context=context)
server.login(user, password)
server.sendmail(sender, [recipient], message)
server.quit()
