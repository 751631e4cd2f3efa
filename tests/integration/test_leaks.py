"""Nothing personal and nothing secret is left behind by a run: not on the terminal, not in a file, not in an error."""

from __future__ import annotations

import asyncio
import csv
import json
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
import pytest

from segsync import run_import
from segsync.connectors import segment, voucherify
from segsync.connectors.http.client import ApiClient
from segsync.connectors.segment import SegmentSource
from segsync.connectors.voucherify import VoucherifySink
from segsync.errors import CallError, SegsyncError
from segsync.events import Event, ignore
from segsync.mapping.customer import MAPPED_TRAITS
from segsync.models import Connector
from segsync.report.profile_lists import REJECTED, WARNINGS, WITHOUT_IDENTIFIER
from segsync.sandbox.options import ACCESS_TOKEN, APPLICATION_ID, SECRET_KEY, Faults, SandboxOptions
from segsync.sandbox.process import SandboxProcess
from segsync.sandbox.profiles import Space
from tests.conftest import StartSandbox
from tests.integration.conftest import PATIENCE_SECONDS, SEGSYNC, Segsync
from tests.support.hostile import CREDENTIALS, Endless, cut_short, hostile_server, no_http, packed, people, redirect
from tests.support.scripted import Answer, NoJitter, Script, answer, hang_up, raw, scripted_server

pytestmark = pytest.mark.slow

# --- what must not be seen ------------------------------------------------------------------------------------

WORDS = {"unknown"}
"""Values that are words of ours as well."""


def is_telling(text: str) -> bool:
    """Whether it stands nowhere by chance: short words and short numbers do."""
    return not text.isascii() or len(text) >= (8 if text.isdecimal() else 5)


def forms(secret: str) -> set[str]:
    """A value as it is, and as it is said in a URL, in JSON, in Python, in Base64 and in Basic authentication."""
    base64 = (b64encode(text.encode()).decode().rstrip("=") for text in (secret, f"{secret}:"))
    said = {secret, quote(secret), quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1], *base64}
    return set(filter(is_telling, said))


def texts_of(value: object) -> Iterator[str]:
    """Every text and number in a JSON value."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for entry in value:
            yield from texts_of(entry)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def personal_values(options: SandboxOptions) -> set[str]:
    """What identifies the people of a sandbox's space: names, addresses, numbers, days, in words and as a whole."""
    space, found = Space(options), set[str]()
    for profile in map(space.profile, range(len(space))):
        found |= {each["id"] for each in profile.external_ids if each["type"] in (options.identifier, "email")}
        for name in MAPPED_TRAITS:
            if name != "metadata":
                for text in texts_of(profile.traits.get(name)):
                    found |= {text, *text.split()}
    return set(filter(is_telling, found)) - WORDS


SECRETS = {form for secret in (ACCESS_TOKEN, APPLICATION_ID, SECRET_KEY) for form in forms(secret)}


def leaks(said: str | bytes, hidden: Iterable[str]) -> set[str]:
    """Those of the hidden texts that are in what was said."""
    content = said if isinstance(said, bytes) else said.encode("utf-8", "surrogatepass")
    return {each for each in hidden if each.encode() in content}


def without_source_ids(rejected: str) -> str:
    """The list of rejected profiles without the column that has to name them."""
    rows = csv.DictReader(StringIO(rejected))
    return "\n".join(value for row in rows for name, value in row.items() if name != "source_id")


# --- whole runs -----------------------------------------------------------------------------------------------

TROUBLE = SandboxOptions(
    profiles=120,
    missing=0.05,
    refused_at_once=0.03,
    refused_later=0.1,
    failed_actions=0.2,
    errors_listed=2,
    foreign_reports=True,
    latency_ms=1.0,
    action_seconds=0.05,
    segment_requests_per_second=0,
    voucherify_requests_per_minute=0,
    segment_faults=Faults(too_many=0.01, server_error=0.02, cut=0.02),
    voucherify_faults=Faults(server_error=0.02, cut=0.02),
)
PERSONAL = personal_values(TROUBLE)
HIDDEN = SECRETS | {form for value in PERSONAL for form in forms(value)}

DEFECT = """
import sys
from segsync.pipeline import job

def broken(profile, warn, **_rules):
    raise LookupError(f"{profile.source_id} {profile.traits}")

job.to_customer = broken
sys.argv[0] = "segsync"
from segsync.__main__ import main
main()
"""
"""The program, with an error in it whose text quotes a customer."""


