"""What every test may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from django.conf import settings

from .helpers import Site, site
from .pulled import FILES, MIDDLEWARE
from .shared import Clock
from .system_packages import everything_runs, skip, summary

if TYPE_CHECKING:
    from tests.radosgw import Radosgw
    from tests.s3 import Bucket

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
# Its default lets no example take more than 200 ms, whatever else the machine does meanwhile.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")
# The processes that tests start are those of a deployed site.
for name in ("PYTEST_VERSION", "PYTEST_XDIST_WORKER"):
    os.environ.pop(name, None)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say once for each missing system package how many tests were skipped for it."""
    lines = summary(terminalreporter.stats.get("skipped", []))
    if lines:
        terminalreporter.section("skipped tests")
    for line in lines:
        terminalreporter.line(line)


_SYSTEM_FIXTURES = {"radosgw_server", "edge_of", "visitor", "js"}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs a system package, and leave the deep tests to `make test-all`.

    ``-m "deep or system"`` selects what `make test` leaves out.
    """
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        in_e2e = "e2e" in item.path.parts
        if in_e2e or "radosgw" in item.keywords or fixtures & _SYSTEM_FIXTURES:
            item.add_marker(pytest.mark.system)
    if everything_runs() or "deep" in config.option.markexpr:
        return
    left_out = pytest.mark.skip(reason="deep: 'make test-all' runs these")
    for item in items:
        if "deep" in item.keywords:
            item.add_marker(left_out)


@pytest.fixture(autouse=True)
def no_environment_of_a_deploy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this machine is told about AWS or a build is not what a test is about."""
    for name in list(os.environ):
        if name.startswith("AWS_") or name == "BUILD_VERSION":
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)


@pytest.fixture(scope="session", autouse=True)
def no_test_environment(django_test_environment: None) -> None:
    """Most tests are about a deployed site, so this process does not look like a test run.

    What sites get in their own tests is in test_test_environment.py.
    """
    settings.ALLOWED_HOSTS = ["*"]


@pytest.fixture(autouse=True)
def a_process_that_serves_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most tests are about a process that serves pages, and none is a test run."""
    monkeypatch.setattr("versioned_storage.conf.is_test_run", lambda: False)
    monkeypatch.setattr("versioned_storage.startup._Process.has_request_handler", True)


@pytest.fixture(scope="session", autouse=True)
def one_reading_of_what_boto3_knows() -> Iterator[None]:
    """Each of its clients would read some megabytes of JSON again, and the signatures of the same
    hundred functions, and tests make many.
    """
    import botocore.hooks
    import botocore.loaders
    import botocore.session

    loader = botocore.loaders.create_loader()
    accepts_kwargs = cache(botocore.hooks.accepts_kwargs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", lambda *_: loader)
        patch.setattr(
            botocore.hooks,
            "accepts_kwargs",
            lambda func: accepts_kwargs(getattr(func, "__func__", func)),
        )
        yield


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which the index of builds looks at STATIC_ROOT."""
    from versioned_storage.serving import build_index

    clock = Clock()
    monkeypatch.setattr(build_index, "time", clock)
    return clock


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """An empty directory of static files."""
    directory = tmp_path / "sources"
    directory.mkdir()
    return directory


@pytest.fixture(scope="session")
def moto_server() -> Iterator[str]:
    """The URL of a stand-in for S3 in this process."""
    from tests.s3 import moto

    with moto() as url:
        yield url


@pytest.fixture(scope="session")
def radosgw_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Radosgw]:
    """A real S3 server; what needs it is skipped where Ceph is not installed or does not run."""
    from tests import radosgw, s3

    packages = "radosgw ceph-mon ceph-osd"
    skip(radosgw.defects(), packages)
    with ExitStack() as running:
        try:
            server = running.enter_context(radosgw.radosgw(tmp_path_factory.mktemp("radosgw")))
            server.add_user(s3.ACCESS_KEY, s3.SECRET_KEY)
        except radosgw.DidNotStart as error:
            skip([str(error)], packages)
        yield server


@pytest.fixture(
    scope="session", params=["moto", pytest.param("radosgw", marks=pytest.mark.radosgw)]
)
def s3_server(request: pytest.FixtureRequest) -> str:
    """The URL of an S3 server on this machine: each test that asks for one runs on both."""
    if request.param == "moto":
        moto_url: str = request.getfixturevalue("moto_server")
        return moto_url
    server: Radosgw = request.getfixturevalue("radosgw_server")
    return server.url


@pytest.fixture
def bucket(s3_server: str) -> Iterator[Bucket]:
    """A bucket with nothing in it."""
    from tests.s3 import Bucket

    with Bucket.at(s3_server) as empty:
        yield empty


@pytest.fixture
def moto_bucket(moto_server: str) -> Iterator[Bucket]:
    """A bucket with nothing in it, of a server that checks no signatures: on what no server has
    a say in, and on requests that are changed on their way.
    """
    from tests.s3 import Bucket

    with Bucket.at(moto_server) as empty:
        yield empty


@pytest.fixture
def deployed(tmp_path: Path) -> Iterator[Site]:
    """A site with one build, served by the middleware."""
    with site(tmp_path, FILES, BUILD_VERSION="b1", MIDDLEWARE=MIDDLEWARE) as shop:
        shop.collect()
        yield shop
