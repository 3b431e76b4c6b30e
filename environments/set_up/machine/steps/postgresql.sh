# PostgreSQL whose data are on the volume, which outlives the machine; the user is its superuser.
set -eu
. /usr/local/lib/devpocket/apt.sh
export LANG=C.UTF-8
mkdir -p /etc/postgresql-common /etc/systemd/system/postgresql@.service.d
echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf
printf '[Unit]\nRequiresMountsFor=/home/devpocket\n' > /etc/systemd/system/postgresql@.service.d/devpocket.conf
apt_install postgresql
version=$(ls /usr/lib/postgresql | sort -n | tail -n 1)
home=/home/devpocket/.local/share/postgresql
data="$home/$version" settings="$home/$version-settings" etc="/etc/postgresql/$version/main"
for dir in /home/devpocket/.local /home/devpocket/.local/share "$home"; do
    install -d -o devpocket -g devpocket "$dir"
done
# Data and settings that the volume has already are taken as they are. The settings come last: without them the making
# was cut short, and what there is of it makes room.
if [ ! -d "$settings" ]; then
    rm -rf "$etc" "$settings.new"
    [ ! -e "$data" ] || mv "$data" "$data-unfinished-$(date +%s)"
    # The group of the directory for its socket and PID file.
    pg_createcluster --user devpocket --group postgres --socketdir /var/run/postgresql --encoding UTF8 \
        --datadir "$data" "$version" main
    cp -a "$etc" "$settings.new"
    sync # or a power cut leaves the name with empty files
    mv "$settings.new" "$settings"
fi
if [ ! -L "$etc" ]; then
    chown -R devpocket:postgres "$data" "$settings" # the group's number is this machine's
    rm -rf "$etc"
    mkdir -p "/etc/postgresql/$version"
    ln -s "$settings" "$etc"
fi
systemctl daemon-reload
# By name: at boot, clusters are looked for before the volume is mounted.
systemctl enable --quiet --now "postgresql@$version-main"
as_user() { runuser -u devpocket -- "$@"; }
as_user psql --dbname template1 --list --quiet --tuples-only --no-align | grep -q '^devpocket|' || as_user createdb devpocket
