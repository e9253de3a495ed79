"""The template, by AWS's own linter and by what is in it."""

import json
from pathlib import Path

import pytest
from cfnlint.api import lint_file

from versioned_storage.edge.cloudformation import MAX_SIZE, Stack, alarms
from versioned_storage.edge.distribution import Distribution, Domain
from versioned_storage.edge.functions import (
    VIEWER_REQUEST,
    VIEWER_RESPONSE,
    CompressionRules,
    Constants,
    rendered,
)
from versioned_storage.edge.yaml import dump

DEPLOYER = "arn:aws:iam::123456789012:role/deploy"
WEB = "arn:aws:iam::123456789012:role/web"
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/0b5b3e1c-5f0a-4f0e-9d7e-7a1c2b3d4e5f"
DOMAIN = Domain("static.example.com", CERTIFICATE)
CONSTANTS = Constants("/assets/", "staticfiles.json", CompressionRules(("br",), ("png",)))
KINDS = ("s3", "pull", "both")


def stack(kind="s3", *, distribution=None, **more):
    """The stack of a site with nothing chosen."""
    app = None if kind == "s3" else "www.example.com"
    made = Distribution(
        **{"kind": kind, "constants": CONSTANTS, "app": app, **(distribution or {})}
    )
    return Stack(
        distribution=made, **{"bucket": None if kind == "pull" else "my-site-static", **more}
    )


def everything(kind):
    """The stack of a site with all that can be chosen."""
    domain = Domain(DOMAIN.name, CERTIFICATE, "Z0123456789ABCDEFGHIJ")
    return stack(
        kind,
        distribution={"domain": domain, "logs": True, "location": "" if kind == "pull" else "prod"},
        uploaders=[DEPLOYER],
        readers=[WEB],
        versioning=True,
        media_bucket="my-site-media",
        media_writers=[WEB],
    )


def resources(made, type_=None):
    """The properties of each resource, by its logical id; with ``type_`` of that type alone."""
    return {
        name: resource["Properties"]
        for name, resource in made.template()["Resources"].items()
        if type_ in (None, resource["Type"])
    }


def distribution(made, name="Distribution"):
    return resources(made)[name]["DistributionConfig"]


def static_behavior(made):
    (behavior,) = distribution(made)["CacheBehaviors"]
    return behavior


def cache_key(made):
    policy = resources(made)["CachePolicy"]["CachePolicyConfig"]
    return policy, policy["ParametersInCacheKeyAndForwardedToOrigin"]


def statements(made, policy="StaticBucketPolicy"):
    listed = resources(made)[policy]["PolicyDocument"]["Statement"]
    return {statement["Sid"]: statement for statement in listed}


# By the linter


def faults(template, tmp_path):
    """What cfn-lint says, with every rule on."""
    file = tmp_path / "template.yaml"
    file.write_text(dump(template), encoding="utf-8")
    return [str(match) for match in lint_file(Path(file))]


@pytest.mark.deep
@pytest.mark.parametrize("kind", KINDS)
def test_the_linter_finds_nothing(kind, tmp_path):
    assert faults(stack(kind).template(), tmp_path) == []
    assert faults(everything(kind).template(), tmp_path) == []


def test_the_linter_finds_nothing_in_the_usual_stack(tmp_path):
    assert faults(stack("s3").template(), tmp_path) == []


@pytest.mark.deep
def test_the_linter_finds_nothing_in_the_alarms(tmp_path):
    assert faults(alarms(), tmp_path) == []


def test_the_linter_would_find_something(tmp_path):
    made = json.loads(json.dumps(stack().template()))
    made["Resources"]["StaticBucket"]["Properties"]["ObjectOwnership"] = "nobody"
    made["Resources"]["Distribution"]["Properties"]["DistributionConfig"]["Enabled"] = {"Ref": "No"}
    assert len(faults(made, tmp_path)) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_small_enough_to_be_deployed_from_a_file(kind):
    assert len(dump(everything(kind).template()).encode()) < MAX_SIZE / 2


@pytest.mark.parametrize("kind", KINDS)
def test_each_arn_is_of_the_partition_that_it_is_deployed_to(kind):
    made = everything(kind)
    given = (DEPLOYER, WEB, CERTIFICATE)
    text = json.dumps(made.template())
    for arn in given:
        text = text.replace(arn, "")
    assert "arn:aws" not in text


