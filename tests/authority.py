"""A certificate authority of a test's own, as clusters and stores on premises have."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_NAME: Final = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a test's authority")])
_DAY: Final = datetime.timedelta(days=1)


class Authority(NamedTuple):
    """Its certificate is what clients are to trust."""

    directory: Path
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate(self) -> Path:
        return self.directory / "ca.crt"

    def issue(self, name: str, *, expired: bool = False) -> tuple[Path, Path]:
        """Certificate and key of a host, by its name or its IP address, or of a user."""
        is_address = name.replace(".", "").isdigit()
        alternative = x509.IPAddress(ipaddress.ip_address(name)) if is_address else x509.DNSName(name)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        made = _signed(subject, key, self.key, x509.SubjectAlternativeName([alternative]), expired=expired)
        certificate, secret = self.directory / f"{name}.crt", self.directory / f"{name}.key"
        certificate.write_bytes(made)
        secret.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return certificate, secret

    def server(self, name: str, *, expired: bool = False) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue(name, expired=expired))
        return context


def make_authority(directory: Path) -> Authority:
    """One whose certificates lie in `directory`."""
    authority = Authority(directory, ec.generate_private_key(ec.SECP256R1()))
    is_authority = x509.BasicConstraints(ca=True, path_length=None)
    authority.certificate.write_bytes(_signed(_NAME, authority.key, authority.key, is_authority))
    return authority


def _signed(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    by: ec.EllipticCurvePrivateKey,
    says: x509.ExtensionType,
    *,
    expired: bool = False,
) -> bytes:
    """A certificate of `key`, in PEM."""
    now = datetime.datetime.now(datetime.UTC) - 7 * _DAY * expired
    builder = x509.CertificateBuilder(_NAME, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - _DAY).not_valid_after(now + _DAY).add_extension(says, critical=False)
    identifiers = (
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
        x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()),
    )
    for identifier in identifiers:
        builder = builder.add_extension(identifier, critical=False)
    return builder.sign(by, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
