"""A small script as many have it: AWS's own SDK for Python sends a file.

client_botocore.py PORT CAFILE KEY SECRET REGION RECIPIENT...
"""
import sys

import botocore.session

port, cafile, key, secret, region, *recipients = sys.argv[1:]
client = botocore.session.get_session().create_client(
    "sesv2", region_name=region, endpoint_url="https://localhost:" + port,
    aws_access_key_id=key, aws_secret_access_key=secret, verify=cafile)
message = sys.stdin.buffer.read()
while recipients:
    client.send_email(Destination={"BccAddresses": recipients[:50]},
                      Content={"Raw": {"Data": message}})
    del recipients[:50]
