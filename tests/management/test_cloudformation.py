import json
import re
import shlex
import shutil
import subprocess
from argparse import ArgumentParser
from io import StringIO
from itertools import groupby
from pathlib import Path

import pytest
from django.core.management import call_command

from tests.edge.stacks import Stack, load
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
from versioned_storage.edge.template import monitoring, source
from versioned_storage.management.subcommands import cloudformation
from versioned_storage.management.subcommands.cloudformation import UnfitDomain
from versioned_storage.static_url import InvalidStaticURL

ORIGIN = {"bucket_name": "my-site-static", "region_name": "eu-west-1"}


@pytest.fixture(scope="module")
def s3_server():
    with moto() as url:
        yield url


def printed(*arguments):
    said = StringIO()
    call_command("staticbuilds", "cloudformation", *arguments, stdout=said)
    return said.getvalue()


def guide():
    return (Path(__file__).parents[2] / "docs" / "cloudfront.md").read_text(encoding="utf-8")


def template(tmp_path, *arguments, options=None, **settings):
    """What the command prints for a site with these options."""
    with site(tmp_path, options={"origin": ORIGIN, **(options or {})}, **settings):
        return printed(*arguments)


def stack(tmp_path, options=None, **settings):
    """The stack of a site, deployed without any parameter."""
    return Stack(template(tmp_path, options=options, **settings))


def request_function(text):
    return Stack(text).properties("ViewerRequest")["FunctionCode"]


def test_the_template_has_the_bucket_the_path_and_the_encodings_of_the_settings(tmp_path):
    options = {"origin": {**ORIGIN, "location": "prod"}, "encodings": ["gzip"]}
    options["skip_compress_extensions"] = ["png"]
    made = stack(tmp_path, options=options, STATIC_URL="/assets/")
    assert made.properties("StaticBucket")["BucketName"] == "my-site-static"
    assert made.parameters["Location"] == "/prod"
    constants = Constants("/assets/", compression=CompressionRules(("gzip",), ("png",)))
    assert made.properties("ViewerRequest")["FunctionCode"] == rendered(VIEWER_REQUEST, constants)


def test_the_edge_says_the_headers_that_the_middleware_says(tmp_path):
    made = stack(tmp_path, options={"response_headers": {"X-Robots-Tag": "noindex"}})
    headers = {**RESPONSE_HEADERS, "X-Robots-Tag": "noindex"}
    expected = rendered(VIEWER_RESPONSE, Constants(headers=headers))
    assert made.properties("ViewerResponse")["FunctionCode"] == expected


def test_no_build_is_in_the_template(tmp_path):
    without = template(tmp_path)
    assert template(tmp_path, BUILD_VERSION="2f1c9ab") == without


def test_as_json_it_is_the_same_template(tmp_path):
    with site(tmp_path, options={"origin": ORIGIN}):
        assert json.loads(printed("--json"))["template"] == printed()


def test_a_relative_static_url_is_served_on_the_domain_of_the_site(tmp_path):
    made = stack(tmp_path)
    assert made.parameters["Mode"] == "site"
    assert made.parameters["Origin"] == "s3"


def test_a_cdn_has_a_distribution_of_its_own(tmp_path):
    options = {"cdn_domain": "static.example.com"}
    assert stack(tmp_path, options=options, BUILD_VERSION="b1").parameters["Mode"] == "own"
    url = "https://static.example.com/static/"
    assert stack(tmp_path, STATIC_URL=url).parameters["Mode"] == "own"


def test_without_a_bucket_the_edge_pulls_from_the_application(tmp_path):
    made = stack(tmp_path, options={"origin": None})
    assert made.parameters["Origin"] == "pull"
    assert "StaticBucket" not in made.resources


def test_alarms_and_logs_are_a_template_of_their_own(tmp_path):
    assert "AWS::CloudWatch::Alarm" in template(tmp_path, "--monitoring")


