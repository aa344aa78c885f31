"""What Slipway believes about Triton, asked of a real tritonserver on loopback."""
