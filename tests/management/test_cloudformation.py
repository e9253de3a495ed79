import json
import re
import shutil
from argparse import ArgumentParser
from io import StringIO
from pathlib import Path

import pytest
import yaml
from django.core.management import call_command
from django.core.management.base import CommandError

from tests.helpers import site, write
from tests.s3 import Bucket, moto, nobody, options
from versioned_storage.constants import RESPONSE_HEADERS, SKIP_COMPRESS_EXTENSIONS
from versioned_storage.edge.functions import (
    VIEWER_REQUEST,
    VIEWER_RESPONSE,
    CompressionRules,
    Constants,
    rendered,
)
from versioned_storage.management.subcommands import cloudformation
from versioned_storage.management.subcommands.cloudformation import (
    NoApplication,
    NoCertificate,
    NoDomain,
    UnfitDomain,
)
from versioned_storage.site import NoOrigin
from versioned_storage.static_url import InvalidStaticURL

CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/0b5b3e1c-5f0a-4f0e-9d7e-7a1c2b3d4e5f"
DEPLOYER = "arn:aws:iam::123456789012:role/deploy"
ORIGIN = {"bucket_name": "my-site-static", "region_name": "eu-west-1"}


def printed(*arguments):
    said = StringIO()
    call_command("staticbuilds", "cloudformation", *arguments, stdout=said)
    return said.getvalue()


def template(tmp_path, *arguments, options=None, **settings):
    """What the command prints for a site with these options, read back."""
    with site(tmp_path, options={"origin": ORIGIN, **(options or {})}, **settings):
        return yaml.safe_load(printed(*arguments))


def distribution(made):
    return made["Resources"]["Distribution"]["Properties"]["DistributionConfig"]


def request_function(made):
    return made["Resources"]["ViewerRequest"]["Properties"]["FunctionCode"]


def test_the_template_has_the_bucket_the_path_and_the_encodings_of_the_settings(tmp_path):
    options = {"origin": {**ORIGIN, "location": "prod"}, "encodings": ["gzip"]}
    options["skip_compress_extensions"] = ["png"]
    made = template(tmp_path, options=options, STATIC_URL="/assets/")
    assert made["Resources"]["StaticBucket"]["Properties"]["BucketName"] == "my-site-static"
    assert distribution(made)["Origins"][0]["OriginPath"] == "/prod"
    constants = Constants("/assets/", compression=CompressionRules(("gzip",), ("png",)))
    assert request_function(made) == rendered(VIEWER_REQUEST, constants)


def test_the_edge_says_the_headers_that_the_middleware_says(tmp_path):
    made = template(tmp_path, options={"response_headers": {"X-Robots-Tag": "noindex"}})
    code = made["Resources"]["ViewerResponse"]["Properties"]["FunctionCode"]
    headers = {**RESPONSE_HEADERS, "X-Robots-Tag": "noindex"}
    assert code == rendered(VIEWER_RESPONSE, Constants(headers=headers))


def test_no_build_is_in_the_template(tmp_path):
    without = template(tmp_path)
    assert template(tmp_path, BUILD_VERSION="2f1c9ab") == without


def test_as_json_it_is_the_same_template(tmp_path):
    with site(tmp_path, options={"origin": ORIGIN}):
        assert json.loads(printed("--json")) == yaml.safe_load(printed())


def test_without_a_bucket_the_edge_pulls_from_the_application(tmp_path):
    options = {"origin": None}
    made = template(tmp_path, "--app-domain", "www.example.com", options=options)
    (origin,) = distribution(made)["Origins"]
    assert origin["DomainName"] == "www.example.com"


def test_the_origin_can_be_chosen(tmp_path):
    app = ("--app-domain", "www.example.com")
    assert len(distribution(template(tmp_path, "--origin", "both", *app))["Origins"]) == 2
    assert "StaticBucket" not in template(tmp_path, "--origin", "pull", *app)["Resources"]


