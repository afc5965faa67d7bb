"""Steady load through Envoy: an open loop at a rate, over a bounded number of kept connections, each request recorded.

Plain asyncio sockets, since the generator shares two cores with everything it measures. A request that finds all
connections busy is not sent and counts in `load-status.json` as shed, so that a slow service never piles up tasks here.
"""

import asyncio
import json
import signal
import sys
import time
from contextlib import suppress
from math import floor
from pathlib import Path

from chrysalis.sandbox.files import JsonFile, write_json
from chrysalis.sandbox.layout import Layout
from chrysalis.sandbox.settings import SandboxSettings

MAX_CONNECTIONS = 64
REQUEST_TIMEOUT_S = 10.0
FLUSH_S = 0.1
CONTROL_S = 0.25
LONGEST_GAP_S = 0.25
ROTATE_BYTES = 64_000_000
USERS = 500


class Connection:
    """One kept connection; made anew after an error."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def exchange(self, request: bytes) -> tuple[int, dict[str, str]]:
        """Send and read one answer: its status and headers. Raises OSError or TimeoutError."""
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                return await self._exchange(request)
        except BaseException:
            self.close()
            raise

    async def _exchange(self, request: bytes) -> tuple[int, dict[str, str]]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:]) if name}
        if headers.get("transfer-encoding") == "chunked":
            await _read_chunks(reader)
        else:
            await reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("connection") == "close":
            self.close()
        return int(head[0].split(" ", 2)[1]), headers

    def close(self) -> None:
        """Drop it."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def _whole(amount: float) -> int:
    """Rounded down, with room for what floating point loses."""
    return floor(amount + 1e-9)


def _among(number: int, share: float) -> bool:
    """Whether this one of a row (from 0) belongs to the share (0-1) that is spread evenly over it."""
    return _whole((number + 1) * share) > _whole(number * share)


async def _read_chunks(reader: asyncio.StreamReader) -> None:
    """To the end of an answer that comes piece by piece, as an event stream does."""
    while size := int(await reader.readline(), 16):
        await reader.readexactly(size + 2)
    await reader.readline()


class Log:
    """`load.jsonl`, written in batches, one old file kept."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("a", encoding="utf-8")
        self._lines: list[str] = []

    def add(self, row: dict[str, object]) -> None:
        """Keep a row until the next flush."""
        self._lines.append(json.dumps(row) + "\n")

    def flush(self) -> None:
        """Write what was kept; start a new file when this one is big."""
        if self._lines:
            self._file.write("".join(self._lines))
            self._file.flush()
            self._lines.clear()
        if self._file.tell() > ROTATE_BYTES:
            self._file.close()
            self._path.rename(self._path.with_name(self._path.name + ".1"))
            self._file = self._path.open("a", encoding="utf-8")


class Generator:
    """Sends at the rate that the control file asks for."""

    def __init__(self, layout: Layout, settings: SandboxSettings, port: int) -> None:
        self._settings = settings
        self._control = JsonFile(layout.control)
        self._status = layout.folder / "load-status.json"
        self._log = Log(layout.load_log)
        self._idle = [Connection(port) for _ in range(MAX_CONNECTIONS)]
        self._tasks: set[asyncio.Task[None]] = set()
        self._sent = self._shed = 0
        self._rate_rps, self._header_share = settings.rate_rps, settings.header_share
        self._bodies = [body.encode() for body in settings.load_bodies]

    async def run(self, stopping: asyncio.Event) -> None:
        """Until told to stop; then wait for nothing and write what is known."""
        keeping = asyncio.create_task(self._keep_books())
        due = time.monotonic()
        while not stopping.is_set():
            now = time.monotonic()
            # After a pause of our own (a busy machine), go on at the rate instead of catching up in a burst.
            due = max(due, now - LONGEST_GAP_S)
            while due <= now and self._rate_rps > 0:
                self._send()
                due += 1 / self._rate_rps
            wait_s = max(due - time.monotonic(), 0.001) if self._rate_rps > 0 else CONTROL_S
            await asyncio.sleep(min(wait_s, CONTROL_S))
        keeping.cancel()
        for task in list(self._tasks):
            task.cancel()
        self._log.flush()

    def _send(self) -> None:
        if not self._idle:
            self._shed += 1
            return
        self._sent += 1
        with_header = _among(self._sent - 1, self._header_share)
        task = asyncio.create_task(self._one(self._idle.pop(), self._sent % USERS, with_header=with_header))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _one(self, connection: Connection, user: int, *, with_header: bool) -> None:
        row: dict[str, object] = {"t": time.time(), "ms": 0.0, "code": 0, "side": "", "version": ""}
        row |= {"header": with_header, "error": ""}
        start = time.perf_counter()
        try:
            code, headers = await connection.exchange(self._request(user, with_header=with_header))
            row |= {"code": code, "side": headers.get("x-side", ""), "version": headers.get("x-version", "")}
        except (OSError, EOFError, TimeoutError, ValueError, IndexError) as error:
            row["error"] = type(error).__name__
        finally:
            self._idle.append(connection)
        row["ms"] = round((time.perf_counter() - start) * 1000, 3)
        self._log.add(row)

    def _request(self, user: int, *, with_header: bool) -> bytes:
        body = self._bodies[self._sent % len(self._bodies)] if self._bodies else b""
        method = "POST" if self._bodies else "GET"
        lines = [f"{method} {self._settings.load_path} HTTP/1.1", "host: sandbox", f"x-user-id: user-{user}"]
        lines += [f"{name}: {value}" for name, value in self._settings.load_headers.items()]
        if self._bodies:
            lines += ["content-type: application/json", f"content-length: {len(body)}"]
        if self._settings.cohort_cookie:
            lines.append(f"cookie: {self._settings.cohort_cookie}=user-{user}")
        if _among(user, self._settings.beta_share):
            lines.append("x-user-segment: beta_users")
        if with_header:
            lines.append(f"{self._settings.override_header}: {self._settings.override_value}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + body

    async def _keep_books(self) -> None:
        last_control = 0.0
        while True:
            await asyncio.sleep(FLUSH_S)
            self._log.flush()
            if time.monotonic() - last_control >= CONTROL_S:
                last_control = time.monotonic()
                control = self._control.read()
                self._rate_rps = float(control.get("rate_rps", self._settings.rate_rps))
                self._header_share = float(control.get("header_share", self._settings.header_share))
                write_json(self._status, {"sent": self._sent, "shed": self._shed, "rate_rps": self._rate_rps})


async def main() -> None:
    """Send load to the Envoy at the port, with the settings of the folder, both given on the command line."""
    layout, port = Layout(Path(sys.argv[1])), int(sys.argv[2])
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await Generator(layout, SandboxSettings.load_from(layout.folder), port).run(stopping)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
