"""kubectl-slipway: what people ask and tell, through kubectl."""