# The bucket


def test_the_bucket_is_private_encrypted_and_outlives_the_stack():
    made = everything("s3").template()["Resources"]
    for name in ("StaticBucket", "MediaBucket"):
        bucket = made[name]
        assert bucket["DeletionPolicy"] == bucket["UpdateReplacePolicy"] == "Retain"
        properties = bucket["Properties"]
        assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
        assert len(properties["PublicAccessBlockConfiguration"]) == 4
        ownership = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
        assert properties["OwnershipControls"] == ownership
        assert "AES256" in json.dumps(properties["BucketEncryption"])


def test_versions_are_kept_if_asked_for_and_unfinished_uploads_never():
    plain, versioned = (
        resources(stack())["StaticBucket"],
        resources(everything("s3"))["StaticBucket"],
    )
    assert "VersioningConfiguration" not in plain
    assert versioned["VersioningConfiguration"] == {"Status": "Enabled"}
    for bucket in (plain, versioned):
        rules = {rule["Id"]: rule for rule in bucket["LifecycleConfiguration"]["Rules"]}
        unfinished = rules["AbortIncompleteUploads"]["AbortIncompleteMultipartUpload"]
        assert unfinished == {"DaysAfterInitiation": 7}
        versions = rules["ExpireNoncurrentVersions"]["NoncurrentVersionExpiration"]
        assert versions == {"NoncurrentDays": 30}
        # A build in use can be of any age.
        assert not any("ExpirationInDays" in rule for rule in rules.values())


@pytest.mark.parametrize(("location", "prefix"), [("", ""), ("prod", "prod/")])
def test_only_this_distribution_reads_and_only_what_is_public(location, prefix):
    made = stack(distribution={"location": location})
    allowed = [one for one in statements(made).values() if one["Effect"] == "Allow"]
    assert allowed == [
        {
            "Sid": "CloudFrontReads",
            "Effect": "Allow",
            "Principal": {"Service": "cloudfront.amazonaws.com"},
            "Action": "s3:GetObject",
            "Resource": {"Fn::Sub": f"${{StaticBucket.Arn}}/{prefix}assets/*"},
            "Condition": {
                "StringEquals": {
                    "AWS:SourceArn": {
                        "Fn::Sub": "arn:${AWS::Partition}:cloudfront::${AWS::AccountId}"
                        ":distribution/${Distribution}"
                    }
                }
            },
        }
    ]
    (origin,) = distribution(made)["Origins"]
    assert origin.get("OriginPath") == (f"/{location}" if location else None)
    assert origin["S3OriginConfig"] == {"OriginAccessIdentity": ""}
    assert origin["OriginAccessControlId"] == {"Fn::GetAtt": ["OriginAccessControl", "Id"]}


def test_nobody_comes_without_tls():
    denied = statements(stack())["NobodyWithoutTLS"]
    assert denied["Effect"] == "Deny"
    assert denied["Principal"] == "*"
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_who_publishes_writes_builds_and_records_and_nothing_else():
    made = statements(stack(uploaders=[DEPLOYER], distribution={"location": "prod"}))
    granted = made["Publish"]
    assert granted["Principal"] == {"AWS": [DEPLOYER]}
    assert granted["Action"] == ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    assert granted["Resource"] == [
        {"Fn::Sub": "${StaticBucket.Arn}/prod/assets/*"},
        {"Fn::Sub": "${StaticBucket.Arn}/prod/builds/*"},
    ]
    assert made["PublishAndList"]["Action"] == "s3:ListBucket"


def test_who_serves_pages_reads_records_and_nothing_else():
    made = statements(stack(readers=[WEB]))
    granted = made["ReadRecords"]
    assert granted["Principal"] == {"AWS": [WEB]}
    assert granted["Action"] == ["s3:GetObject"]
    assert granted["Resource"] == [{"Fn::Sub": "${StaticBucket.Arn}/builds/*"}]
    assert "Publish" not in made


# The distribution


