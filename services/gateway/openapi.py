"""The OpenAPI 3.1 document, made from the table of routes and the models."""

import inspect
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from services import __version__
from services.common.options import Options
from services.gateway.models import JobRequest, ProblemDetails
from services.gateway.routes import ROUTES, Route

_REF: Final = "#/components/schemas/{model}"
_PARAMETER: Final = re.compile(r"\{(\w+)\}")

_PROBLEMS: Final = {
    400: "The request is not JSON, or a header is malformed",
    401: "Nobody that is known here",
    403: "Somebody that may not do this",
    404: "Unknown, or somebody else's",
    409: "Not in this state",
    413: "Larger than what is accepted",
    415: "Not sent as JSON",
    422: "JSON that asks for what can't be",
    429: "Too much at a time; see Retry-After",
    501: "Not with this object store",
    503: "Nothing can be stored just now; see Retry-After",
}
_ALWAYS: Final = (400, 401, 403, 429, 503)
_PATH_SCHEMAS: Final = {
    "job_id": {"type": "string", "maxLength": 64, "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"},
    "upload_id": {"type": "string", "minLength": 1},
    "part_number": {"type": "integer", "minimum": 1, "maximum": 10_000},
    "id": {"type": "integer", "minimum": 1},
}
_DESCRIPTION: Final = """\
Upload a video, have it converted, fetch the result.

1. `POST /upload/request`, then PUT the file to the URL it gives (or upload in parts by `/s3/multipart`).
2. `POST /jobs` with the `input_path` from before and an `output_format`.
3. Watch `GET /jobs/{job_id}` (`Prefer: wait=25` holds the answer until something changes), or the push channel.
4. `GET /jobs/{job_id}/download`.

Every error is `application/problem+json`.
"""


def _models() -> list[type[BaseModel]]:
    found: dict[type[BaseModel], None] = {ProblemDetails: None, Options: None}
    for route in ROUTES:
        for model in (route.body, *route.answers.values()):
            if model is not None:
                found[model] = None
    return list(found)


def _schemas() -> tuple[dict[str, Any], dict[type[BaseModel], dict[str, Any]]]:
    """The components, and for each model the reference to its own."""
    answers: set[Any] = {model for route in ROUTES for model in route.answers.values() if model} | {ProblemDetails}
    modes = [(model, "serialization" if model in answers else "validation") for model in _models()]
    references, definitions = models_json_schema(modes, ref_template=_REF)  # type: ignore[arg-type]
    own: dict[Any, dict[str, Any]] = {model: schema for (model, _), schema in references.items()}
    schemas: dict[str, Any] = definitions["$defs"]
    # The options of a job are checked by themselves, after the format; the document shows what they are held to.
    schemas[JobRequest.__name__]["properties"]["options"] = own[Options]
    return schemas, own


def _query_parameters(route: Route) -> Iterator[dict[str, Any]]:
    if route.query is None:
        return
    schema = route.query.model_json_schema(ref_template=_REF)
    definitions = schema.get("$defs", {})
    for name, spec in schema["properties"].items():
        yield {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "description": spec.pop("description", ""),
            "schema": _inlined(_without_null(spec), definitions),
        }


def _without_null(spec: dict[str, Any]) -> dict[str, Any]:
    """A query parameter is left out rather than null."""
    choices = [choice for choice in spec.get("anyOf", ()) if choice != {"type": "null"}]
    rest = {name: value for name, value in spec.items() if name not in {"anyOf", "default", "title"}}
    if "default" in spec and spec["default"] is not None:
        rest["default"] = spec["default"]
    return (choices[0] | rest) if len(choices) == 1 else rest | ({"anyOf": choices} if choices else {})


def _inlined(spec: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    reference = spec.pop("$ref", None)
    return definitions[reference.rpartition("/")[2]] | spec if reference else spec


def _parameters(route: Route) -> list[dict[str, Any]]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _PATH_SCHEMAS[name]}
        for name in _PARAMETER.findall(route.path)
    ]
    parameters += _query_parameters(route)
    parameters += [
        {"name": name, "in": "header", "description": meaning, "schema": {"type": "string"}}
        for name, meaning in route.headers.items()
    ]
    return parameters


def _problem_statuses(route: Route) -> set[int]:
    statuses = {*_ALWAYS, *route.problems}
    if route.body is not None:
        statuses |= {413, 415, 422}
    if route.query is not None:
        statuses.add(422)
    if _PARAMETER.search(route.path):
        statuses |= {404, 422}
    return statuses


def _responses(route: Route, references: dict[type[BaseModel], dict[str, Any]]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, model in route.answers.items():
        entry: dict[str, Any] = {"description": inspect.getdoc(model) if model else _EMPTY.get(status, "Done.")}
        if model is not None:
            schema = references[model]
            schema = {"type": "array", "items": schema} if route.many else schema
            entry["content"] = {"application/json": {"schema": schema}}
        responses[str(status)] = entry
    for status in sorted(_problem_statuses(route)):
        responses[str(status)] = {"$ref": f"#/components/responses/Problem{status}"}
    return responses


_EMPTY: Final = {204: "Done.", 302: "The result is at `Location`.", 304: "Nothing has changed."}


def _operation(route: Route, references: dict[type[BaseModel], dict[str, Any]]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.handler.__name__,
        "summary": (inspect.getdoc(route.handler) or "").partition("\n")[0],
        "tags": [route.tag],
        "parameters": _parameters(route),
        "responses": _responses(route, references),
    }
    if route.body is not None:
        content = {"application/json": {"schema": references[route.body]}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


@cache
def document() -> dict[str, Any]:
    """The whole document."""
    schemas, references = _schemas()
    paths: dict[str, Any] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, references)
    problem = {"application/problem+json": {"schema": references[ProblemDetails]}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Video conversion",
            "version": __version__,
            "description": _DESCRIPTION,
        },
        # Relative to where this document is, so that it holds behind a front door's prefix too.
        "servers": [{"url": "."}],
        "security": [{}, {"bearer": []}, {"key": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {
                f"Problem{status}": {"description": meaning, "content": problem}
                for status, meaning in _PROBLEMS.items()
            },
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }
