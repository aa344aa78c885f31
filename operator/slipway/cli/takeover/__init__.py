"""Turning what serves today into a ModelDeployment: pure functions of manifests.

Each module reads one kind of object. What it takes over goes into a `Takeover`; what it does not is
noted there, with the reason. `workloads` finds the module for a kind.
"""
