"""Clients of a real django-oauth-toolkit move in, and an import that is killed is run again."""

import json
import signal
import subprocess
import sys
from pathlib import Path

from api.tests.support.load import log_in
from api.tests.support.server import Server
from api.tests.support.services import eventually

# Makes applications as django-oauth-toolkit does, and dumps them. Prints a secret of each.
TOOLKIT = """
import sys
import django
from django.conf import settings
from django.core.management import call_command
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[1]}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "oauth2_provider"],
    SECRET_KEY="of a test", USE_TZ=True, ROOT_URLCONF="oauth2_provider.urls",
)
django.setup()
call_command("migrate", verbosity=0)
from oauth2_provider.models import Application
for number in range(3):
    made = Application(
        client_id=f"client-{number}", name=f"Client {number}", client_type="confidential",
        authorization_grant_type="client-credentials", hash_client_secret=number != 2,
    )
    print(made.client_secret)
    made.save()
Application.objects.create(
    client_id="web", client_type="public", authorization_grant_type="authorization-code"
)
call_command("dumpdata", "oauth2_provider.application", output=sys.argv[2])
"""


def test_applications_of_django_oauth_toolkit_move_in(server: Server, tmp_path: Path) -> None:
    dump = tmp_path / "applications.json"
    made = subprocess.run(
        [sys.executable, "-c", TOOLKIT, str(tmp_path / "toolkit.sqlite3"), str(dump)],
        capture_output=True,
        text=True,
        check=True,
    )
    secrets = made.stdout.split()
    imported = server.run("importclients", str(dump))
    assert imported.returncode == 1
    assert json.loads(imported.stdout) == {"created": 3, "existing": 0, "refused": 1}
    assert "'web': It is a public client, which has no secret." in imported.stderr
    with server.running():
        for number, secret in enumerate(secrets):
            assert log_in(server, f"client-{number}", secret).status == 200
            assert log_in(server, f"client-{number}", f"{secret}x").status == 401


def test_import_that_is_killed_is_run_again(server: Server, tmp_path: Path) -> None:
    total, file = 20_000, tmp_path / "clients"
    secret = "pbkdf2_sha256$1$salt$Szv1cTBRGFhpQuIaSkyfJN+NuGCDgTyIeWkPUwJ5Vmk="
    lines = ({"client_id": f"client-{n}", "client_secret_hash": secret} for n in range(total))
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    count = "from api.models import Client; print(Client.objects.count())"
    importing = subprocess.Popen(
        [sys.executable, "manage.py", "importclients", str(file)],
        cwd=server.project,
        env=server.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    eventually(lambda: int(server.shell(count)) > 0, 30)
    importing.send_signal(signal.SIGKILL)
    importing.wait()
    done = int(server.shell(count))
    assert done % 1000 == 0  # whole batches only
    again = json.loads(server.manage("importclients", str(file)))
    assert again == {"created": total - done, "existing": done, "refused": 0}
