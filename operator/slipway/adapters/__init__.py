"""The operator's I/O: what fits the ports of `slipway.reconcile.ports` and `slipway.engine`.

What belongs here: everything that opens a connection, and what an answer means. Nothing here
decides anything about a model: an answer becomes a value, or an error of `slipway.errors`.
Start with `kube`, the API server as a pass sees it; `untrusted_http` has the rules for everything
that is not the API server.
"""
