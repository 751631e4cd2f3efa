"""The Segment Profile API: pages of profiles, a profile's identifier, its traits.

Facts are from Segment's pages "Profile API" and "Unify limits". The listing of profiles is on neither: it is called as
the Node script does, and any cursor is taken.
https://www.twilio.com/docs/segment/unify/profile-api
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import AsyncGenerator, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from segsync.connectors import segment_profile
from segsync.connectors.http.client import ApiClient
from segsync.connectors.http.lenient import Repair
from segsync.connectors.segment_profile import (
    Cursor,
    Damage,
    ExternalIdsAnswer,
    TraitsAnswer,
    TraitsRead,
    damaged_identifier,
    first_of_type,
    usable,
)
from segsync.errors import AccessError, AnswerError, CursorError, RefusedError, TransientError
from segsync.mapping.problems import SEVERAL
from segsync.models import Page, Profile

SERVICE = segment_profile.SERVICE

PROBE_SECONDS = 10.0

EXTERNAL_IDS_PER_CALL = 25
"""What is asked for. A profile can have more: the cursor leads to the others."""

MOST_URL_BYTES = 6000
"""A longer address is refused by some proxies and servers (8 KB with all headers is a common limit)."""

_ROOM_BYTES = 700
"""What an address needs beside the names of traits: a profile's id, the limit, a cursor."""


class _ListedProfile(msgspec.Struct):
    segment_id: str


class _ProfilesAnswer(msgspec.Struct):
    """Whether Segment writes an empty list as null is not documented: here and below, null means empty."""

    data: list[_ListedProfile] | None
    cursor: Cursor | None


_PROFILES = msgspec.json.Decoder(_ProfilesAnswer)
_EXTERNAL_IDS = msgspec.json.Decoder(ExternalIdsAnswer)
_TRAITS = msgspec.json.Decoder(TraitsAnswer)


def headers(access_token: str) -> Mapping[str, str]:
    """HTTP Basic: the token is the user name, the password is empty."""
    return {"Authorization": f"Basic {b64encode(f'{access_token}:'.encode()).decode()}"}


