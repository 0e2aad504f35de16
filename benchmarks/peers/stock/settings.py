"""Django REST Framework with SimpleJWT, as SimpleJWT's "Getting started" sets it up."""

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

INSTALLED_APPS = [*startproject.INSTALLED_APPS, "rest_framework", "rest_framework_simplejwt"]
ROOT_URLCONF = "stock.urls"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework_simplejwt.authentication.JWTAuthentication"],
}
