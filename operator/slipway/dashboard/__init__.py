"""``kubectl slipway dashboard``: a page on the loopback, with the rights of whoever opened it.

The command line's own readers follow the cluster, through kubectl, in threads; here is what shows
them to a browser. Only this package imports starlette and uvicorn, and nothing imports it but the
command, when it is called. Start with `server`; `present` says what a page shows.
"""