class SegmentSource:
    """A Segment space as a source of profiles, on pages of ids.

    `identifier_type` is the external id that makes a customer; with `traits_first` the trait of that name comes before
    it. `traits` are the ones that the mapping reads, None for all of them. They are asked for by name, which saves
    calls, but a server that returns more is understood.
    """

    def __init__(
        self,
        client: ApiClient,
        *,
        identifier_type: str,
        traits: Collection[str] | None,
        traits_first: bool = False,
        page_size: int = 100,
        traits_limit: int = 200,
    ) -> None:
        self.about = client.about
        self.usage = client.limiter.usage
        self._call = client.call
        self._identifier_type = identifier_type
        self._traits_first = traits_first
        if traits_first and traits is not None:
            traits = dict.fromkeys([identifier_type, *traits])
        self._page_size = page_size
        self._profiles = f"/v1/spaces/{quote(client.about.identity, safe='')}/collections/users/profiles"
        self._external_ids_query = f"include={quote(identifier_type, safe='')}&limit={EXTERNAL_IDS_PER_CALL}"
        room = MOST_URL_BYTES - _ROOM_BYTES - len(client.about.host) - len(self._profiles)
        self._traits_limit = traits_limit
        self._includes = [None] if traits is None else list(_parts(traits, room))
        self._traits_queries = [_traits_query(names, traits_limit) for names in self._includes]
        self._damage = Damage(traits)

    async def pages(self, offset: str, limit: int | None = None) -> AsyncGenerator[Page, None]:
        """The pages from the cursor `offset` on, in Segment's order, with at most `limit` profiles in all.

        Raises `AccessError` where the space does not exist, `CursorError` where Segment does not take `offset`, and
        `AnswerError` where a cursor leads nowhere.
        """
        trail = _Trail("the list of profiles", offset)
        left = limit
        while trail.cursor is not None and left != 0:
            cursor = trail.cursor
            size = self._page_size if left is None else min(self._page_size, left)
            answer = await self._list(cursor, size, is_first=cursor == offset)
            listed = tuple(profile.segment_id for profile in answer.data or ())
            repeated = Page(cursor, listed[:left], cursor)  # a resume has to begin with this page again
            try:
                trail.follow(answer.cursor)
            except AnswerError:
                yield repeated  # its profiles are known all the same
                raise
            if left is not None:
                left -= len(repeated.profiles)
            is_cut = len(listed) > len(repeated.profiles)  # where Segment lists more than was asked for
            yield repeated if is_cut else Page(cursor, listed, trail.cursor)

    async def answers(self) -> bool:
        """Whether Segment answers at all; asked when the retries of one profile have run out."""
        try:
            await self._call("GET", f"{self._profiles}?limit=1&next=0", _PROFILES, retry_seconds=PROBE_SECONDS)
        except TransientError:
            return False
        return True

    async def _list(self, cursor: str, size: int, *, is_first: bool) -> _ProfilesAnswer:
        target = f"{self._profiles}?limit={size}&next={quote(cursor, safe='')}"
        try:
            return await self._call("GET", target, _PROFILES)
        except RefusedError as error:
            hint = f"Is '{cursor}' an offset or cursor of this space?"
            kind: type[RefusedError | AccessError] = RefusedError
            code = "offset-refused"
            if error.status == 404:
                code = "space-not-found"
                kind, hint = AccessError, f"Is SEGMENT_SPACE_ID={self.about.identity} in this SEGMENT_REGION?"
            elif is_first:
                kind = CursorError if error.status in (400, 410) else AccessError
            message = f"Segment answered {error.status} to the list of profiles. {hint}"
            raise kind(message, service=SERVICE, status=error.status, request_id=error.request_id, code=code) from None

    async def read(self, segment_id: str) -> Profile | None:
        """The profile with its identifier and the traits asked for, or None where it has no such identifier.

        The identifier comes first: most profiles of a real space are anonymous and cost this one call. Where it is a
        trait as well (`traits_first`), it is the others that cost one call. Raises what `ApiClient.call` raises, with
        404 where the profile was merged or deleted since it was listed, and `AnswerError` where a cursor leads nowhere
        or the identifier is damaged: no customer is made under a name that is not its own.
        """
        path = self._path(segment_id)
        if not self._traits_first:
            source_ids = await self._identifiers(path)
            return self._profile(segment_id, source_ids, await self.traits(segment_id)) if source_ids else None
        traits = await self.traits(segment_id)
        source_id = traits.source_id(self._identifier_type)
        source_ids = [source_id] if source_id else await self._identifiers(path)
        if not source_ids and self._identifier_type in traits.damaged:
            raise damaged_identifier(self._identifier_type)
        return self._profile(segment_id, source_ids, traits) if source_ids else None

    async def external_ids(self, segment_id: str) -> list[tuple[str, str]]:
        """All external ids of a profile, of whatever type: (type, value), in Segment's order. Raises as `read`."""
        target = f"{self._path(segment_id)}/external_ids?limit={EXTERNAL_IDS_PER_CALL}"
        trail = _Trail("a profile's external ids")
        found: list[tuple[str, str]] = []
        while trail.cursor is not None:
            answer = await self._call("GET", trail.next(target), _EXTERNAL_IDS)
            has_identifier = first_of_type(found, self._identifier_type) is not None
            found += usable(answer, None if has_identifier else self._identifier_type)
            trail.follow(answer.cursor)
        return found

    async def traits(self, segment_id: str) -> TraitsRead:
        """The traits of a profile that are asked for. Raises as `read`."""
        return await self._traits(segment_id, self._traits_queries)

    async def all_traits(self, segment_id: str) -> TraitsRead:
        """Every trait of a profile, whichever are asked for otherwise. Raises as `read`."""
        return await self._traits(segment_id, [_traits_query(None, self._traits_limit)])

    def trait_calls(self, read: TraitsRead) -> int:
        """How many calls `traits` takes for a profile of which `all_traits` has read these."""
        there = read.values.keys()
        counts = [len(there & names) for names in self._includes if names is not None]
        return sum(max(math.ceil(count / self._traits_limit), 1) for count in counts) or read.calls

    def _path(self, segment_id: str) -> str:
        return f"{self._profiles}/segment_id:{quote(segment_id, safe='')}"

    def _profile(self, segment_id: str, source_ids: Sequence[str], traits: TraitsRead) -> Profile:
        several = ((f"external_ids.{self._identifier_type}", SEVERAL),) if len(set(source_ids)) > 1 else ()
        return Profile(segment_id, source_ids[0], traits.values, several + traits.problems)

    async def _identifiers(self, path: str) -> list[str]:
        """The identifiers on the first page of a profile's external ids that has any: no call looks for more."""
        target = f"{path}/external_ids?{self._external_ids_query}"
        trail = _Trail("a profile's external ids")
        while trail.cursor is not None:
            answer = await self._call("GET", trail.next(target), _EXTERNAL_IDS)
            pairs = usable(answer, self._identifier_type)
            if found := [value for each_type, value in pairs if each_type == self._identifier_type]:
                return found
            trail.follow(answer.cursor)
        return []

    async def _traits(self, segment_id: str, queries: Iterable[str]) -> TraitsRead:
        traits: dict[str, Any] = {}
        repairs: list[Repair] = []
        calls = 0
        for query in queries:
            target = f"{self._path(segment_id)}/traits?{query}"
            trail = _Trail("a profile's traits")
            while trail.cursor is not None:
                answer = await self._call("GET", trail.next(target), _TRAITS)
                calls += 1
                if answer.traits:
                    traits.update(answer.traits)
                repairs += answer.repairs
                trail.follow(answer.cursor)
        return self._damage.read(traits, calls, repairs) if repairs else TraitsRead(traits, calls)


