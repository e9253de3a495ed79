"""The pages of this site."""

from django.contrib.staticfiles.storage import staticfiles_storage
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from . import deploys, inventory
from .forms import NoteForm


def home(request: HttpRequest) -> HttpResponse:
    """The showcase: what a build is, and every asset of this page."""
    build = inventory.manifest()
    rows = inventory.own_rows(build)
    shares = inventory.shares(build.assets.values()) if build else []
    sheet = build.asset("css/site.css") if build else None
    last = deploys.status()
    changed = []
    if last and last["state"] == "deployed" and build:
        base_url = staticfiles_storage.url(sheet.name).removesuffix(sheet.hashed_name)
        changed = deploys.changed_files(last, base_url)
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
            "can_deploy": deploys.can_deploy(),
            "deploy": last,
            "changed": changed,
            "settings_source": deploys.settings_source(),
        },
    )


def editor(request: HttpRequest) -> HttpResponse:
    """A form whose editor loads its parts by paths that it computes itself."""
    form = NoteForm(request.POST or None)
    note = form.cleaned_data if form.is_valid() else None
    return render(request, "showcase/editor.html", {"form": form, "note": note})


@require_POST
def deploy(request: HttpRequest) -> HttpResponse:
    """Ask for the next deploy. The page that it leads to loads again until that is there."""
    if not deploys.can_deploy():
        return HttpResponseNotFound("Run 'make serve': it deploys this site again.")
    deploys.ask_to_deploy()
    return redirect("home")
