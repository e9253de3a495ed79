"""What is said when the credentials cannot be loaded, and whose refusal it was."""

import json
import sys
from datetime import datetime, timedelta, timezone
from hashlib import sha1

import pytest

from tests.s3 import Answer, front
from versioned_storage.origin.s3 import S3Origin
from versioned_storage.origin.s3_errors import CredentialsError, OriginError

OPTION = {"bucket_name": "bucket", "endpoint_url": "http://127.0.0.1:1", "region_name": "eu-west-1"}
ROLE = "arn:aws:iam::111122223333:role/deploy"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An account without any credentials; gives a function that writes its AWS configuration."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))

    cache = tmp_path / "cache"
    cache.mkdir()
    monkeypatch.setattr("botocore.credentials.SSOProvider._SSO_TOKEN_CACHE_DIR", str(cache))

    def configure(text):
        (tmp_path / "config").write_text(f"[default]\nregion = eu-west-1\n{text}\n")

    return configure


def failure(option=OPTION):
    """What a page and a command get."""
    with pytest.raises(CredentialsError) as failed:
        S3Origin(option).get("builds/b1.json")
    assert isinstance(failed.value, OriginError)
    assert (failed.value.status, failed.value.attempts) == (None, 1)
    return str(failed.value)


def test_a_web_identity_token_file_that_does_not_exist(tmp_path, monkeypatch):
    """A Kubernetes service account, or a CI, whose token was not mounted."""
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    assert failure() == (
        f"The AWS credentials cannot be loaded: {tmp_path}/token: No such file or directory. "
        "AWS_WEB_IDENTITY_TOKEN_FILE names it: mount the token there, or unset the variable."
    )


def test_a_credential_process_that_does_not_exist(home):
    home("credential_process = /no/such/program --json")
    assert failure() == (
        "The AWS credentials cannot be loaded: the credential_process of the AWS profile "
        "'default' failed: /no/such/program: No such file or directory. Correct that line of the "
        "AWS configuration, or the program that it names."
    )


def test_a_credential_process_that_fails(home, tmp_path):
    program = tmp_path / "program"
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('the vault is locked')\n")
    program.chmod(0o755)
    home(f"credential_process = {program}")
    message = failure()
    assert message.startswith(
        "The AWS credentials cannot be loaded: the credential_process of the AWS profile "
        "'default' failed: CredentialRetrievalError, "
    )
    assert "the vault is locked" in message


def test_a_credential_process_that_prints_no_json(home):
    home("credential_process = /bin/echo no JSON")
    assert "the credential_process of the AWS profile 'default' failed: JSON" in failure()


@pytest.mark.parametrize(
    ("program", "reason"),
    [("", "IndexError"), ('"unclosed', "ValueError"), ("/bin/echo []", "AttributeError")],
)
def test_a_credential_process_that_is_malformed_or_prints_something_else(home, program, reason):
    home(f"credential_process = {program}")
    named = f"the credential_process of the AWS profile 'default' failed: {reason}, "
    assert named in failure()


def test_a_credential_process_of_the_profile_that_a_role_is_assumed_from(home):
    home(
        f"role_arn = {ROLE}\nsource_profile = base\n"
        "[profile base]\ncredential_process = /no/such/program"
    )
    assert failure() == (
        "The AWS credentials cannot be loaded: the credential_process of the AWS profile 'base' "
        "failed: /no/such/program: No such file or directory. Correct that line of the AWS "
        "configuration, or the program that it names."
    )


@pytest.mark.parametrize(
    ("status", "code", "remedy"),
    [
        (403, "AccessDenied", "Allow it in the trust policy of the role."),
        (400, "InvalidIdentityToken", "Get a new token, and see the identity provider in IAM."),
        (400, "ExpiredTokenException", "Get a new token."),
    ],
)
def test_a_refusal_of_sts_is_told_as_that_of_sts(tmp_path, monkeypatch, status, code, remedy):
    (tmp_path / "token").write_text("token")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    refusal = (
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>"
        "<Message>Not authorized</Message></Error></ErrorResponse>"
    )
    with front(answer=lambda _: Answer(status, refusal.encode())) as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        message = failure()
    assert message == (
        "The AWS credentials cannot be loaded: AWS STS, not S3, refused "
        f"AssumeRoleWithWebIdentity: {status} {code}, Not authorized. {remedy}"
    )


SSO = """sso_start_url = https://example.awsapps.com/start
sso_region = eu-west-1
sso_account_id = 111122223333
sso_role_name = deploy
"""


def test_a_login_of_sso_that_is_missing(home):
    home(SSO)
    message = failure()
    assert message.startswith("The AWS credentials cannot be loaded: ")
    assert message.endswith(" Run 'aws sso login' again.")


def log_in(tmp_path, hours):
    """Leave the token of 'aws sso login' that expires in so many hours."""
    expiry = datetime.now(timezone.utc) + timedelta(hours=hours)
    token = {"accessToken": "x", "expiresAt": expiry.strftime("%Y-%m-%dT%H:%M:%SZ")}
    name = sha1(b"https://example.awsapps.com/start").hexdigest()
    (tmp_path / "cache" / f"{name}.json").write_text(json.dumps(token))


def test_a_login_of_sso_that_has_expired(home, tmp_path):
    home(SSO)
    log_in(tmp_path, hours=-1)
    message = failure()
    assert "UnauthorizedSSOTokenError" in message
    assert message.endswith(" Run 'aws sso login' again.")


def test_a_refusal_of_sso_is_told_as_that_of_sso(home, tmp_path, monkeypatch):
    home(SSO)
    log_in(tmp_path, hours=1)
    body = json.dumps({"message": "No access"}).encode()
    forbidden = Answer(403, body, {"x-amzn-errortype": "ForbiddenException"})
    with front(answer=lambda _: forbidden) as sso:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SSO", sso.url)
        message = failure()
    assert message == (
        "The AWS credentials cannot be loaded: IAM Identity Center (SSO), not S3, refused "
        "GetRoleCredentials: 403 ForbiddenException, No access. Run 'aws sso login' again."
    )
