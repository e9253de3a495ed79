"""The CloudFormation template of a site: ``template.yaml`` with its functions and defaults."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from .functions import VIEWER_REQUEST, VIEWER_RESPONSE, Constants, code, constants_line

#: What `aws cloudformation deploy` takes from a file, in bytes.
MAX_SIZE = 51_200

_PATH = "/static/"
_PATTERN = re.compile(rf'(PathPattern"?: ")({_PATH})')


def template(constants: Constants, defaults: Mapping[str, str]) -> str:
    """Return the template of a site, as YAML. Raises `FunctionTooLarge`.

    ``defaults`` are those of parameters, by name. The functions have two sets of constants, and the
    parameter Origin decides between them.
    """
    text = _PATTERN.sub(lambda match: match[1] + _quoted(quote(constants.prefix)), source())
    keys = _quoted(constants.prefix).replace("${", "${!")  # as Fn::Sub leaves it alone
    text = text.replace(f"${{Location}}{_PATH}", f"${{Location}}{keys}")
    for name, value in defaults.items():
        text = _with_default(text, name, value)
    for name in (VIEWER_REQUEST, VIEWER_RESPONSE):
        negotiating = constants.without_encodings()
        text = _inlined(text, f"{name}: the constants, without", constants_line(name, negotiating))
        text = _inlined(text, f"{name}: the constants", constants_line(name, constants))
        text = _inlined(text, f"{name}: the code", code(name))
    return text


def monitoring() -> str:
    """Return the template of the logs and alarms, for us-east-1, as YAML."""
    return Path(__file__).with_name("monitoring.yaml").read_text(encoding="utf-8")


def source() -> str:
    """Return the template as shipped, for a site with default settings, without functions."""
    return Path(__file__).with_name("template.yaml").read_text(encoding="utf-8")


def _with_default(text: str, parameter: str, value: str) -> str:
    default = re.compile(rf"(^  {parameter}:\n(?:    .+\n)*?    Default: ).*", re.MULTILINE)
    return default.sub(lambda match: match[1] + json.dumps(value), text, count=1)


def _inlined(text: str, comment: str, lines: str) -> str:
    """Put ``lines`` in the place of a comment, indented like it."""
    mark = re.compile(rf"^( +)// {re.escape(comment)}.*\n", re.MULTILINE)
    return mark.sub(
        lambda match: "".join(match[1] + line for line in lines.splitlines(keepends=True)),
        text,
        count=1,
    )


def _quoted(path: str) -> str:
    # A string of JSON is a double-quoted scalar of YAML.
    return json.dumps(path, ensure_ascii=not path.isprintable())[1:-1]
