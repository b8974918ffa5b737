"""The tables.

Times are text, `2026-11-24T23:00:00.000Z`: of one width, so that they sort as times do, and already in the form the
API speaks.  Lists and objects are JSON text, spliced into answers as they are.  `origin` is the request and the trace
that something belongs to: the headers of its messages (`services.common.tracing`) as JSON text.  The migrations
beside this module make the same tables step by step; a test holds the two together.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)

TIME: Final = String(24)
# SQLite numbers rows by itself only where the type is exactly INTEGER.
SERIAL: Final = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData()

# `queued_at`: when this attempt's work message was last handed over; `retries`: automatic attempts used since the
# user last asked; `deleted_at`: gone for the API, kept until late events can no longer bring the job back.
jobs = Table(
    "jobs",
    metadata,
    Column("job_id", String(64), primary_key=True),
    Column("tenant", String(63), nullable=False),
    Column("status", String(10), nullable=False),
    Column("stage", String(16)),
    Column("progress", Text, nullable=False, server_default="{}"),
    Column("filename", Text),
    Column("input_path", Text, nullable=False),
    Column("output_format", String(8), nullable=False),
    Column("output_path", Text, nullable=False),
    Column("options", Text, nullable=False, server_default="{}"),
    Column("attempt", Integer, nullable=False, server_default="1"),
    Column("retries", Integer, nullable=False, server_default="0"),
    Column("seq", BigInteger, nullable=False, server_default="0"),
    Column("error", Text),
    Column("warnings", Text, nullable=False, server_default="[]"),
    Column("plan", Text),
    Column("outputs", Text, nullable=False, server_default="[]"),
    Column("created_at", TIME, nullable=False),
    Column("queued_at", TIME, nullable=False),
    Column("started_at", TIME),
    Column("finished_at", TIME),
    Column("updated_at", TIME, nullable=False),
    Column("deleted_at", TIME),
    Column("origin", Text),
    Index("jobs_by_tenant", "tenant", "created_at", "job_id"),
    Index("jobs_by_status", "tenant", "status", "created_at", "job_id"),
    Index("jobs_by_input", "input_path"),
)
_LIVE = text("status IN ('QUEUED', 'PROCESSING')")
Index("jobs_live", jobs.c.status, jobs.c.queued_at, sqlite_where=_LIVE, postgresql_where=_LIVE)

# Messages that belong to a committed change and that the broker has not confirmed yet, in the order to send them.
outbox = Table(
    "outbox",
    metadata,
    Column("id", SERIAL, primary_key=True),
    Column("exchange", String(64), nullable=False),
    Column("routing_key", String(255), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("origin", Text),
    sqlite_autoincrement=True,  # a number is never given twice, so "after the last one sent" means something
)

# One row a task that only one gateway may do at a time; it is claimed by locking the row.
claims = Table("claims", metadata, Column("name", String(32), primary_key=True))

# Answers to requests with an Idempotency-Key.
idempotency = Table(
    "idempotency",
    metadata,
    Column("tenant", String(63), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("job_id", String(64), nullable=False),
    Column("response", LargeBinary, nullable=False),
    Column("created_at", TIME, nullable=False, index=True),
)

# Uploads that were allowed and have not become a job yet; `upload_id` is the store's, for those in parts.
uploads = Table(
    "uploads",
    metadata,
    Column("key", Text, primary_key=True),
    Column("tenant", String(63), nullable=False, index=True),
    Column("created_at", TIME, nullable=False, index=True),
    Column("upload_id", Text),
    Column("filename", Text),
)

# Objects of deleted jobs that are still to be removed from the store.
garbage = Table(
    "garbage",
    metadata,
    Column("key", Text, primary_key=True),
    Column("created_at", TIME, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", String(16), primary_key=True),
    Column("tenant", String(63), nullable=False),
    Column("name", Text, nullable=False),
    Column("secret_hash", String(64), nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("revoked_at", TIME),
)

# Work messages that no transcoder could deal with.  `job_id` and `tenant` are null where the body says neither.
dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", SERIAL, primary_key=True),
    Column("job_id", String(64), index=True),
    Column("tenant", String(63), index=True),
    Column("reason", String(32), nullable=False),
    Column("routing_key", String(255), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("redriven_at", TIME),
)
