# Command-line assistants, as the user. One that can't be had does not keep the others away.
room_kb=$(df --output=avail "$HOME" | tail -n 1)
if [ "$room_kb" -lt 4000000 ]; then # they take half of that; a small volume belongs to its user's own files
    echo "left out: the volume has too little room; npm install --global PACKAGE installs one"
    exit 0
fi
npm_config_cache=$(mktemp -d) && export npm_config_cache # not on the volume
trap 'rm -rf "$npm_config_cache"' EXIT
failed=0
for package in @anthropic-ai/claude-code @openai/codex @google/gemini-cli; do
    [ -d "$(npm root --global)/$package" ] || npm install --global --no-audit --no-fund "$package" || failed=1
done
exit $failed
