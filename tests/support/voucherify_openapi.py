"""What Voucherify's OpenAPI documents of the calls that segsync makes, as schemas for a validator.

The names, types, required fields and formats are those of the vendor's document (OpenAPI 3.0.1, "v2018-08-01", of
2026-08-21), retold for the few schemas that are needed, under their names there. Two things are stricter: a field that
is not documented is refused, and of the types of an async action only that of a bulk upsert is taken. Two things are
other than there, where the document contradicts itself: the `result` of an action is that of its type, since the
document's `oneOf` of all types fits no result; the `code` of a 429 is a number, as in its default and in the guide
"API overview", though its type is "string".

Where the variable `OPENAPI_FOLDER` names a folder with the vendor's own files, those are used instead.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from openapi_schema_validator import OAS30Validator

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
FLAG: Schema = {"type": "boolean"}
DAY: Schema = {"type": "string", "format": "date"}
MOMENT: Schema = {"type": "string", "format": "date-time"}
ANY_OBJECT: Schema = {"type": "object"}


def _one_of(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}


def _list_of(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _or_null(schema: Schema) -> Schema:
    return {**schema, "nullable": True}


def _object(fields: dict[str, Schema], *required: str) -> Schema:
    needed = {"required": list(required)} if required else {}
    return {"type": "object", "properties": fields, "additionalProperties": False, **needed}


ADDRESS = _object(dict.fromkeys(("city", "state", "line_1", "line_2", "country", "postal_code"), TEXT))

CUSTOMER = {
    **dict.fromkeys(("source_id", "name", "description", "email", "phone"), TEXT),
    "birthday": DAY,
    "birthdate": DAY,
    "address": _or_null(ADDRESS),
    "metadata": ANY_OBJECT,
}

ACTION = {
    **dict.fromkeys(("id", "request_id"), TEXT),
    "object": _one_of("async_action"),
    "type": _one_of("CUSTOMERS.BULK_UPDATE"),
    "status": _one_of("ENQUEUED", "IN_PROGRESS", "DONE", "FAILED"),
    "operation_status": _one_of("SUCCESS", "FAILED", "UNKNOWN"),
    **dict.fromkeys(("created_at", "updated_at"), MOMENT),
    "processing_time": WHOLE,
    "progress": {"type": "integer", "minimum": 0, "maximum": 100},
}

REFUSAL = dict.fromkeys(("source_id", "key", "message", "details"), TEXT)

RESULT = {
    **dict.fromkeys(("done_count", "failed_count"), WHOLE),
    "reports": _list_of(TEXT),
    "reports_available_till": MOMENT,
    "errors": _list_of(_object(REFUSAL, *REFUSAL)),
}

DEFINITION = {
    "type": _one_of("string", "number", "object", "date", "datetime", "geopoint", "boolean", "image_url"),
    **dict.fromkeys(("array", "optional", "deleted"), FLAG),
    "objectType": _or_null(TEXT),
    "eq": _list_of({}),
    "ne": _list_of({}),
    **dict.fromkeys(("lt", "lte", "gt", "gte", "maxLength", "minLength", "exactLength"), WHOLE),
}

METADATA_SCHEMA = {
    **dict.fromkeys(("id", "related_object", "object"), TEXT),
    "properties": {"type": "object", "additionalProperties": _object(DEFINITION, "type", "optional", "array")},
    "allow_defined_only": _or_null(FLAG),
    "created_at": MOMENT,
    "updated_at": _or_null(MOMENT),
}

CUSTOMER_READ = {
    **CUSTOMER,
    **dict.fromkeys(("summary", "loyalty", "referrals", "system_metadata"), ANY_OBJECT),
    **dict.fromkeys(("created_at", "updated_at"), MOMENT),
    "id": TEXT,
    "object": _one_of("customer"),
}

ERROR = {"code": WHOLE, **dict.fromkeys(("key", "message", "details", "request_id"), TEXT)}

SCHEMAS = {
    "CustomersUpdateInBulkRequestBody": _object(CUSTOMER, "source_id"),
    "CustomersUpdateInBulkResponseBody": _object({"async_action_id": TEXT}, "async_action_id"),
    "AsyncActionBase": _object(ACTION),
    "AsyncActionsListResponseBody": _object(
        {
            "object": _one_of("list"),
            "data_ref": _one_of("async_actions"),
            "async_actions": _list_of(_object(ACTION)),
            "has_more": FLAG,
        }
    ),
    "AsyncActionResultCustomersBulkUpdateResponseBody": _object(RESULT, *RESULT),
    "MetadataSchemasGetResponseBody": _object(METADATA_SCHEMA, *METADATA_SCHEMA),
    "CustomersGetResponseBody": _object(CUSTOMER_READ, "summary", "loyalty", "referrals", "object"),
    "Error": _object(ERROR, "code", "message"),
    "BadRequest": _object({"statusCode": WHOLE, "error": TEXT, "message": TEXT}),
}

TOO_MANY = _object({"code": WHOLE, "message": TEXT})


def _components() -> dict[str, Schema]:
    """All schemas by name; those of the vendor's own files take the place of the ones above."""
    found = dict(SCHEMAS)
    folder = os.environ.get("OPENAPI_FOLDER")
    for path in sorted(Path(folder).glob("*.json")) if folder else ():
        found.update(json.loads(path.read_text(encoding="utf-8")).get("components", {}).get("schemas", {}))
    return found


COMPONENTS = _components()


def problems(name: str, value: object) -> list[str]:
    """What the validator finds wrong with a JSON value that should be of the schema of this name."""
    return _problems({"$ref": f"#/components/schemas/{name}", "components": {"schemas": COMPONENTS}}, value)


def problems_with_429(value: object) -> list[str]:
    """The same for the body of a 429, whose schema has no name."""
    return _problems(TOO_MANY, value)


def _problems(schema: Schema, value: object) -> list[str]:
    validator = OAS30Validator(schema, format_checker=OAS30Validator.FORMAT_CHECKER)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]
