"""The three container images of the tests and the demo, built from ordinary Dockerfiles.

A machine with a Docker engine builds them with it; elsewhere Debian's buildah does, on a root file
system that debootstrap makes. An image is named by a digest of its inputs, so nothing is built or
pushed twice.
"""
