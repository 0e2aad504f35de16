"""A certificate authority of one's own, and what it certifies."""

from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.utils import timezone

PEM = serialization.Encoding.PEM


class Authority:
    """Writes its certificate to `path`, whose name is its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, path.stem)])
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        path.write_bytes(self._certify(self._name, self._key.public_key(), constraints))

    def certify(self, certificate: Path, key: Path, *hosts: str) -> None:
        """Write a certificate for names and addresses, and its key."""
        private = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
        alternative = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        certificate.write_bytes(self._certify(name, private.public_key(), alternative))
        plain = serialization.NoEncryption()
        key.write_bytes(private.private_bytes(PEM, serialization.PrivateFormat.PKCS8, plain))
        key.chmod(0o600)

    def _certify(
        self, name: x509.Name, key: ec.EllipticCurvePublicKey, extension: x509.ExtensionType
    ) -> bytes:
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(timezone.now() - timedelta(hours=1))
            .not_valid_after(timezone.now() + timedelta(days=1))
            .add_extension(extension, critical=False)
        )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(PEM)


def _general_name(host: str) -> x509.GeneralName:
    if host[0].isdigit():
        return x509.IPAddress(ip_address(host))
    return x509.DNSName(host)
