"""For detect-secrets, which doesn't know the tokens that matter most here. Source: DigitalOcean, "API tokens"."""

import re

from detect_secrets.plugins.base import RegexBasedDetector


class DigitalOceanTokenDetector(RegexBasedDetector):
    secret_type = "DigitalOcean Token"  # noqa: S105 -- a name
    denylist = (re.compile(r"do[oprt]_v1_[a-f0-9]{64}"),)
