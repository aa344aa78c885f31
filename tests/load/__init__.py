"""A steady client load from a pod, and its controller on this side: `pod.Load`.

The client behaves as a careful user's would: it keeps connections alive, closes those that the
server asks it to, and never retries, so that nothing it loses can hide. Only a gRPC call that the
server had not looked at when it said GOAWAY is begun again, as every gRPC client does.
"""
