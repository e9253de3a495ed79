"""The templates, by AWS's own linter and by what they create."""

import json
import re
from itertools import product

import pytest

from tests.edge.stacks import PSEUDO, Stack, load
from versioned_storage.edge.functions import (
    VIEWER_REQUEST,
    VIEWER_RESPONSE,
    CompressionRules,
    Constants,
    rendered,
)
from versioned_storage.edge.template import MAX_SIZE, monitoring, source, template

CONSTANTS = Constants("/assets/", "staticfiles.json", CompressionRules(("br",), ("png",)))
TEXT = template(CONSTANTS, {"BucketName": "my-site-static"})
DEPLOYER = "arn:aws:iam::123456789012:role/deploy"
WEB = "arn:aws:iam::123456789012:role/web"
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/0b5b3e1c-5f0a-4f0e-9d7e-7a1c2b3d4e5f"
EXISTING = "arn:aws:cloudfront::123456789012:distribution/E2EXAMPLE1234"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/0b5b3e1c-5f0a-4f0e-9d7e-7a1c2b3d4e5f"
ACL = "arn:aws:wafv2:us-east-1:123456789012:global/webacl/site/0b5b3e1c-5f0a-4f0e"
PROVIDER = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
MODES = ("own", "existing", "site")
ORIGINS = ("s3", "pull", "both")
STACKS = list(product(MODES, ORIGINS))
WITH_DISTRIBUTION = [(mode, origin) for mode, origin in STACKS if mode != "existing"]


def stack(mode="own", origin="s3", **parameters):
    """The stack with nothing chosen that needs not be."""
    needed = {}
    if mode == "existing":
        needed["ExistingDistributionArn"] = EXISTING
    elif mode == "site" or origin != "s3":
        needed["AppDomain"] = "app.example.com"
    return Stack(TEXT, Mode=mode, Origin=origin, **{**needed, **parameters})


def everything(mode, origin):
    """The stack with all that can be chosen."""
    bucket = {
        "GitHubRepository": "example/site",
        "GitHubProviderArn": PROVIDER,
        "Location": "/prod",
    }
    return stack(
        mode,
        origin,
        Domain="www.example.com",
        SecondDomain="example.com",
        CertificateArn=CERTIFICATE,
        HostedZoneId="Z0123456789ABCDEFGHIJ",
        Versioning="yes",
        KmsKeyArn=KEY,
        CachePolicyId="b2884449-e4de-46a7-ac36-70bc7f1ddd6d",
        PriceClass="PriceClass_100",
        OriginShieldRegion="eu-west-1",
        WebAclArn=ACL,
        Uploaders=f"{DEPLOYER},{WEB}",
        Pruners=DEPLOYER,
        Readers=WEB,
        MediaBucketName="my-site-media",
        MediaWriters=WEB,
        MediaDomain="media.example.com",
        MediaCertificateArn=CERTIFICATE,
        MediaKeyGroupId="0b5b3e1c-5f0a-4f0e-9d7e-7a1c2b3d4e5f",
        **({} if origin == "pull" else bucket),
    )


def config(stack, name="Distribution"):
    return stack.properties(name)["DistributionConfig"]


def static_behavior(stack):
    (behavior,) = config(stack)["CacheBehaviors"]
    return behavior


def origins(stack):
    return {origin["Id"]: origin for origin in config(stack)["Origins"]}


def statements(stack, policy="StaticBucketPolicy"):
    listed = stack.properties(policy)["PolicyDocument"]["Statement"]
    return {statement["Sid"]: statement for statement in listed}


# By the linter


def faults(text):
    """What cfn-lint says, with every rule on, of all combinations of conditions that it sees."""
    # Importing it takes every worker of a test run most of a second.
    from cfnlint.api import lint

    return [str(match) for match in lint(text)]


@pytest.mark.deep
def test_the_linter_accepts_what_is_printed():
    assert faults(TEXT) == []


@pytest.mark.deep
@pytest.mark.parametrize("text", [source(), monitoring()], ids=["as shipped", "monitoring"])
def test_the_linter_accepts_what_is_shipped(text):
    assert faults(text) == []


@pytest.mark.deep
@pytest.mark.parametrize("chosen", [stack, everything], ids=["nothing", "everything"])
@pytest.mark.parametrize(("mode", "origin"), STACKS)
def test_the_linter_accepts_each_mode_with_each_origin(mode, origin, chosen):
    made = chosen(mode, origin)
    assert made.refusals == []
    assert faults(json.dumps(made.resolved())) == []


