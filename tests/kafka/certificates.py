"""Certificates made for one test run: an authority, and what it signs."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from devstack.ports import LOOPBACK


@dataclass(frozen=True)
class Credential:
    """A certificate with its key, as PEM text."""

    certificate: str
    key: str


class Authority:
    """A certificate authority that lives as long as the test run."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])

    def certificate(self, *, expired: bool = False) -> str:
        """Its own certificate; the expired one has the same name and key."""
        builder = self._builder(self._name, self._key.public_key(), expired=expired).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        return pem(builder.sign(self._key, hashes.SHA256()))

    def issue(self, name: str, *, expired: bool = False, password: str = "") -> Credential:
        """A certificate for a client or a broker of this name on the loopback address."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        addresses = x509.SubjectAlternativeName([x509.IPAddress(ip_address(LOOPBACK)), x509.DNSName("localhost")])
        builder = self._builder(subject, key.public_key(), expired=expired).add_extension(addresses, critical=False)
        encryption: KeySerializationEncryption = NoEncryption()
        if password:
            encryption = BestAvailableEncryption(password.encode())
        return Credential(
            certificate=pem(builder.sign(self._key, hashes.SHA256())),
            key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode(),
        )

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, expired: bool) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=30))
            .not_valid_after(now + (timedelta(days=-1) if expired else timedelta(days=1)))
        )


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
