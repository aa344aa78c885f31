"""Programs of Jobs and init containers: packaging a model version, and checking a candidate.

What belongs here: everything that touches a model's bytes, its source, the registry or a running
server; all of it from outside, so none of it is trusted. What never does: talking to the cluster.
A Job reads its request from the environment, and leaves its result in the termination message.
Start with `package.main` and `check.main`.
"""
