"""Settings. Environment variables are read only here.

With a loopback address as `PUBLIC_URL`, the service is *local* and needs no configuration. With any
other host, https and a `SECRET_KEY` are required. Hosts, cookies, redirects and HSTS follow from
`PUBLIC_URL`.
"""

import ipaddress
import os
import re
import secrets
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from corsheaders.defaults import default_headers
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent


class Env(environ.Env):  # type: ignore[misc]
    """Refuses a value that begins with `$`.

    django-environ reads it as the name of another variable and falls back to the default. So a typo
    would make a public service a local one.
    """

    def get_value(self, var: str, *args: Any, **kwargs: Any) -> Any:
        if self.ENVIRON.get(var, "").startswith("$"):
            raise ImproperlyConfigured(f"{var} must not begin with a $.")
        return super().get_value(var, *args, **kwargs)


env = Env()


def one_of(name: str, default: str, *choices: str) -> str:
    """Read a variable that must be one of `choices`, in upper or lower case."""
    value: str = env.str(name, default)
    found = {choice.lower(): choice for choice in choices}.get(value.lower())
    if found is None:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(choices)}, not {value!r}.")
    return found


def rate(name: str, default: str) -> tuple[int, int]:
    """Read a rate such as `10/minute`. Return the number and the window in seconds."""
    value: str = env.str(name, default)
    form = re.fullmatch(r"([1-9][0-9]{0,8})/(second|minute|hour|day)", value)
    if not form:
        raise ImproperlyConfigured(f"{name} must be a rate such as {default!r}, not {value!r}.")
    seconds = {"second": 1, "minute": 60, "hour": 60 * 60, "day": 24 * 60 * 60}
    return int(form[1]), seconds[form[2]]


def duration(name: str, default: str, *, days: int = 1) -> timedelta:
    """Read a duration such as `90s`, `5m`, `1h` or `90d`, at most so many days.

    It is 0 if neither a value nor a default is given.
    """
    value: str = env.str(name, default)
    if value == default == "":
        return timedelta()
    form = re.fullmatch(r"([1-9][0-9]{0,4})([smhd])", value)
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    length = timedelta(**{units[form[2]]: int(form[1])}) if form else timedelta()
    if not timedelta() < length <= timedelta(days=days):
        example = default or "90d"
        raise ImproperlyConfigured(f"{name} must be a time such as {example!r}, not {value!r}.")
    return length


def boolean(name: str, *, default: bool) -> bool:
    """Read a boolean. An unknown word is an error, not false."""
    value: str = env.str(name, str(default)).lower()
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off", ""}:
        return False
    raise ImproperlyConfigured(f"{name} must be true or false, not {value!r}.")


def number(name: str, default: int) -> int:
    """Read a whole number, 0 or more."""
    value: str = env.str(name, str(default))
    if not (value.isascii() and value.isdigit()):
        raise ImproperlyConfigured(f"{name} must be a number, 0 or more, not {value!r}.")
    return int(value)


def check_origin(name: str, origin: str) -> str:
    """Refuse what browsers never send as `Origin`, and http that crosses a network."""
    form = (
        r"https://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?!:443$)(:[1-9][0-9]{0,4})?"
        r"|http://(localhost|127\.0\.0\.1|\[::1\])(?!:80$)(:[1-9][0-9]{0,4})?"
    )
    if not re.fullmatch(form, origin):
        raise ImproperlyConfigured(
            f"{name} must be origins such as 'https://app.example.com', separated by commas, "
            f"not {origin!r}. Only this machine may be http."
        )
    return origin


# Where the service lives

PUBLIC_URL = env.str("PUBLIC_URL", "http://localhost:8000").rstrip("/")


def parse_public_url() -> tuple[str, str, str]:
    """Return scheme, host and path of `PUBLIC_URL`."""
    try:
        url = urlsplit(PUBLIC_URL)
        host, _ = url.hostname or "", url.port
    except ValueError:
        url, host = urlsplit(""), ""
    has_no_more = f"{url.scheme}://{url.netloc}{url.path}" == PUBLIC_URL
    # A `*` or a leading dot would be a pattern in ALLOWED_HOSTS.
    is_host = re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|[0-9a-f:.]+", host)
    # Cookies and proxies take these characters as they are. No segment is `..` or `.well-known`.
    is_path = re.fullmatch(r"(/[a-z0-9_~-][a-z0-9._~-]*)*", url.path, re.IGNORECASE | re.ASCII)
    is_url = url.scheme in {"http", "https"} and has_no_more and is_host and is_path
    if not is_url or "@" in url.netloc or url.netloc.endswith(":"):
        raise ImproperlyConfigured(
            "PUBLIC_URL must be an http or https URL such as 'https://auth.example.com' or "
            "'https://example.com/auth'."
        )
    return url.scheme, host, url.path


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


