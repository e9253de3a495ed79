"""The moves from and to other ways: what a page of before the move names is still there."""

from __future__ import annotations

import re
import shutil

import pytest

from tests import system_packages
from tests.docs.reader import Reader, blocks, free_port, has_programs

pytestmark = [
    pytest.mark.deep,
    pytest.mark.skipif(not has_programs(), reason="bash, curl or grep is not installed"),
]

WITHOUT_US = """
INSTALLED_APPS = [app for app in INSTALLED_APPS if app != "versioned_storage"]
"""
WHITENOISE = f"""
DEBUG = False
{WITHOUT_US}
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
]
STORAGES["staticfiles"] = {{
    "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage",
}}
"""
GET = """
import django, sys
from django.test import Client
django.setup()
response = Client(HTTP_HOST="localhost").get(sys.argv[1])
print(response.status_code, response.get("Location", ""))
print(b"".join(response).decode())
"""


def settings_of(page: str) -> list[str]:
    return [block.text for block in blocks(page) if block.title == "settings.py"]


def get(reader: Reader, path: str) -> str:
    """The status, the target of a redirect and the body of what the site answers."""
    reader.write("get.py", GET)
    return reader.output(f"DJANGO_SETTINGS_MODULE=mysite.settings python get.py {path}")


def style_sheet(reader: Reader) -> str:
    match = re.search(r'href="(\S+\.css)"', get(reader, "/"))
    assert match is not None
    return match[1]


def configure(reader: Reader, *settings: str) -> None:
    reader.write("mysite/settings.py (at the end)", "\n".join(settings))


def test_pages_of_whitenoise_find_their_files_after_the_move(reader: Reader) -> None:
    configure(reader, WHITENOISE)
    reader.output("python manage.py collectstatic --noinput")
    before = style_sheet(reader)
    assert re.fullmatch(r"/static/css/site\.\w{12}\.css", before)
    reader.output(next(b.text for b in blocks("move/whitenoise.md") if b.language == "shell"))

    move, keep = settings_of("move/whitenoise.md")
    configure(reader, move)
    reader.write("static/css/site.css", "h1 { color: teal; }")
    reader.setting(BUILD_VERSION="v1")
    reader.output("python manage.py collectstatic --noinput")
    assert style_sheet(reader).startswith("/static/v1/css/site.")
    assert get(reader, before).startswith("404")
    configure(reader, keep)
    assert "seagreen" in get(reader, before)


def test_an_unchanged_file_of_whitenoise_is_redirected_into_the_build(reader: Reader) -> None:
    configure(reader, WHITENOISE)
    reader.output("python manage.py collectstatic --noinput")
    before = style_sheet(reader)
    configure(reader, settings_of("move/whitenoise.md")[0])
    reader.setting(BUILD_VERSION="v1")
    reader.output("python manage.py collectstatic --noinput")
    assert get(reader, before).startswith(f"302 {style_sheet(reader)}")


def test_pages_of_a_build_find_their_files_after_the_move_to_whitenoise(reader: Reader) -> None:
    reader.setting(BUILD_VERSION="v1")
    reader.output("python manage.py collectstatic --noinput")
    before = style_sheet(reader)
    reader.write("static/css/site.css", "h1 { color: teal; }")
    configure(reader, WHITENOISE)
    reader.output("python manage.py collectstatic --noinput")
    assert style_sheet(reader).startswith("/static/css/")
    assert "seagreen" in get(reader, before)


def test_the_settings_for_s3_publish(aws: Reader) -> None:
    configure(aws, WITHOUT_US, settings_of("move/s3manifest.md")[0])
    aws.setting(BUILD_VERSION="v1")
    assert "Published build v1" in aws.output("python manage.py collectstatic --noinput")


def test_nginx_serves_builds_and_what_was_before_them(reader: Reader) -> None:
    system_packages.skip(
        filter(None, [system_packages.defect("nginx", "-v")]), "nginx libnginx-mod-http-js"
    )
    configure(reader, WITHOUT_US, settings_of("move/nginx.md")[0])
    root = reader.directory / "staticfiles"
    reader.write("staticfiles/css/old.0123456789ab.css", "old")
    reader.setting(BUILD_VERSION="v1")
    reader.output("python manage.py collectstatic --noinput")
    shutil.rmtree(reader.directory / "static")
    location = next(b.text for b in blocks("move/nginx.md") if b.language == "nginx")
    location = location.replace("/srv/site/staticfiles", str(root))
    port = free_port()
    reader.write(
        "nginx.conf",
        f"""
daemon off; pid nginx.pid; error_log stderr; user root;
events {{}}
http {{
    types {{ text/css css; application/json json; }}
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    server {{ listen 127.0.0.1:{port}; {location} }}
}}
""",
    )
    reader.serve(f"nginx -p {reader.directory} -c {reader.directory}/nginx.conf", port)
    url = f"http://127.0.0.1:{port}/static/"
    name = next((root / "v1" / "css").glob("site.*.css")).name
    fetched = reader.output(f"curl -si --compressed -H 'Accept-Encoding: gzip' {url}v1/css/{name}")
    assert "200 OK" in fetched
    assert "Content-Encoding: gzip" in fetched
    assert "immutable" in fetched
    assert "seagreen" in fetched
    assert reader.output(f"curl -s {url}css/old.0123456789ab.css") == "old"
    assert "404" in reader.output(f"curl -si {url}v1/staticfiles.json")
