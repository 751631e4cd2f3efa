"""Flags over environment over .env over defaults → one frozen `Settings`.

The table of settings is the class itself: every field names its variable, what it allows and a line of
explanation, and `.env-example`, the README and the error messages are made or checked from that.
"""

from __future__ import annotations

import ipaddress
import math
import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from segsync.errors import SettingsError
from segsync.formatting import printable
from segsync.mapping.metadata import TraitChoice

# Segment, "Profile API: regional endpoints"; Voucherify, "API overview: API endpoint".
SEGMENT_HOSTS = {"us": "https://profiles.segment.com", "eu": "https://profiles.euw1.segment.com"}

VOUCHERIFY_HOSTS = {
    "eu": "https://api.voucherify.io",
    "us": "https://us1.api.voucherify.io",
    "asia": "https://as1.api.voucherify.io",
}

LOOKUPS = ("external_ids", "traits")

UNDEFINED = ("auto", "send", "drop", "reject")

_PLAIN_URL = re.compile(r"[^\s?#@\\]+")

AUTO = "auto"

Check = Callable[[object], object]
"""Turns what a user wrote into a setting's value, or raises ValueError with what is allowed."""


def _text(value: object) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if not text:
        raise ValueError("must not be empty")
    if not text.isprintable():
        raise ValueError("must not contain control characters")
    return text


def _credential(value: object) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be printable ASCII without spaces, since it is sent in an HTTP header")
    return text


def _whole(low: int, high: int) -> Check:
    def check(value: object) -> int:
        try:
            number = int(value) if isinstance(value, str | int) else low - 1
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise ValueError(f"must be a whole number from {low:,} to {high:,}")
        return number

    return check


def _auto_or(check: Check) -> Check:
    """`auto`, said as None, or what `check` takes."""

    def or_auto(value: object) -> object:
        if value is None or str(value).strip().lower() == AUTO:
            return None
        try:
            return check(value)
        except ValueError as error:
            raise ValueError(str(error).replace("must be ", f"must be {AUTO} or ", 1)) from None

    return or_auto


def _number(low: float, high: float) -> Check:
    def check(value: object) -> float:
        try:
            number = float(str(value))
        except ValueError:
            number = math.nan
        if not low <= number <= high:  # false for NaN too
            raise ValueError(f"must be a number from {low:g} to {high:,}")
        return number

    return check


def _one_of(allowed: Collection[str]) -> Check:
    def check(value: object) -> str:
        choice = str(value).strip().lower()
        if choice not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return choice

    return check


def _trait_choice(value: object) -> TraitChoice:
    return value if isinstance(value, TraitChoice) else TraitChoice.parse(value if isinstance(value, str) else "")


def _base_url(value: object) -> str:
    """An https URL, or an http one of this machine; without a trailing slash. Empty means: by region."""
    url = str(value).strip().rstrip("/")
    if not url:
        return ""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if not host or parts.scheme not in ("http", "https"):
        raise ValueError("must be a URL such as https://profiles.segment.com")
    if parts.scheme == "http" and not is_this_machine(host):
        raise ValueError("must begin with https://: over plain http the credentials could be read on the way")
    if parts.username is not None or not _PLAIN_URL.fullmatch(url):
        raise ValueError("must be a plain URL: no user name, query, fragment or space")
    return url


