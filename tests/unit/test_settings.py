"""Settings: where a value comes from, what is refused and with which words, what is never shown."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segsync.errors import SettingsError
from segsync.mapping.attributes import AttributeTraits
from segsync.mapping.metadata import TraitChoice
from segsync.settings import CONNECTORS, Settings, is_this_machine, one_setting
from tests.support.program import env_example

CREDENTIALS = {
    "SEGMENT_ACCESS_TOKEN": "token-of-segment",
    "SEGMENT_SPACE_ID": "spa_1",
    "VOUCHERIFY_APPLICATION_ID": "id-of-the-application",
    "VOUCHERIFY_SECRET_KEY": "key-of-voucherify",
}
SECRETS = ("SEGMENT_ACCESS_TOKEN", "VOUCHERIFY_APPLICATION_ID", "VOUCHERIFY_SECRET_KEY")
DEFAULTS = {
    "SEGMENT_REQUEST_LIMIT": "100",
    "SEGMENT_TRAITS_LIMIT": "200",
    "IDENTIFIER_SAVED_AS_SOURCE_ID": "user_id",
    "IDENTIFIER_LOOKUP": "external_ids",
    "ATTRIBUTE_TRAITS": "",
    "METADATA_TRAITS": "",
    "BIRTHDATE_INVALID": "null",
    "METADATA_UNDEFINED": "auto",
    "SEGMENT_REGION": "us",
    "SEGMENT_BASE_URL": "",
    "VOUCHERIFY_REGION": "eu",
    "VOUCHERIFY_BASE_URL": "",
    "SEGMENT_REQUESTS_PER_SECOND": "100",
    "VOUCHERIFY_REQUESTS_PER_MINUTE": "100",
    "SEGSYNC_CONCURRENCY": "auto",
    "SEGSYNC_BATCH_SIZE": "100",
    "SEGSYNC_REQUEST_TIMEOUT": "30",
    "SEGSYNC_RETRY_SECONDS": "300",
    "SEGSYNC_CONFIRM_SECONDS": "3600",
    "SEGSYNC_LEDGER": "segsync.db",
    "SEGSYNC_NOTIFY_URL": "",
}
VARIABLES = (*CREDENTIALS, *DEFAULTS)
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _without_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(**environ: str) -> Settings:
    return Settings.load(environ=CREDENTIALS | environ)


def problems(**environ: str) -> Sequence[str]:
    with pytest.raises(SettingsError) as caught:
        load(**environ)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


# --- where a value comes from ---------------------------------------------------------------------------------


@pytest.mark.parametrize("sources", list(itertools.product((True, False), repeat=3)))
@pytest.mark.parametrize("env_file", [".env", "other.env"])
def test_flags_win_over_the_environment_over_the_env_file_over_the_default(
    sources: tuple[bool, bool, bool], env_file: str
) -> None:
    in_flags, in_environ, in_file = sources
    Path(env_file).write_text("SEGSYNC_CONCURRENCY=3\n" if in_file else "", encoding="utf-8")
    settings = Settings.load(
        flags={"SEGSYNC_CONCURRENCY": ("--concurrency", "1")} if in_flags else {},
        environ=CREDENTIALS | ({"SEGSYNC_CONCURRENCY": "2"} if in_environ else {}),
        env_file=None if env_file == ".env" else Path(env_file),
    )
    expected = [value for value, is_set in zip((1, 2, 3), sources, strict=True) if is_set]
    assert settings.concurrency == (expected[0] if expected else None)


def test_another_env_file_stands_in_for_dot_env_instead_of_adding_to_it() -> None:
    Path(".env").write_text("SEGSYNC_BATCH_SIZE=7\n", encoding="utf-8")
    Path("other.env").write_text("SEGSYNC_CONCURRENCY=3\n", encoding="utf-8")
    settings = Settings.load(environ=CREDENTIALS, env_file=Path("other.env"))
    assert (settings.concurrency, settings.batch_size) == (3, 100)


@pytest.mark.parametrize("nothing", ["", "   ", "\t"])
def test_a_variable_set_to_nothing_counts_as_not_set(nothing: str) -> None:
    Path(".env").write_text("SEGSYNC_CONCURRENCY=3\nSEGSYNC_BATCH_SIZE=\nSEGSYNC_RETRY_SECONDS\n", encoding="utf-8")
    settings = load(**dict.fromkeys(DEFAULTS, nothing))
    assert (settings.concurrency, settings.batch_size, settings.retry_seconds) == (3, 100, 300)
    assert problems(SEGMENT_SPACE_ID=nothing)[0].startswith("SEGMENT_SPACE_ID is missing")


def test_the_environment_of_the_process_is_read_when_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in (CREDENTIALS | {"SEGSYNC_BATCH_SIZE": "42"}).items():
        monkeypatch.setenv(variable, value)
    settings = Settings.load()
    assert (settings.segment_access_token, settings.batch_size) == ("token-of-segment", 42)


def test_only_the_four_credentials_are_required_and_the_rest_has_the_documented_defaults() -> None:
    assert load() == load(**DEFAULTS)
    assert load().request_timeout_seconds == 30
    assert load().voucherify_requests_per_minute == 100


# --- what is refused, and with which words --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "refused", "allowed"),
    [
        ("SEGMENT_REQUEST_LIMIT", ["0", "101", "ten", "1.5", "-1", "9" * 5000], "a whole number from 1 to 100"),
        ("SEGMENT_TRAITS_LIMIT", ["0", "201"], "a whole number from 1 to 200"),
        ("SEGSYNC_CONCURRENCY", ["0", "1001", "many"], "auto or a whole number from 1 to 1,000"),
        ("IDENTIFIER_LOOKUP", ["trait", "ids"], "one of external_ids, traits"),
        ("METADATA_TRAITS", ["plan,", "ltv=", "*=plan"], "names of traits separated by commas"),
        ("METADATA_TRAITS", ["plan,plan", "plan,plan=tier"], "each key once, but 'plan' is there twice"),
        ("ATTRIBUTE_TRAITS", ["phone", "=dob"], "must be attribute=trait, separated by commas"),
        ("ATTRIBUTE_TRAITS", ["fone=mobile"], "'fone' is not one. The attributes are name, email, description, phone,"),
        ("ATTRIBUTE_TRAITS", ["phone=a,phone=b"], "each attribute once, but 'phone' is there twice. The attributes"),
        ("METADATA_UNDEFINED", ["keep", "yes"], "one of auto, send, drop, reject"),
        ("BIRTHDATE_INVALID", ["drop", "none"], "one of null, omit"),
        ("SEGSYNC_BATCH_SIZE", ["0", "1001", "1e2"], "a whole number from 1 to 1,000"),
        ("SEGMENT_REQUESTS_PER_SECOND", ["0", "-5", "nan", "inf", "fast"], "a number from 0.01 to 100,000"),
        ("VOUCHERIFY_REQUESTS_PER_MINUTE", ["0", "nan", "1e400"], "a number from 0.01 to"),
        ("SEGSYNC_REQUEST_TIMEOUT", ["0", "3601", "1m"], "a number from 0.1 to 3,600"),
        ("SEGSYNC_RETRY_SECONDS", ["-1", "86401"], "a number from 0 to 86,400"),
        ("SEGSYNC_CONFIRM_SECONDS", ["-1", "604801", "1h", "nan"], "a number from 0 to 604,800"),
        ("SEGMENT_REGION", ["asia", "europe"], "one of us, eu"),
        ("VOUCHERIFY_REGION", ["mars"], "one of eu, us, asia"),
        ("SEGMENT_BASE_URL", ["profiles.segment.com", "ftp://x.io", "https://", "https://[::1"], "must be a URL"),
        ("VOUCHERIFY_BASE_URL", ["https://x.io:99999", "https://", "//x.io"], "must be a URL"),
        (
            "VOUCHERIFY_BASE_URL",
            ["https://x.io?", "https://x.io?a=b", "https://x.io#a", "https://x .io"],
            "a plain URL",
        ),
    ],
)
def test_a_value_that_is_not_allowed_is_named_with_what_is(variable: str, refused: list[str], allowed: str) -> None:
    for value in refused:
        [problem] = problems(**{variable: value})
        assert problem.startswith(f"{variable}={value} ")
        assert allowed in problem


@pytest.mark.parametrize(
    ("variable", "bounds"),
    [
        ("SEGMENT_REQUEST_LIMIT", ("1", "100")),
        ("SEGMENT_TRAITS_LIMIT", ("1", "200")),
        ("SEGSYNC_CONCURRENCY", ("1", "1000")),
        ("SEGSYNC_BATCH_SIZE", ("1", "1000")),
        ("SEGMENT_REQUESTS_PER_SECOND", ("0.01", "100000")),
        ("SEGSYNC_REQUEST_TIMEOUT", ("0.1", "3600")),
        ("SEGSYNC_RETRY_SECONDS", ("0", "86400")),
        ("SEGSYNC_CONFIRM_SECONDS", ("0", "604800")),
    ],
)
def test_the_bounds_themselves_are_allowed(variable: str, bounds: tuple[str, str]) -> None:
    lowest, highest = (load(**{variable: bound}) for bound in bounds)
    assert lowest != load()
    assert lowest != highest


def test_concurrency_is_automatic_unless_it_is_set() -> None:
    assert load().concurrency is None
    assert load(SEGSYNC_CONCURRENCY=" Auto ").concurrency is None
    assert load(SEGSYNC_CONCURRENCY="8").concurrency == 8


def test_traits_for_metadata_are_named_as_text_or_as_a_choice() -> None:
    choice = load(METADATA_TRAITS=" plan, ltv = lifetime_value").metadata_traits
    assert choice == TraitChoice((("plan", "plan"), ("ltv", "lifetime_value")))
    assert not load().metadata_traits
    assert load(METADATA_UNDEFINED=" Drop").metadata_undefined == "drop"
    assert load(BIRTHDATE_INVALID=" Omit").birthdate_invalid == "omit"


def test_traits_for_attributes_are_named_as_text_or_as_a_choice() -> None:
    choice = load(ATTRIBUTE_TRAITS="phone=mobile_phone, address.city = town").attribute_traits
    assert choice == AttributeTraits((("phone", "mobile_phone"), ("address.city", "town")))
    assert not load().attribute_traits


def test_a_password_in_a_url_and_what_a_terminal_takes_for_a_command_are_not_repeated() -> None:
    [url] = problems(SEGMENT_BASE_URL="https://me:hunter2@x.io")
    assert url.startswith("SEGMENT_BASE_URL=https://…@x.io must be a plain URL")
    [space] = problems(SEGMENT_SPACE_ID="spa\x1b[31m")
    assert space == r"SEGMENT_SPACE_ID=spa\x1b[31m must not contain control characters"
    [ledger] = problems(SEGSYNC_LEDGER="a\nb.db")
    assert ledger == r"SEGSYNC_LEDGER=a\nb.db must not contain control characters"


def test_all_problems_are_named_at_once_each_by_its_variable_or_flag() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.load(
            flags={"SEGSYNC_CONCURRENCY": ("--concurrency", "0")},
            environ={"SEGMENT_SPACE_ID": "spa_1", "SEGMENT_REGION": "mars", "VOUCHERIFY_BASE_URL": "http://x.io"},
        )
    beginnings = [problem.split(" ")[0] for problem in caught.value.problems]
    assert sorted(beginnings) == sorted(
        [*SECRETS, "SEGMENT_REGION=mars", "VOUCHERIFY_BASE_URL=http://x.io", "--concurrency=0"]
    )


def test_the_constructor_checks_too() -> None:
    with pytest.raises(SettingsError, match="SEGSYNC_BATCH_SIZE=0 must be") as caught:
        Settings(
            segment_access_token="top secret",
            segment_space_id="spa_1",
            voucherify_application_id="id",
            voucherify_secret_key="key",
            batch_size=0,
        )
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize(("connector", "count"), [("segment", 2), ("voucherify", 2)])
def test_only_the_credentials_of_the_connectors_that_are_used_are_required(connector: str, count: int) -> None:
    others = {name: value for name, value in CREDENTIALS.items() if not name.startswith(connector.upper())}
    assert Settings.load(environ=others, needs=set(CONNECTORS) - {connector}).concurrency is None
    with pytest.raises(SettingsError) as caught:
        Settings.load(environ=others, needs=[connector])
    assert len(caught.value.problems) == count
    assert all(re.match(rf"{connector.upper()}_[A-Z_]+ is missing\. ", problem) for problem in caught.value.problems)


def test_credentials_that_the_constructor_was_not_given_are_missing_when_they_are_needed() -> None:
    settings = Settings(segment_access_token="token", segment_space_id="spa_1")
    settings.require("segment")
    with pytest.raises(SettingsError) as caught:
        settings.require("segment", "voucherify")
    assert [problem.split()[0] for problem in caught.value.problems] == [
        "VOUCHERIFY_APPLICATION_ID",
        "VOUCHERIFY_SECRET_KEY",
    ]


def test_the_constructor_takes_no_none_for_a_credential() -> None:
    with pytest.raises(SettingsError, match="SEGMENT_ACCESS_TOKEN"):
        Settings(
            segment_access_token=None,  # type: ignore[arg-type] # what os.environ.get() gives for an unset variable
            segment_space_id="spa_1",
            voucherify_application_id="id",
            voucherify_secret_key="key",
        )


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a first run makes tables of Unicode
@given(st.dictionaries(st.sampled_from(VARIABLES), st.text(st.characters())))
def test_whatever_is_in_the_environment_gives_settings_or_problems_that_name_variables(environ: dict[str, str]) -> None:
    found: Sequence[str] = ()
    try:
        assert 1 <= (load(**environ).concurrency or 1) <= 1000
    except SettingsError as error:
        found = error.problems
    assert all(problem.startswith(VARIABLES) for problem in found)


# --- secrets --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", ["geheim☃", "top secret", "one\nSEGMENT_REGION=us", "tab\tsecret"])
@pytest.mark.parametrize("variable", SECRETS)
def test_a_secret_that_cannot_go_in_a_header_is_refused_and_not_shown(variable: str, secret: str) -> None:
    [problem] = problems(**{variable: secret})
    assert problem.startswith(f"{variable} must be printable ASCII")
    assert secret not in problem


def test_neither_repr_nor_another_problem_shows_a_secret() -> None:
    shown = repr(load()) + "".join(problems(SEGSYNC_BATCH_SIZE="0"))
    assert "segment_space_id='spa_1'" in shown
    assert not [variable for variable in SECRETS if CREDENTIALS[variable] in shown]


# --- hosts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("region", "url"), [("us", "https://profiles.segment.com"), ("EU", "https://profiles.euw1.segment.com")]
)
def test_a_segment_region_has_its_host_unless_a_base_url_is_set(region: str, url: str) -> None:
    assert load(SEGMENT_REGION=region).segment_url == url
    assert load(SEGMENT_REGION=region, SEGMENT_BASE_URL="https://x.io/").segment_url == "https://x.io"


@pytest.mark.parametrize(
    ("region", "url"),
    [
        ("eu", "https://api.voucherify.io"),
        ("us", "https://us1.api.voucherify.io"),
        ("asia", "https://as1.api.voucherify.io"),
    ],
)
def test_a_voucherify_region_has_its_host_unless_a_base_url_is_set(region: str, url: str) -> None:
    assert load(VOUCHERIFY_REGION=region).voucherify_url == url
    assert load(VOUCHERIFY_REGION=region, VOUCHERIFY_BASE_URL="https://x.io/a/").voucherify_url == "https://x.io/a"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.8.9.10", "[::1]"])
@pytest.mark.parametrize("variable", ["SEGMENT_BASE_URL", "VOUCHERIFY_BASE_URL"])
def test_plain_http_is_for_this_machine(variable: str, host: str) -> None:
    settings = load(**{variable: f"http://{host}:8080"})
    assert f"http://{host}:8080" in (settings.segment_url, settings.voucherify_url)


@pytest.mark.parametrize(
    "host",
    ["x.io", "localhost.x.io", "127.0.0.1.x.io", "0.0.0.0", "10.0.0.1", "[::2]", "localhost\\.x.io"],  # noqa: S104
)
@pytest.mark.parametrize("variable", ["SEGMENT_BASE_URL", "VOUCHERIFY_BASE_URL"])
def test_plain_http_to_any_other_host_is_refused(variable: str, host: str) -> None:
    [problem] = problems(**{variable: f"http://{host}"})
    assert "must begin with https://" in problem


@pytest.mark.parametrize(
    "url", ["https://hooks.example/a?sig=x%3D", "https://u:p@hooks.example", "http://localhost:8080/a", "HTTPS://x.io"]
)
def test_a_webhook_is_at_an_https_url_or_on_this_machine_and_may_have_a_query(url: str) -> None:
    assert load(SEGSYNC_NOTIFY_URL=f" {url}\n").notify_url == url
    assert url not in repr(load(SEGSYNC_NOTIFY_URL=url))


@pytest.mark.parametrize(
    "url",
    ["http://hooks.example/a", "hooks.example", "ftp://x.io", "https://:80", "https://x.io/a b", "https://ü.example"],
)
def test_any_other_webhook_is_refused_and_not_shown(url: str) -> None:
    [problem] = problems(SEGSYNC_NOTIFY_URL=url)
    assert problem.startswith("SEGSYNC_NOTIFY_URL must ")
    assert url not in problem


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.10", "::1"])
def test_this_machine_is_known_by_its_names(host: str) -> None:
    assert is_this_machine(host)


@pytest.mark.parametrize(
    "host",
    ["", "x.io", "localhost.x.io", "127.0.0.1.x.io", "0.0.0.0", "10.0.0.1", "::2", "127.1"],  # noqa: S104
)
def test_no_other_host_is_this_machine(host: str) -> None:
    assert not is_this_machine(host)


# --- one setting alone ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "in_file", "ledger"),
    [
        ({"SEGSYNC_LEDGER": "a.db"}, "SEGSYNC_LEDGER=b.db", "a.db"),
        ({"SEGSYNC_LEDGER": " "}, "SEGSYNC_LEDGER=b.db", "b.db"),
        ({}, "SEGSYNC_LEDGER=", "segsync.db"),
        ({}, "", "segsync.db"),
    ],
)
def test_where_the_ledger_is_can_be_asked_without_any_credential(
    environ: dict[str, str], in_file: str, ledger: str
) -> None:
    Path(".env").write_text(in_file, encoding="utf-8")
    assert one_setting("SEGSYNC_LEDGER", environ=environ) == ledger
    Path("other.env").write_text("SEGSYNC_LEDGER=c.db", encoding="utf-8")
    expected = "a.db" if ledger == "a.db" else "c.db"
    assert one_setting("SEGSYNC_LEDGER", environ=environ, env_file=Path("other.env")) == expected


def test_one_setting_wants_the_env_file_that_was_asked_for_too() -> None:
    with pytest.raises(SettingsError, match=r"--env-file nowhere\.env cannot be read: No such file"):
        one_setting("SEGSYNC_LEDGER", environ={}, env_file=Path("nowhere.env"))


# --- the env file ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "token"),
    [
        ("SEGMENT_ACCESS_TOKEN=abc", "abc"),
        ("\ufeffSEGMENT_ACCESS_TOKEN=abc", "abc"),
        ("SEGMENT_ACCESS_TOKEN = 'a#b'  # the token", "a#b"),
        ('export SEGMENT_ACCESS_TOKEN="abc"\r\n', "abc"),
        ("SEGMENT_ACCESS_TOKEN=a${HOME}b", "a${HOME}b"),
        ("# Größe\n\nSEGMENT_ACCESS_TOKEN=a=b==\n", "a=b=="),
    ],
)
def test_an_env_file_is_read_as_people_write_them(line: str, token: str) -> None:
    Path(".env").write_text(line, encoding="utf-8", newline="")
    environ = {variable: value for variable, value in CREDENTIALS.items() if variable != "SEGMENT_ACCESS_TOKEN"}
    assert Settings.load(environ=environ).segment_access_token == token


def test_an_env_file_that_was_asked_for_must_exist() -> None:
    with pytest.raises(SettingsError, match=r"--env-file nowhere\.env cannot be read: No such file"):
        Settings.load(environ=CREDENTIALS, env_file=Path("nowhere.env"))


def test_an_env_file_that_cannot_be_read_is_named() -> None:
    Path("folder").mkdir()
    with pytest.raises(SettingsError, match="--env-file folder cannot be read"):
        Settings.load(environ=CREDENTIALS, env_file=Path("folder"))
    Path(".env").write_bytes("SEGMENT_ACCESS_TOKEN=abc".encode("utf-16"))
    with pytest.raises(SettingsError, match=r"^\.env cannot be read: it is not UTF-8 text"):
        load()


def test_the_example_in_the_repository_is_up_to_date() -> None:
    assert (REPOSITORY / ".env-example").read_text(encoding="utf-8") == env_example()


def test_the_example_explains_every_setting_and_filled_in_gives_the_defaults() -> None:
    lines = env_example().splitlines()
    explained = {below.partition("=")[0] for above, below in itertools.pairwise(lines) if above.startswith("# ")}
    explained = {variable for variable in explained if not variable.startswith("#")}
    assert explained - {""} == set(VARIABLES)
    Path(".env").write_text(env_example(), encoding="utf-8")
    assert Settings.load(environ=CREDENTIALS) == load()
