set -eu
. /usr/local/lib/devpocket/apt.sh
apt_update
apt_install ca-certificates curl git htop less nano pipx python3 python3-pip python3-venv tmux unattended-upgrades \
    unzip vim wget
