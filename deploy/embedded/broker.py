"""A private RabbitMQ node: its files and its two processes, Erlang's port mapper and the broker itself."""

import os
import shutil
from pathlib import Path

from deploy.embedded.credentials import Credentials
from deploy.embedded.settings import LOOPBACK, EmbeddedSettings
from deploy.embedded.spec import AmqpProbe, FileSpec, ProcessSpec, TcpProbe

USER = "video"
# The port mapper is private, so the name needs to be no other than this, and the data go with the directory.
NODE = "video@localhost"
# RabbitMQ writes absolute paths into its data and trips over letters outside ASCII in them. By this name for its
# working directory the data may lie under any path, and may be moved.
_HOME = Path("/proc/self/cwd")
_DAY_S = 86_400
_DEBIAN_BIN = Path("/usr/lib/rabbitmq/bin")


def amqp_url(settings: EmbeddedSettings, credentials: Credentials, vhost: str = "") -> str:
    """The default vhost unless one is named."""
    return f"amqp://{USER}:{credentials.amqp_password}@{LOOPBACK}:{settings.amqp_port}/{vhost}"


def delivery_timeout_s(job_timeout_s: float) -> float:
    """How long the broker lets a delivery go unacknowledged.

    A job may take any time as long as it moves, so this only frees what a worker forgot: a week, or more.
    """
    return max(7 * _DAY_S, 2 * job_timeout_s)


def broker_files(settings: EmbeddedSettings, credentials: Credentials) -> tuple[FileSpec, ...]:
    """The node's configuration, for RabbitMQ 3.10 to 4."""
    home = settings.layout.broker
    configuration = "\n".join(
        (
            f"listeners.tcp.local = {LOOPBACK}:{settings.amqp_port}",
            f"default_user = {USER}",
            f"default_pass = {credentials.amqp_password}",
            f"consumer_timeout = {round(delivery_timeout_s(settings.job_timeout) * 1000)}",
            "disk_free_limit.absolute = 64MB",
            "vm_memory_high_watermark.relative = 0.4",
            # The default write-ahead log of 512 MiB is for servers.
            f"raft.wal_max_size_bytes = {64 << 20}",
            "",
        )
    )
    return (
        FileSpec(home / "rabbitmq.conf", configuration),
        FileSpec(home / "enabled_plugins", "[].\n"),
        FileSpec(home / ".erlang.cookie", credentials.erlang_cookie, mode=0o400),
    )


def broker_environment(*, epmd_port: int, dist_port: int, amqp_port: int) -> dict[str, str]:
    """The node's whole environment, for the server and for `rabbitmqctl`, to be started in the node's directory.

    Args:
        epmd_port: where the port mapper listens.
        dist_port: where the node listens for `rabbitmqctl`.
        amqp_port: where the node listens for clients.
    """
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "HOME": str(_HOME),
        "ERL_EPMD_ADDRESS": LOOPBACK,
        "ERL_EPMD_PORT": str(epmd_port),
        "ERL_CRASH_DUMP_SECONDS": "0",
        "RABBITMQ_NODENAME": NODE,
        "RABBITMQ_NODE_PORT": str(amqp_port),
        "RABBITMQ_DIST_PORT": str(dist_port),
        "RABBITMQ_MNESIA_BASE": str(_HOME / "data"),
        "RABBITMQ_LOG_BASE": str(_HOME),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_CONFIG_FILE": str(_HOME / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(_HOME / "enabled_plugins"),
        # Named although absent, or the ones in /etc/rabbitmq would count.
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(_HOME / "advanced.config"),
        "RABBITMQ_CONF_ENV_FILE": str(_HOME / "rabbitmq-env.conf"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        # Schedulers bound to cores would make two copies, and ffmpeg, fight for the same one.
        "RABBITMQ_SCHEDULER_BIND_TYPE": "u",
        # The start script then becomes the Erlang VM, instead of staying in between as its parent.
        "RUNNING_UNDER_SYSTEMD": "true",
    }


def broker_tool(name: str) -> str:
    """The program itself rather than Debian's wrapper, which insists on root and on its own home."""
    direct = _DEBIAN_BIN / name
    return str(direct) if direct.exists() else shutil.which(name) or name


def broker_specs(settings: EmbeddedSettings, *, epmd_port: int, dist_port: int) -> tuple[ProcessSpec, ...]:
    """The port mapper and the node, in this order."""
    layout = settings.layout
    environment = broker_environment(epmd_port=epmd_port, dist_port=dist_port, amqp_port=settings.amqp_port)
    return (
        ProcessSpec(
            name="epmd",
            argv=(shutil.which("epmd") or "epmd", "-port", str(epmd_port), "-address", LOOPBACK),
            env={"PATH": os.defpath},
            cwd=layout.broker,
            log=layout.log("epmd"),
            ready=TcpProbe(LOOPBACK, epmd_port),
            stop_stage=3,
            stop_grace_s=2.0,
        ),
        ProcessSpec(
            name="rabbitmq",
            argv=(broker_tool("rabbitmq-server"),),
            env=environment,
            cwd=layout.broker,
            log=layout.log("rabbitmq"),
            ready=AmqpProbe(LOOPBACK, settings.amqp_port),
            after=("epmd",),
            stop_stage=2,
            stop_grace_s=15.0,
            ready_within_s=120.0,
        ),
    )
