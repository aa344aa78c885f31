"""The same requests to Triton itself and through the router, and where the answers differ."""
