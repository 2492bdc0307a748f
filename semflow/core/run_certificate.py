"""The certificate of one run's local workers, in memory only."""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from distributed import Security

_NAME = "semflow-run"
_ALWAYS = (datetime(1970, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC))


def run_security() -> Security:
    """What lets a scheduler, its workers and its client take only each other for peers.

    All show the same new certificate and trust nothing else. It holds at any time that a clock may
    show: a run that is over has taken its key with it, and `Security.temporary`, whose certificate
    begins to hold when it is made, lets nobody in once the clock has been set back.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _NAME)])
    certificate = (
        x509.CertificateBuilder(
            issuer_name=name,
            subject_name=name,
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=_ALWAYS[0],
            not_valid_after=_ALWAYS[1],
        )
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(_NAME)]), critical=False)
        .sign(key, SHA256())
    )
    shown = certificate.public_bytes(Encoding.PEM).decode()
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    kept = {"tls_ca_file": shown}
    for role in ("client", "scheduler", "worker"):
        kept |= {f"tls_{role}_cert": shown, f"tls_{role}_key": secret}
    return Security(require_encryption=True, **kept)