# The domain


def test_a_domain_of_the_sites_own_is_the_default(tmp_path):
    options = {"cdn_domain": "Static.example.com"}
    made = stack(tmp_path, options=options, BUILD_VERSION="b1")
    assert made.parameters["Domain"] == "static.example.com"


def test_the_domain_can_be_in_static_url(tmp_path):
    url = "https://static.example.com/static/"
    assert stack(tmp_path, STATIC_URL=url).parameters["Domain"] == "static.example.com"


def test_a_domain_that_cloudfront_assigned_is_none_of_the_sites_own(tmp_path):
    options = {"cdn_domain": "d111111abcdef8.cloudfront.net"}
    assert stack(tmp_path, options=options, BUILD_VERSION="b1").parameters["Domain"] == ""


@pytest.mark.parametrize(
    "domain",
    ["http://static.example.com", "static.example.com:8443", "static.example.com/cdn", "localhost"],
)
def test_a_domain_that_no_distribution_can_have_is_an_error(tmp_path, domain):
    with pytest.raises(UnfitDomain, match="Set cdn_domain to a domain of yours"):
        template(tmp_path, options={"cdn_domain": domain}, BUILD_VERSION="b1")


# What cannot be


@pytest.mark.parametrize("url", ["/", "/builds/"])
def test_a_path_that_would_make_the_records_public_is_an_error(tmp_path, url):
    with pytest.raises(InvalidStaticURL):
        template(tmp_path, STATIC_URL=url, MEDIA_URL="/media/")


def test_the_guide_names_every_argument_and_no_other():
    parser = ArgumentParser(add_help=False)
    cloudformation.add_arguments(parser)
    arguments = {"--json", *(action.option_strings[0] for action in parser._actions)}
    ours = re.findall(r"staticbuilds cloudformation (?:[^\n]*\\\n)*[^\n]*", guide())
    assert set(re.findall(r"--[a-z-]+", " ".join(ours))) <= arguments
    assert "--monitoring" in " ".join(ours)


def test_the_guide_and_the_template_tell_which_values_a_stack_keeps(tmp_path):
    from_settings = {"Mode", "Origin", "Domain", "BucketName", "Location"}
    table = guide().partition("| what changes | name |\n")[2].partition("\n\n")[0]
    assert set(re.findall(r"`([A-Z][a-z]\w+)`", table)) - {"AppDomain"} == from_settings
    shipped = load(source())["Parameters"]
    options = {"origin": {**ORIGIN, "location": "p"}, "cdn_domain": "s.example.com"}
    made = stack(tmp_path, options, BUILD_VERSION="b1").template["Parameters"]
    # The origin is S3 in both.
    assert {name for name in made if made[name] != shipped[name]} == from_settings - {"Origin"}
    comment = source().partition("Metadata:")[0]
    assert all(name in comment for name in from_settings)
    assert "a stack that exists keeps the values" in comment
    assert "`Domain=static.example.com CertificateArn=ARN`" in guide()


@pytest.mark.parametrize("tool", ["Terraform", "CDK"])
def test_the_guide_adds_all_of_the_origin_and_of_the_behavior_to_a_distribution(tool):
    section = guide().partition("## A distribution that you have\n")[2].partition("\n## ")[0]
    code = section.partition(f'=== "{tool}"')[2].partition("\n===")[0]
    outputs = load(source())["Outputs"]
    origin = json.loads(outputs["OriginToAdd"]["Value"]["Fn::Sub"])
    behavior = json.loads(outputs["BehaviorToAdd"]["Value"]["Fn::Sub"][0])
    # Terraform makes the empty access identity itself, and calls the Id origin_id.
    for key in {*origin, *behavior} - {"Id", "S3OriginConfig"}:
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", key).lower()
        assert re.search(rf"\b{name.removesuffix('s')}", code), key


