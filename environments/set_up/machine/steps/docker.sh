# The distribution's Docker. The user's group was there before their first login.
set -eu
. /usr/local/lib/devpocket/apt.sh
set -- docker.io "docker-compose-v2|docker-compose"
for package in docker-cli docker-buildx; do # apart in some releases, not there in others
    if apt_has "$package"; then set -- "$@" "$package"; fi
done
apt_install "$@"
if [ "$(awk '/^MemTotal/ { print $2 }' /proc/meminfo)" -lt 900000 ]; then
    # A sixth of a 512 MB machine: it starts when it is first used.
    systemctl disable --quiet --now docker.service
    systemctl enable --quiet --now docker.socket
fi
