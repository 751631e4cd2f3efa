"""The sandbox as a server: both APIs on 127.0.0.1, for a first try, the tests and the benchmarks.

It is as strict and as slow as the vendors, and fails on demand. Its verdict compares what it received with what it
should have received. The customers that it expects are written down beside each shape of profile in `profiles`, not
computed by `segsync.mapping`: a mistake there cannot hide here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web

from segsync.sandbox.options import SandboxOptions, switched, switches, takes
from segsync.sandbox.profiles import Space
from segsync.sandbox.segment import SegmentSandbox
from segsync.sandbox.service import json_response
from segsync.sandbox.voucherify import ACTION, ACTIONS, MAX_BODY_BYTES, VoucherifySandbox

HOST = "127.0.0.1"

EXAMPLES = 5
"""The most source ids that a verdict names of each kind."""


class Verdict(msgspec.Struct, frozen=True):
    """What a sandbox received from the profiles `first` up to `last`, against what it should have.

    `expected` profiles have the identifier and were to become customers; `arrived` of them did, with
    exactly the right attributes. `refused` ones were not written, and are refused as the sandbox is switched now: with
    that switched off they are missing. `missing`, `wrong` and `unexpected` hold source ids, the first few; the counts
    are of all. What an action that ended FAILED should have written is missing until another action writes it.
    `segment_seconds` is the time from the first call to Segment to the last. `action_reads` and `action_listings`
    count all calls, refused ones too. `leaked_credentials` counts the downloads of a report at another host than the
    API that came with credentials.
    """

    expected: int
    arrived: int
    refused: int
    missing_count: int
    wrong_count: int
    unexpected_count: int
    missing: list[str]
    wrong: list[str]
    unexpected: list[str]
    repeated_in_a_request: int
    accepted: int
    pending_actions: int
    batch_sizes: list[int]
    segment_calls: int
    segment_rate_limited: int
    segment_seconds: float
    voucherify_calls: int
    voucherify_rate_limited: int
    failed_actions: int
    action_reads: int
    action_listings: int
    leaked_credentials: int

    @property
    def is_right(self) -> bool:
        """Nothing missing, nothing wrong, nothing else, nothing still to be written, and no credentials leaked."""
        problems = self.missing_count + self.wrong_count + self.unexpected_count + self.repeated_in_a_request
        return problems == 0 and self.pending_actions == 0 and self.leaked_credentials == 0


class Sandbox:
    """Both services over one space."""

    def __init__(self, options: SandboxOptions) -> None:
        self.options = options
        self.space = Space(options)
        self.segment = SegmentSandbox(self.space, options)
        self.voucherify = VoucherifySandbox(self.space, options)

    def app(self) -> web.Application:
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.add_routes([*self.segment.routes(), *self.voucherify.routes()])
        app.router.add_get("/sandbox/verdict", self._verdict)
        app.router.add_get("/sandbox/faults", self._faults)
        app.router.add_put("/sandbox/faults", self._switch)
        return app

    def switch(self, options: SandboxOptions) -> None:
        """Go on with what goes wrong by these options: the space stays as it is, and so does what has happened."""
        self.options = options
        for part in (self.space, self.segment, self.voucherify):
            part.switch(options)

    def verdict(self, first: int = 0, last: int | None = None) -> Verdict:
        """Compare what was written with the profiles from `first` up to, not including, `last`."""
        pending = self.voucherify.pending
        received = dict(self.voucherify.customers)
        expected = refused = 0
        missing, wrong = [], []
        for index in range(first, len(self.space) if last is None else min(last, len(self.space))):
            customer = self.space.profile(index).customer
            if customer is None or self.space.is_missing(index):
                continue
            expected += 1
            source_id = customer["source_id"]
            got = received.pop(source_id, None)
            if got is None and self.voucherify.is_refused(source_id):
                refused += 1
            elif got is None:
                missing.append(source_id)
            elif got != customer:
                wrong.append(source_id)
        return Verdict(
            expected=expected,
            arrived=expected - refused - len(missing) - len(wrong),
            refused=refused,
            missing_count=len(missing),
            wrong_count=len(wrong),
            unexpected_count=len(received),
            missing=missing[:EXAMPLES],
            wrong=wrong[:EXAMPLES],
            unexpected=sorted(received)[:EXAMPLES],
            repeated_in_a_request=self.voucherify.repeated_in_a_request,
            accepted=self.voucherify.accepted,
            pending_actions=pending,
            batch_sizes=self.voucherify.batch_sizes,
            segment_calls=self.segment.calls,
            segment_rate_limited=self.segment.rate_limited,
            segment_seconds=self.segment.last_call_at - self.segment.first_call_at,
            voucherify_calls=self.voucherify.calls,
            voucherify_rate_limited=self.voucherify.rate_limited,
            failed_actions=self.voucherify.failed_actions,
            action_reads=self.voucherify.calls_of[ACTION],
            action_listings=self.voucherify.calls_of[ACTIONS],
            leaked_credentials=self.voucherify.leaked_credentials,
        )

    async def _verdict(self, request: web.Request) -> web.Response:
        first, last = request.query.get("first", "0"), request.query.get("last")
        return json_response(self.verdict(int(first), None if last is None else int(last)), 200, "verdict")

    async def _faults(self, _request: web.Request) -> web.Response:
        return _readable(switches(self.options))

    async def _switch(self, request: web.Request) -> web.Response:
        try:
            self.switch(switched(self.options, await request.read()))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return _readable({"problem": str(error), "takes": takes()}, 400)
        return await self._faults(request)


def _readable(fields: object, status: int = 200) -> web.Response:
    """JSON for somebody at a terminal."""
    body = msgspec.json.format(msgspec.json.encode(fields), indent=2) + b"\n"
    return web.Response(body=body, status=status, content_type="application/json")


@asynccontextmanager
async def serve(options: SandboxOptions, port: int = 0) -> AsyncGenerator[tuple[Sandbox, str], None]:
    """A sandbox on 127.0.0.1 and its URL; `port` 0 takes a free one. It ends with the context."""
    sandbox = Sandbox(options)
    runner = web.AppRunner(sandbox.app(), access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, HOST, port, backlog=1024)
        await site.start()
        addresses: list[Any] = runner.addresses
        yield sandbox, f"http://{HOST}:{addresses[0][1]}"
    finally:
        await runner.cleanup()


async def serve_until(stop: asyncio.Event, options: SandboxOptions, port: int, ready: Any) -> None:
    """Serve a sandbox until `stop` is set; `ready` is called with its URL."""
    async with serve(options, port) as (_, url):
        ready(url)
        await stop.wait()
