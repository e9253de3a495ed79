"""The stack as far as moto deploys it: the bucket and the role, and no CloudFront."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.edge.stacks import load
from versioned_storage.edge.functions import Constants
from versioned_storage.edge.template import template

PARAMETERS = {
    "Mode": "existing",
    "ExistingDistributionArn": "arn:aws:cloudfront::123456789012:distribution/E2EXAMPLE1234",
    "BucketName": "example-com-static",
    "Location": "/shop",
    "Versioning": "yes",
    "GitHubRepository": "example/site",
    "GitHubProviderArn": (
        "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
    ),
}
DEPLOYED = ("StaticBucket", "DeployRole")


def client(service: str) -> Any:
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
    return boto3.client(service, region_name="eu-west-1", **keys)


@pytest.mark.deep
def test_the_bucket_and_the_role_are_deployed() -> None:
    whole = load(template(Constants(), {}))
    document = {
        **whole,
        "Resources": {name: whole["Resources"][name] for name in DEPLOYED},
        "Outputs": {name: whole["Outputs"][name] for name in ("BucketName", "DeployRoleArn")},
    }
    with mock_aws():
        client("cloudformation").create_stack(
            StackName="my-site",
            TemplateBody=json.dumps(document),
            Capabilities=["CAPABILITY_IAM"],
            Parameters=[
                {"ParameterKey": name, "ParameterValue": value}
                for name, value in PARAMETERS.items()
            ],
        )
        (stack,) = client("cloudformation").describe_stacks(StackName="my-site")["Stacks"]
        outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        role = outputs["DeployRoleArn"].rpartition("/")[2]
        trust = client("iam").get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
        policy = client("iam").get_role_policy(RoleName=role, PolicyName="publish")
        buckets = [bucket["Name"] for bucket in client("s3").list_buckets()["Buckets"]]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    assert buckets == [outputs["BucketName"]] == ["example-com-static"]
    assert "repo:example/site:ref:refs/heads/main" in json.dumps(trust)
    assert "arn:aws:s3:::example-com-static/shop/static/*" in json.dumps(policy["PolicyDocument"])
