"""TLS as a kubeconfig describes it: the server is verified, client certificates are shown."""

from __future__ import annotations

import base64
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from autoscaler.errors import KubernetesError
from autoscaler.kubernetes.transport import KubernetesSettings, connect
from tests.kubernetes.faulty import faulty_server

pytestmark = pytest.mark.anyio

PEM, PKCS8, PLAIN = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()


@dataclass(frozen=True)
class Pair:
    """A certificate and its key; an authority signs others."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> tuple[bytes, bytes]:
        return self.certificate.public_bytes(PEM), self.key.private_bytes(PEM, PKCS8, PLAIN)


def signed(name: str, by: Pair | None = None) -> Pair:
    """A certificate for loopback; without `by` an authority of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, signer = (by.certificate.subject, by.key) if by else (subject, key)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=36500))
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
    )
    return Pair(builder.sign(signer, hashes.SHA256()), key)


def server_context(folder: Path, authority: Pair) -> ssl.SSLContext:
    certificate, key = signed("server", authority).pem
    (folder / "server.pem").write_bytes(certificate + key)
    (folder / "ca.pem").write_bytes(authority.pem[0])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "ca.pem"))
    context.load_cert_chain(folder / "server.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def kubeconfig(folder: Path, url: str, authority: Pair, client: Pair | None, **cluster: Any) -> KubernetesSettings:
    def encoded(data: bytes) -> str:
        return base64.b64encode(data).decode()

    certificate, key = client.pem if client else (b"", b"")
    user = (
        {"client-certificate-data": encoded(certificate), "client-key-data": encoded(key)} if client else {"token": "t"}
    )
    document = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [
            {
                "name": "c",
                "cluster": {"server": url, "certificate-authority-data": encoded(authority.pem[0]), **cluster},
            }
        ],
        "users": [{"name": "u", "user": user}],
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return KubernetesSettings(kubeconfig=str(path))


async def test_a_client_certificate_opens_the_door(tmp_path: Path) -> None:
    authority = signed("authority")
    async with faulty_server(server_context(tmp_path, authority)) as server:
        settings = kubeconfig(tmp_path, server.url, authority, signed("client", authority))
        async with connect(settings) as api:
            assert b"items" in await api.get_bytes("/api/v1/pods")


async def test_a_server_of_another_authority_is_refused(tmp_path: Path) -> None:
    authority, other = signed("authority"), signed("other")
    async with faulty_server(server_context(tmp_path, authority)) as server:
        settings = kubeconfig(tmp_path, server.url, other, signed("client", authority))
        async with connect(settings) as api:
            with pytest.raises(KubernetesError, match=r"(?i)certificate") as caught:
                await api.get_bytes("/api/v1/pods")
            assert caught.value.status == 0
        assert not server.requests


async def test_without_a_client_certificate_the_door_stays_shut(tmp_path: Path) -> None:
    authority = signed("authority")
    async with faulty_server(server_context(tmp_path, authority)) as server:
        async with connect(kubeconfig(tmp_path, server.url, authority, None)) as api:
            with pytest.raises(KubernetesError):
                await api.get_bytes("/api/v1/pods")
        assert not server.requests
