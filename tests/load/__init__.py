"""A steady client load from a pod, and its controller on this side: `pod.Load`.

The client behaves as a careful user's would: it keeps connections alive, closes those that the
server asks it to, and never retries, so that nothing it loses can hide.
"""
