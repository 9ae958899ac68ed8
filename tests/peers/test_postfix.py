"""Delivery to Postfix over STARTTLS and implicit TLS, with AUTH."""
import harness
from postfix import Postfix
import mailserver


class ToPostfix(mailserver.Deliveries):

    SERVER = Postfix
    CERT = "good"


if __name__ == "__main__":
    harness.main()
