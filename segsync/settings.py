"""Flags over environment over .env over defaults → one frozen `Settings`.

`.env-example`, the README and the error messages are made or checked from the fields of the class.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Collection, Container, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, get_args, get_origin, get_type_hints
from urllib.parse import SplitResult, urlsplit

from dotenv.parser import Binding, parse_stream
from msgspec import Meta, ValidationError, convert

from segsync.errors import Problem, SettingsError
from segsync.formatting import printable
from segsync.mapping.attributes import AttributeTraits
from segsync.mapping.metadata import TraitChoice
from segsync.secret_files import SUFFIX, both_forms, read_secrets

# Segment, "Profile API: regional endpoints"; Voucherify, "API overview: API endpoint".
SEGMENT_HOSTS: Final = {"us": "https://profiles.segment.com", "eu": "https://profiles.euw1.segment.com"}

VOUCHERIFY_HOSTS: Final = {
    "eu": "https://api.voucherify.io",
    "us": "https://us1.api.voucherify.io",
    "asia": "https://as1.api.voucherify.io",
}

ENV_FILE: Final = Path(".env")

CONNECTORS: Final = ("segment", "voucherify")

AUTO: Final = "auto"


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


def _trait_choice(value: object) -> TraitChoice:
    return value if isinstance(value, TraitChoice) else TraitChoice.parse(value if isinstance(value, str) else "")


def _attribute_traits(value: object) -> AttributeTraits:
    given = value if isinstance(value, str) else ""
    return value if isinstance(value, AttributeTraits) else AttributeTraits.parse(given)


def _base_url(value: object) -> str:
    """An https URL, or an http one of this machine, without a trailing slash; "" for the region's host."""
    url = str(value).strip().rstrip("/")
    if url and (_safe_url(url).username is not None or not re.fullmatch(r"[^\s?#@\\]+", url)):
        raise ValueError("must be a plain URL: no user name, query, fragment or space")
    return url


def _webhook_url(value: object) -> str:
    """An https URL, or an http one of this machine, which may have a query: that can be its key."""
    url = str(value).strip()
    if url and not re.fullmatch(r"[!-~]+", url):
        raise ValueError("must be printable ASCII without spaces: other characters are percent-encoded")
    if url:
        _safe_url(url)
    return url


def _safe_url(url: str) -> SplitResult:
    """The parts of a URL that is https, or http to this machine. Raises ValueError for any other."""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if not host or parts.scheme not in ("http", "https"):
        raise ValueError("must be a URL that begins with https://")
    if parts.scheme == "http" and not is_this_machine(host):
        raise ValueError("must begin with https://: over plain http others could read the secrets on the way")
    return parts


