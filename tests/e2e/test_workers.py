"""Chromium starts workers at URLs without a build, with static files of another origin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

from tests.e2e import browser
from tests.helpers import site
from tests.pulled import MIDDLEWARE
from tests.servers import wsgi_server
from versioned_storage.templatetags.versioned_static import static_same_origin

FILES = {
    "js/classic.js": "onmessage = () => postMessage('classic')",
    "js/module.js": "import { name } from './lib.js'; onmessage = () => postMessage(name)",
    "js/lib.js": "export const name = 'module'",
    "js/shared.js": "onconnect = event => event.ports[0].postMessage('shared')",
    "js/sw.js": "",
    "img/sprite.svg": (
        "<svg xmlns='http://www.w3.org/2000/svg'><symbol id='a'><rect id='r' width='9' height='9'/>"
        "</symbol></svg>"
    ),
}
#: What a page does with each kind of worker, and what it hears from it.
STARTS = {
    "classic": "worker('/static/js/classic.js')",
    "module": "worker('/static/js/module.js', { type: 'module' })",
    "shared": "shared('/static/js/shared.js')",
    "service": "navigator.serviceWorker.register('/static/js/sw.js').then(() => 'service')",
}
PAGE = """<!doctype html><script>
function heard(port) {
  return new Promise((resolve, reject) => {
    port.onmessage = event => resolve(event.data);
    port.onerror = event => reject(new Error('it does not load'));
  });
}
function worker(url, options) {
  const started = new Worker(url, options);
  started.postMessage('');
  return heard(started);
}
function shared(url) {
  const started = new SharedWorker(url);
  return heard(started.port);
}
</script>"""

#: The width of an icon of a sprite: nothing where the browser refuses it.
DRAWN = """async url => {
  document.body.innerHTML = `<svg width="20" height="20"><use href="${url}#a"></use></svg>`;
  for (let tries = 0; tries < 40; tries++) {
    const width = document.querySelector("use").getBBox().width;
    if (width) return width;
    await new Promise(resolve => setTimeout(resolve, 25));
  }
  return 0;
}"""

urlpatterns = [path("page/", lambda _: HttpResponse(PAGE))]


@pytest.mark.parametrize("shared_assets", [False, True])
def test_each_kind_of_worker_starts(tmp_path: Path, shared_assets: bool) -> None:
    settings: dict[str, Any] = {
        "BUILD_VERSION": "b1",
        "MIDDLEWARE": MIDDLEWARE,
        "ROOT_URLCONF": __name__,
        "ALLOWED_HOSTS": ["*"],
    }
    options = {
        "cdn_domain": "http://127.0.0.1:9",
        "js_modules": True,
        "shared_assets": shared_assets,
    }
    with browser.chromium() as chromium, site(tmp_path, FILES, options=options, **settings) as shop:
        shop.collect()
        with wsgi_server(get_wsgi_application()) as url:
            page = chromium.new_page()
            page.goto(f"{url}/page/")
            assert {kind: page.evaluate(start) for kind, start in STARTS.items()} == {
                kind: kind for kind in STARTS
            }
            with pytest.raises(browser.playwright.Error, match=r"cannot be accessed"):
                page.evaluate(f"worker('{shop.storage.url('js/classic.js')}')")

            # At the page's own origin the URLs of the build work as well.
            classic, module, shared, sprite = (
                static_same_origin(name)
                for name in ("js/classic.js", "js/module.js", "js/shared.js", "img/sprite.svg")
            )
            assert page.evaluate(f"worker('{classic}')") == "classic"
            assert page.evaluate(f"worker('{module}', {{ type: 'module' }})") == "module"
            assert page.evaluate(f"shared('{shared}')") == "shared"
            drawn = {
                url: page.evaluate(DRAWN, url)
                for url in (sprite, shop.storage.url("img/sprite.svg"))
            }
            assert list(drawn.values()) == [9, 0]
