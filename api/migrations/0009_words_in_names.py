from django.db import migrations

# The database keeps the words up to date, whoever writes to the table, and however.
# PostgreSQL would else read a list of new rows for each search, and might rather read the table.
# Not CONCURRENTLY: it would wait for another `migrate`, which waits for this one.
CREATE = {
    "sqlite": (
        """
        CREATE VIRTUAL TABLE api_client_words USING fts5(
            first_name, content='auth_user', content_rowid='id', columnsize=0, prefix='1 2 3',
            tokenize='unicode61 remove_diacritics 0'
        )
        """,
        """
        CREATE TRIGGER api_client_words_added AFTER INSERT ON auth_user BEGIN
            INSERT INTO api_client_words (rowid, first_name) VALUES (new.id, new.first_name);
        END
        """,
        """
        CREATE TRIGGER api_client_words_changed AFTER UPDATE OF first_name ON auth_user
        WHEN old.first_name <> new.first_name BEGIN
            INSERT INTO api_client_words (api_client_words, rowid, first_name)
                VALUES ('delete', old.id, old.first_name);
            INSERT INTO api_client_words (rowid, first_name) VALUES (new.id, new.first_name);
        END
        """,
        """
        CREATE TRIGGER api_client_words_deleted AFTER DELETE ON auth_user BEGIN
            INSERT INTO api_client_words (api_client_words, rowid, first_name)
                VALUES ('delete', old.id, old.first_name);
        END
        """,
        "INSERT INTO api_client_words (api_client_words) VALUES ('rebuild')",
    ),
    "postgresql": (
        """
        CREATE INDEX api_client_words ON auth_user USING gin
            (to_tsvector('simple', regexp_replace(first_name, '[^[:alnum:]]+', ' ', 'g')))
            WITH (fastupdate = off)
        """,
    ),
}
DROP = {
    "sqlite": (
        "DROP TRIGGER api_client_words_added",
        "DROP TRIGGER api_client_words_changed",
        "DROP TRIGGER api_client_words_deleted",
        "DROP TABLE api_client_words",
    ),
    "postgresql": ("DROP INDEX api_client_words",),
}


def create(apps, schema_editor):
    """Create an index of the words in the names of clients."""
    for statement in CREATE[schema_editor.connection.vendor]:
        schema_editor.execute(statement)


def drop(apps, schema_editor):
    for statement in DROP[schema_editor.connection.vendor]:
        schema_editor.execute(statement)


class Migration(migrations.Migration):

    dependencies = [("api", "0008_scope")]

    operations = [migrations.RunPython(create, drop)]
