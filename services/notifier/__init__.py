"""Pushes what happens to jobs to whoever watches: stream in, WebSocket and Server-Sent Events out.

The path of an event: `feed` (stream → hub) → `hub` (who gets what, and when) → `driver` (bytes → sockets), with
`sessions_ws` and `sessions_sse` at the edge.  Everything that decides is free of I/O and of clocks.
"""
