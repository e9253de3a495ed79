import copy

import boto3
import pytest
from botocore.stub import Stubber

from versioned_storage.edge import policies
from versioned_storage.edge.distribution import Distribution
from versioned_storage.edge.functions import Constants

POLICY = "b2884449-e4de-46a7-ac36-70bc7f1ddd6d"
KEY = "ParametersInCacheKeyAndForwardedToOrigin"


def policy(kind):
    """The policy that the stack would make."""
    made = Distribution(kind=kind, constants=Constants(), app="a.example.com").resources()
    return copy.deepcopy(made["CachePolicy"]["Properties"]["CachePolicyConfig"])


@pytest.mark.parametrize("kind", ["s3", "pull", "both"])
def test_there_is_nothing_wrong_with_the_policy_of_the_stack(kind):
    assert list(policies.objections(policy(kind), kind)) == []


@pytest.mark.parametrize(
    ("config", "behavior", "objection"),
    [
        ("QueryStringsConfig", "QueryStringBehavior", "it sends query strings on"),
        ("CookiesConfig", "CookieBehavior", "it sends cookies on"),
        ("HeadersConfig", "HeaderBehavior", "it sends headers on"),
    ],
)
def test_what_it_must_not_forward_is_named(config, behavior, objection):
    found = policy("s3")
    found[KEY][config] = {behavior: "whitelist"}
    (said,) = policies.objections(found, "s3")
    assert said.startswith(objection)


def test_the_flags_have_to_be_off_for_a_bucket_and_on_for_the_application():
    for kind in ("s3", "both"):
        (said,) = policies.objections(policy("pull"), kind)
        assert said.endswith("EnableAcceptEncodingBrotli have to be off")
    (said,) = policies.objections(policy("s3"), "pull")
    assert said.endswith("EnableAcceptEncodingBrotli have to be on")
    half = policy("pull")
    half[KEY]["EnableAcceptEncodingBrotli"] = False
    assert len(list(policies.objections(half, "pull"))) == 1
    assert len(list(policies.objections(half, "s3"))) == 1


def test_a_minimum_above_a_second_and_a_maximum_below_a_day_are_named():
    found = {**policy("s3"), "MinTTL": 60, "MaxTTL": 600}
    assert list(policies.objections(found, "s3")) == [
        "it keeps for 60 s what says that it must not be kept (MinTTL)",
        "it keeps what is immutable for no more than 600 s (MaxTTL)",
    ]
    assert list(policies.objections({**policy("s3"), "MinTTL": 1}, "s3")) == []


@pytest.fixture
def stubbed(monkeypatch):
    """CloudFront's API, which answers as a test says."""
    client = boto3.client(
        "cloudfront", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    monkeypatch.setattr(policies, "cloudfront", lambda _: client)
    with Stubber(client) as stubbed:
        yield stubbed


def test_cloudfront_is_asked_what_a_policy_does(stubbed):
    config = {**policy("pull"), "Name": "of-somebody"}
    answer = {"CachePolicy": {"Id": POLICY, "LastModifiedTime": 0, "CachePolicyConfig": config}}
    stubbed.add_response("get_cache_policy", answer, {"Id": POLICY})
    (said,) = policies.warnings(POLICY, "s3", None)
    assert said.startswith("it keeps the same object for each Accept-Encoding")


def test_where_cloudfront_does_not_say_it_that_is_the_warning(stubbed):
    stubbed.add_client_error("get_cache_policy", "AccessDenied", "not for you", 403)
    (said,) = policies.warnings(POLICY, "s3", None)
    assert said.startswith("CloudFront did not say what it does, so see to it yourself: ")
    assert "not for you" in said


def test_without_credentials_too():
    (said,) = policies.warnings(POLICY, "s3", None)
    assert said.endswith("Unable to locate credentials")
