"""A release: everything that one downloads, made from this clone into ``build/release``.

``make release`` calls `make.py`, which names the steps in their order. Docs: docs/install.md.
"""
