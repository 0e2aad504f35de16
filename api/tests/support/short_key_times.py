"""The application with the times of its keys cut to seconds, for tests that cannot wait minutes."""

from datetime import timedelta

import authdemo.wsgi
from api import keys

application = authdemo.wsgi.application
keys.REFRESH = keys.JWKS_MAX_AGE = timedelta(seconds=1)
keys.PUBLISH_AHEAD = keys.REFRESH + keys.JWKS_MAX_AGE + timedelta(seconds=1)
