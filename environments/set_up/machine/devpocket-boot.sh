#!/bin/sh
# At every boot: keys and variables as they were last told; then what an interrupted set-up left undone.
set -u
/usr/local/sbin/devpocket-apply
if mountpoint -q /home/devpocket; then
    install -d -m 0700 -o devpocket -g devpocket /home/devpocket/.tmux
fi
# On the first boot there is no progress yet, and cloud-init itself goes through the steps.
if [ -s /var/lib/devpocket/progress ]; then
    systemd-run --quiet --no-block --collect --unit=devpocket-setup /usr/local/sbin/devpocket-setup
fi
