"""What runs in Jobs and init containers: packaging a model, checking a candidate."""
