"""The operator process: composition, kopf's watches, health."""
