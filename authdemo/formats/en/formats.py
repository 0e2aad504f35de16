"""How Django's pages write a time: as ours do (`api/admin/records.py`)."""

DATETIME_FORMAT = "Y-m-d H:i e"