scheme, host, path = parse_public_url()
ORIGIN = PUBLIC_URL.removesuffix(path)
FORCE_SCRIPT_NAME = path or None  # `reverse` puts it in front of each path
IS_LOCAL = is_loopback(host)
IS_HTTPS = scheme == "https"
if not IS_LOCAL and not IS_HTTPS:
    raise ImproperlyConfigured(f"PUBLIC_URL must be https unless it is local, not {PUBLIC_URL!r}.")

DEBUG = boolean("DEBUG", default=False)
if DEBUG and not IS_LOCAL:
    raise ImproperlyConfigured("DEBUG must be off when PUBLIC_URL is public.")

ALLOWED_HOSTS = [host]
if ":" in host:  # a browser writes an IPv6 address in its shortest form
    ALLOWED_HOSTS = [f"[{host}]", f"[{ipaddress.ip_address(host)}]"]
if IS_LOCAL:
    ALLOWED_HOSTS += ["localhost", "127.0.0.1", "[::1]"]


def further_hosts() -> list[str]:
    """Read `ALLOWED_HOSTS`: names or addresses without ports. No patterns, such as `*`."""
    hosts = [text.strip().lower() for text in env.list("ALLOWED_HOSTS", default=[])]
    for text in hosts:
        if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]", text):
            raise ImproperlyConfigured(
                "ALLOWED_HOSTS must be names or addresses with commas between them, such as "
                f"'auth.internal,[2001:db8::7]', not {text!r}."
            )
    return hosts


ALLOWED_HOSTS += further_hosts()
HEALTH_CHECKS = ("livez", "readyz")  # answer any Host, and http too
TRUSTED_PROXIES = number("TRUSTED_PROXIES", 0)
# How long `/readyz` answers 503 before `manage.py serve` stops. Nothing local listens to it.
DRAIN_SECONDS = number("DRAIN_SECONDS", 0 if IS_LOCAL else 10)

# Secrets


def local_secret_key() -> str:
    """Return the key in `.secret_key`. The first start creates it, readable by its owner only.

    A complete file is linked into place, so processes that start together read the same key.
    """
    path = BASE_DIR / ".secret_key"
    draft = path.with_name(f".secret_key.{secrets.token_hex(8)}")
    try:
        if not path.exists():
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(64))
            with suppress(FileExistsError):  # another process was first; use its key
                os.link(draft, path)
        return path.read_text()
    except OSError as error:
        raise ImproperlyConfigured(
            f"SECRET_KEY is not set, and {path} cannot be used instead: {error.strerror}."
        ) from error
    finally:
        with suppress(OSError):
            draft.unlink()


def check_secret_key(name: str, key: str) -> str:
    if len(key) < 50 or len(set(key)) < 5 or key.startswith("django-insecure-"):
        raise ImproperlyConfigured(
            f"{name} is too weak. Use 50 random characters or more, such as `python3 -c "
            "'import secrets; print(secrets.token_urlsafe(64))'` prints."
        )
    if "," in key:
        raise ImproperlyConfigured(
            f"{name} must not contain a comma, because SECRET_KEY_FALLBACKS could not hold it."
        )
    return key


SECRET_KEY = env.str("SECRET_KEY", "")
if not SECRET_KEY and IS_LOCAL:
    SECRET_KEY = check_secret_key(".secret_key", local_secret_key())
if not SECRET_KEY:
    raise ImproperlyConfigured("SECRET_KEY is required when PUBLIC_URL is public.")
check_secret_key("SECRET_KEY", SECRET_KEY)
SECRET_KEY_FALLBACKS = [
    check_secret_key("SECRET_KEY_FALLBACKS", key)
    for key in env.list("SECRET_KEY_FALLBACKS", default=[])
]

# Application

