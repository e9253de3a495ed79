"""The pages of this site."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from . import inventory
from .forms import NoteForm


def home(request: HttpRequest) -> HttpResponse:
    """The showcase: what a build is, and every asset of this page."""
    build = inventory.manifest()
    rows = inventory.own_rows(build)
    shares = inventory.shares(build.assets.values()) if build else []
    sheet = build.asset("css/site.css") if build else None
    return render(
        request,
        "showcase/home.html",
        {
            "build": build,
            "rows": rows,
            "shares": shares,
            "total": inventory.total(shares),
            "heaviest": shares[0] if shares else None,
            "anatomy": inventory.anatomy(sheet) if sheet else (),
        },
    )


def editor(request: HttpRequest) -> HttpResponse:
    """A form whose editor loads its parts by paths that it computes itself."""
    form = NoteForm(request.POST or None)
    note = form.cleaned_data if form.is_valid() else None
    return render(request, "showcase/editor.html", {"form": form, "note": note})