@pytest.mark.deep
@pytest.mark.parametrize(
    "parameters",
    [
        {"Domain": "static.example.com", "CertificateArn": CERTIFICATE},
        {"MediaBucketName": "my-site-media"},
        {"KmsKeyArn": KEY},
        {"GitHubRepository": "example/site", "GitHubProviderArn": PROVIDER},
        {"Uploaders": DEPLOYER},
        {"OriginShieldRegion": "eu-west-1"},
    ],
    ids=lambda parameters: next(iter(parameters)),
)
@pytest.mark.parametrize("mode", MODES)
def test_the_linter_accepts_each_choice_alone(mode, parameters):
    made = stack(mode, **parameters)
    assert made.refusals == []
    assert faults(json.dumps(made.resolved())) == []


@pytest.mark.deep
def test_the_linter_finds_what_is_wrong():
    wrong = TEXT.replace("IPV6Enabled: true", "IPv6: true").replace("!Ref PriceClass", "!Ref No")
    assert len(faults(wrong)) >= 2


def test_it_is_small_enough_to_be_deployed_from_a_file():
    assert len(template(Constants(), {}).encode()) < MAX_SIZE


def test_each_arn_is_of_the_partition_that_it_is_deployed_to():
    assert "arn:aws" not in TEXT
    assert "arn:aws" not in monitoring()


@pytest.mark.parametrize("text", [TEXT, monitoring()], ids=["template", "monitoring"])
def test_each_parameter_is_described_and_all_that_can_be_left_out_has_a_default(text):
    parameters = load(text)["Parameters"]
    assert all(parameter["Description"] for parameter in parameters.values())
    required = [name for name, parameter in parameters.items() if "Default" not in parameter]
    assert required == ([] if text is TEXT else ["DistributionId"])


def test_the_console_shows_every_parameter_in_a_group():
    made = load(TEXT)
    groups = made["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    shown = [name for group in groups for name in group["Parameters"]]
    assert sorted(shown) == sorted(made["Parameters"])


# What is filled in


def test_defaults_are_those_of_the_settings():
    text = template(CONSTANTS, {"BucketName": "b-1", "Mode": "own", "Location": "/prod"})
    parameters = load(text)["Parameters"]
    assert parameters["BucketName"]["Default"] == "b-1"
    assert parameters["Mode"]["Default"] == "own"
    assert parameters["Location"]["Default"] == "/prod"
    assert parameters["Domain"]["Default"] == ""


@pytest.mark.parametrize(("mode", "origin"), STACKS)
def test_the_functions_have_the_constants_of_the_site(mode, origin):
    made = stack(mode, origin)
    constants = CONSTANTS.without_encodings() if origin == "pull" else CONSTANTS
    for logical, name in (("ViewerRequest", VIEWER_REQUEST), ("ViewerResponse", VIEWER_RESPONSE)):
        function = made.properties(logical)
        assert function["FunctionCode"] == rendered(name, constants)
        assert function["AutoPublish"] is True
        assert function["FunctionConfig"]["Runtime"] == "cloudfront-js-2.0"


def test_with_the_application_alone_the_functions_pick_no_encoding():
    for name in ("ViewerRequest", "ViewerResponse"):
        assert '"encodings": []' in stack("own", "pull").properties(name)["FunctionCode"]


def test_a_path_that_is_not_ascii_is_matched_as_a_viewer_sends_it_and_read_as_s3_stores_it():
    made = Stack(template(Constants("/статика/"), {}), Mode="own", BucketName="my-site-static")
    assert static_behavior(made)["PathPattern"] == ("/%D1%81%D1%82%D0%B0%D1%82%D0%B8%D0%BA%D0%B0/*")
    resource = statements(made)["CloudFrontReads"]["Resource"]
    assert resource == {"Fn::Sub": "${StaticBucket.Arn}/статика/*"}


@pytest.mark.parametrize("prefix", ["/a\\1b/", "/${x}/", '/it\'s "so"/', "/\u2028/", "/a: b #c/"])
def test_a_strange_path_cannot_break_out_of_its_string(prefix):
    resource = statements(Stack(template(Constants(prefix), {}), Mode="own"))["CloudFrontReads"]
    text = resource["Resource"]["Fn::Sub"].replace("${!", "${")
    assert text == f"${{StaticBucket.Arn}}{prefix}*"


def test_shared_assets_are_below_what_is_public():
    """They are at /static/_shared/: no pattern leaves out a name that begins with _."""
    made = stack()
    assert static_behavior(made)["PathPattern"] == "/assets/*"
    assert statements(made)["CloudFrontReads"]["Resource"]["Fn::Sub"].endswith("/assets/*")


# The rules


def refusal(mode="own", origin="s3", **parameters):
    refusals = stack(mode, origin, **parameters).refusals
    return refusals[0] if len(refusals) == 1 else refusals


@pytest.mark.parametrize("parameter", ["Domain", "SecondDomain"])
@pytest.mark.parametrize(("mode", "origin"), [("site", "s3"), ("own", "pull"), ("own", "both")])
def test_an_application_at_the_domain_of_the_edge_is_refused(mode, origin, parameter):
    domains = {"Domain": "a.example.com", "SecondDomain": "b.example.com"}
    said = refusal(
        mode, origin, **domains, CertificateArn=CERTIFICATE, AppDomain=domains[parameter]
    )
    assert said == f"AppDomain is {parameter}. Give the application a host name of its own."


def test_an_application_at_a_domain_of_cloudfront_is_refused():
    with pytest.raises(AssertionError, match="AppDomain"):
        stack("site", AppDomain="d111111abcdef8.cloudfront.net")


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"mode": "site", "AppDomain": ""}, "Set AppDomain"),
        ({"origin": "pull", "AppDomain": ""}, "Set AppDomain"),
        ({"BucketName": ""}, "Set BucketName"),
        ({"Domain": "a.example.com"}, "Set CertificateArn"),
        ({"CertificateArn": CERTIFICATE}, "CertificateArn and HostedZoneId are for Domain"),
        ({"HostedZoneId": "Z1"}, "CertificateArn and HostedZoneId are for Domain"),
        ({"mode": "existing", "ExistingDistributionArn": ""}, "Set ExistingDistributionArn"),
        ({"GitHubRepository": "example/site"}, "Set GitHubProviderArn"),
        ({"MediaDomain": "m.example.com"}, "Set MediaCertificateArn"),
    ],
)
def test_what_is_missing_is_named_before_anything_is_created(parameters, expected):
    assert refusal(**parameters).startswith(expected)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CertificateArn", CERTIFICATE.replace("us-east-1", "eu-west-1")),
        ("KmsKeyArn", "alias/aws/s3"),
        ("Location", "prod/"),
        ("AppDomain", "https://app.example.com"),
        ("WebAclArn", ACL.replace("global", "regional")),
        ("ExistingDistributionArn", "E2EXAMPLE1234"),
        ("GitHubRepository", "site"),
        ("GitHubRepository", "example/*"),
        ("GitHubRepository", "example@*/site@456789"),
    ],
)
def test_a_parameter_that_cannot_be_is_refused(name, value):
    with pytest.raises(AssertionError, match=name):
        stack(**{name: value})


