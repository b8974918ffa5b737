"""The push channel described as an AsyncAPI 3 document, made from the models that it runs on."""

from typing import Any, Final

from pydantic import BaseModel, Field
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from services.common import messages
from services.notifier import protocol
from services.notifier.protocol import CloseCode
from services.notifier.settings import NotifierSettings

_CLIENT: Final[tuple[type[BaseModel], ...]] = (protocol.Subscribe, protocol.Unsubscribe, protocol.Ping)
_SERVER: Final[tuple[type[BaseModel], ...]] = (
    protocol.Hello,
    protocol.Subscribed,
    protocol.Unsubscribed,
    protocol.Pong,
    protocol.Error,
    protocol.Goodbye,
)
_EVENTS: Final[tuple[type[BaseModel], ...]] = (
    messages.Queued,
    messages.Started,
    messages.Progressed,
    messages.Retrying,
    messages.Completed,
    messages.Failed,
    messages.Cancelled,
)
# An event stream begins with the subscription that its address asks for, and hears nothing.
_ON_STREAM: Final[tuple[type[BaseModel], ...]] = (protocol.Subscribed, protocol.Goodbye, *_EVENTS)

_CLOSE_CODES: Final = {
    1000: "the client is done",
    CloseCode.GOING_AWAY: "the server stops; the reason ends in `retry=` and the seconds to stay away",
    1009: "the client's message was too large",
    CloseCode.STREAM_CHANGED: "the stream of events begins anew; come back for a snapshot",
    CloseCode.TRY_LATER: "too slow a reader, or too many connections; come back later",
    CloseCode.BAD_MESSAGE: "bad or too many messages, after a warning",
    CloseCode.NOT_ALLOWED: "no ticket, or not a good one",
    CloseCode.WRONG_ORIGIN: "pages of this origin may not connect",
}

_DESCRIPTION: Final = """\
What happens to jobs, as it happens.

Open `/ws`, send `subscribe`, get `subscribed` with the jobs as they are, then every event of theirs.  Keep the
`cursor` of the last message.  After a lost connection subscribe again with `after` that cursor, here or at any other
instance: `recovered: true` says that all that was missed follows, in order; `recovered: false` comes with a snapshot
that replaces what you know.  Subscribe to several jobs by one message with `job_ids`, so that one cursor is good for
all of them.  Drop an event whose `attempt` and `seq` are not above the highest pair that you have seen of the job.

A reader who can't keep up gets only the newest progress of each job, but every other event.  A job that is not known
or not yours gets an `error` with `not_found` after a moment; should it appear later, its events follow all the same.

`/events` is the same as Server-Sent Events: the cursor is the event's id, and `Last-Event-ID` resumes.
"""


class Placed(BaseModel):
    """What the push channel adds to an event."""

    cursor: str = Field(description="The event's place in the stream: subscribe `after` it to go on from there")


class Query(BaseModel):
    """The query of `/ws`."""

    ticket: str | None = Field(None, description="From `POST /ws/ticket`; not needed with `AUTH=none`")
    compress: bool = Field(default=False, description="Use permessage-deflate, if the handshake offers it")


class EventsQuery(BaseModel):
    """The query of `/events`."""

    job_id: list[str] = Field(default=[], description="May be repeated; without it, all jobs")
    only: str = Field(default="all", description="`terminal`: no more than how the jobs end")
    after: str | None = Field(default=None, description="As the header Last-Event-ID")
    ticket: str | None = Field(default=None, description="From `POST /ws/ticket`; not needed with `AUTH=none`")


def _name(model: type[BaseModel]) -> str:
    literal = model.model_fields["type"]
    value = literal.default if isinstance(literal.default, str) else literal.annotation.__args__[0]  # type: ignore[union-attr]
    return str(value)


def _key(model: type[BaseModel]) -> str:
    return _name(model).replace(".", "_")


def _message(model: type[BaseModel]) -> dict[str, Any]:
    schema: dict[str, Any] = {"$ref": f"#/components/schemas/{model.__name__}"}
    if model in _EVENTS:
        schema = {"allOf": [schema, {"$ref": "#/components/schemas/Placed"}]}
    return {
        "name": _name(model),
        "title": model.__name__,
        "summary": (model.__doc__ or "").split("\n\n")[0].strip(),
        "contentType": "application/json",
        "payload": schema,
    }


def _channel(address: str, summary: str, models: tuple[type[BaseModel], ...], query: dict[str, Any]) -> dict[str, Any]:
    return {
        "address": address,
        "summary": summary,
        "messages": {_key(model): {"$ref": f"#/components/messages/{_key(model)}"} for model in models},
        "bindings": {"ws": {"method": "GET", "query": query, "bindingVersion": "0.1.0"}},
    }


def _operation(action: str, channel: str, summary: str, models: tuple[type[BaseModel], ...]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/{channel}/messages/{_key(model)}"} for model in models],
    }


def document(settings: NotifierSettings) -> dict[str, Any]:
    """The document; the notifier serves it at `/asyncapi.json`."""
    everything = (*_CLIENT, *_SERVER, *_EVENTS)
    outgoing: tuple[type[BaseModel], ...] = (*_SERVER, *_EVENTS, Placed)
    described: list[tuple[type[BaseModel], JsonSchemaMode]] = [(model, "validation") for model in _CLIENT]
    described += [(model, "serialization") for model in outgoing]
    _, defined = models_json_schema(described, ref_template="#/components/schemas/{model}")
    codes = "\n".join(f"- {int(code)}: {meaning}" for code, meaning in _CLOSE_CODES.items())
    events_channel = _channel("/events", "Server-Sent Events", _ON_STREAM, EventsQuery.model_json_schema())
    del events_channel["bindings"]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Cloud Video Conversion: push",
            "version": "1.0.0",
            "description": f"{_DESCRIPTION}\nThe server closes with:\n\n{codes}\n",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "notifier": {
                "host": f"{settings.notifier_host}:{settings.notifier_port}",
                "protocol": "ws",
                "description": "The notifier itself; the front door serves the same under its own address.",
            }
        },
        "channels": {
            "ws": _channel("/ws", "WebSocket, JSON text frames", everything, Query.model_json_schema()),
            "events": {**events_channel, "x-query": EventsQuery.model_json_schema()},
        },
        "operations": {
            "ask": _operation("receive", "ws", "What clients say", _CLIENT),
            "answer": _operation("send", "ws", "What the server says", _SERVER),
            "push": _operation("send", "ws", "What happens to jobs", _EVENTS),
            "stream": _operation("send", "events", "The same, one way", _ON_STREAM),
        },
        "components": {
            "messages": {_key(model): _message(model) for model in everything},
            "schemas": defined["$defs"],
        },
    }
