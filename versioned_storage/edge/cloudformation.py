"""The CloudFormation stack of one site: buckets, distribution, and the settings to paste."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .bucket import Bucket, Grant, Resources, abort_uploads, private
from .distribution import Distribution, access_control, media
from .yaml import Value

Template = Mapping[str, Value]

#: What `aws cloudformation deploy` takes from a file, in bytes.
MAX_SIZE = 51_200

_VERSION = "2010-09-09"


@dataclass(frozen=True, kw_only=True)
class Stack:
    """All that the template of one site is made from.

    ``bucket`` is the name of the bucket of the builds, ``media_bucket`` of that of uploads.
    ``uploaders`` publish and prune, ``readers`` read the records of builds, ``media_writers`` write
    uploads: ARNs of IAM principals.
    """

    distribution: Distribution
    bucket: str | None = None
    uploaders: Sequence[str] = ()
    readers: Sequence[str] = ()
    versioning: bool = False
    media_bucket: str | None = None
    media_writers: Sequence[str] = ()

    def template(self) -> Template:
        """The template, with nothing in it that names a build. Raises `FunctionTooLarge`."""
        return {
            "AWSTemplateFormatVersion": _VERSION,
            "Description": "Static files of a Django site (manage.py staticbuilds cloudformation)",
            "Resources": self._resources(),
            "Outputs": self._outputs(),
        }

    def _resources(self) -> Resources:
        resources: Resources = {}
        if self.bucket is not None:
            resources |= self._builds(self.bucket).resources()
        if self.bucket is not None or self.media_bucket is not None:
            resources |= access_control()
        resources |= self.distribution.resources()
        if self.distribution.logs:
            resources |= _log_bucket()
        if self.media_bucket is not None:
            resources |= self._media(self.media_bucket).resources() | media("MediaBucket")
        return resources

    def _builds(self, name: str) -> Bucket:
        location = f"{self.distribution.location}/" if self.distribution.location else ""
        static = f"{location}{self.distribution.constants.prefix.lstrip('/')}*"
        records = f"{location}builds/*"
        write = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject")
        grants = (
            Grant("Publish", self.uploaders, write, (static, records)),
            Grant("ReadRecords", self.readers, ("s3:GetObject",), (records,)),
        )
        return Bucket(
            id="StaticBucket",
            name=name,
            distribution="Distribution",
            public=static,
            versioning=self.versioning,
            grants=tuple(grant for grant in grants if grant.principals),
        )

    def _media(self, name: str) -> Bucket:
        write = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject")
        grants = (Grant("Write", self.media_writers, write, ("*",)),) if self.media_writers else ()
        return Bucket(
            id="MediaBucket",
            name=name,
            distribution="MediaDistribution",
            public="*",
            versioning=self.versioning,
            grants=grants,
        )

    def _outputs(self) -> Mapping[str, Value]:
        domain = self.distribution.domain
        assigned: Value = {"Fn::GetAtt": ["Distribution", "DomainName"]}
        outputs: dict[str, Value] = {
            "CdnDomain": _output("cdn_domain", domain.name if domain else assigned),
            "DistributionDomain": _output("What a CNAME of cdn_domain points at", assigned),
            "DistributionId": _output("For invalidations", {"Ref": "Distribution"}),
            "Options": _output("The OPTIONS of STORAGES['staticfiles']", self._options()),
        }
        if self.bucket is not None:
            outputs["BucketName"] = _output("origin, bucket_name", {"Ref": "StaticBucket"})
        if self.media_bucket is not None:
            outputs["MediaOptions"] = _output(
                "The OPTIONS of STORAGES['default']", _media_options()
            )
        return outputs

    def _options(self) -> Value:
        domain = self.distribution.domain
        options: dict[str, Value] = {
            "cdn_domain": domain.name if domain else "${Distribution.DomainName}"
        }
        if self.bucket is not None:
            origin = {"bucket_name": "${StaticBucket}", "region_name": "${AWS::Region}"}
            if self.distribution.location:
                origin["location"] = self.distribution.location
            options["origin"] = origin
        return _pasted(options)


def alarms() -> Template:
    """A stack for us-east-1, the one region that has CloudFront's metrics."""
    return {
        "AWSTemplateFormatVersion": _VERSION,
        "Description": "Alarms on the error rates of a CloudFront distribution; for us-east-1",
        "Parameters": {
            "DistributionId": {"Type": "String"},
            "TopicArn": {"Type": "String", "Description": "The SNS topic that is told"},
        },
        "Resources": {
            # 4xx: pages name files that are not there. 5xx: the origin fails.
            "ClientErrors": _alarm("4xxErrorRate", percent=5),
            "ServerErrors": _alarm("5xxErrorRate", percent=1),
        },
    }


def _alarm(metric: str, *, percent: int) -> Value:
    dimensions: list[Value] = [
        {"Name": "DistributionId", "Value": {"Ref": "DistributionId"}},
        {"Name": "Region", "Value": "Global"},
    ]
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmDescription": {
                "Fn::Sub": f"{metric} of ${{DistributionId}} above {percent} % for 15 minutes"
            },
            "Namespace": "AWS/CloudFront",
            "MetricName": metric,
            "Dimensions": dimensions,
            "Statistic": "Average",
            "Period": 300,
            "EvaluationPeriods": 3,
            "Threshold": percent,
            "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "notBreaching",
            "AlarmActions": [{"Ref": "TopicArn"}],
        },
    }


def _log_bucket() -> Resources:
    expire: Value = {"Id": "ExpireLogs", "Status": "Enabled", "ExpirationInDays": 90}
    properties: dict[str, Value] = {
        **private(),
        # CloudFront's standard logs are delivered by an ACL.
        "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]},
        "LifecycleConfiguration": {"Rules": [abort_uploads(), expire]},
    }
    return {
        "LogBucket": {
            "Type": "AWS::S3::Bucket",
            "DeletionPolicy": "Retain",
            "UpdateReplacePolicy": "Retain",
            "Properties": properties,
        }
    }


def _media_options() -> Value:
    return _pasted(
        {
            "bucket_name": "${MediaBucket}",
            "region_name": "${AWS::Region}",
            "custom_domain": "${MediaDistribution.DomainName}",
        }
    )


def _pasted(options: Mapping[str, Value]) -> Value:
    # JSON of strings alone is Python too.
    text = json.dumps(options)
    return {"Fn::Sub": text} if "${" in text else text


def _output(description: str, value: Value) -> Value:
    return {"Description": description, "Value": value}
