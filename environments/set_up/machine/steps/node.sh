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

# npm by itself: the distributions cut it into 350 packages.
npm_url=https://registry.npmjs.org/npm/-/npm-10.9.9.tgz
npm_sha256=c80bd097147cce32e31010b791bab8c71a26a5e10668210ec9d2e7f4c7cea2a1

from_distribution() {
    set -e
    sudo sh -euc '. /usr/local/lib/devpocket/apt.sh; apt_update; apt_install nodejs'
    lib="$HOME/.local/lib/node_modules" bin="$HOME/.local/bin"
    mkdir -p "$lib" "$bin"
    curl -fsS --retry 3 --max-time 300 -o "$lib/npm.tgz" "$npm_url"
    echo "$npm_sha256  $lib/npm.tgz" | sha256sum --check --quiet
    rm -rf "$lib/package" "$lib/npm"
    tar -xzf "$lib/npm.tgz" -C "$lib"
    mv "$lib/package" "$lib/npm"
    rm "$lib/npm.tgz"
    ln -sf ../lib/node_modules/npm/bin/npm-cli.js "$bin/npm"
    ln -sf ../lib/node_modules/npm/bin/npx-cli.js "$bin/npx"
    "$bin/npm" config set --location=user prefix "$HOME/.local"
}

if ! by_nvm && ! { sleep 5; by_nvm; }; then
    (from_distribution)
    [ $? -eq 0 ] || exit 1 # not with ||, in which set -e has no effect
    export PATH="$HOME/.local/bin:$PATH"
fi
npm install --global --no-audit --no-fund pnpm yarn
