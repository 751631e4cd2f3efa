"""`--notify`: posts the summary of a run to a webhook, as JSON, or in Slack's form to Slack.

What is posted names no profile: segment ids, and the numbers and ids in reasons, are left out. Nothing that is printed
names the URL, which lets whoever has it post.
"""

from __future__ import annotations

import asyncio
import os
import re
import ssl
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import msgspec
from msgspec import structs
from rich.console import Console
from rich.text import Text
from yarl import URL

from segsync.connectors.http.proxy import proxy_for
from segsync.connectors.http.session import DetachedResolver, open_session
from segsync.errors import RefusedError, SettingsError, StopError, defect
from segsync.formatting import counted, duration, profiles
from segsync.models import NextStep, RejectionGroup
from segsync.options import ImportOptions
from segsync.report.html.wording import state_words
from segsync.report.import_report import ImportReport
from segsync.report.summary_json import encode
from segsync.runtime import run_event_loop, signals_to
from segsync.settings import Settings

TIMEOUT_SECONDS = 10.0
"""The longest that the end of a run waits for the webhook."""

SLACK_HOSTS: Final = frozenset({"hooks.slack.com", "hooks.slack-gov.com"})
"""Where a message is `{"text": …}`: Slack, "Sending messages using incoming webhooks"."""

COUNTS: Final = {
    "confirmed": ("customer confirmed", "customers confirmed"),
    "sent": ("customer sent", "customers sent"),
    "without_identifier": ("without identifier", "without identifier"),
    "duplicate": ("duplicate identifier", "duplicate identifiers"),
    "rejected": ("rejected", "rejected"),
    "unknown": ("result unknown", "results unknown"),
    "pending": ("pending", "pending"),
}

_PROBLEMS: Final = (
    (TimeoutError, f"no answer within {TIMEOUT_SECONDS:.0f} seconds"),
    (ssl.CertificateError, "its certificate is not trusted, has expired or is for another host"),
    (aiohttp.ClientSSLError, "no trusted TLS connection could be made"),
    (aiohttp.ClientHttpProxyError, "the proxy refused the connection"),
    (aiohttp.ClientProxyConnectionError, "the proxy cannot be reached"),
    (aiohttp.ClientConnectorDNSError, "its host name was not found"),
    (aiohttp.ClientConnectorError, "no connection"),
    ((aiohttp.ClientError, OSError), "the connection was cut"),
    (ValueError, "it is not an address that can be called"),
)
"""Why there was no answer, by the first class that an exception is of. aiohttp's own words quote the URL."""


def notify(
    options: ImportOptions, report: ImportReport, exit_code: int, console: Console, *, steps: Sequence[NextStep]
) -> None:
    """Post the summary where that was asked for. A failure is a warning; so is Ctrl-C or SIGTERM, which ends it."""
    if not (url := options.notify_url):
        return
    try:
        content = message(url, report, options.settings, exit_code=exit_code, steps=steps)
        problem = run_event_loop(_post_unless_stopped(url, content))
    except Exception as error:  # noqa: BLE001 - no defect here may hide how the run ended
        problem = str(defect(error))
    if problem:
        named = "--notify" if options.has_notify_flag else "SEGSYNC_NOTIFY_URL"
        text = f"Warning: the summary was not posted to the URL of {named}: {problem}"
        console.print(Text(text, style="yellow"), soft_wrap=True)


def message(url: str, report: ImportReport, settings: Settings, *, exit_code: int, steps: Sequence[NextStep]) -> bytes:
    """The JSON to post to that URL: the summary, or to Slack a text."""
    report = _without_profiles(report)
    if urlsplit(url).hostname in SLACK_HOSTS:
        content = msgspec.json.encode({"text": _slack_text(report, settings, steps)})
    else:
        next_command = next((step.command for step in steps if step.command), None)
        content = encode(report, exit_code=exit_code, next_command=next_command)
    return _without_home(content.decode()).encode()


async def post(url: str, content: bytes) -> str | None:
    """Post JSON, once. Gives None, or why it did not arrive, in words that do not name the URL."""
    target = URL(url, encoded=True)  # as it is: a query can be a signature
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS), open_session(TIMEOUT_SECONDS, DetachedResolver()) as session:
            proxy = proxy_for(target)
            async with session.post(
                target,
                data=content,
                headers={"Content-Type": "application/json"},
                allow_redirects=False,
                proxy=proxy and proxy.url,
            ) as response:
                return _refusal(response.status)
    except SettingsError as error:  # of the proxy's variable
        return str(error)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return next(words for kind, words in _PROBLEMS if isinstance(error, kind))


def _refusal(status: int) -> str | None:
    if 200 <= status < 300:
        return None
    return f"it was answered {status}" + (", a redirect, which is not followed" if 300 <= status < 400 else "")


async def _post_unless_stopped(url: str, content: bytes) -> str | None:
    posting = asyncio.ensure_future(post(url, content))

    def on_signal(_number: int) -> None:
        posting.cancel()

    with signals_to(on_signal):
        await asyncio.wait([posting])
    return "it was interrupted" if posting.cancelled() else posting.result()


def _without_profiles(report: ImportReport) -> ImportReport:
    """The report without segment ids, and with codes for reasons: a name in a service's words may not look like one."""

    def anonymous(groups: Sequence[RejectionGroup]) -> tuple[RejectionGroup, ...]:
        return tuple(structs.replace(each, reason=each.code or "", segment_ids=()) for each in groups)

    problems = tuple(structs.replace(each, segment_ids=()) for each in report.problems)
    rejected, unknown = anonymous(report.rejections), anonymous(report.unknown)
    error = report.error
    if isinstance(error, StopError | RefusedError):  # these quote the services
        error = StopError("the log has the message", code=error.code)
    return structs.replace(report, rejections=rejected, unknown=unknown, problems=problems, error=error)


def _without_home(text: str) -> str:
    """The text with ~ for the home directory, whose name is mostly that of a person."""
    home = os.path.expanduser("~").rstrip("/")  # noqa: PTH111 - Path.home() raises where there is none
    return re.sub(rf"(?<![\w./~-]){re.escape(home)}(?=/)", "~", text) if home else text


def _slack_text(report: ImportReport, settings: Settings, steps: Sequence[NextStep]) -> str:
    state, outcomes = state_words(report), report.outcomes
    counts = [counted(count, *words) for name, words in COUNTS.items() if (count := getattr(outcomes, name))]
    lines = [
        f"segsync: {f'dry run, {state.lower()}' if report.is_dry_run else state}",
        f"Segment space {settings.segment_space_id}, Voucherify at {urlsplit(settings.voucherify_url).hostname}",
        f"{profiles(outcomes.profiles)} listed{': ' if counts else ''}{', '.join(counts)}",
        f"Time: {duration(report.seconds)}",
        *([f"Error: {report.error.with_code}"] if report.error else []),
    ]
    for step in steps:
        lines += [step.words, *([f"```{step.command}```"] if step.command else [])]
    return "\n".join(lines).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
