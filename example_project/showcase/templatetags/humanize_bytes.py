"""Numbers of bytes, for people."""

from django import template

from showcase import inventory

register = template.Library()


@register.filter(name="bytes")
def bytes_text(size: int) -> str:
    """In powers of 1,000: ``"412 B"``, ``"13.8 kB"``, ``"6.1 MB"``."""
    if size < 1000:
        return f"{size} B"
    return f"{size / 1e3:.1f} kB" if size < 1e6 else f"{size / 1e6:.1f} MB"


@register.filter
def percent_of(part: int, total: int) -> int:
    """``part`` in percent of ``total``."""
    return inventory.percent(part, total)