@pytest.mark.parametrize("kind", KINDS)
def test_the_static_path_alone_is_cached_and_every_path_goes_through_the_functions(kind):
    config = distribution(stack(kind))
    static, rest = static_behavior(stack(kind)), config["DefaultCacheBehavior"]
    assert static["PathPattern"] == "/assets/*"
    assert static["CachePolicyId"] == {"Ref": "CachePolicy"}
    assert rest["CachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
    for behavior in (static, rest):
        assert behavior["ViewerProtocolPolicy"] == "redirect-to-https"
        assert behavior["AllowedMethods"] == ["GET", "HEAD", "OPTIONS"]
        assert behavior["Compress"] is False
        assert "OriginRequestPolicyId" not in behavior
        assert [one["EventType"] for one in behavior["FunctionAssociations"]] == [
            "viewer-request",
            "viewer-response",
        ]


def test_a_path_that_is_not_ascii_is_matched_as_a_viewer_sends_it():
    constants = Constants("/статика/")
    behavior = static_behavior(stack(distribution={"constants": constants}))
    assert behavior["PathPattern"] == "/%D1%81%D1%82%D0%B0%D1%82%D0%B8%D0%BA%D0%B0/*"


@pytest.mark.parametrize(("kind", "negotiates"), [("s3", False), ("both", False), ("pull", True)])
def test_accept_encoding_is_in_the_key_only_where_the_application_negotiates(kind, negotiates):
    policy, key = cache_key(stack(kind))
    assert key["EnableAcceptEncodingBrotli"] is negotiates
    assert key["EnableAcceptEncodingGzip"] is negotiates
    assert policy["MinTTL"] == policy["DefaultTTL"] == 0
    assert policy["MaxTTL"] == 31_536_000
    assert key["QueryStringsConfig"] == {"QueryStringBehavior": "none"}
    assert key["CookiesConfig"] == {"CookieBehavior": "none"}
    assert key["HeadersConfig"] == {"HeaderBehavior": "none"}


@pytest.mark.parametrize("kind", ["s3", "both"])
def test_the_functions_have_the_constants_of_the_site(kind):
    made = resources(stack(kind), "AWS::CloudFront::Function")
    assert made["ViewerRequest"]["FunctionCode"] == rendered(VIEWER_REQUEST, CONSTANTS)
    assert made["ViewerResponse"]["FunctionCode"] == rendered(VIEWER_RESPONSE, CONSTANTS)
    for function in made.values():
        assert function["AutoPublish"] is True
        assert function["FunctionConfig"]["Runtime"] == "cloudfront-js-2.0"


def test_with_the_application_alone_the_functions_pick_no_encoding():
    for function in resources(stack("pull"), "AWS::CloudFront::Function").values():
        assert '"encodings": []' in function["FunctionCode"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_file_is_remembered_for_a_second(kind):
    assert distribution(stack(kind))["CustomErrorResponses"] == [
        {"ErrorCode": 403, "ErrorCachingMinTTL": 1},
        {"ErrorCode": 404, "ErrorCachingMinTTL": 1},
    ]


def test_the_application_is_asked_over_https_alone():
    (origin,) = distribution(stack("pull"))["Origins"]
    assert origin["DomainName"] == "www.example.com"
    assert origin["CustomOriginConfig"] == {
        "OriginProtocolPolicy": "https-only",
        "OriginSSLProtocols": ["TLSv1.2"],
    }
    assert "AWS::S3::Bucket" not in json.dumps(stack("pull").template())


def test_the_application_answers_where_s3_fails_and_only_there():
    config = distribution(stack("both"))
    (group,) = config["OriginGroups"]["Items"]
    assert group["FailoverCriteria"]["StatusCodes"]["Items"] == [500, 502, 503, 504]
    listed = [member["OriginId"] for member in group["Members"]["Items"]]
    assert listed == [origin["Id"] for origin in config["Origins"]] == ["bucket", "app"]
    assert static_behavior(stack("both"))["TargetOriginId"] == group["Id"]
    assert "OriginGroups" not in distribution(stack("s3"))


def test_http_2_and_3_and_ipv6():
    config = distribution(stack())
    assert config["HttpVersion"] == "http2and3"
    assert config["IPV6Enabled"] is True


def test_a_domain_brings_its_certificate_a_tls_floor_and_its_records():
    config = distribution(everything("s3"))
    assert config["Aliases"] == ["static.example.com"]
    assert config["ViewerCertificate"] == {
        "AcmCertificateArn": CERTIFICATE,
        "MinimumProtocolVersion": "TLSv1.2_2021",
        "SslSupportMethod": "sni-only",
    }
    records = resources(everything("s3"), "AWS::Route53::RecordSet")
    assert [record["Type"] for record in records.values()] == ["A", "AAAA"]
    for record in records.values():
        assert record["Name"] == "static.example.com"
        assert record["HostedZoneId"] == "Z0123456789ABCDEFGHIJ"
        assert record["AliasTarget"]["HostedZoneId"] == "Z2FDTNDATAQYW2"


def test_without_a_hosted_zone_no_record_is_made():
    made = stack(distribution={"domain": DOMAIN})
    assert resources(made, "AWS::Route53::RecordSet") == {}


def test_a_cache_policy_that_is_there_is_used_instead_of_one_of_its_own():
    made = stack(distribution={"cache_policy": "b2884449-e4de-46a7-ac36-70bc7f1ddd6d"})
    assert static_behavior(made)["CachePolicyId"] == "b2884449-e4de-46a7-ac36-70bc7f1ddd6d"
    assert "CachePolicy" not in resources(made)


# What else there can be


def test_media_have_a_bucket_and_a_distribution_of_their_own():
    made = everything("s3")
    config = distribution(made, "MediaDistribution")
    assert config["DefaultCacheBehavior"]["Compress"] is True
    assert "FunctionAssociations" not in config["DefaultCacheBehavior"]
    granted = statements(made, "MediaBucketPolicy")
    assert granted["Write"]["Principal"] == {"AWS": [WEB]}
    source = granted["CloudFrontReads"]["Condition"]["StringEquals"]["AWS:SourceArn"]["Fn::Sub"]
    assert source.endswith(":distribution/${MediaDistribution}")


def test_media_can_be_on_s3_where_builds_are_not():
    made = resources(stack("pull", media_bucket="my-site-media"))
    assert "OriginAccessControl" in made
    assert "StaticBucket" not in made


def test_logs_go_to_a_bucket_that_takes_them_by_acl_and_drops_them():
    made = everything("s3")
    assert distribution(made)["Logging"]["Bucket"] == {"Fn::GetAtt": ["LogBucket", "DomainName"]}
    bucket = resources(made)["LogBucket"]
    assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerPreferred"}]
    assert {"ExpirationInDays": 90}.items() <= bucket["LifecycleConfiguration"]["Rules"][1].items()
    assert "Logging" not in distribution(stack())


def test_the_alarms_watch_both_rates_of_the_distribution():
    made = [one["Properties"] for one in alarms()["Resources"].values()]
    assert [one["MetricName"] for one in made] == ["4xxErrorRate", "5xxErrorRate"]
    for one in made:
        assert {"Name": "Region", "Value": "Global"} in one["Dimensions"]
        assert one["AlarmActions"] == [{"Ref": "TopicArn"}]


# What to paste


def outputs(made):
    return {name: one["Value"] for name, one in made.template()["Outputs"].items()}


def test_the_outputs_are_the_settings():
    given = outputs(stack(distribution={"location": "prod"}))
    assert given["CdnDomain"] == {"Fn::GetAtt": ["Distribution", "DomainName"]}
    assert given["DistributionId"] == {"Ref": "Distribution"}
    assert given["BucketName"] == {"Ref": "StaticBucket"}
    assert json.loads(given["Options"]["Fn::Sub"]) == {
        "cdn_domain": "${Distribution.DomainName}",
        "origin": {
            "bucket_name": "${StaticBucket}",
            "region_name": "${AWS::Region}",
            "location": "prod",
        },
    }


def test_the_outputs_name_a_domain_of_the_sites_own_and_what_it_has_to_point_at():
    given = outputs(stack("pull", distribution={"domain": DOMAIN}))
    assert given["CdnDomain"] == "static.example.com"
    assert given["DistributionDomain"] == {"Fn::GetAtt": ["Distribution", "DomainName"]}
    assert json.loads(given["Options"]) == {"cdn_domain": "static.example.com"}


def test_the_outputs_have_the_settings_of_the_media_storage():
    given = outputs(everything("s3"))["MediaOptions"]
    assert json.loads(given["Fn::Sub"]) == {
        "bucket_name": "${MediaBucket}",
        "region_name": "${AWS::Region}",
        "custom_domain": "${MediaDistribution.DomainName}",
    }