def is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _setting(variable: str, explanation: str, default: Any = "", *, secret: bool = False, needed_by: str = "") -> Any:
    """A dataclass field that knows its variable, and which connector cannot do without it."""
    metadata = {"variable": variable, "explanation": explanation, "secret": secret, "needed_by": needed_by}
    return field(default=default, repr=not secret, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of an import, checked.

    `Settings.load()` reads the environment and `.env`; the constructor takes the values themselves, without the
    credentials of a connector that is not used. Either raises `SettingsError` with every problem at once.
    The repr holds no secret. `notify_url` is for the command line: `run_import` posts nothing.
    """

    segment_access_token: Annotated[str, _credential] = _setting(
        "SEGMENT_ACCESS_TOKEN",
        "Profile API access token: Segment, Unify > Unify settings > API access.",
        secret=True,
        needed_by="segment",
    )
    segment_space_id: Annotated[str, _text] = _setting(
        "SEGMENT_SPACE_ID", "Id of the space to import, shown on the same page.", needed_by="segment"
    )
    voucherify_application_id: Annotated[str, _credential] = _setting(
        "VOUCHERIFY_APPLICATION_ID",
        "Application ID: Voucherify, Project settings > Application keys.",
        secret=True,
        needed_by="voucherify",
    )
    voucherify_secret_key: Annotated[str, _credential] = _setting(
        "VOUCHERIFY_SECRET_KEY", "Secret key, shown beside the application ID.", secret=True, needed_by="voucherify"
    )
    identifier_saved_as_source_id: Annotated[str, _text] = _setting(
        "IDENTIFIER_SAVED_AS_SOURCE_ID", "Type of the Segment external id used as source_id.", "user_id"
    )
    identifier_lookup: Literal["external_ids", "traits"] = _setting(
        "IDENTIFIER_LOOKUP",
        "Where to read it: external_ids, or traits first (saves a call per profile where it is a trait too).",
        "external_ids",
    )
    birthdate_invalid: Literal["null", "omit"] = _setting(
        "BIRTHDATE_INVALID", "A birthdate that is not an ISO 8601 date: null (sent as null) | omit (left out).", "null"
    )
    attribute_traits: Annotated[AttributeTraits, _attribute_traits] = _setting(  # noqa: RUF009 - the default is frozen
        "ATTRIBUTE_TRAITS",
        "Traits to read attributes from first: phone=mobile_phone,birthdate=dob,address.city=town.",
        AttributeTraits(),
    )
    metadata_traits: Annotated[TraitChoice, _trait_choice] = _setting(  # noqa: RUF009 - the default is frozen
        "METADATA_TRAITS",
        "Traits to add to the metadata: plan,ltv=lifetime_value (stored as ltv); *: all unmapped traits.",
        TraitChoice(),
    )
    metadata_undefined: Literal["auto", "send", "drop", "reject"] = _setting(
        "METADATA_UNDEFINED",
        "Metadata keys missing from Voucherify's schema: auto (send if allowed, else drop) | send | drop | reject.",
        "auto",
    )
    segment_request_limit: Annotated[int, Meta(ge=1, le=100)] = _setting(
        "SEGMENT_REQUEST_LIMIT", "Profiles listed per call, 1 to 100.", 100
    )
    segment_traits_limit: Annotated[int, Meta(ge=1, le=200)] = _setting(
        "SEGMENT_TRAITS_LIMIT", "Traits read per call, 1 to 200; a profile with more takes more calls.", 200
    )
    segment_region: Literal["us", "eu"] = _setting("SEGMENT_REGION", "Region of the Segment workspace: us or eu.", "us")
    segment_base_url: Annotated[str, _base_url] = _setting("SEGMENT_BASE_URL", "Profile API host, if not the region's.")
    voucherify_region: Literal["eu", "us", "asia"] = _setting(
        "VOUCHERIFY_REGION", "Region of the Voucherify project: eu, us or asia.", "eu"
    )
    voucherify_base_url: Annotated[str, _base_url] = _setting(
        "VOUCHERIFY_BASE_URL", "Voucherify API host, if not the region's (a dedicated cluster)."
    )
    segment_requests_per_second: Annotated[float, Meta(ge=0.01, le=100_000)] = _setting(
        "SEGMENT_REQUESTS_PER_SECOND", "Segment calls per second. A space gets 100 for all its users.", 100.0
    )
    voucherify_requests_per_minute: Annotated[float, Meta(ge=0.01, le=1_000_000)] = _setting(
        "VOUCHERIFY_REQUESTS_PER_MINUTE", "Voucherify calls per minute: Business 100, Organization 2000.", 100.0
    )
    concurrency: Annotated[int, Meta(ge=1, le=1000)] | None = _setting(
        "SEGSYNC_CONCURRENCY", "Concurrent profile reads; auto adapts to rate and latency.", None
    )
    batch_size: Annotated[int, Meta(ge=1, le=1000)] = _setting("SEGSYNC_BATCH_SIZE", "Customers per bulk upsert.", 100)
    request_timeout_seconds: Annotated[float, Meta(ge=0.1, le=3600)] = _setting(
        "SEGSYNC_REQUEST_TIMEOUT", "Seconds until a call times out.", 30.0
    )
    retry_seconds: Annotated[float, Meta(ge=0, le=86_400)] = _setting(
        "SEGSYNC_RETRY_SECONDS", "Seconds to keep retrying a failed call.", 300.0
    )
    confirm_seconds: Annotated[float, Meta(ge=0, le=604_800)] = _setting(
        "SEGSYNC_CONFIRM_SECONDS", "Stop if no bulk upsert finishes for this many seconds.", 3600.0
    )
    ledger: Annotated[str, _text] = _setting(
        "SEGSYNC_LEDGER", "The ledger: a checkpoint file from which an import resumes.", "segsync.db"
    )
    notify_url: Annotated[str, _webhook_url] = _setting(
        "SEGSYNC_NOTIFY_URL", "Webhook to post the summary to at the end: Slack's, or any that takes JSON.", secret=True
    )

    def __post_init__(self) -> None:
        given = {
            entry: (entry.metadata["variable"], value)
            for entry in fields(self)
            if (value := getattr(self, entry.name)) != "" or not entry.metadata["needed_by"]
        }
        for name, value in _checked(given, []).items():
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
        needs: Collection[str] = CONNECTORS,
    ) -> Self:
        """Settings from `flags` over `environ` (default: the process's) over `env_file` over the defaults.

        `flags` gives a (flag, value) by variable: `{"SEGSYNC_CONCURRENCY": ("--concurrency", "8")}`. An `env_file` of
        None is `.env` in the working directory, if it is there. A variable that is set to nothing counts as not set.
        A secret may be in a file that its variable with `_FILE` names. The credentials of the connectors in `needs` are
        required. Raises `SettingsError`.
        """
        flags = flags or {}
        variables = read_variables(environ, env_file)
        in_files, problems = read_secrets(variables, [name for name in SECRETS if name not in flags])
        labelled = {**{variable: (variable, text) for variable, text in variables.items()}, **in_files, **flags}
        given = {each: labelled[name] for each in fields(cls) if (name := each.metadata["variable"]) in labelled}
        in_place = {name for name in SECRETS if name + SUFFIX in variables}  # whether the file can be read or not
        named = {each for each in fields(cls) if each.metadata["variable"] in in_place}
        return cls(**_checked(given, [*problems, *_missing(given.keys() | named, needs)]))

    def require(self, *connectors: str) -> None:
        """Raise `SettingsError` unless the credentials of these connectors are there."""
        if problems := _missing({entry for entry in fields(self) if getattr(self, entry.name)}, connectors):
            raise SettingsError(problems)


SECRETS: Final = tuple(entry.metadata["variable"] for entry in fields(Settings) if entry.metadata["secret"])
"""The variables whose values are never shown. Each may be in a file that the variable with `_FILE` names."""


def one_setting(
    variable: str,
    *,
    flags: Mapping[str, tuple[str, str]] | None = None,
    environ: Mapping[str, str] | None = None,
    env_file: Path | None = None,
) -> str:
    """A setting that has a default, as text, without a look at the others.

    The arguments are those of `Settings.load`. Raises `SettingsError` as that does.
    """
    [entry] = [each for each in fields(Settings) if each.metadata["variable"] == variable]
    text = read_variables(environ, env_file).get(variable)
    given = (flags or {}).get(variable) or (None if text is None else (variable, text))
    return str(_checked({entry: given}, [])[entry.name] if given else entry.default)


def read_variables(environ: Mapping[str, str] | None, env_file: Path | None) -> dict[str, str]:
    """The variables that are set to something in the environment, or else in the file.

    A secret in the environment wins over one in the file, whichever of its two variables either of them sets.
    """
    in_file = {line.key: line.value for line in read_env_file(env_file) if line.key is not None}
    found: dict[str, str] = {}
    for source in (in_file, os.environ if environ is None else environ):
        own = {variable: text for variable, text in source.items() if text and text.strip()}
        won = {form for variable in own if variable.removesuffix(SUFFIX) in SECRETS for form in both_forms(variable)}
        found = {variable: text for variable, text in found.items() if variable not in won} | own
    return found


def _missing(given: Container[Field[Any]], connectors: Collection[str]) -> list[Problem]:
    """A problem for each setting that these connectors need and that is not given."""
    missing = [entry for entry in fields(Settings) if entry.metadata["needed_by"] in connectors and entry not in given]
    return [
        Problem(f"{entry.metadata['variable']} is missing. {entry.metadata['explanation']}", code="setting-missing")
        for entry in missing
    ]


def _checked(given: Mapping[Field[Any], tuple[str, object]], problems: list[Problem]) -> dict[str, Any]:
    """The values by name, each given with its label. Raises `SettingsError` naming these problems and every other."""
    types, values = get_type_hints(Settings, include_extras=True), dict[str, Any]()
    for entry, (label, value) in given.items():
        try:
            values[entry.name] = _converted(value, types[entry.name])
        except ValueError as error:
            # Neither a password that a URL may hold, nor what a terminal takes for a command.
            shown = "" if entry.metadata["secret"] else "=" + printable(re.sub(r"//[^/]*@", "//…@", str(value)))
            problems.append(Problem(f"{label}{shown} {error}", code="setting-invalid"))
    if problems:
        raise SettingsError(problems)
    return values


def _converted(value: object, kind: Any, *, auto: str = "") -> object:
    """The value as this type has it. Raises ValueError with what is allowed: "must be a whole number from 1 to 9"."""
    choices = get_args(kind)
    if type(None) in choices:
        is_auto = value is None or str(value).strip().lower() == AUTO
        return None if is_auto else _converted(value, choices[0], auto=f"{AUTO} or ")
    if get_origin(kind) is Literal:
        choice = str(value).strip().lower()
        if choice not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return choice
    base, rule = choices[:2]
    if not isinstance(rule, Meta):
        return rule(value)
    try:
        return convert(base(value) if isinstance(value, str) else value, kind)
    except (ValueError, ValidationError):
        number = "whole number" if base is int else "number"
        raise ValueError(f"must be {auto}a {number} from {rule.ge:,} to {rule.le:,}") from None


def read_env_file(path: Path | None) -> list[Binding]:
    """The lines of a file of settings; none where None stands for `.env` and there is none. Raises `SettingsError`.

    Their values are as they stand there: a secret may contain "${".
    """
    chosen = path or ENV_FILE
    if path is None and not chosen.exists():
        return []
    try:
        with chosen.open(encoding="utf-8-sig") as stream:
            return list(parse_stream(stream))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        problem = f"{'--env-file ' if path else ''}{chosen} cannot be read: {reason}"
        raise SettingsError([problem], code="env-file-unreadable") from None
