"""The next deploy of this site, asked for by a page, and what the last one changed."""

import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config import settings as written
from django.conf import settings


@dataclass(frozen=True)
class ChangedFile:
    """A file with other bytes than in the build before, and its URL in each of the two."""

    name: str
    old_url: str
    new_url: str


def can_deploy() -> bool:
    """Return True under ``make serve``, which waits for a request to deploy."""
    return settings.DEPLOY_STATUS is not None


def ask_to_deploy() -> None:
    """Ask the process that started this one for the next deploy."""
    os.kill(os.getppid(), signal.SIGUSR1)


def status() -> dict[str, Any] | None:
    """Return what the last deploy says of itself; None before the second one."""
    try:
        return json.loads(Path(settings.DEPLOY_STATUS or "").read_text(encoding="utf-8"))
    except OSError:
        return None


def changed_files(deploy: dict[str, Any], base_url: str) -> list[ChangedFile]:
    """Return what a deploy changed; ``base_url`` is that of the build that it made."""
    old_base_url = base_url.replace(deploy["version"], deploy["from"])
    return [
        ChangedFile(file["name"], old_base_url + file["was"], base_url + file["is"])
        for file in deploy["changed"]
    ]


def settings_source() -> str:
    """Return the settings that concern builds as Python, with the values of this process."""
    storage = written.STORAGES["staticfiles"]
    options = {name: value for name, value in storage["OPTIONS"].items() if value}
    lines = [
        f"BUILD_VERSION = {_quoted(written.BUILD_VERSION)}",
        f"STATIC_URL = {_quoted(written.STATIC_URL)}",
        f"STATIC_ROOT = {_quoted(written.STATIC_ROOT)}",
        "STORAGES = {",
        '    "staticfiles": {',
        f'        "BACKEND": "{storage["BACKEND"]}",',
        '        "OPTIONS": {',
        *_items(options, indent=12),
        "        },",
        "    },",
        "}",
    ]
    return "\n".join(lines)


def _items(options: dict[str, Any], *, indent: int) -> list[str]:
    lines = []
    for name, value in options.items():
        if isinstance(value, dict):
            lines.append(f'{"":{indent}}"{name}": {{')
            lines += _items({key: item for key, item in value.items() if item}, indent=indent + 4)
            lines.append(f"{'':{indent}}}},")
        else:
            lines.append(f'{"":{indent}}"{name}": {_quoted(value)},')
    return lines


def _quoted(value: Any) -> str:
    return json.dumps(value) if isinstance(value, str) else repr(value)
