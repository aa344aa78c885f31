"""The site of docs/: what mkdocs is told beside mkdocs.yml."""
