"""Names of objects in the bucket, and whose they are.

Every name is made here, of our own identifiers; nothing a user types becomes part of one but a checked extension.
The default tenant's objects lie directly under the prefix, others' in a folder of their own.
"""

import re
from uuid import uuid4

from services.common.jobs import DEFAULT_TENANT

UPLOADS = "uploads/"
PROCESSED = "processed/"
OUTCOMES = "outcomes/"

_EXTENSION = re.compile(r"^[a-z0-9]{1,10}$")
_INPUT = re.compile(r"^uploads/(?:([a-z0-9][a-z0-9_-]{0,62})/)?([A-Za-z0-9._-]{1,200})$")


def extension_of(filename: str) -> str:
    """The extension of a user's file name in lower case, `bin` where it has none that is plain."""
    _, dot, tail = filename.rpartition(".")
    tail = tail.lower()
    return tail if dot and _EXTENSION.match(tail) else "bin"


def _folder(tenant: str) -> str:
    return "" if tenant == DEFAULT_TENANT else f"{tenant}/"


def upload_key(tenant: str, filename: str) -> str:
    """A new, unguessable name for an upload of `tenant`."""
    return f"{UPLOADS}{_folder(tenant)}{uuid4()}.{extension_of(filename)}"


def output_key(tenant: str, job_id: str, extension: str) -> str:
    """Where the main output of a job goes."""
    return f"{PROCESSED}{_folder(tenant)}{job_id}.{extension}"


def outcome_key(job_id: str) -> str:
    """The sidecar in which a transcoder keeps the outcome it published, for redelivered work."""
    return f"{OUTCOMES}{job_id}.json"


def owner_of_upload(key: str) -> str | None:
    """The tenant that may use `key` as an input; None for anything that is not the plain name of an upload."""
    match = _INPUT.match(key)
    if match is None or match[2].startswith("."):
        return None
    return match[1] or DEFAULT_TENANT
