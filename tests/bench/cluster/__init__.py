"""Figures that need pods: the router's price, the way back, and the way to more replicas.

It rolls out the sample models in a namespace of its own, on the cluster that runs; `sender.py` goes
into a pod there, and asks a revision once through the router and once directly.
"""