def _parts(names: Iterable[str], room_bytes: int) -> Iterator[list[str]]:
    """The names in as few parts as fit into `room_bytes` as the value of `include=`; a longer name stands alone."""
    part: list[str] = []
    size = 0
    for name in names:
        added = len(quote(name, safe="")) + 1  # with the comma
        if part and size + added > room_bytes:
            yield part
            part, size = [], 0
        part.append(name)
        size += added
    yield part


def _traits_query(names: Iterable[str] | None, limit: int) -> str:
    """What to ask for: the traits with these names, None for all."""
    include = "" if names is None else f"include={','.join(quote(name, safe='') for name in names)}&"
    return f"{include}limit={limit}"


class _Trail:
    """Follows the cursors of one listing: `cursor` is the next one, None at the end.

    A cursor that comes back is found in constant memory, however long the listing (Brent's algorithm).
    """

    def __init__(self, listing: str, first: str = "") -> None:
        self.cursor: str | None = first
        self._listing = listing
        self._anchor = first
        self._steps_left = self._span = 1

    def next(self, target: str) -> str:
        """The target of the next call."""
        return f"{target}&next={quote(self.cursor, safe='')}" if self.cursor else target

    def follow(self, cursor: Cursor | None) -> None:
        """Go on with what an answer says.

        Raises `AnswerError` where there is more but no cursor, since ending there would lose the rest in silence, and
        where the cursor repeats, since that would never end.
        """
        following = "" if cursor is None or cursor.next is None else str(cursor.next)
        if following and following not in (self.cursor, self._anchor):
            self.cursor = following
            self._steps_left -= 1
            if self._steps_left == 0:
                self._span *= 2
                self._steps_left, self._anchor = self._span, following
            return
        self.cursor = None
        has_more = cursor and cursor.has_more
        if following and has_more is not False:
            message = f"Segment's cursor for {self._listing} repeats, so it would never end"
            raise AnswerError(message, service=SERVICE, code="cursor-unusable")
        if has_more and not following:
            message = f"Segment returned has_more without a cursor for {self._listing}"
            raise AnswerError(message, service=SERVICE, code="cursor-unusable")
