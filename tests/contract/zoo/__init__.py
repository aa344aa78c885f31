"""Models that nobody here wrote, from public packages, served from six lines each."""
