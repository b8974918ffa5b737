"""miniopy-async, without its admin client and the three crypto packages that only this one needs."""

from services.common.lean import with_stub

with with_stub("miniopy_async.minioadmin", "MinioAdmin"):
    from miniopy_async.api import Minio
    from miniopy_async.datatypes import Part
    from miniopy_async.error import InvalidResponseError, MinioException, S3Error, ServerError

__all__ = ["InvalidResponseError", "Minio", "MinioException", "Part", "S3Error", "ServerError"]
