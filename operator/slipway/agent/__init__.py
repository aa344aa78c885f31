"""The router's process beside Envoy: follows routes and endpoints, writes xDS files, counts."""