def test_every_argument_gets_there(tmp_path):
    arguments = ["--uploader", DEPLOYER, "--uploader", f"{DEPLOYER}2", "--reader", DEPLOYER]
    arguments += ["--media-bucket", "my-media", "--media-writer", DEPLOYER, "--versioning"]
    arguments += ["--logs", "--cache-policy", "a-policy"]
    text = json.dumps(template(tmp_path, *arguments)["Resources"])
    assert f'{{"AWS": ["{DEPLOYER}", "{DEPLOYER}2"]}}' in text
    for expected in ("ReadRecords", "my-media", '"Write"', "VersioningConfiguration", "LogBucket"):
        assert expected in text
    assert '"CachePolicyId": "a-policy"' in text


def test_a_cache_policy_that_cannot_be_looked_at_is_used_with_a_warning(tmp_path, caplog):
    made = template(tmp_path, "--cache-policy", "a-policy")
    assert distribution(made)["CacheBehaviors"][0]["CachePolicyId"] == "a-policy"
    said = "Cache policy a-policy was not checked: GetCachePolicy failed: "
    assert any(message.startswith(said) for message in warnings(caplog))


def test_the_alarms_are_a_template_of_their_own(tmp_path):
    made = template(tmp_path, "--alarms")
    assert {one["Type"] for one in made["Resources"].values()} == {"AWS::CloudWatch::Alarm"}


# The domain


def test_a_domain_of_the_sites_own_is_an_alias(tmp_path):
    options = {"cdn_domain": "Static.example.com"}
    arguments = ("--certificate", CERTIFICATE, "--hosted-zone", "Z123")
    made = template(tmp_path, *arguments, options=options, BUILD_VERSION="b1")
    assert distribution(made)["Aliases"] == ["static.example.com"]
    assert {"RecordA", "RecordAAAA"} < made["Resources"].keys()


def test_the_domain_can_be_in_static_url(tmp_path):
    url = "https://static.example.com/static/"
    made = template(tmp_path, "--certificate", CERTIFICATE, STATIC_URL=url)
    assert distribution(made)["Aliases"] == ["static.example.com"]


def test_a_domain_that_cloudfront_assigned_is_no_alias(tmp_path):
    options = {"cdn_domain": "d111111abcdef8.cloudfront.net"}
    assert "Aliases" not in distribution(template(tmp_path, options=options, BUILD_VERSION="b1"))


@pytest.mark.parametrize(
    "domain",
    ["http://static.example.com", "static.example.com:8443", "static.example.com/cdn", "localhost"],
)
def test_a_domain_that_no_distribution_can_have_is_an_error(tmp_path, domain):
    with pytest.raises(UnfitDomain, match="Set cdn_domain to a domain of yours"):
        template(tmp_path, options={"cdn_domain": domain}, BUILD_VERSION="b1")


def test_a_domain_without_a_certificate_is_an_error_that_says_both_ways_on(tmp_path):
    with pytest.raises(NoCertificate) as caught:
        template(tmp_path, options={"cdn_domain": "static.example.com"}, BUILD_VERSION="b1")
    assert str(caught.value) == (
        "The CDN of the settings is static.example.com, and CloudFront answers there only with a "
        "certificate for it: add --certificate ARN, or leave cdn_domain out and use the domain "
        "that CloudFront assigns."
    )


def test_a_certificate_without_a_domain_is_an_error(tmp_path):
    with pytest.raises(NoDomain):
        template(tmp_path, "--certificate", CERTIFICATE)


# What cannot be


@pytest.mark.parametrize("url", ["/", "/builds/"])
def test_a_path_that_would_make_the_records_public_is_an_error(tmp_path, url):
    with pytest.raises(InvalidStaticURL):
        template(tmp_path, STATIC_URL=url, MEDIA_URL="/media/")


def test_a_bucket_is_needed_where_the_edge_asks_one(tmp_path):
    with pytest.raises(NoOrigin):
        template(tmp_path, "--origin", "s3", options={"origin": None})


def test_the_application_has_to_be_known_where_the_edge_asks_it(tmp_path):
    with pytest.raises(NoApplication, match=r"With --origin both .* add --app-domain HOST"):
        template(tmp_path, "--origin", "both")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--uploader", "deploy"), "'deploy' is not the ARN of an IAM principal"),
        (("--app-domain", "https://a.b"), "'https://a.b' is not a host name"),
        (
            ("--certificate", CERTIFICATE.replace("us-east-1", "eu-west-1")),
            "is not the ARN of a certificate in us-east-1",
        ),
    ],
)
def test_an_argument_that_cannot_be_is_refused_with_what_it_has_to_be(tmp_path, arguments, message):
    with pytest.raises(CommandError, match=message):
        template(tmp_path, *arguments)


