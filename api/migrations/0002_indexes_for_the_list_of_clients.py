from django.db import migrations

INDEXES = {
    "api_client_id": "auth_user (username{byte_order})",
    "api_client_name": "auth_user (UPPER(first_name){byte_order})",
    "api_client_last_used": "auth_user (last_login, id)",
    "api_client_inactive": "auth_user (id) WHERE NOT is_active",
    "api_client_scope": "auth_user_groups (group_id, user_id)",
}


def create_indexes(apps, schema_editor):
    """Django's user table has none for what the list of clients searches, filters and sorts by.

    SQLite orders by bytes anyway, and PostgreSQL by language unless it is told.
    """
    byte_order = ' COLLATE "C"' if schema_editor.connection.vendor == "postgresql" else ""
    for name, on in INDEXES.items():
        schema_editor.execute(f"CREATE INDEX {name} ON {on.format(byte_order=byte_order)}")


def drop_indexes(apps, schema_editor):
    for name in INDEXES:
        schema_editor.execute(f"DROP INDEX {name}")


class Migration(migrations.Migration):

    dependencies = [("api", "0001_initial")]

    operations = [migrations.RunPython(create_indexes, drop_indexes)]
