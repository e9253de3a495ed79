"""What the installation of awscrt changes in processes that do not publish: nothing."""

import subprocess
import sys

import pytest

from tests.origin.test_engine import OK, SENT_BY_ONE
from tests.s3 import front


def run(code, *arguments):
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def test_no_thread_of_the_runtime_is_in_a_process_that_does_not_publish():
    """boto3 imports the modules of awscrt where they are installed, and starts nothing."""
    code = """
import os, sys
import django.conf
django.conf.settings.configure()
from versioned_storage.origin import publisher, record
from versioned_storage.origin.s3 import S3Origin
origin = S3Origin({"bucket_name": "bucket", "region_name": "eu-west-1"})
origin.client
print(len(os.listdir("/proc/self/task")), "versioned_storage.origin.crt_engine" in sys.modules)
"""
    assert run(code).split() == ["1", "False"]


UPLOAD = """
import sys
if sys.argv[2] == "without":
    sys.modules["awscrt"] = None
import django.conf
django.conf.settings.configure()
from django.core.files.base import ContentFile
from storages.backends.s3 import S3Storage
storage = S3Storage(bucket_name="media", region_name="eu-west-1", endpoint_url=sys.argv[1],
                    access_key="key", secret_key="secret")
storage._save("a.txt", ContentFile(b"text"))
"""


@pytest.mark.deep
def test_the_media_uploads_of_django_storages_do_not_change_with_awscrt():
    sent = []
    for installed in ("with", "without"):
        with front(answer=lambda _: OK) as s3:
            run(UPLOAD, s3.url, installed)
        (request,) = s3.requests
        headers = {name.lower(): value for name, value in request.headers.items()}
        names = headers.keys() - SENT_BY_ONE - {"host"}
        kept = {name: headers[name] for name in names}
        sent.append((request.method, request.path, request.body, kept))
    assert sent[0] == sent[1]
