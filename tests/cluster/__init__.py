"""A Kubernetes cluster for demos and tests, made with one command: `python -m tests.cluster up`.

Where a Docker engine answers the cluster is kind's. Otherwise, on Linux as root, it is a
single-node cluster that needs no Docker: the upstream components in one Go program (`node/`),
Debian's containerd, and namespaces of its own, so that one kill ends all of it.
"""
