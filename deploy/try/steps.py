"""Documents as a script: their ```sh blocks as they stand, and the trial's own lines for those marked "# yours".

    steps.py SUBSTITUTES DOCUMENT[#HEADING] ...

With #HEADING only that section is taken. SUBSTITUTES has a part for each heading ("== heading") whose section has such
a block; an empty part leaves it out.
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
    parts = dict(re.findall(r"^== (.+)\n((?:(?!== ).*\n)*)", Path(sys.argv[1]).read_text(), re.MULTILINE))
    text = "".join(steps(document, parts) for document in sys.argv[2:])
    if parts:
        sys.exit(f"no block for {sorted(parts)}")
    sys.stdout.write(PROLOGUE + text)


def steps(document: str, parts: dict[str, str]) -> str:
    name, _, only = document.partition("#")
    heading, text = "", ""
    pattern = re.compile(r"^## (?P<heading>[^\n]+)$|^```sh\n(?P<block>.*?)^```$", re.MULTILINE | re.DOTALL)
    for match in pattern.finditer(Path(name).read_text()):
        if match["heading"]:
            heading = match["heading"]
        elif only in ("", heading):
            block = match["block"]
            if block.startswith("# yours"):
                block = parts.pop(heading, "")
            if block:
                text += f"heading {shlex.quote(heading)}\n" + "".join(told(block))
    return text


def told(block: str) -> list[str]:
    """Each command after a line that shows it."""
    return [f"cat <<'SHOWN'\n{block}SHOWN\n", block]


if __name__ == "__main__":
    main()
