"""Following jobs live: over a WebSocket, Server-Sent Events where those are blocked, polling where those are too.

`watch` holds the feed together; `ladder` decides which transport and when, `ledger` what is news; the three sessions
move frames.  The two that decide do no I/O.
"""