def test_the_guide_names_every_parameter_and_no_other():
    parameters = load(source())["Parameters"].keys()
    table = guide().partition("## Parameters\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"`([A-Z]\w+)`", "".join(re.findall(r"^\| `[^|]+", table, re.M)))) == (
        set(parameters)
    )
    given = set(re.findall(r"\b([A-Z][A-Za-z]+)=[\w\"]", guide())) - {"Items"}
    monitoring_parameters = load(monitoring())["Parameters"].keys()
    assert given <= {*parameters, *monitoring_parameters, "ParameterKey", "ParameterValue", "Name"}


# A bucket that exists


def import_commands():
    """What the guide runs to import a bucket, each as the words that a shell makes of it."""
    section = guide().partition("## A bucket that exists\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"(?:^    .+\n)+", section, re.MULTILINE)
    words = shlex.split("\n".join(blocks).replace("\\\n", " ").replace("\n    aws", " ; aws"))
    return [list(group) for end, group in groupby(words, lambda word: word == ";") if not end]


@pytest.mark.skipif(shutil.which("sed") is None, reason="needs sed")
def test_the_guide_writes_out_the_name_of_a_bucket_to_import(tmp_path):
    """CloudFormation imports no bucket whose name is a reference to a parameter."""
    before = template(tmp_path)
    (tmp_path / "cdn.yaml").write_text(before, encoding="utf-8")
    script = guide().partition("    sed -e")[2].partition("\n\n")[0]
    subprocess.run(["sh", "-c", f"sed -e{script}"], cwd=tmp_path, check=True)
    made = load((tmp_path / "import.yaml").read_text(encoding="utf-8"))["Resources"]
    bucket = made["StaticBucket"]
    assert bucket["Properties"]["BucketName"] == "example-com-static"
    assert bucket["DeletionPolicy"] == "Retain"
    bucket["Properties"]["BucketName"] = {"Ref": "BucketName"}
    bucket["DeletionPolicy"] = "RetainExceptOnCreate"
    assert made == load(before)["Resources"]


def test_the_guide_imports_only_after_a_look_and_where_no_policy_is_in_the_way():
    assert [command[2] for command in import_commands() if command[0] == "aws"] == [
        *("get-bucket-policy", "delete-bucket-policy"),
        *("create-change-set", "wait", "describe-change-set", "execute-change-set", "wait"),
        *("put-public-access-block", "put-bucket-ownership-controls"),
        *("put-bucket-encryption", "put-bucket-lifecycle-configuration"),
        "detect-stack-resource-drift",
    ]


def test_the_guide_gives_an_imported_bucket_the_settings_of_the_template(tmp_path, s3_server):
    """CloudFormation applies none of them."""
    settings = {}
    with Bucket.at(s3_server) as bucket:
        for _, service, command, _, _, option, value in import_commands()[-5:-1]:
            assert service == "s3api"
            name = option.removeprefix("--").title().replace("-", "")
            settings[name] = json.loads(value)
            put = getattr(bucket.client, command.replace("-", "_"))
            put(Bucket=bucket.name, **{name: settings[name]})
    made = stack(tmp_path).properties("StaticBucket")
    for name in ("PublicAccessBlockConfiguration", "OwnershipControls"):
        assert settings.pop(name) == made[name]
    (encryption,) = settings.pop("ServerSideEncryptionConfiguration")["Rules"]
    key = "ServerSideEncryptionByDefault"
    expected = {key: encryption["ApplyServerSideEncryptionByDefault"]}
    assert made["BucketEncryption"] == {"ServerSideEncryptionConfiguration": [expected]}
    # S3 has other names than CloudFormation for two things.
    rules = settings.pop("LifecycleConfiguration")["Rules"]
    for rule in rules:
        assert rule.pop("Filter") == {}
        rule |= {"Id": rule.pop("ID"), **rule.pop("Expiration", {})}
    assert rules == made["LifecycleConfiguration"]["Rules"]
    assert settings == {}


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