@dataclass(frozen=True)
class Left:
    """What a run said, how it looked in the process list, and every file it left."""

    code: int
    said: str
    command_lines: str
    files: dict[str, bytes]


def watched(
    segsync: Segsync,
    sandbox: SandboxProcess,
    *arguments: str,
    program: tuple[str, ...] = SEGSYNC,
    kill_at: str = "",
    settings: Mapping[str, str] = MappingProxyType({}),
) -> Left:
    """Run it, and look at its process while it runs. It is killed when `kill_at` is in its ledger."""
    process = subprocess.Popen(
        [*program, *arguments],
        cwd=segsync.directory,
        env=segsync.environment(sandbox, **{"SEGSYNC_RETRY_SECONDS": "3", "SEGSYNC_BATCH_SIZE": "20", **settings}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    seen = set[str]()
    log = segsync.directory / "segsync.db-wal"
    while process.poll() is None:
        time.sleep(0.02)
        try:
            seen |= {path.read_text() for path in Path(f"/proc/{process.pid}").glob("cmdline")}
        except OSError:  # it has just ended
            break
        if kill_at and log.exists() and kill_at.encode() in log.read_bytes():
            process.send_signal(signal.SIGKILL)
            break
    said, _ = process.communicate(timeout=PATIENCE_SECONDS)
    files = {path.name: path.read_bytes() for path in segsync.directory.iterdir()}
    return Left(process.returncode, said, "\n".join(seen), files)


def assert_nothing_leaked(left: Left, segsync: Segsync) -> None:
    assert "Traceback" not in left.said
    assert leaks(left.said, HIDDEN) == set()
    assert leaks("\n".join(left.files), HIDDEN) == set(), "names of files"
    if sys.platform == "linux":
        assert "segsync" in left.command_lines
    assert leaks(left.command_lines, HIDDEN) == set()
    for name, content in left.files.items():
        shown = without_source_ids(content.decode()).encode() if name == REJECTED else content
        assert leaks(shown, HIDDEN) == set(), name
    for as_json in (False, True):
        said = segsync.said_of("segsync.db", as_json=as_json)
        assert "spa_sandbox" in said
        assert leaks(said, HIDDEN) == set()


def test_the_search_finds_what_it_is_to_find() -> None:
    assert {"Lovelace", "José", "李", "Porcelanowa", "person7@example.com"} <= PERSONAL
    assert any(value.startswith("+48 600") for value in PERSONAL)
    assert leaks("Basic c2FuZGJveC1hY2Nlc3MtdG9rZW46", HIDDEN)
    assert leaks("GET /customers/person7%40example.com", HIDDEN)
    assert leaks(r"{'name': 'Jos\u00e9'}", HIDDEN)
    assert not leaks("12:30:01 Rejected: use_0000000100000000007 (read): Segment answered 404 (not_found)", HIDDEN)


VERBOSITIES = ("--quiet", "--no-input", "--verbose")
"""The one in the middle is that of a run that says nothing of it."""


@pytest.fixture(scope="module")
def troubled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Segsync, Left]]:
    """A troubled run at each verbosity, at the same time: most of it is waiting."""

    def run(verbosity: str) -> tuple[Segsync, Left]:
        segsync = Segsync(tmp_path_factory.mktemp("troubled"))
        with SandboxProcess(TROUBLE) as sandbox:
            left = watched(segsync, sandbox, verbosity)
            assert sandbox.verdict().leaked_credentials == 0
        return segsync, left

    with ThreadPoolExecutor() as pool:
        return dict(zip(VERBOSITIES, pool.map(run, VERBOSITIES), strict=True))


@pytest.mark.parametrize("verbosity", VERBOSITIES)
def test_a_troubled_run_tells_of_nobody(troubled: dict[str, tuple[Segsync, Left]], verbosity: str) -> None:
    segsync, left = troubled[verbosity]
    assert left.code == 3, left.said
    assert {REJECTED, WARNINGS, WITHOUT_IDENTIFIER, "segsync.db"} <= set(left.files)
    stages = {row["stage"] for row in csv.DictReader(StringIO(left.files[REJECTED].decode()))}
    assert stages == {"read", "upsert", "confirm"}, "everything that can be said of a customer was said"
    assert_nothing_leaked(left, segsync)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with SandboxProcess(TROUBLE) as process:
        yield process


