"""The broker's own files: its configuration and its definitions, made from the topology that the services declare."""

import base64
import hashlib
import os
from typing import Any, Final

import orjson

from services.common import topology

SERVICE_USER: Final = "video"
ADMIN_USER: Final = "admin"
# KEDA and the like look at queues through the management API.
MONITOR_USER: Final = "monitor"
VHOST: Final = "/"
PLUGINS: Final = ("rabbitmq_management", "rabbitmq_prometheus")

_DAY_S: Final = 86_400


def delivery_timeout_s(job_timeout_s: float) -> float:
    """How long the broker lets a delivery go unacknowledged.

    A job may take any time as long as it moves, so this only frees what a worker forgot: a week, or more.
    """
    return max(7 * _DAY_S, 2 * job_timeout_s)


def configuration(definitions_path: str, job_timeout_s: float) -> str:
    """The text of rabbitmq.conf, for RabbitMQ 3.10 to 4."""
    return "\n".join(
        (
            f"load_definitions = {definitions_path}",
            "log.console = true",
            "log.console.level = info",
            "log.file = false",
            f"consumer_timeout = {round(delivery_timeout_s(job_timeout_s) * 1000)}",
            "disk_free_limit.absolute = 1GB",
            "vm_memory_high_watermark.relative = 0.6",
            "",
        )
    )


def enabled_plugins() -> str:
    """The text of the file that names the plugins to start."""
    return f"[{','.join(PLUGINS)}].\n"


def password_hash(password: str, salt: bytes | None = None) -> str:
    """`password` as RabbitMQ keeps it: a salt of four bytes, then SHA-256 over salt and password."""
    salt = os.urandom(4) if salt is None else salt
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def definitions(passwords: dict[str, str]) -> dict[str, Any]:
    """Users, exchanges, queues and bindings as RabbitMQ's definitions format has them.

    Args:
        passwords: of `SERVICE_USER`, `ADMIN_USER` and `MONITOR_USER`.
    """
    return {
        "vhosts": [{"name": VHOST}],
        "users": [
            _user(SERVICE_USER, passwords[SERVICE_USER], []),
            _user(ADMIN_USER, passwords[ADMIN_USER], ["administrator"]),
            _user(MONITOR_USER, passwords[MONITOR_USER], ["monitoring"]),
        ],
        "permissions": [
            _permission(SERVICE_USER, ".*", ".*", ".*"),
            _permission(ADMIN_USER, ".*", ".*", ".*"),
            _permission(MONITOR_USER, "^$", "^$", "^$"),
        ],
        "exchanges": [
            {
                "name": name,
                "vhost": VHOST,
                "type": "topic",
                "durable": True,
                "auto_delete": False,
                "internal": False,
                "arguments": {},
            }
            for name in topology.EXCHANGES
        ],
        "queues": [
            {
                "name": queue.name,
                "vhost": VHOST,
                "durable": True,
                "auto_delete": False,
                "arguments": dict(queue.arguments),
            }
            for queue in topology.QUEUES
        ],
        "bindings": [
            {
                "source": exchange,
                "vhost": VHOST,
                "destination": queue.name,
                "destination_type": "queue",
                "routing_key": pattern,
                "arguments": {},
            }
            for queue in topology.QUEUES
            for exchange, pattern in queue.bindings
        ],
    }


def definitions_text(passwords: dict[str, str]) -> str:
    """`definitions` as the text of a file."""
    return orjson.dumps(definitions(passwords), option=orjson.OPT_INDENT_2).decode() + "\n"


def _user(name: str, password: str, tags: list[str]) -> dict[str, Any]:
    return {
        "name": name,
        "password_hash": password_hash(password),
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": tags,
    }


def _permission(user: str, configure: str, write: str, read: str) -> dict[str, str]:
    return {"user": user, "vhost": VHOST, "configure": configure, "write": write, "read": read}
