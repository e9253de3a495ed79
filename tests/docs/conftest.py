"""The site of the tutorial, and an S3 server that stands for AWS."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.docs.reader import Reader, blocks

#: The admin's files take their time, and none of the how-tos is about them.
FAST = """
STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
"""
REQUIREMENTS = "django-versioned-storage\n"


@pytest.fixture(scope="session")
def tutorial_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as it is after the first part of the tutorial."""
    directory = tmp_path_factory.mktemp("tutorial")
    with Reader(directory) as reader:
        completed = reader.run("django-admin startproject mysite .")
        assert completed.returncode == 0, completed.stderr
        for block in blocks("start/tutorial.md")[1:6]:
            if block.title:
                reader.write(block.title, block.text)
        reader.write("mysite/settings.py (at the end)", FAST)
        reader.write("requirements.txt", REQUIREMENTS)
    return directory


@pytest.fixture
def reader(tutorial_site: Path, tmp_path: Path) -> Iterator[Reader]:
    """A reader with a copy of that project, in which ``pip`` does nothing."""
    project = shutil.copytree(tutorial_site, tmp_path / "project")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "pip").write_text("#!/bin/sh\n")
    (programs / "pip").chmod(0o755)
    with Reader(project) as reader:
        reader.setting(PATH=f"{programs}:{reader.environment['PATH']}")
        yield reader


@pytest.fixture
def aws(reader: Reader) -> Iterator[Reader]:
    """A reader whose environment has an S3 server for AWS, with the bucket of the docs."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        reader.setting(
            AWS_ENDPOINT_URL=f"http://{host}:{port}",
            AWS_ACCESS_KEY_ID="docs",
            AWS_SECRET_ACCESS_KEY="docs",
        )
        client = boto3.client(
            "s3",
            endpoint_url=f"http://{host}:{port}",
            region_name="eu-west-1",
            aws_access_key_id="docs",
            aws_secret_access_key="docs",
        )
        where = {"LocationConstraint": "eu-west-1"}
        client.create_bucket(Bucket="my-site-static", CreateBucketConfiguration=where)
        yield reader
    finally:
        # Moto keeps what all servers of a process have in one place.
        urlopen(Request(f"http://{host}:{port}/moto-api/reset", method="POST")).close()
        server.stop()
