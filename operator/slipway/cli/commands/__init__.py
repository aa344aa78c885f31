"""The commands of ``kubectl slipway``; one module for those that belong together."""
