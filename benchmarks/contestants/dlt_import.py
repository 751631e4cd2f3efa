"""The same import with dlt: its REST client, its threads, its retries, and a custom destination.

dlt knows no rate limit, so the number of its workers (`EXTRACT__WORKERS`) has to be what the limit and the latency
ask for. The two calls, the mapping and the size of a bulk upsert are segsync's own: both do the same work.
"""

from __future__ import annotations

import os
import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Before dlt is imported: this run sends no telemetry, and nothing of it outlives its directory.
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["RUNTIME__LOG_LEVEL"] = "CRITICAL"
os.environ["DLT_DATA_DIR"] = str(Path.cwd())

import dlt
import msgspec
from dlt.common.schema import TTableSchema
from dlt.common.typing import TDataItems
from dlt.pipeline.exceptions import PipelineStepFailed
from dlt.sources.helpers.requests.retry import Client
from dlt.sources.helpers.rest_client.client import RESTClient
from dlt.sources.helpers.rest_client.paginators import JSONResponseCursorPaginator

from segsync.mapping.customer import MAPPED_TRAITS, to_customer
from segsync.models import Profile

IDENTIFIER = os.environ["IDENTIFIER_SAVED_AS_SOURCE_ID"]
SEGMENT_URL = os.environ["SEGMENT_BASE_URL"]
PROFILES = f"/v1/spaces/{os.environ['SEGMENT_SPACE_ID']}/collections/users/profiles"
VOUCHERIFY_URL = os.environ["VOUCHERIFY_BASE_URL"]
A_BATCH = 100

segment = Client(
    raise_for_status=False,
    max_connections=int(os.environ["EXTRACT__WORKERS"]) + 1,
    session_attrs={
        "headers": {
            "Authorization": f"Basic {b64encode(os.environ['SEGMENT_ACCESS_TOKEN'].encode() + b':').decode()}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
        }
    },
)
voucherify = Client(
    session_attrs={
        "headers": {
            "X-App-Id": os.environ["VOUCHERIFY_APPLICATION_ID"],
            "X-App-Token": os.environ["VOUCHERIFY_SECRET_KEY"],
            "Content-Type": "application/json",
        }
    },
)


@dlt.resource
def profiles() -> Iterator[list[dict[str, Any]]]:
    """The pages of the space."""
    pages = RESTClient(
        SEGMENT_URL,
        session=segment.session,
        paginator=JSONResponseCursorPaginator(cursor_path="cursor.next", cursor_param="next"),
        data_selector="data",
    )
    yield from pages.paginate(PROFILES, params={"limit": "100", "next": "0"})


@dlt.transformer(data_from=profiles)
def customers(page: list[dict[str, Any]]) -> Iterator[Any]:
    """The customer of each profile of a page, read in dlt's threads."""

    @dlt.defer
    def read(segment_id: str) -> dict[str, str] | None:
        return customer_of(segment_id)

    for listed in page:
        yield read(listed["segment_id"])


def customer_of(segment_id: str) -> dict[str, str] | None:
    """A row with the customer as JSON: dlt would drop its nulls, and one of them is intended."""
    profile = f"{SEGMENT_URL}{PROFILES}/segment_id:{segment_id}"
    source_id, following = None, ""
    while source_id is None:
        answer = get(f"{profile}/external_ids?include={IDENTIFIER}&limit=25{following}")
        source_id = next((each["id"] for each in answer["data"] if each["type"] == IDENTIFIER), None)
        if not answer["cursor"]["next"]:
            break
        following = f"&next={answer['cursor']['next']}"
    if source_id is None:
        return None
    traits = get(f"{profile}/traits?include={','.join(MAPPED_TRAITS)}&limit=200")["traits"]
    customer = to_customer(Profile(segment_id, source_id, traits), lambda _trait, _problem: None)
    return {"customer": msgspec.json.encode(customer).decode()}


def get(url: str) -> Any:
    """An answer of Segment, after dlt's retries. Raises requests' error where they ran out."""
    response = segment.get(url)
    response.raise_for_status()
    return response.json()


@dlt.destination(batch_size=A_BATCH)
def bulk_upsert(items: TDataItems, table: TTableSchema) -> None:
    """A hundred customers per call, once all are read: dlt extracts, normalizes and loads one after the other."""
    voucherify.post(
        f"{VOUCHERIFY_URL}/v1/customers/bulk/async", data=f"[{','.join(item['customer'] for item in items)}]".encode()
    )


def main() -> None:
    pipeline = dlt.pipeline("customers", destination=bulk_upsert(), pipelines_dir=str(Path.cwd()))
    try:
        pipeline.run(customers).raise_on_failed_jobs()
    except PipelineStepFailed as failure:
        sys.exit(f"dlt's {failure.step} step failed: {reason(failure)}")


def reason(failure: BaseException) -> str:
    """The cause of a failure: the innermost error, without its URL."""
    while failure.__cause__ or failure.__context__:
        failure = failure.__cause__ or failure.__context__ or failure
    return str(failure).split(" for url")[0]


if __name__ == "__main__":
    main()
