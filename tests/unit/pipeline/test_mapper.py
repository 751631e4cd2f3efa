"""The rules of an import: its settings, and the schema if Voucherify lets it be read."""

from __future__ import annotations

from typing import Any

import pytest

from segsync.errors import (
    AccessError,
    AnswerError,
    BlockedError,
    CallError,
    MappingError,
    QuotaError,
    RefusedError,
    SegsyncError,
    TransientError,
)
from segsync.events import MetadataUnchecked
from segsync.mapping.customer import MetadataOf
from segsync.mapping.metadata_schema import Definition, MetadataSchema
from segsync.pipeline.mapper import read_metadata_rules
from segsync.settings import Settings
from tests.support.scripted import Events

STRICT = MetadataSchema({"plan": Definition(), "points": Definition("number")}, allow_defined_only=True)


def settings_of(**settings: Any) -> Settings:
    return Settings(
        segment_access_token="token",
        segment_space_id="spa_1",
        voucherify_application_id="id",
        voucherify_secret_key="key",
        **settings,
    )


def access_error(status: int) -> AccessError:
    return AccessError("it refuses the key", service="Voucherify", status=status, request_id="req-1")


class Schemas:
    """Returns a schema or raises; so does the other call."""

    def __init__(self, schema: MetadataSchema | CallError, other: CallError | None = None) -> None:
        self._schema, self._other = schema, other
        self.calls = 0

    async def metadata_schema(self) -> MetadataSchema:
        self.calls += 1
        if isinstance(self._schema, CallError):
            raise self._schema
        return self._schema

    async def action_statuses(self) -> dict[str, str]:
        self.calls += 1
        if self._other:
            raise self._other
        return {}


class Garbled(Schemas):
    """Answers `garbled` times with what cannot be used, and then with the schema."""

    def __init__(self, garbled: int, schema: MetadataSchema, other: CallError | None = None) -> None:
        super().__init__(schema, other)
        self._garbled = garbled

    async def metadata_schema(self) -> MetadataSchema:
        self._garbled -= 1
        if self._garbled >= 0:
            raise AnswerError("answered with text/html instead of JSON", service="Voucherify")
        return await super().metadata_schema()


def made_by(rules: MetadataOf, **traits: Any) -> dict[str, Any] | None:
    return rules(traits, lambda _trait, _problem: None)


async def test_the_settings_and_the_schema_make_the_rules_with_one_call() -> None:
    schemas = Schemas(STRICT)
    rules = await read_metadata_rules(settings_of(metadata_traits="points=score"), schemas, Events().append)
    assert made_by(rules, score="7", metadata={"plan": "pro", "shoe_size": 42}) == {"plan": "pro", "points": 7}
    assert schemas.calls == 1
    rejecting = settings_of(metadata_undefined="reject")
    with pytest.raises(MappingError):
        made_by(await read_metadata_rules(rejecting, schemas, Events().append), metadata={"shoe_size": 42})


@pytest.mark.parametrize(("lookup", "is_used"), [("external_ids", False), ("traits", True)])
async def test_the_identifier_is_used_where_it_is_read_from_the_traits(lookup: str, is_used: bool) -> None:
    settings = settings_of(metadata_traits="*", identifier_lookup=lookup)
    rules = await read_metadata_rules(settings, Schemas(MetadataSchema()), Events().append)
    expected = {"vip": True} if is_used else {"vip": True, "user_id": "u1"}
    assert made_by(rules, user_id="u1", name="Ada", postal_code="1", vip=True) == expected


async def test_traits_that_are_read_for_attributes_are_not_among_the_others() -> None:
    settings = settings_of(metadata_traits="*,dob", attribute_traits="phone=mobile_phone,birthdate=dob")
    rules = await read_metadata_rules(settings, Schemas(MetadataSchema()), Events().append)
    assert made_by(rules, mobile_phone="+48 1", dob="1990-05-17", vip=True) == {"vip": True, "dob": "1990-05-17"}


@pytest.mark.parametrize("undefined", ["auto", "send"])
@pytest.mark.parametrize(
    "error",
    [
        access_error(401),
        access_error(403),
        RefusedError("answered 400", service="Voucherify", status=400),
        AnswerError("not what its API documents", service="Voucherify"),
    ],
    ids=["401", "403", "400", "no schema"],
)
async def test_where_the_schema_alone_is_not_to_be_read_metadata_goes_as_it_is_and_that_is_reported(
    undefined: str, error: CallError
) -> None:
    events = Events()
    settings = settings_of(metadata_undefined=undefined, metadata_traits="vip")
    rules = await read_metadata_rules(settings, Schemas(error), events.append)
    assert made_by(rules, vip=True, metadata={"points": "many"}) == {"vip": True, "points": "many"}
    [unchecked] = events.of(MetadataUnchecked)
    assert "the metadata schema" in unchecked.reason


@pytest.mark.parametrize("undefined", ["drop", "reject"])
async def test_settings_that_need_the_schema_stop_the_import_with_what_to_do(undefined: str) -> None:
    settings = settings_of(metadata_undefined=undefined)
    with pytest.raises(AccessError) as caught:
        await read_metadata_rules(settings, Schemas(access_error(403)), Events().append)
    assert caught.value.message == (
        "Voucherify answered 403: this application key may not read the metadata schema, which "
        f"METADATA_UNDEFINED={undefined} needs. Give the key that right, or set METADATA_UNDEFINED=send"
    )
    assert caught.value.request_id == "req-1"


@pytest.mark.parametrize("undefined", ["auto", "send", "drop", "reject"])
async def test_credentials_that_open_nothing_at_all_are_reported_as_such(undefined: str) -> None:
    schemas = Schemas(access_error(401), other=access_error(401))
    with pytest.raises(AccessError, match="it refuses the key"):
        await read_metadata_rules(settings_of(metadata_undefined=undefined), schemas, Events().append)


@pytest.mark.parametrize(
    "error",
    [
        TransientError("503", service="V"),
        QuotaError("used up", service="V"),
        BlockedError("a proxy or firewall", service="V", status=403),
    ],
)
async def test_an_outage_is_not_a_reason_to_go_on_without_the_schema(error: CallError) -> None:
    with pytest.raises(SegsyncError) as caught:
        await read_metadata_rules(settings_of(), Schemas(error), Events().append)
    assert caught.value is error


@pytest.mark.parametrize("garbled", [1, 2])
async def test_a_schema_that_is_garbled_for_a_moment_is_asked_for_again(garbled: int) -> None:
    events = Events()
    schemas = Garbled(garbled, MetadataSchema({"points": Definition("number")}))
    rules = await read_metadata_rules(settings_of(metadata_undefined="drop"), schemas, events.append)
    assert made_by(rules, metadata={"points": "12", "other": "x"}) == {"points": 12}
    assert not events.of(MetadataUnchecked)


async def test_where_no_call_is_understood_the_import_does_not_begin() -> None:
    other = AnswerError("answered with text/html instead of JSON. Is the base URL right?", service="Voucherify")
    with pytest.raises(AnswerError, match="Is the base URL right"):
        await read_metadata_rules(settings_of(), Garbled(9, MetadataSchema(), other), Events().append)
