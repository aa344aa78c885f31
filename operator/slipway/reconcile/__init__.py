"""One pass over one object: observe, decide, write behind the invariants."""
