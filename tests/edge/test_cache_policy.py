import copy

import boto3
import pytest
from botocore.stub import Stubber

from versioned_storage.edge.cache_policy import objections
from versioned_storage.edge.cloudfront import CloudFrontError, cache_policy
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
    assert list(objections(policy(kind), kind)) == []


@pytest.mark.parametrize(
    ("config", "behavior", "objection"),
    [
        ("QueryStringsConfig", "QueryStringBehavior", "it forwards query strings"),
        ("CookiesConfig", "CookieBehavior", "it forwards cookies"),
        ("HeadersConfig", "HeaderBehavior", "it forwards headers"),
    ],
)
def test_what_it_must_not_forward_is_named(config, behavior, objection):
    found = policy("s3")
    found[KEY][config] = {behavior: "whitelist"}
    (said,) = objections(found, "s3")
    assert said.startswith(objection)


def test_the_flags_have_to_be_off_for_a_bucket_and_on_for_the_application():
    for kind in ("s3", "both"):
        (said,) = objections(policy("pull"), kind)
        assert said.endswith("EnableAcceptEncodingBrotli must be off")
    (said,) = objections(policy("s3"), "pull")
    assert said.endswith("EnableAcceptEncodingBrotli must be on")
    half = policy("pull")
    half[KEY]["EnableAcceptEncodingBrotli"] = False
    assert len(list(objections(half, "pull"))) == 1
    assert len(list(objections(half, "s3"))) == 1


def test_a_minimum_above_a_second_and_a_maximum_below_a_day_are_named():
    found = {**policy("s3"), "MinTTL": 60, "MaxTTL": 600}
    assert list(objections(found, "s3")) == [
        "it caches no-store responses for 60 s (MinTTL)",
        "it caches immutable files for only 600 s (MaxTTL)",
    ]
    assert list(objections({**policy("s3"), "MinTTL": 1}, "s3")) == []


@pytest.fixture
def stub():
    """CloudFront's API, which answers as a test says."""
    client = boto3.client(
        "cloudfront", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    with Stubber(client) as stubbed:
        stubbed.client = client
        yield stubbed


def test_a_policy_is_read_from_cloudfront(stub):
    config = {**policy("pull"), "Name": "of-somebody"}
    answer = {"CachePolicy": {"Id": POLICY, "LastModifiedTime": 0, "CachePolicyConfig": config}}
    stub.add_response("get_cache_policy", answer, {"Id": POLICY})
    (objection,) = objections(cache_policy(stub.client, POLICY), "s3")
    assert objection.startswith("it caches the same object for each Accept-Encoding")


def test_a_policy_that_may_not_be_read_is_an_error(stub):
    stub.add_client_error("get_cache_policy", "AccessDenied", "not for you", 403)
    with pytest.raises(CloudFrontError, match="not for you"):
        cache_policy(stub.client, POLICY)
