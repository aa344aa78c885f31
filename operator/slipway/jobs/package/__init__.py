"""Packages a model version: fetch, digest, layout, configuration, image layers, push."""
