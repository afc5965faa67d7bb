"""The front door of a fleet: every request is answered by an instance of the region to which traffic goes.

Which of the region's instances is tried first goes round; one that does not answer is passed over. A region without any
that answers is a 503: nothing goes to another region before somebody has moved the traffic there.
"""

from collections.abc import Callable
from itertools import count

import httpx
from starlette.requests import Request
from starlette.responses import Response

from chrysalis.sandbox.fleet.layout import Fleet

REGION_HEADER, INSTANCE_HEADER = "x-region", "x-instance"


class Gateway:
    """`region` tells to which region traffic goes now."""

    def __init__(self, fleet: Fleet, client: httpx.AsyncClient, region: Callable[[], str]) -> None:
        self._fleet, self._client, self._region = fleet, client, region
        self._turns = count()

    async def answer(self, request: Request) -> Response:
        """What an instance of the serving region says, with its region and its name as headers."""
        region = self._region()
        names = [name for name, where in self._fleet.regions.items() if where == region]
        turn = next(self._turns)
        for index in range(len(names)):
            name = names[(turn + index) % len(names)]
            try:
                found = await self._client.get(f"{self._fleet.url(name)}/{request.path_params['path']}")
            except httpx.TransportError:
                continue
            headers = {REGION_HEADER: region, INSTANCE_HEADER: name}
            return Response(found.content, found.status_code, headers, found.headers.get("content-type"))
        return Response(f"no instance of {region} answers", 503, {REGION_HEADER: region})