def is_this_machine(host: str) -> bool:
    """Whether a host is this machine by its name or address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _setting(variable: str, check: Check, explanation: str, *, secret: bool = False, default: Any = MISSING) -> Any:
    """A dataclass field that knows its variable. Required where there is no default."""
    return field(
        default=default,
        repr=not secret,
        metadata={"variable": variable, "check": check, "explanation": explanation, "secret": secret},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that an import can be told, checked.

    `Settings.load()` reads the environment and `.env`; the constructor takes the values themselves.
    Either raises `SettingsError` with every problem at once. The repr holds no secret.
    """

    segment_access_token: str = _setting(
        "SEGMENT_ACCESS_TOKEN",
        _credential,
        "Profile API access token: Segment, Unify > Unify settings > API access.",
        secret=True,
    )
    segment_space_id: str = _setting("SEGMENT_SPACE_ID", _text, "Id of the space to import, shown on the same page.")
    voucherify_application_id: str = _setting(
        "VOUCHERIFY_APPLICATION_ID",
        _credential,
        "Application ID: Voucherify, Project settings > Application keys.",
        secret=True,
    )
    voucherify_secret_key: str = _setting(
        "VOUCHERIFY_SECRET_KEY", _credential, "Secret key, shown beside the application ID.", secret=True
    )
    identifier_saved_as_source_id: str = _setting(
        "IDENTIFIER_SAVED_AS_SOURCE_ID",
        _text,
        "Type of the Segment external id that becomes the customer's source_id.",
        default="user_id",
    )
    identifier_lookup: str = _setting(
        "IDENTIFIER_LOOKUP",
        _one_of(LOOKUPS),
        "Where it is read: external_ids, or traits first, which saves a call where it is a trait too.",
        default="external_ids",
    )
    metadata_traits: TraitChoice = _setting(  # noqa: RUF009 - the default is frozen
        "METADATA_TRAITS",
        _trait_choice,
        "Traits that go into metadata too: plan,ltv=lifetime_value (as ltv); * for all that no other rule uses.",
        default=TraitChoice(),
    )
    metadata_undefined: str = _setting(
        "METADATA_UNDEFINED",
        _one_of(UNDEFINED),
        "What Voucherify's schema does not define: send, drop, reject; auto sends what it allows and drops the rest.",
        default="auto",
    )
    segment_request_limit: int = _setting(
        "SEGMENT_REQUEST_LIMIT", _whole(1, 100), "Profiles listed a call, 1 to 100.", default=100
    )
    segment_traits_limit: int = _setting(
        "SEGMENT_TRAITS_LIMIT",
        _whole(1, 200),
        "Traits read a call, 1 to 200; a profile with more takes more calls, none is missed.",
        default=200,
    )
    segment_region: str = _setting(
        "SEGMENT_REGION", _one_of(SEGMENT_HOSTS), "Region of the Segment workspace: us or eu.", default="us"
    )
    segment_base_url: str = _setting(
        "SEGMENT_BASE_URL", _base_url, "Profile API host, where it is not the region's own.", default=""
    )
    voucherify_region: str = _setting(
        "VOUCHERIFY_REGION",
        _one_of(VOUCHERIFY_HOSTS),
        "Region of the Voucherify project: eu, us or asia.",
        default="eu",
    )
    voucherify_base_url: str = _setting(
        "VOUCHERIFY_BASE_URL",
        _base_url,
        "Voucherify API host, where it is not the region's own (a dedicated cluster).",
        default="",
    )
    segment_requests_per_second: float = _setting(
        "SEGMENT_REQUESTS_PER_SECOND",
        _number(0.01, 100_000),
        "Segment calls a second. 100 is what a space gets; less leaves others their share.",
        default=100.0,
    )
    voucherify_requests_per_minute: float = _setting(
        "VOUCHERIFY_REQUESTS_PER_MINUTE",
        _number(0.01, 1_000_000),
        "Voucherify calls a minute. Business plans get 100, Organization 2000.",
        default=100.0,
    )
    concurrency: int | None = _setting(
        "SEGSYNC_CONCURRENCY",
        _auto_or(_whole(1, 1000)),
        "Profiles fetched at a time; auto finds what the latency asks for.",
        default=None,
    )
    batch_size: int = _setting("SEGSYNC_BATCH_SIZE", _whole(1, 1000), "Customers a bulk upsert.", default=100)
    request_timeout_seconds: float = _setting(
        "SEGSYNC_REQUEST_TIMEOUT", _number(0.1, 3600), "Seconds until one call counts as lost.", default=30.0
    )
    retry_seconds: float = _setting(
        "SEGSYNC_RETRY_SECONDS",
        _number(0, 86_400),
        "Seconds for which one failing call is tried again before it is given up.",
        default=300.0,
    )
    confirm_seconds: float = _setting(
        "SEGSYNC_CONFIRM_SECONDS",
        _number(0, 604_800),
        "Seconds to wait in the end while Voucherify ends no bulk upsert at all.",
        default=3600.0,
    )
    ledger: str = _setting(
        "SEGSYNC_LEDGER", _text, "File that remembers the import, so that it can be resumed.", default="segsync.db"
    )

    def __post_init__(self) -> None:
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        for name, value in _checked(values, labels={}).items():
            object.__setattr__(self, name, value)

    @property
    def segment_url(self) -> str:
        """Where the Profile API is: the base URL if one is set, else the region's host."""
        return self.segment_base_url or SEGMENT_HOSTS[self.segment_region]

    @property
    def voucherify_url(self) -> str:
        """Where the Voucherify API is: the base URL if one is set, else the region's host."""
        return self.voucherify_base_url or VOUCHERIFY_HOSTS[self.voucherify_region]

    @classmethod
    def load(
        cls,
        *,
        flags: Mapping[str, tuple[str, str]] | None = None,
        environ: Mapping[str, str] | None = None,
        env_file: Path | None = None,
    ) -> Self:
        """Settings from `flags` over `environ` (default: the process's) over `env_file` over the defaults.

        `flags` gives a (flag, value) by variable: `{"SEGSYNC_CONCURRENCY": ("--concurrency", "8")}`.
        `env_file` is `.env` in the working directory where it is None, and must exist where it is not.
        A variable that is set to nothing counts as not set. Raises `SettingsError`.
        """
        flags = flags or {}
        sources = (os.environ if environ is None else environ, _read_env_file(env_file))
        values: dict[str, object] = {}
        labels: dict[str, str] = {}
        missing: list[str] = []
        for entry in fields(cls):
            variable: str = entry.metadata["variable"]
            if variable in flags:
                labels[entry.name], values[entry.name] = flags[variable]
            elif value := next((text for source in sources if (text := source.get(variable, "").strip())), ""):
                values[entry.name] = value
            elif is_required(entry):
                missing.append(f"{variable} is missing. {entry.metadata['explanation']}")
        try:
            checked: dict[str, Any] = _checked(values, labels)
        except SettingsError as error:
            raise SettingsError([*missing, *error.problems]) from None
        if missing:
            raise SettingsError(missing)
        return cls(**checked)


