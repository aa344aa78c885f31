"""Desired objects: pure functions from values to manifests, and to what Envoy reads.

What belongs here: everything that names a field of a Kubernetes object or of Envoy's configuration.
Nothing here reads the cluster, the time or a setting of the process; the caller passes resolved
values, and equal values render to equal bytes.
Start with `workload`, the objects of one revision; `router` and `envoy` are the data path.
"""
