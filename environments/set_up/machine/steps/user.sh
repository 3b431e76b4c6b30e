# The home is the volume, which useradd found there already: it neither owned nor filled it.
set -eu
home=/home/devpocket
if [ ! -e "$home/.devpocket/home-prepared" ]; then # once for each volume: what its user takes away stays away
    cp -an --no-target-directory /etc/skel "$home"
    install -d "$home/.devpocket/logs"
    find "$home" -xdev -mindepth 1 -maxdepth 1 ! -name lost+found -exec chown -R devpocket:devpocket {} +
    sync # before the mark that says so
    : > "$home/.devpocket/home-prepared"
fi
# Last: cp has given it what /etc/skel has.
chown devpocket:devpocket "$home"
chmod 0750 "$home"
install -d -m 0700 -o devpocket -g devpocket "$home/.tmux"
loginctl enable-linger devpocket
