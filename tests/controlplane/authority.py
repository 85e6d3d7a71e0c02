"""Certificates of a control plane: one authority, and who it vouches for.

What a certificate's subject says is what RBAC reads: the common name is the
user, organisations are the groups. Everything is written as PEM into one
folder and lives as long as that.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from autoscaler import clock

_PEM, _PLAIN = serialization.Encoding.PEM, serialization.NoEncryption()
_PKCS8 = serialization.PrivateFormat.PKCS8
_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")


class Authority:
    """Signs certificates into a folder: NAME.crt, NAME.key; its own is ca.crt."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _subject("test-authority", ())
        builder = self._builder(self._name, self._key.public_key())
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        signed = builder.add_extension(usage, critical=True).sign(self._key, hashes.SHA256())
        (folder / "ca.crt").write_bytes(signed.public_bytes(_PEM))

    def sign(self, name: str, user: str, groups: Sequence[str] = ()) -> None:
        """Certify a server on loopback or a client."""
        key = ec.generate_private_key(ec.SECP256R1())
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        places = [x509.IPAddress(ip_address("127.0.0.1")), *map(x509.DNSName, _NAMES)]
        signed = (
            self._builder(_subject(user, groups), key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(x509.SubjectAlternativeName(places), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        (self.folder / f"{name}.crt").write_bytes(signed.public_bytes(_PEM))
        _write_key(self.folder / f"{name}.key", key.private_bytes(_PEM, _PKCS8, _PLAIN))

    def write_token_key(self, name: str) -> None:
        """Write a key pair that signs service account tokens: NAME.key, NAME.pub."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        _write_key(self.folder / f"{name}.key", key.private_bytes(_PEM, _PKCS8, _PLAIN))
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        (self.folder / f"{name}.pub").write_bytes(key.public_key().public_bytes(_PEM, form))

    def write_kubeconfig(self, name: str, server: str) -> Path:
        """Write NAME.kubeconfig for a client certified as NAME, with everything in it."""

        def data(file: str) -> str:
            return base64.b64encode((self.folder / file).read_bytes()).decode()

        user = {"client-certificate-data": data(f"{name}.crt"), "client-key-data": data(f"{name}.key")}
        return write_kubeconfig(self.folder / f"{name}.kubeconfig", server, data("ca.crt"), user)

    def _builder(self, subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = clock.now()
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=7))
        )


def write_kubeconfig(path: Path, server: str, authority: str, user: dict[str, str]) -> Path:
    """Write a kubeconfig of one cluster and one user; `authority` is base64 of PEM. JSON is YAML."""
    cluster = {"server": server, "certificate-authority-data": authority}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }
    path.touch(0o600)
    path.write_text(json.dumps(config, indent=1))
    return path


def _subject(user: str, groups: Sequence[str]) -> x509.Name:
    organisations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*organisations, x509.NameAttribute(NameOID.COMMON_NAME, user)])


def _write_key(path: Path, pem: bytes) -> None:
    path.touch(0o600)
    path.write_bytes(pem)
