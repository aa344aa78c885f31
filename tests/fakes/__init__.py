"""Stand-ins that hold state and behave like the real thing as far as contract tests say so."""
