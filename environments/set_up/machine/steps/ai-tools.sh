# Command-line assistants, as the user. One that can't be had does not keep the others away.
failed=0
for package in @anthropic-ai/claude-code @openai/codex @google/gemini-cli; do
    npm install --global --no-audit --no-fund "$package" || failed=1
done
exit $failed
