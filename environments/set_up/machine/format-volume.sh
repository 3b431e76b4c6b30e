# The cloud may attach the volume a little after the machine began to boot. It is formatted only when it is blank in
# two ways: blkid finds nothing on it, and its first 4 MiB can be read and are all zero.
for i in $(seq 60); do [ -e "$1" ] && break; sleep 1; done
[ -e "$1" ] || exit 0
blkid -p "$1" >/dev/null 2>&1
[ $? -eq 2 ] || exit 0
[ "$(head -c 4194304 "$1" | wc -c)" -eq 4194304 ] || exit 0
[ "$(head -c 4194304 "$1" | tr -d '\0' | wc -c)" -eq 0 ] || exit 0
mkfs.ext4 -q "$1"