# Names


def test_names_carry_the_region_and_fit_with_a_stack_name_of_the_stated_length():
    made = stack()
    names = [
        made.properties("ViewerRequest")["Name"],
        made.properties("ViewerResponse")["Name"],
        made.properties("StaticCachePolicy")["CachePolicyConfig"]["Name"],
        made.properties("OriginAccessControl")["OriginAccessControlConfig"]["Name"],
    ]
    (limit,) = re.findall(r"at most (\d+) characters for", load(TEXT)["Description"])
    longest_region = "ap-northeast-1"
    for name in names:
        assert name.startswith(f"{PSEUDO['AWS::StackName']}-{longest_region}")
        assert len(name) - len(PSEUDO["AWS::StackName"]) + int(limit) <= 64


# The bucket


@pytest.mark.parametrize("name", ["StaticBucket", "MediaBucket"])
def test_the_bucket_is_private_and_encrypted(name):
    properties = everything("own", "s3").properties(name)
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(properties["PublicAccessBlockConfiguration"]) == 4
    ownership = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    assert properties["OwnershipControls"] == ownership
    plain = stack(MediaBucketName="my-site-media").properties(name)
    assert "AES256" in json.dumps(plain["BucketEncryption"])


def test_every_bucket_outlives_the_stack_but_not_a_first_deploy_that_fails():
    made = everything("own", "s3")
    logs = Stack(monitoring(), DistributionId="E1", LogTarget="new-bucket")
    buckets = [
        *(made.resources[name] for name in made.named("AWS::S3::Bucket")),
        *(logs.resources[name] for name in logs.named("AWS::S3::Bucket")),
    ]
    assert len(buckets) == 3
    for bucket in buckets:
        assert bucket["DeletionPolicy"] == "RetainExceptOnCreate"
        assert bucket["UpdateReplacePolicy"] == "Retain"


