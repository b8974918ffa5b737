"""What can be wrong with the store, in this project's words, whoever of the libraries below says so."""

import re
from http import HTTPStatus
from types import TracebackType
from typing import Final
from xml.etree.ElementTree import ParseError

from aiohttp import ClientError

from services.common.miniopy import InvalidResponseError, MinioException, S3Error, ServerError

_CODE: Final = re.compile(r"<Code>(\w+)</Code>")
_MISSING: Final = frozenset({"NoSuchKey", "NoSuchUpload", "NotFound"})


class StorageError(Exception):
    """The store could not be reached or would not do it; another try may help."""


class StorageRefusedError(StorageError):
    """The store understood and said no (`code` in S3's words); the same request will not do better."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class ObjectMissingError(Exception):
    """There is no such object or upload."""


class ObjectTooLargeError(Exception):
    """The object is larger than the caller accepts."""


def _status_and_code(error: BaseException) -> tuple[int, str]:
    """The HTTP status and S3 error code that `error` carries, (0, "") if none."""
    if isinstance(error, S3Error):
        return error.response.status, str(error.code)
    if isinstance(error, ServerError):
        return error.status_code, ""
    if isinstance(error, InvalidResponseError):
        # Some stores answer errors as text/xml, which the library takes for no S3 answer at all.
        found = _CODE.search(str(error))
        return error._code, found[1] if found else ""  # noqa: SLF001 -- it has no public accessor
    return 0, ""


class Translated:
    """Turns what the client library and aiohttp raise into this module's errors."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            return
        status, code = _status_and_code(error)
        if code in _MISSING or status == HTTPStatus.NOT_FOUND:
            raise ObjectMissingError(code) from error
        if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
            raise StorageRefusedError(code) from error
        if isinstance(error, MinioException | ClientError | TimeoutError | ConnectionError | ParseError):
            raise StorageError(repr(error)) from error
