"""The whole system as data: from settings and secrets to every process and file it consists of."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from deploy.embedded.broker import broker_files, broker_specs
from deploy.embedded.credentials import Credentials, load_or_create
from deploy.embedded.frontdoor import TEMPLATE, front_door_files, front_door_spec
from deploy.embedded.ports import free_ports
from deploy.embedded.prepare import (
    link_for_nginx,
    locked,
    make_directories,
    raise_open_files,
    write_files,
)
from deploy.embedded.programs import service_environment, service_specs
from deploy.embedded.settings import EmbeddedSettings
from deploy.embedded.spec import ProcessSpec
from deploy.embedded.store import store_spec


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One copy, ready to be started.

    Attributes:
        environment: what the services are started with.
        processes: all of them, by name, in a possible order of start.
    """

    settings: EmbeddedSettings
    credentials: Credentials
    environment: Mapping[str, str]
    processes: Mapping[str, ProcessSpec]


@contextlib.contextmanager
def prepared(settings: EmbeddedSettings, caller: Mapping[str, str], *, vhost: str = "") -> Iterator[System]:
    """Take `DATA_DIR`, write what has to be in it, and describe the system; the directory is held until the exit.

    Args:
        settings: of this copy.
        caller: environment that the services are to inherit.
        vhost: of the broker, for the services; the default one unless named.

    Raises:
        DataDirInUseError: another running copy holds `DATA_DIR`.
        OSError: the directory can't be written.
    """
    layout = settings.layout
    make_directories(layout)
    with locked(layout):
        credentials = load_or_create(layout.secrets)
        open_files = raise_open_files()
        template = TEMPLATE.read_text()
        files = front_door_files(settings, template, as_root=os.geteuid() == 0, open_files=open_files)
        write_files((*broker_files(settings, credentials), *files))
        link_for_nginx(layout)
        epmd_port, dist_port = settings.epmd_port, settings.amqp_dist_port
        free = iter(free_ports(2))
        environment = service_environment(settings, credentials, caller, vhost=vhost)
        specs = (
            *broker_specs(settings, epmd_port=epmd_port or next(free), dist_port=dist_port or next(free)),
            store_spec(settings, credentials),
            *service_specs(settings, environment),
            front_door_spec(settings),
        )
        yield System(
            settings=settings,
            credentials=credentials,
            environment=environment,
            processes={spec.name: spec for spec in specs},
        )