def test_versions_are_kept_if_asked_for_and_unfinished_uploads_never():
    plain, versioned = (
        stack().properties("StaticBucket"),
        everything("own", "s3").properties("StaticBucket"),
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


@pytest.mark.parametrize("location", ["", "/prod"])
@pytest.mark.parametrize("mode", MODES)
def test_only_this_distribution_reads_and_only_what_is_public(mode, location):
    made = stack(mode, Location=location)
    (allowed,) = [entry for entry in statements(made).values() if entry["Effect"] == "Allow"]
    arn = {"Fn::Sub": "arn:aws:cloudfront::123456789012:distribution/${Distribution}"}
    assert allowed == {
        "Sid": "CloudFrontReads",
        "Effect": "Allow",
        "Principal": {"Service": "cloudfront.amazonaws.com"},
        "Action": "s3:GetObject",
        "Resource": {"Fn::Sub": f"${{StaticBucket.Arn}}{location}/assets/*"},
        "Condition": {"StringEquals": {"AWS:SourceArn": EXISTING if mode == "existing" else arn}},
    }


def test_the_origin_is_the_bucket_and_its_requests_are_signed():
    bucket = origins(stack(Location="/prod"))["bucket"]
    assert bucket["OriginPath"] == "/prod"
    assert bucket["S3OriginConfig"] == {"OriginAccessIdentity": ""}
    assert bucket["OriginAccessControlId"] == {"Fn::GetAtt": ["OriginAccessControl", "Id"]}


@pytest.mark.parametrize("name", ["StaticBucketPolicy", "MediaBucketPolicy"])
def test_nobody_comes_without_tls(name):
    denied = statements(everything("own", "s3"), name)["NobodyWithoutTLS"]
    assert denied["Effect"] == "Deny"
    assert denied["Principal"] == "*"
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_a_key_of_kms_encrypts_both_buckets_and_its_policy_must_let_cloudfront_decrypt():
    made = everything("own", "s3")
    for name in ("StaticBucket", "MediaBucket"):
        (rule,) = made.properties(name)["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY}
        assert rule == {"BucketKeyEnabled": True, "ServerSideEncryptionByDefault": default}
    statement = json.loads(everything("existing", "s3").outputs["KmsKeyStatement"])
    assert statement["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    assert statement["Action"] == "kms:Decrypt"
    assert statement["Condition"] == {"StringEquals": {"AWS:SourceArn": EXISTING}}
    media = json.loads(made.outputs["MediaKmsKeyStatement"]["Fn::Sub"])
    assert media["Condition"]["StringEquals"]["AWS:SourceArn"].endswith("/${MediaDistribution}")
    assert media.keys() == statement.keys()
    assert not {"KmsKeyStatement", "MediaKmsKeyStatement"} & stack().outputs.keys()


# Permissions


def test_who_publishes_can_write_and_delete_nothing():
    made = statements(stack(Uploaders=f"{DEPLOYER},{WEB}", Location="/prod"))
    granted = made["Publish"]
    assert granted["Principal"] == {"AWS": [DEPLOYER, WEB]}
    assert granted["Action"] == ["s3:GetObject", "s3:PutObject"]
    assert granted["Resource"] == [
        {"Fn::Sub": "${StaticBucket.Arn}/prod/builds/*"},
        {"Fn::Sub": "${StaticBucket.Arn}/prod/assets/*"},
    ]
    assert made["PublishAndList"]["Action"] == "s3:ListBucket"
    assert not made.keys() & {"PruneBuilds", "PruneRecords", "ReadRecords"}


def test_who_prunes_can_delete_builds_and_write_records():
    made = statements(stack(Pruners=DEPLOYER))
    assert made["PruneRecords"]["Action"] == ["s3:GetObject", "s3:PutObject"]
    assert made["PruneRecords"]["Resource"] == {"Fn::Sub": "${StaticBucket.Arn}/builds/*"}
    assert made["PruneBuilds"]["Action"] == ["s3:GetObject", "s3:DeleteObject"]
    assert made["PruneBuilds"]["Resource"] == {"Fn::Sub": "${StaticBucket.Arn}/assets/*"}
    assert made["PruneSharedAssets"]["Action"] == "s3:DeleteObjectVersion"
    assert made["PruneSharedAssets"]["Resource"] == {"Fn::Sub": "${StaticBucket.Arn}/assets/_*"}
    assert "Publish" not in made


def test_who_serves_pages_reads_records_and_nothing_else():
    made = statements(stack(Readers=WEB))
    granted = made["ReadRecords"]
    assert granted["Principal"] == {"AWS": [WEB]}
    assert granted["Action"] == "s3:GetObject"
    assert granted["Resource"] == {"Fn::Sub": "${StaticBucket.Arn}/builds/*"}
    assert "Publish" not in made


def test_nobody_may_delete_a_record():
    for statement in statements(everything("own", "s3")).values():
        if statement["Effect"] == "Allow" and "s3:DeleteObject" in statement["Action"]:
            assert "/builds/" not in json.dumps(statement["Resource"])


def test_a_branch_of_a_repository_publishes_with_a_role_of_its_own():
    made = everything("own", "s3")
    role = made.properties("DeployRole")
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Federated": PROVIDER}
    assert trust["Condition"] == {
        "StringEquals": {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": "repo:example/site:ref:refs/heads/main",
        }
    }
    (policy,) = role["Policies"]
    granted = {entry["Sid"]: entry for entry in policy["PolicyDocument"]["Statement"]}
    in_bucket = statements(made)
    for sid in ("Publish", "PublishAndList"):
        assert granted[sid]["Action"] == in_bucket[sid]["Action"]
        assert granted[sid]["Resource"] == in_bucket[sid]["Resource"]
    assert granted["Encrypt"]["Resource"] == KEY
    assert stack().named("AWS::IAM::Role") == set()


def test_a_repository_can_have_the_numbers_that_github_gives_to_new_ones():
    numbered = "octocat@123456/my-repo@456789"
    made = stack(GitHubRepository=numbered, GitHubProviderArn=PROVIDER)
    (trust,) = made.properties("DeployRole")["AssumeRolePolicyDocument"]["Statement"]
    subject = trust["Condition"]["StringEquals"]["token.actions.githubusercontent.com:sub"]
    assert subject == "repo:octocat@123456/my-repo@456789:ref:refs/heads/main"


# The distribution


@pytest.mark.parametrize(("mode", "origin"), WITH_DISTRIBUTION)
def test_static_files_are_cached_by_their_path_and_go_through_the_functions(mode, origin):
    static = static_behavior(stack(mode, origin))
    assert static["PathPattern"] == "/assets/*"
    assert static["CachePolicyId"] == {"Ref": "StaticCachePolicy"}
    assert static["ViewerProtocolPolicy"] == "redirect-to-https"
    assert static["AllowedMethods"] == ["GET", "HEAD", "OPTIONS"]
    assert static["Compress"] is False
    assert "OriginRequestPolicyId" not in static
    assert static["FunctionAssociations"] == [
        {
            "EventType": event,
            "FunctionARN": {"Fn::GetAtt": [function, "FunctionARN"]},
        }
        for event, function in (
            ("viewer-request", "ViewerRequest"),
            ("viewer-response", "ViewerResponse"),
        )
    ]
    target = {"s3": "bucket", "pull": "app", "both": "bucket-then-app"}[origin]
    assert static["TargetOriginId"] == target


@pytest.mark.parametrize("origin", ORIGINS)
def test_a_distribution_of_static_files_passes_every_other_path_to_the_function_too(origin):
    rest = config(stack("own", origin))["DefaultCacheBehavior"]
    assert rest["CachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
    static = static_behavior(stack("own", origin))
    assert rest["FunctionAssociations"] == static["FunctionAssociations"]
    assert rest["TargetOriginId"] == static["TargetOriginId"]


@pytest.mark.parametrize("origin", ORIGINS)
def test_pages_go_to_the_application_as_the_viewer_sent_them(origin):
    made = stack("site", origin)
    pages = config(made)["DefaultCacheBehavior"]
    assert pages["TargetOriginId"] == "app"
    assert origins(made)["app"]["DomainName"] == "app.example.com"
    assert set(pages["AllowedMethods"]) == {
        *("GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"),
    }
    # CachingDisabled and AllViewer.
    assert pages["CachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
    assert pages["OriginRequestPolicyId"] == "216adef6-5c7f-47e4-b989-5492eafa07d3"
    assert pages["ViewerProtocolPolicy"] == "redirect-to-https"
    assert "FunctionAssociations" not in pages


def test_pages_can_have_another_cache_policy_and_its_danger_is_told():
    made = stack("site", PagesCachePolicyId="b2884449-e4de-46a7-ac36-70bc7f1ddd6d")
    pages = config(made)["DefaultCacheBehavior"]
    assert pages["CachePolicyId"] == "b2884449-e4de-46a7-ac36-70bc7f1ddd6d"
    described = made.template["Parameters"]["PagesCachePolicyId"]["Description"]
    assert "Vary: Cookie" in described
    assert "Vary: Accept-Language" in described


def test_with_pages_no_error_is_kept():
    errors = config(stack("site"))["CustomErrorResponses"]
    assert {entry["ErrorCachingMinTTL"] for entry in errors} == {0}
    # All that CloudFront keeps.
    codes = [400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504]
    assert [entry["ErrorCode"] for entry in errors] == codes


@pytest.mark.parametrize("origin", ORIGINS)
def test_a_missing_file_is_remembered_for_a_second(origin):
    assert config(stack("own", origin))["CustomErrorResponses"] == [
        {"ErrorCode": 403, "ErrorCachingMinTTL": 1},
        {"ErrorCode": 404, "ErrorCachingMinTTL": 1},
    ]


@pytest.mark.parametrize(("origin", "negotiates"), [("s3", False), ("both", False), ("pull", True)])
@pytest.mark.parametrize("mode", MODES)
def test_accept_encoding_is_in_the_key_only_where_the_application_negotiates(
    mode, origin, negotiates
):
    policy = stack(mode, origin).properties("StaticCachePolicy")["CachePolicyConfig"]
    key = policy["ParametersInCacheKeyAndForwardedToOrigin"]
    assert key["EnableAcceptEncodingBrotli"] is negotiates
    assert key["EnableAcceptEncodingGzip"] is negotiates
    assert policy["MinTTL"] == policy["DefaultTTL"] == 0
    assert policy["MaxTTL"] == 31_536_000
    assert key["QueryStringsConfig"] == {"QueryStringBehavior": "none"}
    assert key["CookiesConfig"] == {"CookieBehavior": "none"}
    assert key["HeadersConfig"] == {"HeaderBehavior": "none"}


def test_a_cache_policy_that_exists_is_used_instead_of_a_new_one():
    made = stack(CachePolicyId="b2884449-e4de-46a7-ac36-70bc7f1ddd6d")
    assert static_behavior(made)["CachePolicyId"] == "b2884449-e4de-46a7-ac36-70bc7f1ddd6d"
    assert made.named("AWS::CloudFront::CachePolicy") == set()


@pytest.mark.parametrize(("mode", "origin"), [("own", "pull"), ("own", "both"), ("site", "s3")])
def test_the_application_is_requested_over_https_and_has_time_for_a_page(mode, origin):
    app = origins(stack(mode, origin, AppReadTimeout="45"))["app"]
    assert app["CustomOriginConfig"] == {
        "OriginProtocolPolicy": "https-only",
        "OriginSSLProtocols": ["TLSv1.2"],
        "OriginReadTimeout": "45",
    }
    timeout = load(TEXT)["Parameters"]["AppReadTimeout"]
    assert (timeout["MinValue"], timeout["MaxValue"]) == (30, 60)


def test_the_application_alone_needs_no_bucket():
    assert stack("own", "pull").named("AWS::S3::Bucket") == set()
    assert "OriginAccessControl" not in stack("own", "pull").resources


@pytest.mark.parametrize("mode", ["own", "site"])
def test_the_application_answers_where_s3_fails_and_only_there(mode):
    made = stack(mode, "both")
    (group,) = config(made)["OriginGroups"]["Items"]
    assert group["FailoverCriteria"]["StatusCodes"]["Items"] == [500, 502, 503, 504]
    assert [member["OriginId"] for member in group["Members"]["Items"]] == ["bucket", "app"]
    assert list(origins(made)) == ["bucket", "app"]
    assert static_behavior(made)["TargetOriginId"] == group["Id"]
    assert "OriginGroups" not in config(stack(mode))


def test_only_s3_and_only_with_a_failover_has_little_time():
    made = origins(stack("site", "both"))
    assert made["bucket"]["ConnectionAttempts"] == 1
    assert made["bucket"]["ConnectionTimeout"] in (2, 3)
    assert made["bucket"]["S3OriginConfig"]["OriginReadTimeout"] <= 5
    assert not made["app"].keys() & {"ConnectionAttempts", "ConnectionTimeout"}
    assert "ConnectionAttempts" not in origins(stack())["bucket"]


def test_http_2_and_3_and_ipv6():
    made = config(stack())
    assert made["HttpVersion"] == "http2and3"
    assert made["IPV6Enabled"] is True


def test_a_domain_brings_its_certificate_a_tls_floor_and_its_records():
    made = everything("own", "s3")
    assert config(made)["Aliases"] == ["www.example.com", "example.com"]
    assert config(made)["ViewerCertificate"] == {
        "AcmCertificateArn": CERTIFICATE,
        "MinimumProtocolVersion": "TLSv1.2_2021",
        "SslSupportMethod": "sni-only",
    }
    records = [made.properties(name) for name in ("RecordA", "RecordAAAA")]
    assert [record["Type"] for record in records] == ["A", "AAAA"]
    for record in records:
        assert record["Name"] == "www.example.com"
        assert record["HostedZoneId"] == "Z0123456789ABCDEFGHIJ"
        assert record["AliasTarget"]["HostedZoneId"] == "Z2FDTNDATAQYW2"
    plain = stack(Domain="static.example.com", CertificateArn=CERTIFICATE)
    assert plain.named("AWS::Route53::RecordSet") == set()
    assert "Aliases" not in config(stack())


def test_web_acl_price_class_and_origin_shield_are_parameters():
    made = everything("site", "s3")
    for name in ("Distribution", "MediaDistribution"):
        assert config(made, name)["WebACLId"] == ACL
        assert config(made, name)["PriceClass"] == "PriceClass_100"
    shield = {"Enabled": True, "OriginShieldRegion": "eu-west-1"}
    assert origins(made)["bucket"]["OriginShield"] == shield
    assert "WebACLId" not in config(stack())
    assert "OriginShield" not in origins(stack())["bucket"]


# For a distribution that exists


@pytest.mark.parametrize("origin", ORIGINS)
def test_for_a_distribution_that_exists_there_is_everything_else(origin):
    made = stack("existing", origin)
    assert made.named("AWS::CloudFront::Distribution") == set()
    assert {"ViewerRequest", "ViewerResponse", "StaticCachePolicy"} <= made.resources.keys()
    assert ("StaticBucketPolicy" in made.resources) is (origin != "pull")


def test_what_to_add_to_it_is_what_a_stack_of_its_own_has():
    made, own = stack("existing", Location="/prod"), stack("own", Location="/prod")
    behavior = json.loads(made.outputs["BehaviorToAdd"]["Fn::Sub"][0])
    expected = static_behavior(own)
    assert made.outputs["BehaviorToAdd"]["Fn::Sub"][1] == {"Policy": expected["CachePolicyId"]}
    assert behavior == {
        **expected,
        "TargetOriginId": "static",
        "CachePolicyId": "${Policy}",
        "FunctionAssociations": [
            {
                **entry,
                "FunctionARN": "${{{}.FunctionARN}}".format(entry["FunctionARN"]["Fn::GetAtt"][0]),
            }
            for entry in expected["FunctionAssociations"]
        ],
    }
    origin = json.loads(made.outputs["OriginToAdd"]["Fn::Sub"])
    assert origin.keys() == origins(own)["bucket"].keys()
    assert origin["OriginPath"] == "/prod"
    errors = json.loads(made.outputs["ErrorsToSet"])
    assert errors == config(own)["CustomErrorResponses"]


# Media


def test_media_have_a_bucket_and_a_distribution_of_their_own():
    made = everything("own", "s3")
    behavior = config(made, "MediaDistribution")["DefaultCacheBehavior"]
    assert behavior["Compress"] is True
    assert "FunctionAssociations" not in behavior
    # CORS-and-SecurityHeadersPolicy
    assert behavior["ResponseHeadersPolicyId"] == "e61eb60c-9c35-4d20-a928-2b84e02af89c"
    granted = statements(made, "MediaBucketPolicy")
    assert granted["Write"]["Principal"] == {"AWS": [WEB]}
    source = granted["CloudFrontReads"]["Condition"]["StringEquals"]["AWS:SourceArn"]["Fn::Sub"]
    assert source.endswith(":distribution/${MediaDistribution}")
    assert config(made, "MediaDistribution")["Aliases"] == ["media.example.com"]


def test_media_are_private_behind_a_key_group():
    behavior = config(everything("own", "s3"), "MediaDistribution")["DefaultCacheBehavior"]
    assert behavior["TrustedKeyGroups"] == ["0b5b3e1c-5f0a-4f0e-9d7e-7a1c2b3d4e5f"]
    open_to_all = stack(MediaBucketName="my-site-media")
    assert (
        "TrustedKeyGroups" not in config(open_to_all, "MediaDistribution")["DefaultCacheBehavior"]
    )


def test_it_is_said_that_everybody_can_read_media():
    made = load(TEXT)
    for text in (
        made["Parameters"]["MediaBucketName"]["Description"],
        made["Outputs"]["MediaOptions"]["Description"],
    ):
        assert "Everybody who has the URL of a file can read it" in text


def test_media_can_be_on_s3_where_builds_are_not():
    made = stack("own", "pull", MediaBucketName="my-site-media")
    assert "OriginAccessControl" in made.resources
    assert made.named("AWS::S3::Bucket") == {"MediaBucket"}


# Alarms and logs


def watched(**parameters):
    return Stack(monitoring(), DistributionId="E2EXAMPLE1234", **parameters)


def test_the_alarms_watch_both_rates_and_say_what_makes_them_noisy():
    made = watched(TopicArn="arn:aws:sns:us-east-1:123456789012:alarms", ServerErrorPercent="2")
    alarms = [made.properties(name) for name in ("ClientErrors", "ServerErrors")]
    assert [alarm["MetricName"] for alarm in alarms] == ["4xxErrorRate", "5xxErrorRate"]
    assert [alarm["Threshold"] for alarm in alarms] == ["5", "2"]
    for alarm in alarms:
        assert {"Name": "Region", "Value": "Global"} in alarm["Dimensions"]
        assert "alone can do this" in alarm["AlarmDescription"]
    for name in ("ClientErrorPercent", "ServerErrorPercent"):
        assert "noisy" in made.template["Parameters"][name]["Description"]
    assert watched().resources == {}


def test_logs_go_to_a_new_bucket_by_standard_logging_v2():
    made = watched(LogTarget="new-bucket")
    assert made.properties("LogSource")["LogType"] == "ACCESS_LOGS"
    # The policy has the name of its bucket, and comes first.
    assert made.properties("LogDestination")["DestinationResourceArn"] == {
        "Fn::Sub": "arn:aws:s3:::${LogBucketPolicy}"
    }
    bucket = made.properties("LogBucket")
    # No ACLs: the legacy kind needs them.
    assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert rule["ExpirationInDays"] == "90"
    (statement,) = made.properties("LogBucketPolicy")["PolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "delivery.logs.amazonaws.com"}
    assert "Logging" not in TEXT


def test_logs_go_to_what_there_is():
    group = "arn:aws:logs:us-east-1:123456789012:log-group:cdn:*"
    made = watched(LogTarget=group)
    assert made.properties("LogDestination")["DestinationResourceArn"] == group
    assert "LogBucket" not in made.resources


# What to paste


def test_the_outputs_are_the_settings():
    made = stack(Location="/prod").outputs
    assert made["CdnDomain"] == {"Fn::GetAtt": ["Distribution", "DomainName"]}
    assert made["DistributionId"] == {"Ref": "Distribution"}
    assert made["BucketName"] == {"Ref": "StaticBucket"}


def options(made):
    """The output as CloudFormation joins it, with names for what it resolves then."""
    value = made.outputs["Options"]
    if isinstance(value, str):
        return json.loads(value)
    parts = []
    for item in value["Fn::Join"][1]:
        text = item["Fn::Sub"] if isinstance(item, dict) else item
        parts.append(text if isinstance(text, str) else text[0])
    return json.loads("".join(parts))


@pytest.mark.parametrize("mode", ["site", "existing"])
def test_the_options_have_no_cdn_domain_where_urls_are_of_the_site(mode):
    origin = {"bucket_name": "${StaticBucket}", "region_name": PSEUDO["AWS::Region"]}
    assert options(stack(mode)) == {"origin": origin}
    assert options(stack(mode, "pull")) == {}
    assert "CdnDomain" not in stack(mode).outputs


def test_the_options_of_a_distribution_for_static_files_have_its_domain():
    assert options(stack(Location="/prod/eu")) == {
        "cdn_domain": "${Cdn}",
        "origin": {
            "bucket_name": "${StaticBucket}",
            "region_name": PSEUDO["AWS::Region"],
            "location": "prod/eu",
        },
    }
    own = stack("own", "pull", Domain="static.example.com", CertificateArn=CERTIFICATE)
    assert options(own) == {"cdn_domain": "static.example.com"}
    assert own.outputs["CdnDomain"] == "static.example.com"


def test_the_outputs_have_the_settings_of_the_media_storage():
    text = everything("own", "s3").outputs["MediaOptions"]["Fn::Sub"]
    assert eval(text) == {
        "bucket_name": "${MediaBucket}",
        "region_name": PSEUDO["AWS::Region"],
        "custom_domain": "media.example.com",
        "file_overwrite": False,
    }
