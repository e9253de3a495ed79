"""A private bucket in a stack, and who may do what with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .yaml import Value

Resources = dict[str, Value]


@dataclass(frozen=True)
class Bucket:
    """A bucket that one distribution reads.

    ``id`` and ``distribution`` are logical ids of the template; ``public`` is what the
    distribution may read, as a pattern of keys.
    """

    id: str
    name: str
    distribution: str
    public: str
    versioning: bool = False
    grants: Sequence[Grant] = ()

    def resources(self) -> Resources:
        """The bucket and its policy."""
        return {
            self.id: {
                "Type": "AWS::S3::Bucket",
                # Builds outlive the stack: deleting it must not take them along.
                "DeletionPolicy": "Retain",
                "UpdateReplacePolicy": "Retain",
                "Properties": {"BucketName": self.name, **private()} | self._versions(),
            },
            f"{self.id}Policy": {
                "Type": "AWS::S3::BucketPolicy",
                "Properties": {
                    "Bucket": {"Ref": self.id},
                    "PolicyDocument": {"Version": "2012-10-17", "Statement": self._statements()},
                },
            },
        }

    def _versions(self) -> dict[str, Value]:
        rules: list[Value] = [abort_uploads(), _expire_versions()]
        kept: dict[str, Value] = {"LifecycleConfiguration": {"Rules": rules}}
        if self.versioning:
            kept["VersioningConfiguration"] = {"Status": "Enabled"}
        return kept

    def _statements(self) -> list[Value]:
        return [
            {
                "Sid": "CloudFrontReads",
                "Effect": "Allow",
                "Principal": {"Service": "cloudfront.amazonaws.com"},
                "Action": "s3:GetObject",
                "Resource": self._objects(self.public),
                "Condition": {
                    "StringEquals": {
                        "AWS:SourceArn": _sub(
                            "arn:${AWS::Partition}:cloudfront::${AWS::AccountId}"
                            f":distribution/${{{self.distribution}}}"
                        )
                    }
                },
            },
            {
                "Sid": "NobodyWithoutTLS",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [self._arn(), self._objects("*")],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            },
            *(statement for grant in self.grants for statement in self._granted(grant)),
        ]

    def _granted(self, grant: Grant) -> list[Value]:
        principals: Value = {"AWS": list(grant.principals)}
        return [
            {
                "Sid": grant.name,
                "Effect": "Allow",
                "Principal": principals,
                "Action": list(grant.actions),
                "Resource": [self._objects(keys) for keys in grant.keys],
            },
            {
                # Without it S3 says 403, not 404, of a key that is not there.
                "Sid": f"{grant.name}AndList",
                "Effect": "Allow",
                "Principal": principals,
                "Action": "s3:ListBucket",
                "Resource": self._arn(),
            },
        ]

    def _arn(self) -> Value:
        return {"Fn::GetAtt": [self.id, "Arn"]}

    def _objects(self, keys: str) -> Value:
        return _sub(f"${{{self.id}.Arn}}/{keys}")


@dataclass(frozen=True)
class Grant:
    """What IAM principals, given by their ARNs, may do with the objects of some keys."""

    name: str
    principals: Sequence[str]
    actions: Sequence[str]
    keys: Sequence[str]


def private() -> dict[str, Value]:
    """The properties of a bucket that nobody reads unless its policy says so."""
    algorithm: Value = {"SSEAlgorithm": "AES256"}
    return {
        "BucketEncryption": {
            "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": algorithm}]
        },
        "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        "PublicAccessBlockConfiguration": {
            "BlockPublicAcls": True,
            "BlockPublicPolicy": True,
            "IgnorePublicAcls": True,
            "RestrictPublicBuckets": True,
        },
    }


def abort_uploads() -> Mapping[str, Value]:
    """The lifecycle rule that removes the parts of uploads that were never completed."""
    return {
        "Id": "AbortIncompleteUploads",
        "Status": "Enabled",
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
    }


def _expire_versions() -> Mapping[str, Value]:
    # Never by the age of an object: a build that is in use can be of any age.
    return {
        "Id": "ExpireNoncurrentVersions",
        "Status": "Enabled",
        "ExpiredObjectDeleteMarker": True,
        "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
    }


def _sub(text: str) -> Value:
    return {"Fn::Sub": text}
