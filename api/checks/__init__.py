"""System checks, with stable ids, for unsafe settings.

`settings.py` refuses most of them at start. The checks also see settings from elsewhere, such as a
module that imports ours and changes a line.
"""

from api.checks import address, credentials, neighbours  # noqa: F401 (importing registers them)