ROOT_URLCONF = "authdemo.urls"
WSGI_APPLICATION = "authdemo.wsgi.application"
INSTALLED_APPS = [
    "api",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "corsheaders",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]
MIDDLEWARE = [
    "authdemo.middleware.explain_redirects",
    "authdemo.middleware.count_requests",
    "authdemo.middleware.add_headers",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "authdemo.middleware.require_known_host",
    "authdemo.middleware.CorsMiddleware",
    "api.browser.refuse_other_sites",
    "authdemo.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "authdemo.middleware.AuthenticationMiddleware",
    "authdemo.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
USE_TZ = True
TIME_ZONE = "UTC"
FORMAT_MODULE_PATH = "authdemo.formats"
APPEND_SLASH = False  # API paths have no trailing slash; the admin appends it itself
STATIC_URL = f"{path}/static/"
WHITENOISE_USE_FINDERS = True  # no need for collectstatic
DATA_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024  # bytes; more than any request needs

# Database


def parse_postgresql_url(url: str) -> dict[str, Any]:
    """Read a URL with all its parameters, as libpq does. Return `{}` if it is malformed."""
    import psycopg  # 25 MB, only if needed
    from psycopg.conninfo import conninfo_to_dict

    try:
        options: dict[str, Any] = conninfo_to_dict(url)
    except (psycopg.Error, UnicodeDecodeError):
        return {}
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host"}
    names["PORT"] = "port"
    config = {name: options.pop(parameter, "") for name, parameter in names.items()}
    # libpq checks ports when it connects. An @ belongs to a password that is not percent-encoded.
    if "@" in config["HOST"] or not re.fullmatch(r"[0-9,]*", config["PORT"]):
        return {}
    return config | {"OPTIONS": options}


def database() -> dict[str, Any]:
    """Parse `DATABASE_URL` and add the options that SQLite or PostgreSQL needs."""
    url = env.str("DATABASE_URL", f"sqlite:///{BASE_DIR / 'db.sqlite3'}")
    config: dict[str, Any] = {}
    if url.startswith("sqlite://"):
        with suppress(ValueError):
            config = env.db_url_config(url)
    elif url.startswith(("postgres://", "postgresql://")):
        config = parse_postgresql_url(url)
    if not config.get("NAME"):
        raise ImproperlyConfigured(
            "DATABASE_URL must be sqlite:///PATH or postgres://USER:PASSWORD@HOST:PORT/NAME. "
            "Percent-encode special characters."
        )
    # Each thread keeps its connection and checks it before each request.
    config |= {"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True}
    options = config.setdefault("OPTIONS", {})
    if url.startswith("sqlite://"):
        config["ENGINE"] = "authdemo.sqlite3"
        options["timeout"] = 3  # seconds that one writer waits for another
        options["transaction_mode"] = "IMMEDIATE"
        options["init_command"] = "PRAGMA synchronous=NORMAL"
    else:
        config["ENGINE"] = "authdemo.postgresql"
        config["DISABLE_SERVER_SIDE_CURSORS"] = True  # they fail behind PgBouncer
        options["server_side_binding"] = True
        # Seconds for each host. psycopg waits for two at least.
        options.setdefault("connect_timeout", 2 if "," in config["HOST"] else 3)
        # Probes keep a firewall from dropping an idle connection, or detect that it did.
        options.setdefault("keepalives_idle", 30)  # seconds
        options.setdefault("keepalives_interval", 5)  # seconds
        options.setdefault("keepalives_count", 3)
        # Of several hosts, and whenever a server becomes read-only, look for the one that writes.
        options.setdefault("target_session_attrs", "read-write")
    return config


DATABASES = {"default": database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Credentials and tokens

PASSWORD_HASHERS = [
    "api.hashers.ChosenSecretHasher",
    "api.hashers.GeneratedSecretHasher",
    # For clients from elsewhere, whose hashes are upgraded at their first login:
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2SHA1PasswordHasher",
    "django.contrib.auth.hashers.ScryptPasswordHasher",
    "django.contrib.auth.hashers.BCryptSHA256PasswordHasher",
    "django.contrib.auth.hashers.BCryptPasswordHasher",
    "api.foreign_hashes.ForeignPBKDF2Hasher",
    "api.foreign_hashes.ForeignScryptHasher",
]
AUTHENTICATION_BACKENDS = ["api.authentication.GuardedBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
JWT_ALGORITHM = one_of(
    "JWT_ALGORITHM",
    "ES256",
    *(f"{family}{bits}" for family in ("HS", "RS", "PS", "ES") for bits in (256, 384, 512)),
    "EdDSA",
)
ISSUER = env.str("ISSUER", PUBLIC_URL)
if ISSUER.removesuffix("/") != PUBLIC_URL:
    raise ImproperlyConfigured(
        f"ISSUER must be PUBLIC_URL, with or without a slash at its end, not {ISSUER!r}."
    )
JWT_AUDIENCE = env.str("JWT_AUDIENCE", PUBLIC_URL)
if not JWT_AUDIENCE:
    raise ImproperlyConfigured("JWT_AUDIENCE must not be empty. Unset it to use PUBLIC_URL.")
SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": duration("ACCESS_TOKEN_LIFETIME", "5m"),
    "USER_ID_FIELD": "username",  # `sub` is the client id (RFC 9068 §2.2)
    "USER_ID_CLAIM": "sub",
    "TOKEN_TYPE_CLAIM": None,  # the header's `typ` is the type (RFC 9068 §2.1)
}
ASSERTION_AUDIENCE = one_of("ASSERTION_AUDIENCE", "issuer", "issuer", "token-endpoint")
# How long the kept keys of an issuer serve while it is down.
ISSUER_KEYS_KEPT = duration("ISSUER_KEYS_KEPT", "24h")
SECRET_MAX_AGE = duration("SECRET_MAX_AGE", "", days=3650)  # 0 is for ever
REGISTRATION = one_of("REGISTRATION", "open" if IS_LOCAL else "closed", "open", "closed")

# Limits


def redis_url() -> str:
    """Read and check `REDIS_URL`, which may be empty. It does not connect."""
    url: str = env.str("REDIS_URL", "")
    if not url:
        return url
    from api.throttling.redis_url import connect  # 7 MB, only if needed

    try:
        connect(url)
    except ValueError as error:
        raise ImproperlyConfigured(f"REDIS_URL {error}") from None
    return url


FAILED_LOGINS_PER_CLIENT = rate("FAILED_LOGINS_PER_CLIENT", "10/minute")
FAILED_LOGINS_PER_ADDRESS = rate("FAILED_LOGINS_PER_ADDRESS", "100/minute")
REGISTRATIONS_PER_ADDRESS = rate("REGISTRATIONS_PER_ADDRESS", "10/minute")
REDIS_URL = redis_url()
# Granian also reads these two variables.
THREADS = number("GRANIAN_BLOCKING_THREADS", 8)
WORKERS = number("GRANIAN_WORKERS", 1)
# At most a quarter of the threads wait for a slow hash, and another quarter for keys of issuers.
SLOW_HASH_QUEUE = ISSUER_WAITERS = max(1, THREADS // 4)

# Metrics


def metrics_directory() -> str:
    """Return the directory in which processes share their counts; prometheus_client uses it too."""
    path: str = env.str("PROMETHEUS_MULTIPROC_DIR", "")
    if not path:  # prometheus_client would take an empty one for the working directory
        env.ENVIRON.pop("PROMETHEUS_MULTIPROC_DIR", None)
    if path and not os.access(path, os.W_OK | os.X_OK):
        raise ImproperlyConfigured(
            f"PROMETHEUS_MULTIPROC_DIR must be a directory that this process may write, not {path}."
        )
    return path


METRICS_DIRECTORY = metrics_directory()

# Usage of clients

USAGE_KEPT = duration("USAGE_KEPT", "90d", days=3660)

# API

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["api.authentication.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],  # deny
    "DEFAULT_PARSER_CLASSES": ["api.parsers.JSONParser", "api.parsers.FormParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer", "api.renderers.Page"],
    "DEFAULT_SCHEMA_CLASS": "api.openapi.operations.AutoSchema",
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "api.negotiation.ContentNegotiation",
    "EXCEPTION_HANDLER": "api.translation.exception_handler",
    "URL_FORMAT_OVERRIDE": None,  # only the Accept header selects the media type
}
SPECTACULAR_SETTINGS = {
    "OAS_VERSION": "3.1.0",
    "TITLE": "authdemo",
    "DESCRIPTION": "Log in with client credentials, and get a signed access token.",
    "VERSION": "1.0",
    "SORT_OPERATIONS": False,  # keep the order of `urls.py`, which is made for people
    "POSTPROCESSING_HOOKS": ["api.openapi.components.complete"],
    "SERVERS": [{"url": path}] if path else [],
}

# Browser

SESSION_ENGINE = "api.sessions"
SESSION_COOKIE_AGE = 60 * 60  # seconds; a staff session is short
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Strict"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_HTTPS
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = path or "/"
# No other host of the domain can set a `__Host-` cookie, but such a cookie has the path `/`.
cookie_prefix = ("__Secure-" if path else "__Host-") if IS_HTTPS else ""
SESSION_COOKIE_NAME = f"{cookie_prefix}sessionid"
CSRF_COOKIE_NAME = f"{cookie_prefix}csrftoken"
ACCESS_TOKEN_COOKIE = f"{cookie_prefix}access_token"
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"  # cookies lack the path
CSRF_FAILURE_VIEW = "api.handlers.csrf_refused"
CSRF_TRUSTED_ORIGINS = [ORIGIN]
CORS_ALLOWED_ORIGINS = [  # their pages may call the API, without cookies
    check_origin("CORS_ORIGINS", origin.strip()) for origin in env.list("CORS_ORIGINS", default=[])
]
CORS_URLS_REGEX = r"^/(?!admin/)" if CORS_ALLOWED_ORIGINS else r"^/\.well-known/"
CORS_ALLOW_HEADERS = [*default_headers, "if-match"]
CORS_EXPOSE_HEADERS = ["ETag", "Location", "Retry-After", "WWW-Authenticate"]
SECURE_SSL_REDIRECT = IS_HTTPS
SECURE_REDIRECT_EXEMPT = [f"^{re.escape(f'{path}/'[1:])}({'|'.join(HEALTH_CHECKS)})$"]
SECURE_HSTS_SECONDS = 365 * 24 * 60 * 60 if IS_HTTPS and not IS_LOCAL else 0
# On an apex domain it covers all subdomains. If it is off, `check --deploy` warns.
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = (
    boolean("HSTS_SUBDOMAINS", default=True) and SECURE_HSTS_SECONDS > 0
)
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'"
)
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")

# Logging

LOG_LEVEL = one_of("LOG_LEVEL", "INFO", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LOG_FORMAT = one_of("LOG_FORMAT", "text", "text", "json")
# A stranger or an outage could flood the log through these. A logger's filters do not see the lines
# of its child loggers, so each full name is listed.
REPETITIVE_LOGGERS = tuple(
    f"api.{name}"
    for name in ("credentials", "issuers", "keys", "throttling", "translation", "usage", "writes")
)
QUOTING_LOGGERS = tuple(  # Django logs these refusals with a traceback
    f"django.security.{name}"
    for name in (
        *("DisallowedHost", "DisallowedRedirect", "RequestDataTooBig", "SuspiciousFileOperation"),
        *("SuspiciousMultipartForm", "SuspiciousOperation", "SuspiciousSession", "csrf"),
        *("TooManyFieldsSent", "TooManyFilesSent"),
    )
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {
            "class": "authdemo.logs.LineFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
        },
        "json": {
            "class": "authdemo.logs.JSONFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
        },
    },
    "filters": {
        "no_query": {"()": "authdemo.logs.QueryFilter"},
        "brief": {"()": "authdemo.logs.BriefFilter"},
        "threads": {"()": "authdemo.logs.ThreadsFilter"},
        **{
            f"once_a_minute/{name}": {"()": "authdemo.logs.OnceAMinuteFilter"}
            for name in (*REPETITIVE_LOGGERS, *QUOTING_LOGGERS, "django.request")
        },
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        "_granian": {"level": "INFO", "filters": ["threads"], "propagate": True},  # to the root
        "django.server": {"handlers": ["stderr"], "filters": ["no_query"], "propagate": False},
        **{name: {"filters": [f"once_a_minute/{name}"]} for name in REPETITIVE_LOGGERS},
        **{name: {"filters": ["brief", f"once_a_minute/{name}"]} for name in QUOTING_LOGGERS},
        # Not the line that Django writes for each 4xx: a stranger could send 8 KiB of path in each.
        "django.request": {"level": "ERROR", "filters": ["once_a_minute/django.request"]},
    },
}
