"""A client of container registries (OCI distribution spec), for Jobs that append to images.

What belongs here: image names, credentials, requests, manifests, blobs and resumable uploads. What
never does: what is inside an image. Start with `repository`.

Source: https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md
"""
