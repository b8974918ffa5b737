"""Where everything lies: the checkout, and the tree under `DATA_DIR`."""

from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Layout:
    """The tree under `DATA_DIR` (absolute). `jobs.db` and scratch files of the services lie beside these."""

    data_dir: Path

    @property
    def lock(self) -> Path:
        return self.data_dir / "lock"

    @property
    def secrets(self) -> Path:
        return self.data_dir / "secrets"

    @property
    def logs(self) -> Path:
        return self.data_dir / "logs"

    @property
    def broker(self) -> Path:
        return self.data_dir / "rabbitmq"

    @property
    def objects(self) -> Path:
        """Each directory in here is a bucket of the object store."""
        return self.data_dir / "objects"

    @property
    def nginx(self) -> Path:
        return self.data_dir / "nginx"

    @property
    def page(self) -> Path:
        """The built page. A link, so that no path of the checkout has to be quoted in nginx's configuration."""
        return self.nginx / "html"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def directories(self) -> tuple[Path, ...]:
        return (self.data_dir, self.logs, self.broker, self.objects, self.nginx, self.nginx / "tmp")
