# Node LTS by nvm, in the home: a later machine finds it on the volume. Where nvm's sources can't be reached, the
# distribution's Node is better than none. Then pnpm and yarn.
export NVM_DIR="$HOME/.nvm" NVM_SYMLINK_CURRENT=true

get_nvm() {
    [ -s "$NVM_DIR/nvm.sh" ] && return
    rm -rf "$NVM_DIR" "$NVM_DIR.new"
    timeout 300 git clone --quiet --depth 1 --branch v0.40.3 https://github.com/nvm-sh/nvm.git "$NVM_DIR.new" &&
        mv "$NVM_DIR.new" "$NVM_DIR"
}

by_nvm() {
    get_nvm && . "$NVM_DIR/nvm.sh" --no-use &&
        nvm install --no-progress --lts && nvm alias default 'lts/*' && nvm use default
}

from_distribution() {
    sudo sh -euc '. /usr/local/lib/devpocket/apt.sh; apt_get update; apt_install nodejs npm'
}

by_nvm || { sleep 5; by_nvm; } || from_distribution || exit 1
[ -w "$(npm prefix --global)/lib" ] || export npm_config_prefix="$HOME/.local"
npm install --global --no-audit --no-fund pnpm yarn
