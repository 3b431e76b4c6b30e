"""docs/deploy.md as a script: its ```sh blocks as they stand, and the trial's own lines for those marked "# yours".

    steps.py DOCUMENT SUBSTITUTES

SUBSTITUTES has a part for each heading ("== heading") whose section has such a block; an empty part leaves it out.
"""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

PROLOGUE = """\
set -eu
. /root/trial/settings
heading() { printf '\\n[%3ss] == %s\\n' "$SECONDS" "$1"; }
"""


def main() -> None:
    document, substitutes = (Path(name).read_text() for name in sys.argv[1:])
    parts = dict(re.findall(r"^== (.+)\n((?:(?!== ).*\n)*)", substitutes, re.MULTILINE))
    sys.stdout.write(PROLOGUE)
    heading, text = "", ""
    for match in re.finditer(
        r"^## (?P<heading>[^\n]+)$|^```sh\n(?P<block>.*?)^```$", document, re.MULTILINE | re.DOTALL
    ):
        if match["heading"]:
            heading = match["heading"]
            continue
        block = match["block"]
        if block.startswith("# yours"):
            block = parts.pop(heading, "")
        if block:
            text += f"heading {shlex.quote(heading)}\n" + "".join(told(block))
    if parts:
        sys.exit(f"no block for {sorted(parts)}")
    sys.stdout.write(text)


def told(block: str) -> list[str]:
    """Each command after a line that shows it."""
    return [f"cat <<'SHOWN'\n{block}SHOWN\n", block]


if __name__ == "__main__":
    main()