def one_setting(variable: str, *, environ: Mapping[str, str] | None = None, env_file: Path | None = None) -> str:
    """A setting that has a default and is text, for who needs no other."""
    sources = (os.environ if environ is None else environ, _read_env_file(env_file))
    [default] = [entry.default for entry in fields(Settings) if entry.metadata["variable"] == variable]
    return next((text for source in sources if (text := source.get(variable, "").strip())), str(default))


def _checked(values: Mapping[str, object], labels: Mapping[str, str]) -> dict[str, object]:
    """The values as their fields want them. Raises `SettingsError` naming every one that is not allowed."""
    checked: dict[str, object] = {}
    problems: list[str] = []
    for entry in fields(Settings):
        if entry.name not in values:
            continue
        value, meta = values[entry.name], entry.metadata
        label = labels.get(entry.name, meta["variable"])
        try:
            checked[entry.name] = meta["check"](value)
        except ValueError as error:
            shown = "" if meta["secret"] else f"={_shown(value)}"
            problems.append(f"{label}{shown} {error}")
    if problems:
        raise SettingsError(problems)
    return checked


def _shown(value: object) -> str:
    """A value without a password that a URL may hold, and without what a terminal takes for a command."""
    text = re.sub(r"//[^/]*@", "//…@", str(value))
    return printable(text)


def is_required(entry: Field[Any]) -> bool:
    """Whether there is no default for this setting."""
    return entry.default is MISSING


def shown_default(entry: Field[Any]) -> str:
    """The default as a user would write it."""
    default = entry.default
    return AUTO if default is None else f"{default:g}" if isinstance(default, float) else str(default)


def _read_env_file(path: Path | None) -> dict[str, str]:
    from dotenv import dotenv_values  # noqa: PLC0415 - `--help` does without

    chosen = Path(".env") if path is None else path
    if path is None and not chosen.exists():
        return {}
    label = "--env-file " if path else ""
    try:
        # No interpolation: a secret may contain "${".
        with chosen.open(encoding="utf-8-sig") as stream:
            values = dotenv_values(stream=stream, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError([f"{label}{chosen} cannot be read: {reason}"]) from None
    return {name: value for name, value in values.items() if value is not None}


def env_example() -> str:
    """The text of `.env-example`: every setting, with its explanation and its default."""
    lines = [
        "# Copy this file to .env and fill in the first four. The environment wins over .env, flags win over both.",
        "",
    ]
    for entry in fields(Settings):
        required = is_required(entry)
        lines.append(f"# {entry.metadata['explanation']}{' Required.' if required else ''}")
        shown = "" if required else shown_default(entry)
        lines += [f"{entry.metadata['variable']}={shown}", ""]
    return "\n".join(lines[:-1]) + "\n"
