"""Sample models, made on the spot: real classifiers of handwritten digits, good and bad ones.

The demo and the end-to-end tests roll them out. `samples` is the catalogue, `server` hands its
files out inside the cluster; `python -m tests.models DIRECTORY` writes them to disk.
"""
