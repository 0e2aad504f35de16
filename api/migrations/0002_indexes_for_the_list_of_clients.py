from django.db import migrations

# Names and ids are searched in byte order. All SQLite indexes have it, also the one of the unique
# username. PostgreSQL's have the order of a language unless COLLATE "C" is given.
INDEXES = {
    "sqlite": {
        "api_client_name": "auth_user (UPPER(first_name))",
        "api_client_last_used": "auth_user (last_login, id)",
        "api_client_inactive": "auth_user (id) WHERE NOT is_active",
        # SQLite reads all members of a scope at once; PostgreSQL stops when the page is full.
        "api_client_scope": "auth_user_groups (group_id, user_id)",
    },
    "postgresql": {
        "api_client_id": 'auth_user (username COLLATE "C")',
        "api_client_name": 'auth_user (UPPER(first_name) COLLATE "C")',
        "api_client_last_used": "auth_user (last_login, id)",
        "api_client_inactive": "auth_user (id) WHERE NOT is_active",
    },
}


def create_indexes(apps, schema_editor):
    """Create the indexes that the list of clients needs and Django's user table lacks."""
    for name, columns in INDEXES[schema_editor.connection.vendor].items():
        schema_editor.execute(f"CREATE INDEX {name} ON {columns}")


def drop_indexes(apps, schema_editor):
    for name in INDEXES[schema_editor.connection.vendor]:
        schema_editor.execute(f"DROP INDEX {name}")


class Migration(migrations.Migration):

    dependencies = [("api", "0001_initial")]

    operations = [migrations.RunPython(create_indexes, drop_indexes)]
