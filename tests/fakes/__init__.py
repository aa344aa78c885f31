"""Stand-ins for the cluster and what lies outside: they hold state and behave like the real thing.

What belongs here: an API server, its controllers, and sources that many tests share. A stand-in
passes the same contract tests as what it stands for; it records no calls and knows no test.
Start with `api`, the objects; `controllers` is what a cluster does by itself.
"""
