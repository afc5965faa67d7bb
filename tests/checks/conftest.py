"""A context to check in, and real parts to ask: a PostgreSQL, an HTTP server, TLS servers with certificates of our own."""

import http.server
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chrysalis.checks import Context, Result
from chrysalis.checks.run import run_item
from chrysalis.plan.checklist import Item
from gates.checklist import Status
from tests.postgres import embedded_postgres

Check = Callable[..., Result]
PASSED, FAILED, NOT_KNOWN = Status.PASSED, Status.FAILED, Status.NOT_KNOWN
PYTHON = sys.executable


def said(result: Result, status: Status, *words: str) -> None:
    """The result is of that status, and says each of these words."""
    assert result.status is status, result
    text = f"{result.found} | {result.expected} | {result.evidence}"
    for word in words:
        assert word in text, text


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context({"FOLDER": str(tmp_path)}, datetime.now(UTC), tmp_path, tmp_path / "backups")


@pytest.fixture
def check(context: Context) -> Check:
    """Run one check as an item, with variables beside those of the context."""

    def run(spec: dict[str, Any], only_if_set: str | None = None, **variables: str) -> Result:
        item = Item.model_validate({"id": "item", "text": "t", "check": spec, "only_if_set": only_if_set})
        given = Context({**context.variables, **variables}, context.now, context.folder, context.backups)
        return run_item(item, given)

    return run


@pytest.fixture(scope="package")
def database_url() -> Iterator[str]:
    """A PostgreSQL with a table of three rows."""
    with embedded_postgres() as server:
        server.psql("CREATE TABLE health (n int); INSERT INTO health VALUES (1), (2), (3)")
        yield server.get_uri()


class _Service(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b'{"status": "ok", "weight": 0.3}' if self.path == "/health" else b"nothing"
        self.send_response(200 if self.path == "/health" else 404)
        self.send_header("x-side", "stable")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def service_url() -> Iterator[str]:
    with Served(http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Service)) as server:
        yield f"http://127.0.0.1:{server.server_address[1]}"


class Served:
    """A server that answers while inside."""

    def __init__(self, server: http.server.ThreadingHTTPServer) -> None:
        self.server = server

    def __enter__(self) -> http.server.ThreadingHTTPServer:
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        return self.server

    def __exit__(self, *error: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@dataclass(frozen=True)
class Authority:
    """A certificate authority of the test: `file` is what a client has to trust."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def file(self) -> Path:
        return self.folder / "ca.pem"

    def server_files(self, names: list[str], until: datetime) -> Path:
        """A PEM file with key and certificate for these names."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = [x509.IPAddress(ip_address(n)) if n[0].isdigit() else x509.DNSName(n) for n in names]
        made = (
            _builder("server", self.certificate.subject, key.public_key(), until)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        path = self.folder / f"{names[0]}.pem"
        path.write_bytes(_private(key) + made.public_bytes(serialization.Encoding.PEM))
        return path


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """An authority that this process trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    until = datetime.now(UTC) + timedelta(days=365)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    certificate = (
        _builder("test authority", name, key.public_key(), until)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    made = Authority(tmp_path, key, certificate)
    made.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    return made


@pytest.fixture
def tls_port() -> Iterator[Callable[[Path], int]]:
    """Starts a TLS server with the certificate of a PEM file; its port."""
    servers: list[Served] = []

    def start(pem: Path) -> int:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(pem)
        server = _QuietServer(("127.0.0.1", 0), _Service)
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        servers.append(Served(server))
        servers[-1].__enter__()
        return int(server.server_address[1])

    yield start
    for one in servers:
        one.__exit__()


class _QuietServer(http.server.ThreadingHTTPServer):
    def handle_error(self, *arguments: object) -> None:
        pass


def _builder(name: str, issuer: x509.Name, key: ec.EllipticCurvePublicKey, until: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=400))
        .not_valid_after(until)
    )


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
