#!/bin/sh
# What tmux runs in a new window: the variables as they are now, then the user's login shell.
[ -r "${DEVPOCKET_ROOT:-}/etc/devpocket/environment.sh" ] && . "${DEVPOCKET_ROOT:-}/etc/devpocket/environment.sh"
exec "${SHELL:-/bin/bash}" -l
