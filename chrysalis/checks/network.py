"""Checks over the network: one HTTP request, and the certificate that a TLS server shows."""

import socket
import ssl
from datetime import UTC, datetime

import httpx

from chrysalis.checks.result import Context, NotKnown, Verdict
from chrysalis.effects.smoke import SmokeRequest, shown_url, try_request
from chrysalis.plan.checklist import Http, Tls
from gates.units import format_duration

HTTP_TRIES = 2
TLS_TIMEOUT_S = 10.0


def check_http(spec: Http, context: Context) -> Verdict:
    """One request; redirects are answers, too. Raises NotKnown without an answer."""
    request = SmokeRequest(
        url=context.fill(spec.url),
        method=spec.method,
        headers={name: context.fill(value) for name, value in spec.headers.items()},
        json_body=spec.body,
        expect_status=spec.status,
        expect_headers=spec.expect_headers,
        expect_json=spec.expect_json,
        expect_contains=spec.contains,
    )
    with httpx.Client(follow_redirects=False) as client:
        result = try_request(client, request, timeout_s=spec.timeout.total_seconds(), tries=HTTP_TRIES)
    where = f"{spec.method} {shown_url(request.url)}"
    if not result.answered and result.failures:
        raise NotKnown(f"{where}: {'; '.join(result.failures)}")
    if result.failures:
        # Each difference names both operands itself.
        return Verdict(False, "; ".join(result.failures), "", where)
    return Verdict(True, "answered as expected", _asked(spec), where)


def _asked(spec: Http) -> str:
    parts = [f"status {spec.status}", *(f"header {name}" for name in spec.expect_headers), *spec.expect_json]
    return ", ".join(parts + ([f"text {spec.contains!r}"] if spec.contains else []))


def check_tls(spec: Tls, context: Context) -> Verdict:
    """Connect and verify as any client does; the system's trusted authorities, or those of SSL_CERT_FILE, and that of
    ${TLS_AUTHORITY} where it is set. A host may name its port, as `host:8443`.

    Raises NotKnown where nothing answers with TLS.
    """
    host, _, given = context.fill(spec.host).partition(":")
    port = int(given) if given.isdigit() else spec.port
    needed = f"valid for at least {format_duration(spec.valid_for)}"
    trusting = ssl.create_default_context()
    if own := context.variables.get("TLS_AUTHORITY"):
        trusting.load_verify_locations(cafile=own)
    try:
        with (
            socket.create_connection((host, port), timeout=TLS_TIMEOUT_S) as plain,
            trusting.wrap_socket(plain, server_hostname=host) as secured,
        ):
            shown = secured.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        return Verdict(False, f"the certificate is refused: {error.verify_message}", f"trusted, for {host}, {needed}")
    except (OSError, UnicodeError) as error:
        raise NotKnown(f"{host}:{port}: no TLS answer ({type(error).__name__}: {error})") from error
    until = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(shown["notAfter"])), UTC)
    left = until - context.now
    found = f"valid until {until:%Y-%m-%d %H:%M} UTC, {format_duration(max(left.total_seconds() // 3600 * 3600, 0.0))} left"
    return Verdict(left >= spec.valid_for, found, needed, f"{host}:{port}")
