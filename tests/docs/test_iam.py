"""docs/iam.md grants what the stack grants, and to its deployer what CloudFormation needs."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from typing import Any

import pytest

from tests.docs.reader import DOCS
from tests.edge.stacks import Stack, load
from versioned_storage.edge.functions import Constants
from versioned_storage.edge.template import monitoring, source, template

PAGE = (DOCS / "iam.md").read_text(encoding="utf-8")
ROLE = "arn:aws:iam::123456789012:role/deploy"
EXISTING = "arn:aws:cloudfront::123456789012:distribution/E2EXAMPLE1234"


def documented(section: str, **placeholders: str) -> list[dict[str, Any]]:
    """The statements of the policy in a section of the page."""
    found = re.search(rf"^## {section}\n.*?^```json\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None
    values = {"partition": "aws", "bucket": "my-site-static", "location": "", "static": "static/"}
    text = found[1]
    for name, value in {**values, **placeholders}.items():
        text = text.replace(f"${{{name}}}", value)
    assert "${" not in text
    statements: list[dict[str, Any]] = json.loads(text)["Statement"]
    return statements


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def grants(statements: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """Each action with each resource that statements allow."""
    return {
        (action, resource)
        for statement in statements
        for action in listed(statement["Action"])
        for resource in map(arn, listed(statement["Resource"]))
    }


def arn(resource: Any) -> str:
    """The ARN that CloudFormation makes of a resource."""
    if isinstance(resource, str):
        text = resource
    else:
        ((function, value),) = resource.items()
        text = value if function == "Fn::Sub" else "${{{}}}".format(".".join(value))
    return text.replace("${StaticBucket.Arn}", "arn:aws:s3:::my-site-static")


def stack(**parameters: str) -> Stack:
    text = template(Constants(), {"BucketName": "my-site-static", "Mode": "own"})
    return Stack(text, **parameters)


@pytest.mark.parametrize(("location", "path"), [("", ""), ("/shop", "shop/")])
@pytest.mark.parametrize(
    ("section", "parameter"),
    [("Publishing", "Uploaders"), ("Pruning", "Pruners"), ("Reading at run time", "Readers")],
)
def test_a_role_is_granted_the_same_by_the_stack(
    section: str, parameter: str, location: str, path: str
) -> None:
    made = stack(**{parameter: ROLE, "Location": location})
    policy = made.properties("StaticBucketPolicy")["PolicyDocument"]["Statement"]
    granted = [entry for entry in policy if entry["Principal"] == {"AWS": [ROLE]}]
    assert grants(granted) == grants(documented(section, location=path))


def test_a_repository_is_granted_what_a_publish_needs() -> None:
    provider = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
    role = stack(GitHubRepository="example/site", GitHubProviderArn=provider)
    (policy,) = role.properties("DeployRole")["Policies"]
    assert grants(policy["PolicyDocument"]["Statement"]) == grants(documented("Publishing"))


def test_cloudfront_is_granted_the_same_by_the_stack() -> None:
    (statement,) = documented("The bucket itself", distribution_arn=EXISTING)
    made = stack(Mode="existing", ExistingDistributionArn=EXISTING)
    policy = made.properties("StaticBucketPolicy")["PolicyDocument"]["Statement"]
    granted = next(entry for entry in policy if entry["Sid"] == statement["Sid"])
    assert {**granted, "Resource": arn(granted["Resource"])} == statement


# What CloudFormation asks of AWS for properties that the template does not have.
UNUSED = re.compile(
    r"s3:.*(?:Replication|Accelerate|Analytics|Intelligent|Inventory|Metrics|Website|Notification"
    r"|Logging|CORS|Cors|ObjectLock|Metadata|Tagging|Abac|Table|Namespace).*"
    r"|s3:Describe.*|s3tables:.*|kms:.*|sqs:.*|iam:PassRole|kafka:.*"
    r"|iam:(?:.*Boundary|Attach.*|Detach.*|UpdateRole.*|Untag.*|ListRoleTags|CreateService.*)"
    r"|cloudwatch:.*(?:Insight|Untag).*|logs:Untag.*|[a-z0-9-]+:AllowVendedLogDeliveryForResource"
    r"|route53:ListHostedZones.*|cloudfront:.*(?:Stream|ConnectionGroup|VpcOrigin).*"
    r"|s3:DeleteObject|s3:PutObjectAcl|ec2:.*|.*:UntagResource|route53:.*Tags.*"
)


def test_whoever_imports_a_bucket_needs_to_read_every_setting_of_it() -> None:
    """What CloudFormation reads of a bucket, of properties too that the template does not have."""
    from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", "AWS::S3::Bucket").schema
    allowed = [
        action for entry in documented("Deploying the stack") for action in listed(entry["Action"])
    ]
    more = "s3:Get*Configuration"
    guide = (DOCS / "cloudfront.md").read_text(encoding="utf-8")
    assert f"needs `{more}` on the bucket" in guide
    for permission in schema["handlers"]["read"]["permissions"]:
        assert any(fnmatchcase(permission, action) for action in [*allowed, more]), permission


def test_whoever_deploys_the_stack_may_do_all_that_cloudformation_does() -> None:
    # Importing it takes every worker of a test run most of a second.
    from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

    allowed = [
        action for entry in documented("Deploying the stack") for action in listed(entry["Action"])
    ]
    types = {
        entry["Type"]
        for text in (source(), monitoring())
        for entry in load(text)["Resources"].values()
    }
    needed = {
        permission
        for name in types
        for event, handler in PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", name)
        .schema.get("handlers", {})
        .items()
        for permission in handler["permissions"]
        if event != "list" and not UNUSED.fullmatch(permission)
    }
    assert len(needed) > 50
    missing = {
        permission
        for permission in needed
        if not any(fnmatchcase(permission.lower(), action.lower()) for action in allowed)
    }
    assert sorted(missing) == []


def test_whoever_uploads_to_an_encrypted_bucket_needs_what_whoever_publishes_there_needs() -> None:
    """Uploads are encrypted with KmsKeyArn too, which a bucket policy cannot grant the use of."""
    table = PAGE.partition("## What some settings need more")[2].partition("\n## ")[0]
    rows = [line.split(" | ") for line in table.splitlines() if "kms:GenerateDataKey" in line]
    assert [who for _, who, _ in rows] == ["publishing, pruning", "`MediaWriters`"]
    assert "`KmsKeyArn`" in rows[1][0]
    assert rows[0][2] == rows[1][2]