def test_the_guide_names_every_argument_and_no_other():
    parser = ArgumentParser(add_help=False)
    cloudformation.add_arguments(parser)
    arguments = {"--json", *(action.option_strings[0] for action in parser._actions)}
    guide = (Path(__file__).parents[2] / "docs" / "cloudfront.md").read_text(encoding="utf-8")
    ours = re.findall(r"staticbuilds cloudformation (?:[^\n]*\\\n)*[^\n]*", guide)
    named = set(re.findall(r"--[a-z-]+", " ".join(ours))) | set(re.findall(r"`(--[a-z-]+)", guide))
    assert named == arguments


# The builds that are kept


FILES = {"app.css": "a { color: red }", "logo.svg": "<svg/>"}


def test_the_functions_ask_for_what_the_builds_on_disk_have_too(tmp_path, capsys):
    old = {"encodings": ["gzip"], "skip_compress_extensions": ["png", "svg"]}
    with site(tmp_path, FILES, options=old, BUILD_VERSION="b1") as shop:
        shop.collect()
    with site(tmp_path, FILES, BUILD_VERSION="b2") as shop:
        shop.collect()
    capsys.readouterr()
    made = template(tmp_path, options={"skip_compress_extensions": ["png"]}, BUILD_VERSION="b2")
    skip = tuple(sorted({*SKIP_COMPRESS_EXTENSIONS, "svg"}))
    constants = Constants(compression=CompressionRules(("gzip",), skip))
    assert request_function(made) == rendered(VIEWER_REQUEST, constants)
    said = capsys.readouterr().err
    expected = "While build b1 is kept, the functions do not request br and encoded .svg files"
    assert expected in said
    assert said.endswith("The functions request what the settings and 2 builds have in common\n")


@pytest.fixture(scope="module")
def s3_server():
    with moto() as url:
        yield url


@pytest.mark.parametrize("vendors", [{"version": "1.1", "paths": {}}, {"other": "format"}])
def test_a_manifest_that_an_app_brought_along_is_no_build(tmp_path, capsys, vendors):
    """The middleware serves nothing below it as a build either."""
    with site(tmp_path, FILES, BUILD_VERSION="b1") as shop:
        shop.collect()
        write(shop.root, {"vendor/staticfiles.json": json.dumps(vendors)})
    made = template(tmp_path, BUILD_VERSION="b1")
    assert request_function(made) == rendered(VIEWER_REQUEST, Constants())
    assert "the settings and 1 build have in common" in capsys.readouterr().err


def test_the_functions_ask_for_what_the_published_builds_have_too(tmp_path, s3_server, capsys):
    with Bucket.at(s3_server) as bucket:
        now = {"origin": bucket.options(), "connections": 4}
        old = {**now, "encodings": ["gzip"]}
        with site(tmp_path, FILES, options=old, BUILD_VERSION="b1") as shop:
            shop.collect()
            shutil.rmtree(shop.root)
        made = template(tmp_path, options=now)
    constants = Constants(compression=CompressionRules(("gzip",)))
    assert request_function(made) == rendered(VIEWER_REQUEST, constants)
    said = capsys.readouterr().err
    assert "While build b1 is kept, the functions do not request br\n" in said


def warnings(caplog):
    return [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]


def test_before_there_is_a_bucket_nothing_is_published(tmp_path, s3_server, caplog):
    made = template(tmp_path, options={"origin": options(s3_server, "there-is-none")})
    assert request_function(made) == rendered(VIEWER_REQUEST, Constants())
    assert warnings(caplog) == []


def test_where_s3_does_not_answer_what_it_has_is_not_considered_and_that_is_said(tmp_path, caplog):
    with nobody() as url:
        template(tmp_path, options={"origin": options(url, "unreachable")})
    (message,) = warnings(caplog)
    assert message.startswith("The builds on S3 are not considered: ")
