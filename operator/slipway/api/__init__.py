"""Contracts: the types that cross process borders, and the CRDs that are generated from them."""
