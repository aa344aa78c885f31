"""A client of the registry HTTP API (OCI distribution), for Jobs that append to images.

Source: https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md
"""
