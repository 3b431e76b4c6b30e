"""A pytest plugin (pytest.ini loads it first): the settings that tests run with, whatever `.env` says.

DATABASE_URL and REDIS_URL are left as they are, so that the same tests run on PostgreSQL and Redis.
"""

import atexit
import os
import shutil
import tempfile
from urllib.parse import urlsplit

_files = tempfile.mkdtemp(prefix="devpocket-tests-")
atexit.register(shutil.rmtree, _files, ignore_errors=True)
os.environ.setdefault("TESTS_FILES", _files)  # xdist's workers have that of the process which started them

os.environ.update(
    {
        "DEBUG": "true",
        "SECRET_KEY": "tests",
        "JWT_SIGNING_KEY": "0123456789abcdef0123456789abcdef",
        "FIELD_ENCRYPTION_KEYS": "tests",
        "DO_API_URL": "http://127.0.0.1:1",  # nobody listens: a test that wants a cloud says so
        "DO_TOKEN": "token-of-the-tests",
        "DROPLET_SSH_PORT": "2222",
        "CLOUD_POLL_SECONDS": "0.2",
        "CLOUD_CALLS_PER_MINUTE": "100000",  # the local cloud of the tests has no limits
        "CLOUD_CALLS_PER_HOUR": "100000",
        "REQUIRE_EMAIL_VERIFICATION": "true",
        "THROTTLE_SCALE": "1000",
        "LOG_LEVEL": "INFO",
        "RECORDING_WORK_DIR": f"{_files}/recording",
        "MEDIA_ROOT": f"{_files}/media",
    }
)
os.environ.setdefault("DATABASE_URL", "")
os.environ.setdefault("REDIS_URL", "")
if os.environ["REDIS_URL"]:
    # Tests empty the cache: each of pytest-xdist's workers gets a database of Redis's 16, and its server another.
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    # A number that is there already becomes the tens: some runs can share a Redis with 100 databases.
    base = os.environ["REDIS_URL"].rstrip("/")
    base = base if urlsplit(base).path else f"{base}/"
    os.environ["REDIS_URL"], os.environ["SERVER_REDIS_URL"] = f"{base}{worker}", f"{base}{8 + worker}"
