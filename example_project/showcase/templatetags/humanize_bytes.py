"""Numbers of bytes, for people."""

from django import template

from showcase import inventory
from versioned_storage.text import bytes_text

register = template.Library()
register.filter("bytes", bytes_text)


@register.filter
def percent_of(part: int, total: int) -> int:
    """``part`` in percent of ``total``."""
    return inventory.percent(part, total)
