"""Delivery to Exim over STARTTLS and implicit TLS, with AUTH."""
import harness
from exim import Exim
import mailserver


class ToExim(mailserver.Deliveries):

    SERVER = Exim
    CERT = "rsa3072"


if __name__ == "__main__":
    harness.main()
