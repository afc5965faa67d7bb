"""Phase 1's component check: an arc of requests through Crystal by its header, then its health figures.

Nothing but the standard library, so that it runs wherever the rollout's worker runs. Exit code 0 when every answer came
from the canary with status 200 and its figures are in their ranges; 1 with the reasons otherwise.
"""

import argparse
import json
import sys
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

HEADERS = {"x-canary": "on"}
TIMEOUT_S = 5.0
LEAST_COHERENCE = 0.6
LEAST_ENTROPY = 0.5
AETHER_RANGE = (0.25, 0.5)


def main() -> int:
    parser = argparse.ArgumentParser(description="Check Crystal's components through the router.")
    parser.add_argument("url", help="where the router listens")
    parser.add_argument("--requests", type=int, default=200, help="length of the arc")
    arguments = parser.parse_args()
    parts = urlsplit(arguments.url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    try:
        failures = [*arc(connection, arguments.requests), *health(connection)]
    except (OSError, HTTPException, ValueError) as error:
        failures = [f"{arguments.url}: {error}"]
    finally:
        connection.close()
    sys.stdout.write(
        "\n".join(failures) + "\n" if failures else f"{arguments.requests} requests answered by Crystal, figures in range\n"
    )
    return 1 if failures else 0


def arc(connection: HTTPConnection, length: int) -> list[str]:
    """A user's long conversation; what was wrong with it, at most a line per kind of fault."""
    wrong: dict[str, int] = {}
    for turn in range(length):
        connection.request("GET", "/work", headers={**HEADERS, "x-user-id": f"arc-{turn % 5}"})
        response = connection.getresponse()
        response.read()
        if response.status != 200:
            wrong[f"status {response.status}, expected 200"] = wrong.get(f"status {response.status}, expected 200", 0) + 1
        elif response.getheader("x-side") != "canary":
            said = f"answered by {response.getheader('x-side')}, expected canary"
            wrong[said] = wrong.get(said, 0) + 1
    return [f"{count} of {length} requests: {said}" for said, count in wrong.items()]


def health(connection: HTTPConnection) -> list[str]:
    """Crystal's own figures against their ranges."""
    connection.request("GET", "/api/monitoring/health", headers=HEADERS)
    figures = json.loads(connection.getresponse().read())
    coherence, entropy, aether = (float(figures[name]) for name in ("coherenceRatio", "symbolicEntropy", "aetherWeight"))
    found = []
    if coherence <= LEAST_COHERENCE:
        found.append(f"coherence {coherence}, expected above {LEAST_COHERENCE}")
    if entropy <= LEAST_ENTROPY:
        found.append(f"symbolic entropy {entropy}, expected above {LEAST_ENTROPY}")
    if not AETHER_RANGE[0] <= aether <= AETHER_RANGE[1]:
        found.append(f"aether weight {aether}, expected {AETHER_RANGE[0]} to {AETHER_RANGE[1]}")
    if figures["fieldWeather"] != "flowing":
        found.append(f"field weather {figures['fieldWeather']!r}, expected 'flowing'")
    return found


if __name__ == "__main__":
    sys.exit(main())