@pytest.mark.parametrize(
    ("program", "settings", "code"),
    [
        (SEGSYNC, {"SEGMENT_ACCESS_TOKEN": f"{ACCESS_TOKEN}-wrong"}, 2),
        (SEGSYNC, {"VOUCHERIFY_SECRET_KEY": f"{SECRET_KEY}-wrong"}, 2),
        (SEGSYNC, {"VOUCHERIFY_BASE_URL": "http://127.0.0.1:1", "SEGSYNC_RETRY_SECONDS": "0.3"}, 1),
        ((sys.executable, "-c", DEFECT), {}, 1),
    ],
    ids=["wrong token", "wrong key", "outage", "defect"],
)
def test_a_run_that_ends_in_an_error_tells_of_nobody(
    segsync: Segsync, sandbox: SandboxProcess, program: tuple[str, ...], settings: dict[str, str], code: int
) -> None:
    left = watched(segsync, sandbox, "--verbose", program=program, settings=settings)
    assert left.code == code, left.said
    if program != SEGSYNC:
        assert "unexpected LookupError" in left.said
    assert_nothing_leaked(left, segsync)


def test_a_credential_that_is_not_allowed_is_not_repeated(segsync: Segsync, sandbox: SandboxProcess) -> None:
    run = segsync(sandbox=sandbox, VOUCHERIFY_SECRET_KEY=f"{SECRET_KEY} ü")
    assert run.code == 2
    assert "VOUCHERIFY_SECRET_KEY must be printable ASCII" in run.stderr
    assert leaks(run.stdout + run.stderr, HIDDEN) == set()


def test_a_run_that_is_killed_leaves_nobody_in_its_ledger(segsync: Segsync, start_sandbox: StartSandbox) -> None:
    """With all that SQLite keeps beside the file; and neither does the run that resumes it."""
    sandbox = start_sandbox(msgspec.structs.replace(TROUBLE, failed_actions=0.0))
    slowly = {"SEGMENT_REQUEST_LIMIT": "20", "SEGMENT_REQUESTS_PER_SECOND": "100"}
    left = watched(segsync, sandbox, "--verbose", kill_at="aa_0000000001", settings=slowly)
    assert left.code == -signal.SIGKILL
    assert {"segsync.db", "segsync.db-wal", "segsync.db-shm"} <= set(left.files)
    assert_nothing_leaked(left, segsync)
    resumed = watched(segsync, sandbox, "--verbose", "--resume")
    assert resumed.code == 3, resumed.said
    assert_nothing_leaked(resumed, segsync)


# --- errors, with all that is behind them ---------------------------------------------------------------------

ADA = "ada.lovelace@example.com"
TOKEN = "Qx7vN2kLw9RtZb4mYc8sJd3hGf6pAe1u"
APPLICATION = "5f0c1d2e-93ab-4c7d-8e6f-1a2b3c4d5e6f"
KEY = "c0ffee12-3456-4789-9abc-def012345678"
NEVER = {form for secret in (TOKEN, APPLICATION, KEY, ADA, "Lovelace") for form in forms(secret)}
SPOKEN = f"Ada Lovelace <{ADA}>, phone +48 600 123 456"
ECHO = (
    f"{SPOKEN}: {TOKEN}, X-App-Id: {APPLICATION}, X-App-Token: {KEY}, Basic {b64encode(f'{TOKEN}:'.encode()).decode()}"
)


def chain(error: BaseException | None, seen: set[int] | None = None) -> Iterator[str]:
    """All that can be read off an error and the errors behind it, shown or not."""
    seen = set() if seen is None else seen
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield from (str(error), repr(error), repr(error.args), repr(getattr(error, "__notes__", None)))
    yield repr(getattr(error, "__dict__", None))
    yield from chain(error.__cause__, seen)
    yield from chain(error.__context__, seen)
    for inner in error.exceptions if isinstance(error, BaseExceptionGroup) else ():
        yield from chain(inner, seen)


def assert_holds_nothing(error: BaseException) -> None:
    assert leaks("\n".join(chain(error)), NEVER) == set()


def _json_error(status: int, **headers: str) -> Answer:
    """An error that repeats what was sent: a service in debug mode does that."""
    fields = {"code": status, "key": "invalid", "message": ECHO, "details": ECHO, "request_id": "req_1"}
    return answer({**fields, "error": {"code": "invalid", "message": ECHO}}, status, **headers)


