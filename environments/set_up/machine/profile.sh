# Tools that live in the home directory, then the environment's variables, which have the last word.
for dir in "$HOME/flutter/bin" "$HOME/go/bin" "$HOME/.cargo/bin" "$HOME/.nvm/current/bin" "$HOME/.local/bin" "$HOME/.venv/bin"; do
    case ":$PATH:" in
        *":$dir:"*) ;;
        *) [ ! -d "$dir" ] || PATH="$dir:$PATH" ;;
    esac
done
unset dir
if [ -s "$HOME/.nvm/nvm.sh" ]; then
    export NVM_DIR="$HOME/.nvm" NVM_SYMLINK_CURRENT=true
    # Loaded when it is called: reading it takes half a second on a small machine.
    nvm() {
        unset -f nvm
        . "$NVM_DIR/nvm.sh"
        nvm "$@"
    }
fi
[ ! -r /etc/devpocket/environment.sh ] || . /etc/devpocket/environment.sh
