"""Assets of ``forms.Media`` with the integrity of what they load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.forms.utils import flatatt
from django.utils.html import format_html
from django.utils.safestring import SafeString

from .templatetags.versioned_static import integrity_attributes, static_url

if TYPE_CHECKING:
    MediaAsset = Any
else:
    try:
        from django.forms.widgets import MediaAsset
    except ImportError:
        # Before Django 5.2, where forms.Media takes objects with __html__, __eq__ and __hash__.
        class MediaAsset:
            def __init__(self, path: str, **attributes: Any) -> None:
                self._path = path
                self.attributes = attributes

            def __eq__(self, other: object) -> bool:
                return type(other) is type(self) and vars(other) == vars(self)

            def __hash__(self) -> int:
                return hash(self._path)

            def __html__(self) -> str:
                return str(self)


class _Asset(MediaAsset):  # type: ignore[misc]  # the stubs are of another Django
    def __str__(self) -> str:
        return self.render()

    def render(self, *, attrs: dict[str, Any] | None = None) -> SafeString:
        """Return the element; ``attrs`` has the nonce of ``{% csp_nonce_attr form.media %}``."""
        attributes = {**integrity_attributes(self._path), **(attrs or {}), **self.attributes}
        return format_html(
            self.element_template, path=static_url(self._path), attributes=flatatt(attributes)
        )


class Script(_Asset):
    """``<script>`` in a ``forms.Media``: Django's `Script` with ``integrity`` and ``crossorigin``.

    Works on each Django that this package supports.
    """

    element_template = '<script src="{path}"{attributes}></script>'

    def __init__(self, src: str, **attributes: Any) -> None:
        super().__init__(src, **attributes)


class Stylesheet(_Asset):
    """``<link rel="stylesheet">`` in a ``forms.Media``, as `Script`."""

    element_template = '<link href="{path}"{attributes}>'

    def __init__(self, href: str, **attributes: Any) -> None:
        super().__init__(href, rel="stylesheet", **attributes)
