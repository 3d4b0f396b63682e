"""Certificates for tests of TLS, made on demand."""

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf import text_format

from serving.server.config_files import SslConfig

LOCAL = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]


def pem(certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def signed(name, issuer=None):
    """A key, as PEM and as it is, and a certificate of localhost, its own or the issuer's."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[2].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(LOCAL), critical=False)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .sign(issuer[1] if issuer else key, hashes.SHA256())
    )
    encoded = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return encoded, key, certificate


def ssl_config(issuer, **changes) -> str:
    """A server's `--ssl_config_file` with a certificate by the issuer, and whatever differs."""
    key, _, certificate = signed("localhost", issuer)
    content = {"server_key": key.decode(), "server_cert": pem(certificate).decode(), **changes}
    return text_format.MessageToString(SslConfig(**content))
