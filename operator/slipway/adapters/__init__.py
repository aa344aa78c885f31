"""I/O behind the protocols of `slipway.reconcile.ports`: all that talks to the outside."""
