"""Real implementations of Gateway API on the test cluster: Contour and Envoy Gateway.

Both are Go modules: their programs are built once into the user's cache and mounted into pods, and
their manifests are the ones that the modules bring. Their data plane is the Envoy of our router.
"""
