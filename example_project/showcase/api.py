"""A tiny API, for its pages: Django REST framework brings the stylesheets and scripts."""

from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from . import inventory


@api_view(["GET"])
def root(request: Request) -> Response:
    """What there is to ask."""
    return Response({"build": reverse("api-build", request=request)})


@api_view(["GET"])
def build(request: Request) -> Response:
    """The build that this site serves, in numbers; null in development."""
    manifest = inventory.manifest()
    if manifest is None:
        return Response(None)
    total = inventory.total(inventory.shares(manifest.assets.values()))
    return Response(
        {
            "build": manifest.build,
            "content": manifest.content,
            "files": total.files,
            "bytes": {"identity": total.identity, "gzip": total.gzip, "br": total.br},
        }
    )
