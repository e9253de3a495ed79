"""CloudFront's API: invalidations and distributions."""

import boto3
import pytest
from botocore.stub import ANY, Stubber
from moto import mock_aws

from versioned_storage.edge.cloudfront import (
    CloudFrontError,
    InvalidPath,
    UnknownDistribution,
    encoded,
    find_distribution,
    invalidate,
)

STATIC = "/static/"
REQUEST = {"DistributionId": "E1", "Id": "I1"}


def real_client():
    return boto3.client(
        "cloudfront",
        region_name="us-east-1",
        aws_access_key_id="AKIDOFATEST",
        aws_secret_access_key="secret",
    )


@pytest.fixture
def stub():
    client = real_client()
    with Stubber(client) as stubbed:
        stubbed.client = client
        yield stubbed
        stubbed.assert_no_pending_responses()


@pytest.fixture(autouse=True)
def nobody_sleeps(monkeypatch):
    monkeypatch.setattr("botocore.waiter.time.sleep", lambda _: None)


def answered(state, number=1):
    return {
        "Invalidation": {
            "Id": f"I{number}",
            "Status": state,
            "CreateTime": "2026-01-01T00:00:00Z",
            "InvalidationBatch": {"Paths": {"Quantity": 0}, "CallerReference": "x"},
        }
    }


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/robots.txt", "/robots.txt"),
        ("/media/*", "/media/*"),
        ("/*", "/*"),
        ("/media/größe 1.png", "/media/gr%C3%B6%C3%9Fe%201.png"),
        ("/media/gr%C3%B6%C3%9Fe.png", "/media/gr%C3%B6%C3%9Fe.png"),
        ("/media/a+b.png?size=1&x=2", "/media/a+b.png?size=1&x=2"),
        ("/statics/a.png", "/statics/a.png"),
    ],
)
def test_a_path_is_sent_as_cloudfront_takes_it(path, sent):
    assert encoded(path, static_path=STATIC) == sent


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("robots.txt", "no slash"),
        ("*", "no slash"),
        ("/media/*/a.png", "at the end"),
    ],
)
def test_a_path_that_cloudfront_would_misread_is_refused(path, reason):
    with pytest.raises(InvalidPath, match=reason):
        encoded(path, static_path=STATIC)


@pytest.mark.parametrize(
    "path", ["/static/b1/css/app.css", "/static/b1/*", "/static/*", "/static*"]
)
def test_what_is_versioned_needs_no_invalidation_and_the_error_says_why(path):
    with pytest.raises(InvalidPath) as caught:
        encoded(path, static_path=STATIC)
    assert "everything below /static/ is versioned" in str(caught.value)
    assert "new BUILD_VERSION" in str(caught.value)


def test_without_builds_static_files_can_be_invalidated():
    assert encoded("/static/css/app.css", static_path=None) == "/static/css/app.css"


def test_all_paths_are_one_invalidation(stub):
    sent = {"Paths": {"Quantity": 2, "Items": ["/a", "/b"]}, "CallerReference": ANY}
    request = {"DistributionId": "E1", "InvalidationBatch": sent}
    stub.add_response("create_invalidation", answered("InProgress"), request)
    assert invalidate(stub.client, "E1", ["/a", "/b"]) == "I1"


def test_each_invalidation_has_a_reference_of_its_own(stub):
    references = []
    stub.client.meta.events.register(
        "provide-client-params.cloudfront.CreateInvalidation",
        lambda params, **_: references.append(params["InvalidationBatch"]["CallerReference"]),
    )
    for _ in range(2):
        stub.add_response("create_invalidation", answered("InProgress"))
        invalidate(stub.client, "E1", ["/a"])
    assert len(set(references)) == 2


def test_waiting_ends_when_cloudfront_is_done(stub):
    stub.add_response("create_invalidation", answered("InProgress"))
    stub.add_response("get_invalidation", answered("Completed"), REQUEST)
    assert invalidate(stub.client, "E1", ["/a"], wait=60) == "I1"


def test_waiting_longer_than_was_allowed_is_an_error(stub):
    stub.add_response("create_invalidation", answered("InProgress"))
    stub.add_response("get_invalidation", answered("InProgress"), REQUEST)
    stub.add_response("get_invalidation", answered("InProgress"), REQUEST)
    with pytest.raises(CloudFrontError, match=r"Max attempts exceeded.* continues without"):
        invalidate(stub.client, "E1", ["/a"], wait=10)


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("AccessDenied", "cloudfront:CreateInvalidation"),
        ("SomethingElse", "same command again is safe"),
    ],
)
def test_what_cloudfront_refuses_is_said_with_what_mends_it(stub, code, advice):
    stub.add_client_error("create_invalidation", code, "It said no.", 400)
    with pytest.raises(CloudFrontError) as caught:
        invalidate(stub.client, "E1", ["/a"])
    assert str(caught.value).startswith(f"CreateInvalidation failed: {code}, It said no. ")
    assert advice in str(caught.value)


def test_a_refusal_while_waiting_is_said_too(stub):
    stub.add_response("create_invalidation", answered("InProgress"))
    stub.add_client_error("get_invalidation", "AccessDenied", "It said no.", 403)
    with pytest.raises(CloudFrontError, match="GetInvalidation failed: AccessDenied"):
        invalidate(stub.client, "E1", ["/a"], wait=10)


@pytest.fixture
def account():
    """A CloudFront with four distributions; gives their ids by domain or alias."""
    with mock_aws():
        client = real_client()
        ids = {}
        for alias in ("static.example.com", "*.example.org", "www.example.org", None):
            config = {
                "CallerReference": str(alias),
                "Origins": {
                    "Quantity": 1,
                    "Items": [
                        {
                            "Id": "o",
                            "DomainName": "b.s3.amazonaws.com",
                            "S3OriginConfig": {"OriginAccessIdentity": ""},
                        }
                    ],
                },
                "DefaultCacheBehavior": {
                    "TargetOriginId": "o",
                    "ViewerProtocolPolicy": "allow-all",
                },
                "Comment": "",
                "Enabled": True,
                "Aliases": {"Quantity": 1, "Items": [alias]} if alias else {"Quantity": 0},
            }
            distribution = client.create_distribution(DistributionConfig=config)["Distribution"]
            ids[alias or distribution["DomainName"]] = distribution["Id"]
        yield client, ids


def test_a_distribution_is_found_by_its_domain_and_by_its_aliases(account):
    client, ids = account
    own_domain = next(name for name in ids if name.endswith("cloudfront.net"))
    assert find_distribution(client, own_domain) == ids[own_domain]
    assert find_distribution(client, "Static.Example.com") == ids["static.example.com"]
    for host in ("cdn.example.org", "a.b.example.org"):
        assert find_distribution(client, host) == ids["*.example.org"]
    assert find_distribution(client, "www.example.org") == ids["www.example.org"]


@pytest.mark.parametrize("host", ["other.example.com", "example.org"])
def test_a_host_that_no_distribution_has_is_an_error(account, host):
    with pytest.raises(UnknownDistribution, match=host):
        find_distribution(account[0], host)
