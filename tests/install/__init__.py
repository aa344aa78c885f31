"""Slipway on a cluster: the chart with this clone's images, and kustomize's copy of the chart."""
