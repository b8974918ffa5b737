"""The command line `cvc`."""


def main() -> None:
    """Run it; the process ends with its status."""
    from services.client.cli.app import app  # noqa: PLC0415 -- the client alone needs no command line

    app()
