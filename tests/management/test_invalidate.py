"""manage.py staticbuilds invalidate."""

import json
from io import StringIO

import pytest
from django.core.management import call_command

from tests.edge.test_cloudfront import account  # noqa: F401  # a fixture
from tests.helpers import site
from tests.s3 import ACCESS_KEY, SECRET_KEY
from versioned_storage.edge.cloudfront import InvalidPath
from versioned_storage.management.subcommands.invalidate import NoDistribution, cloudfront_of
from versioned_storage.site import Site


def invalidate(*arguments):
    output = StringIO()
    call_command("staticbuilds", "invalidate", *arguments, stdout=output)
    return output.getvalue()


@pytest.fixture
def shop(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    storage_options = {"cdn_domain": "static.example.com"}
    with site(tmp_path, options=storage_options, BUILD_VERSION="b1") as project:
        yield project


def test_paths_of_the_distribution_behind_cdn_domain_are_invalidated(shop, account):  # noqa: F811
    client, ids = account
    distribution = ids["static.example.com"]
    output = json.loads(invalidate("/robots.txt", "/media/é.png", "/robots.txt", "--json"))
    assert output["distribution"] == distribution
    assert output["paths"] == ["/robots.txt", "/media/%C3%A9.png"]
    listed = client.list_invalidations(DistributionId=distribution)["InvalidationList"]["Items"]
    assert [project["Id"] for project in listed] == output["invalidations"]


def test_the_distribution_can_be_named(shop, account):  # noqa: F811
    other = account[1]["*.example.org"]
    for name in (other, "shop.example.org"):
        assert invalidate("/robots.txt", "--distribution", name).startswith(f"1 path of {other}: ")


def test_a_versioned_path_is_refused_before_aws_is_asked(shop):
    with pytest.raises(InvalidPath, match="versioned"):
        invalidate("/robots.txt", "/static/b1/css/app.css")


def test_a_site_without_a_cdn_has_to_name_the_distribution(tmp_path):
    with site(tmp_path), pytest.raises(NoDistribution, match="--distribution"):
        invalidate("/robots.txt")


def test_the_credentials_are_those_of_the_origin(tmp_path):
    keys = {"bucket_name": "b", "access_key": "AKIDOFORIGIN", "secret_key": "s"}
    options = {"origin": {**keys, "region_name": "eu-west-1"}}
    with site(tmp_path, options=options, BUILD_VERSION="b1"):
        client = cloudfront_of(Site.configured())
    assert client._request_signer._credentials.access_key == "AKIDOFORIGIN"
    assert client.meta.region_name != "eu-west-1"
