"""The whole system on one machine: broker, object store, front door and services under one supervisor.

The files follow the path of a start: `settings` (what was asked for) → `layout` and `credentials` (what is kept
in `DATA_DIR`) → `broker`, `store`, `frontdoor`, `programs` (pure: settings in, process specs and file texts out)
→ `system` (all of it together, its files written by `prepare`) → `supervisor` (start order, restarts, stop order)
→ `process` and `probes` (one child, one readiness check).
"""
