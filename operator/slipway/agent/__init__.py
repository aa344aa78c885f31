"""The router's process beside Envoy.

It follows a namespace's ModelRoutes and EndpointSlices, writes what Envoy reads, reports what Envoy
runs, and counts. It never decides a rollout: weights come from the ModelRoute, and the agent only
holds them back or shares them out while endpoints are missing.
Start with `conductor`, one turn of the loop; `main` puts the parts together.
"""
