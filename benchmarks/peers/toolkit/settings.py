"""django-oauth-toolkit with Django REST Framework, as its "Getting started" pages set it up."""

import startproject
from startproject import (  # noqa: F401 (Django reads them here)
    ALLOWED_HOSTS,
    DATABASES,
    DEFAULT_AUTO_FIELD,
    MIDDLEWARE,
    SECRET_KEY,
    STATIC_URL,
    TEMPLATES,
)

INSTALLED_APPS = [*startproject.INSTALLED_APPS, "oauth2_provider", "rest_framework"]
ROOT_URLCONF = "toolkit.urls"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "oauth2_provider.contrib.rest_framework.OAuth2Authentication"
    ],
}