def _everywhere(text: str) -> str:
    """JSON that has this, as it is, wherever an answer has text."""
    return (
        f'{{"data":[{{"segment_id":{text},"id":{text},"type":"user_id"}}],"traits":{{"email":{text}}},"cursor":{{}},'
        f'"id":{text},"async_action_id":{text},"status":{text},"async_actions":[{{"id":{text},"status":{text}}}]}}'
    )


FAILURES: dict[str, Answer] = {
    **{f"answered {status}": _json_error(status) for status in (300, 400, 401, 402, 403, 404, 409, 413, 422, 429)},
    **{f"answered {status}": _json_error(status) for status in (500, 502, 503, 504)},
    "a spent cycle": _json_error(429, X_Rate_Limit_Type="api_calls_cycle"),
    "a long wait": _json_error(503, Retry_After="99999"),
    "a redirect": redirect(302, f"https://example.invalid/{ADA}?token={TOKEN}"),
    "an error key": answer({"key": ADA, "error": {"code": ADA}}, 400),
    "a request id in a header": answer({}, 400, Request_Id=ADA),
    "a request id in an error": answer({"request_id": ADA}, 400),
    "a content type": raw(b"", f"{ADA}/x"),
    "HTML": raw(ECHO.encode(), "text/html"),
    "an HTML error": raw(ECHO.encode(), "text/html", 500),
    "no JSON": raw(_everywhere(f'"{ADA}",').encode()),
    "cut JSON": raw(_everywhere(f'"{ADA}"').encode()[:-1]),
    "no UTF-8": raw(_everywhere(f'"{ADA} é"').encode("latin-1")),
    "a lone surrogate": raw(_everywhere(f'"{ADA} \\ud800"').encode()),
    "another type": raw(_everywhere(f'{{"{ADA}":["{ADA}"]}}').encode()),
    "other keys": raw(json.dumps({ADA: {ADA: ADA}}).encode()),
    "deep": raw(f'{{"{ADA}":'.encode() + b"[" * 100_000),
    "too large": Endless(17, (ADA * 50_000).encode()[: 1 << 20]),
    "no gzip": packed(ECHO.encode()),
    "an encoding that is unknown": packed(ECHO.encode(), "br"),
    "a cut body": cut_short(ECHO.encode(), missing=10),
    "a hang-up": hang_up,
    "no HTTP": no_http(ECHO.encode() + b"\r\n\r\n"),
    "no header": no_http(f"HTTP/1.1 200 OK\r\n{ECHO}\r\n\r\n".encode()),
    "an endless header": no_http(b"HTTP/1.1 200 OK\r\nX-Debug: " + ECHO.encode() * 200 + b"\r\n\r\n"),
    "no length": no_http(f"HTTP/1.1 200 OK\r\nContent-Length: {ADA}\r\n\r\n".encode()),
    "no chunk": no_http(f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{ADA}\r\n".encode()),
    "a reason": no_http(f"HTTP/1.1 500 {ECHO}\r\nContent-Length: 0\r\n\r\n".encode()),
}


@dataclass(frozen=True)
class Services:
    """Both clients, at one server."""

    source: SegmentSource
    sink: VoucherifySink
    url: str


@asynccontextmanager
async def services_at(url: str, *, timeout_seconds: float = 60.0) -> AsyncGenerator[Services, None]:
    timeout = aiohttp.ClientTimeout(total=timeout_seconds)
    async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:

        def client(service: str, headers: Mapping[str, str], credentials: str) -> ApiClient:
            return ApiClient(
                session,
                Connector(service, identity="spa_1", host=url),
                headers=headers,
                credentials=credentials,
                retry_seconds=0.0,
                on_event=ignore,
                random=NoJitter(),
            )

        to_segment = client(segment.SERVICE, segment.headers(TOKEN), "SEGMENT_ACCESS_TOKEN")
        to_voucherify = client(voucherify.SERVICE, voucherify.headers(APPLICATION, KEY), "VOUCHERIFY_SECRET_KEY")
        source = SegmentSource(to_segment, identifier_type="user_id", traits=("email",))
        yield Services(source, VoucherifySink(to_voucherify), url)


async def _first_page(services: Services) -> None:
    async for _ in services.source.pages("0"):
        return


async def _profile(services: Services) -> None:
    await services.source.read(ADA)


CUSTOMERS = json.dumps([{"source_id": ADA, "name": "Ada Lovelace"}]).encode()
CALLS: dict[str, Callable[[Services], Awaitable[object]]] = {
    "pages": _first_page,
    "profile": _profile,
    "upsert": lambda services: services.sink.upsert(CUSTOMERS),
    "statuses": lambda services: services.sink.action_statuses(),
    "state": lambda services: services.sink.upsert_result("aa_1"),
    "report": lambda services: services.sink.reported(f"{services.url}/reports/1.csv?email={ADA}&token={KEY}"),
}


async def leaks_of_calls(services: Services) -> dict[str, set[str]]:
    """What the errors of the calls hold that they should not, by call; most calls, if not all, have to fail."""
    errors: dict[str, Exception] = {}
    for name, call in CALLS.items():
        try:
            await call(services)
        except SegsyncError as error:
            errors[name] = error
    assert len(errors) >= len(CALLS) - 2
    assert all(isinstance(error, CallError) for error in errors.values())
    found = {name: leaks("\n".join(chain(error)), NEVER) for name, error in errors.items()}
    return {name: leaked for name, leaked in found.items() if leaked}


@pytest.mark.parametrize("failure", FAILURES)
async def test_no_error_of_a_call_holds_a_credential_or_a_customer(failure: str) -> None:
    async with scripted_server(Script(FAILURES[failure])) as url, services_at(url) as services:
        assert await leaks_of_calls(services) == {}


@pytest.mark.parametrize("trouble", ["no connection", "no host", "no TLS", "no answer"])
async def test_no_error_of_a_call_that_came_nowhere_holds_a_credential_or_a_customer(trouble: str) -> None:
    async def never(_request: object) -> Any:
        await asyncio.sleep(60)

    async with scripted_server(Script(never)) as url:
        urls = {
            "no connection": "http://127.0.0.1:1",
            "no host": "https://segsync.invalid",
            "no TLS": url.replace("http", "https"),
            "no answer": url,
        }
        async with services_at(urls[trouble], timeout_seconds=0.1) as services:
            assert await leaks_of_calls(services) == {}


@pytest.mark.parametrize(
    "url",
    [
        f"http://198.51.100.1/{ADA}",
        f"file:///home/{ADA}",
        f"https://{ADA}:{KEY}@127.0.0.1:1/1.csv?email={ADA}",
        f"http://127.0.0.1:1/1.csv?email={ADA}#{KEY}",
        ADA,
    ],
)
async def test_no_error_of_a_report_holds_what_its_url_holds_beside_its_place(url: str) -> None:
    async with services_at("http://127.0.0.1:1") as services:
        with pytest.raises(CallError) as caught:
            await services.sink.reported(url)
    assert_holds_nothing(caught.value)


@pytest.mark.parametrize("credential", ["lettersonlycredential", "short7"])
async def test_a_credential_that_looks_like_any_word_is_hidden_as_well(credential: str) -> None:
    """A service that says which it refuses: "token … is bad". No rule knows its shape, but we know the credential."""
    said = answer({"message": f"the token {credential} is bad", "key": "bad"}, 400)
    async with scripted_server(Script(said)) as url, aiohttp.ClientSession() as session:
        client = ApiClient(
            session,
            Connector("Voucherify", identity=credential, host=url),
            headers=voucherify.headers(credential, credential),
            credentials="VOUCHERIFY_SECRET_KEY",
            retry_seconds=0.0,
            on_event=ignore,
        )
        with pytest.raises(CallError) as caught:
            await VoucherifySink(client).upsert(CUSTOMERS)
    assert leaks("\n".join(chain(caught.value)), {credential}) == set()


async def test_the_error_in_a_report_holds_nothing_of_what_stopped_the_import(tmp_path: Path) -> None:
    """Whether a service or a defect did; somebody may log it with all that is behind it."""

    def broken(event: Event) -> None:
        raise LookupError(f"{ECHO} {event}")

    async with hostile_server(people(3, name="Ada Lovelace", email=ADA)) as hostile:
        by_defect = await asyncio.create_task(run_import(hostile.settings(), on_event=broken))
        hostile.instead("^POST", no_http(f"{ECHO}\r\n\r\n".encode()))
        by_service = await asyncio.create_task(run_import(hostile.settings(), directory=tmp_path))
    for report in (by_defect, by_service):
        assert report.error is not None
        assert_holds_nothing(report.error)
        assert leaks("\n".join(chain(report.error)), CREDENTIALS) == set()
