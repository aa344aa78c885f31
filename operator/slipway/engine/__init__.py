"""Controller machinery that knows no models: queue, cache, workers, watches, election, events.

Keys, kinds and projections come from the caller, so the same machinery would run any controller.
Nothing here does I/O: each module declares the port that it needs (`Collections`, `Lister`,
`LeaseStore`, `EventSink`), and `slipway.adapters` has what fits it. Start reading with `worker`,
which runs one pass, then `queue`, which says when, and `cache`, which says on what.
"""
