# What a terminal needs. The images have tmux; where one has not, nothing works without it.
set -eu
. /usr/local/lib/devpocket/apt.sh
mountpoint -q /home/devpocket || { echo "the volume is not mounted as /home/devpocket"; exit 1; }
command -v tmux > /dev/null || { apt_update && apt_install tmux; }
