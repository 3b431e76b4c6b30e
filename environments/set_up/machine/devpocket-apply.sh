#!/bin/sh
# devpocket-apply NAME: put the text from standard input in place as /etc/devpocket/NAME, whole or not at all.
# devpocket-apply: put both files in place as they were last told (at every boot). Run as root.
set -eu
umask 077
root="${DEVPOCKET_ROOT:-}"
files="$root/etc/devpocket"
# With the instance: a machine that is made anew, also from a copy of this disk, begins with its own user-data.
told="$root/var/lib/cloud/instance/devpocket"
mkdir -p "$told" "$files"
[ -n "$root" ] || chmod 0755 "$files"

put() {
    cp "$told/$1" "$files/.$1.new"
    case "$1" in
        authorized_keys) chmod 0644 "$files/.$1.new" ;; # sshd reads it as the user
        *) [ -n "$root" ] || { chgrp devpocket "$files/.$1.new"; chmod 0640 "$files/.$1.new"; } ;;
    esac
    mv -f "$files/.$1.new" "$files/$1"
}

case "${1:-}" in
    environment.sh | authorized_keys)
        cat > "$told/.$1.new"
        if [ "$(tail -n 1 "$told/.$1.new")" != "# end" ]; then # a connection that was cut
            rm -f "$told/.$1.new"
            echo "devpocket-apply: the text is not whole" >&2
            exit 1
        fi
        sync "$told/.$1.new" 2> /dev/null || sync
        mv -f "$told/.$1.new" "$told/$1"
        put "$1"
        echo written
        ;;
    "")
        for name in environment.sh authorized_keys; do
            [ -e "$told/$name" ] || cp "$files/$name" "$told/$name"
            put "$name"
        done
        ;;
    *)
        echo "devpocket-apply: $1: no such file" >&2
        exit 2
        ;;
esac
