"""The commands of ``kubectl slipway``: one module each, and one for all actions.

A module reads its flags, asks the session for objects and prints a screen. How a screen looks
belongs to `slipway.cli.views`. Start reading at `get`; `main` imports a module when it is called.
"""
