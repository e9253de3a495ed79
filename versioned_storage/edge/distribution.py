"""The CloudFront distribution of a stack: its origins, its behaviors and what they need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from .bucket import Resources
from .functions import VIEWER_REQUEST, VIEWER_RESPONSE, Constants, rendered
from .yaml import Value

#: What the edge fetches from: the bucket; the application; the bucket and, where S3 itself fails,
#: the application.
OriginKind = Literal["s3", "pull", "both"]

#: Policies that AWS keeps for every account.
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
CACHING_OPTIMIZED = "658327ea-f89d-4fab-a63d-7e88639e58f6"
SECURITY_HEADERS = "67f7725c-6f97-4210-82d7-5512b31e9d03"

#: Seconds that the edge keeps an answer at most: a year.
MAX_TTL = 31_536_000
#: Seconds that it keeps a 403 or a 404; ten, unless a distribution says otherwise.
ERROR_TTL = 1

# A 403 or a 404 is not among them: all traffic would land on the application, and nobody would see
# that a bucket policy is broken.
_FAILS_OVER: list[Value] = [500, 502, 503, 504]

_BUCKET, _APP, _BOTH = "bucket", "app", "bucket-then-app"


@dataclass(frozen=True)
class Domain:
    """A domain of the site's own.

    ``certificate`` is its ARN, in us-east-1; ``zone`` the id of its hosted zone in Route 53.
    """

    name: str
    certificate: str
    zone: str | None = None


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """What serves one STATIC_URL path, and nothing else.

    ``location`` is where that path is in the bucket, ``app`` the host of the application;
    ``cache_policy`` is the id of a policy to use instead of one of the stack's own.
    """

    kind: OriginKind
    constants: Constants
    location: str = ""
    app: str | None = None
    domain: Domain | None = None
    cache_policy: str | None = None
    logs: bool = False

    def resources(self) -> Resources:
        """Everything of CloudFront, and the records in DNS. Raises `FunctionTooLarge`."""
        resources: Resources = {
            "ViewerRequest": self._function("viewer-request", VIEWER_REQUEST),
            "ViewerResponse": self._function("viewer-response", VIEWER_RESPONSE),
        }
        if self.cache_policy is None:
            resources["CachePolicy"] = self._own_cache_policy()
        resources["Distribution"] = {
            "Type": "AWS::CloudFront::Distribution",
            "Properties": {"DistributionConfig": self._config()},
        }
        return resources | self._records()

    def _function(self, event: str, name: str) -> Value:
        return {
            "Type": "AWS::CloudFront::Function",
            "Properties": {
                "Name": {"Fn::Sub": f"${{AWS::StackName}}-{event}"},
                "AutoPublish": True,
                "FunctionConfig": {
                    "Comment": f"{name} of django-versioned-storage",
                    "Runtime": "cloudfront-js-2.0",
                },
                "FunctionCode": rendered(name, self._constants()),
            },
        }

    def _constants(self) -> Constants:
        # An application negotiates by itself, and needs the name that the viewer asked for.
        return self.constants if self.kind != "pull" else self.constants.without_encodings()

    def _own_cache_policy(self) -> Value:
        # With the flags CloudFront normalises Accept-Encoding, keys by it and sends it on, and an
        # application that negotiates needs that. With a bucket the encoding is in the path already.
        negotiates = self.kind == "pull"
        return {
            "Type": "AWS::CloudFront::CachePolicy",
            "Properties": {
                "CachePolicyConfig": {
                    "Name": {"Fn::Sub": "${AWS::StackName}-static"},
                    # What is immutable says so. A redirect or a no-store is not to be kept.
                    "MinTTL": 0,
                    "DefaultTTL": 0,
                    "MaxTTL": MAX_TTL,
                    "ParametersInCacheKeyAndForwardedToOrigin": {
                        "EnableAcceptEncodingBrotli": negotiates,
                        "EnableAcceptEncodingGzip": negotiates,
                        "CookiesConfig": {"CookieBehavior": "none"},
                        "HeadersConfig": {"HeaderBehavior": "none"},
                        "QueryStringsConfig": {"QueryStringBehavior": "none"},
                    },
                }
            },
        }

    def _config(self) -> dict[str, Value]:
        static = self._behavior(self.cache_policy or {"Ref": "CachePolicy"})
        config: dict[str, Value] = {
            **_common("Static files of ${AWS::StackName}"),
            "Origins": self._origins(),
            # The request function refuses what is not below the prefix.
            "DefaultCacheBehavior": self._behavior(CACHING_DISABLED),
            "CacheBehaviors": [{"PathPattern": f"{quote(self.constants.prefix)}*", **static}],
            "CustomErrorResponses": [
                {"ErrorCode": status, "ErrorCachingMinTTL": ERROR_TTL} for status in (403, 404)
            ],
        }
        if self.kind == "both":
            config["OriginGroups"] = _failover()
        if self.domain is not None:
            config["Aliases"] = [self.domain.name]
            config["ViewerCertificate"] = {
                "AcmCertificateArn": self.domain.certificate,
                "MinimumProtocolVersion": "TLSv1.2_2021",
                "SslSupportMethod": "sni-only",
            }
        if self.logs:
            config["Logging"] = {
                "Bucket": {"Fn::GetAtt": ["LogBucket", "DomainName"]},
                "Prefix": "static/",
            }
        return config

    def _origins(self) -> list[Value]:
        origins: list[Value] = []
        if self.kind != "pull":
            origins.append(_bucket_origin(_BUCKET, "StaticBucket", self.location))
        if self.kind != "s3":
            origins.append(
                {
                    "Id": _APP,
                    "DomainName": str(self.app),
                    "CustomOriginConfig": {
                        "OriginProtocolPolicy": "https-only",
                        "OriginSSLProtocols": ["TLSv1.2"],
                    },
                }
            )
        return origins

    def _behavior(self, cache_policy: Value) -> dict[str, Value]:
        return {
            **_behavior({"s3": _BUCKET, "pull": _APP, "both": _BOTH}[self.kind], cache_policy),
            # The encodings are made already, and better.
            "Compress": False,
            "FunctionAssociations": [
                {"EventType": event, "FunctionARN": {"Fn::GetAtt": [function, "FunctionARN"]}}
                for event, function in (
                    ("viewer-request", "ViewerRequest"),
                    ("viewer-response", "ViewerResponse"),
                )
            ],
        }

    def _records(self) -> Resources:
        if self.domain is None or self.domain.zone is None:
            return {}
        target: Value = {
            "DNSName": {"Fn::GetAtt": ["Distribution", "DomainName"]},
            # CloudFront's own, the same for every distribution.
            "HostedZoneId": "Z2FDTNDATAQYW2",
        }
        return {
            f"Record{kind}": {
                "Type": "AWS::Route53::RecordSet",
                "Properties": {
                    "HostedZoneId": self.domain.zone,
                    "Name": self.domain.name,
                    "Type": kind,
                    "AliasTarget": target,
                },
            }
            for kind in ("A", "AAAA")
        }


def media(bucket: str) -> Resources:
    """A distribution for media uploads, which CloudFront compresses and ages in its own way."""
    config: dict[str, Value] = {
        **_common("Media files of ${AWS::StackName}"),
        "Origins": [_bucket_origin(_BUCKET, bucket, "")],
        "DefaultCacheBehavior": {
            **_behavior(_BUCKET, CACHING_OPTIMIZED),
            "Compress": True,
            # What users upload is not to be taken for a script, nor framed by other sites.
            "ResponseHeadersPolicyId": SECURITY_HEADERS,
        },
    }
    return {
        "MediaDistribution": {
            "Type": "AWS::CloudFront::Distribution",
            "Properties": {"DistributionConfig": config},
        }
    }


def access_control() -> Resources:
    """How CloudFront signs what it asks of a bucket."""
    return {
        "OriginAccessControl": {
            "Type": "AWS::CloudFront::OriginAccessControl",
            "Properties": {
                "OriginAccessControlConfig": {
                    "Name": {"Fn::Sub": "${AWS::StackName}"},
                    "OriginAccessControlOriginType": "s3",
                    "SigningBehavior": "always",
                    "SigningProtocol": "sigv4",
                }
            },
        }
    }


def _common(comment: str) -> dict[str, Value]:
    """What every distribution says."""
    return {
        "Comment": {"Fn::Sub": comment},
        "Enabled": True,
        "HttpVersion": "http2and3",
        "IPV6Enabled": True,
    }


def _behavior(origin: str, cache_policy: Value) -> dict[str, Value]:
    """What every behavior says: files are read, over HTTPS."""
    return {
        "TargetOriginId": origin,
        "ViewerProtocolPolicy": "redirect-to-https",
        "AllowedMethods": ["GET", "HEAD", "OPTIONS"],
        "CachedMethods": ["GET", "HEAD"],
        "CachePolicyId": cache_policy,
    }


def _bucket_origin(name: str, bucket: str, location: str) -> Value:
    """The bucket with that logical id; ``location`` is put before every path."""
    origin: dict[str, Value] = {
        "Id": name,
        "DomainName": {"Fn::GetAtt": [bucket, "RegionalDomainName"]},
        "OriginAccessControlId": {"Fn::GetAtt": ["OriginAccessControl", "Id"]},
        # Required of an S3 origin, and empty where there is an access control.
        "S3OriginConfig": {"OriginAccessIdentity": ""},
    }
    if location:
        origin["OriginPath"] = f"/{quote(location)}"
    return origin


def _failover() -> Value:
    group: Value = {
        "Id": _BOTH,
        "FailoverCriteria": {
            "StatusCodes": {"Quantity": len(_FAILS_OVER), "Items": _FAILS_OVER},
        },
        "Members": {"Quantity": 2, "Items": [{"OriginId": _BUCKET}, {"OriginId": _APP}]},
    }
    return {"Quantity": 1, "Items": [group]}
