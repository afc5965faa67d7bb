"""The sandbox's TLS front: a certificate of an authority of its own, and a server that shows it.

`python -m chrysalis.sandbox.tls FOLDER PORT` serves with `FOLDER/server.pem`; who checks it trusts `FOLDER/authority.pem`.
"""

import http.server
import ipaddress
import ssl
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "127.0.0.1"
VALID_FOR = timedelta(days=365)
AUTHORITY, SERVER = "authority.pem", "server.pem"


def make_certificates(folder: Path) -> None:
    """Both files, anew."""
    folder.mkdir(parents=True, exist_ok=True)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sandbox authority")])
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    basic = x509.BasicConstraints(ca=True, path_length=None)
    authority = _builder(name, name, authority_key).add_extension(basic, critical=True).sign(authority_key, hashes.SHA256())
    alternatives = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))])
    own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    certificate = _builder(own, name, key).add_extension(alternatives, critical=False).sign(authority_key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    (folder / AUTHORITY).write_bytes(authority.public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / SERVER).touch(mode=0o600)
    (folder / SERVER).write_bytes(private + certificate.public_bytes(pem))


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + VALID_FOR)
    )


class _Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"status": "healthy"}')

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    """Serve until told to stop."""
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(folder / SERVER)
    server = http.server.ThreadingHTTPServer((HOST, port), _Health)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
