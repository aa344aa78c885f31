"""Where models come from, one file per URI scheme."""
