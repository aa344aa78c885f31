"""Placeholders of a user's query, which are filled in for one revision."""

PLACEHOLDERS = ("name", "namespace", "revision", "version", "pods")
"""As ``{{name}}``."""
KNOWN = "known placeholders are " + ", ".join(f"{{{{{name}}}}}" for name in PLACEHOLDERS)


def strip_placeholders(text: str) -> str:
    """Return the CEL expression of a text without its known placeholders."""
    for name in PLACEHOLDERS:
        text += f".replace('{{{{{name}}}}}', '')"
    return text


def placeholder_rule(field: str) -> str:
    """Return the CEL expression that a query has no unknown placeholder."""
    return f"!has(self.{field}) || !{strip_placeholders(f'self.{field}')}.contains('{{{{')"
