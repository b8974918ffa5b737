"""Ports for servers that are measured."""

import socket


def free_port() -> int:
    """A TCP port of the loopback that nobody uses just now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
