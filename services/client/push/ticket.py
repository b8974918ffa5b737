"""Tickets: what lets a connection of the push channel in, where keys are asked for."""

from services.client.errors import ClientError, NotAllowedError
from services.client.push.terms import Close, Ending, SessionEndedError
from services.client.rest import Rest

_PATIENCE_S = 5.0


async def fresh_ticket(rest: Rest) -> str:
    """A new ticket, good for one connection in the next minute.

    Raises:
        NotAllowedError: the key is not good.
        SessionEndedError: there is none to be had at the moment.
    """
    try:
        reply = await rest.call("POST", "/ws/ticket", repeatable=True, patience_s=_PATIENCE_S)
    except NotAllowedError:
        raise
    except ClientError as error:
        raise SessionEndedError(Ending(Close.LOST, str(error))) from None
    return str(reply.body["ticket"])
