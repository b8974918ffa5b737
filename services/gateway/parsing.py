"""From what came over the wire to models, or to a problem that says what is wrong."""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

import orjson
from aiohttp import web
from pydantic import BaseModel, ValidationError

from services.common.web import Problem

Model = TypeVar("Model", bound=BaseModel)

_UNPROCESSABLE: Final = "Some fields are not as they must be; see `errors`."


def invalid(*errors: tuple[str, str]) -> Problem:
    """A 422 that names what is wrong with each field."""
    return Problem(422, _UNPROCESSABLE, errors=[{"field": field, "message": text} for field, text in errors])


def _check(model: type[Model], data: Any) -> Model:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        items = error.errors(include_url=False, include_context=False, include_input=False)
        raise invalid(
            *(
                (".".join(map(str, item["loc"])) or "body", item["msg"].removeprefix("Value error, "))
                for item in items[:20]
            )
        ) from None


async def read_body(request: web.Request, model: type[Model]) -> Model:
    """The request's JSON body as `model`.

    Raises:
        Problem: 415 for another content type, 400 for what is not JSON, 422 for what does not fit `model`.
    """
    if request.content_type not in ("application/json", "application/octet-stream"):
        # The second is what aiohttp says where the client said nothing.
        raise Problem(415, "Send the request as JSON, with Content-Type: application/json.")
    body = await request.read()
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Problem(400, "The request body is not valid JSON.") from None
    return _check(model, data)


def read_query(request: web.Request, model: type[Model]) -> Model:
    """The request's query parameters as `model`; Problem 422 where they do not fit."""
    return _check(model, dict(request.query))


def read_values(values: Mapping[str, Any], model: type[Model]) -> Model:
    """Other values of the request, such as parts of its path, as `model`; Problem 422 where they do not fit."""
    return _check(model, values)
