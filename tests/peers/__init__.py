"""Controllers of others, built from their own modules, to stand beside Slipway."""
