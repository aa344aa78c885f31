"""The dashboard as a browser shows it: a headless Chromium on pages of recorded objects."""
