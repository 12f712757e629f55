#!/bin/sh
# The first process of the guest that guest.rs boots: prepares a system with a working dockerd, runs a script, powers
# off. The guest's root is the host's own, through hostfs and read-only. An overlay on it keeps every write in the
# guest's memory, so that nothing done here, by root or by dockerd, reaches the host.
set -e
trap 'poweroff -f' EXIT
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
given=${0%/*}
own=/run/guest
modules=usr/lib/uml/modules

mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
insmod "/$modules/$(uname -r)/kernel/fs/overlayfs/overlay.ko"
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
cd /mnt/root

# hostfs shows the host's own /proc, /dev, /run and Docker data as plain files: each is covered.
mkdir -p lib/modules var/lib/docker etc/docker
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t devtmpfs devtmpfs dev
mkdir -p dev/pts dev/shm
mount -t devpts devpts dev/pts
for memory in dev/shm run var/lib/docker etc/docker sys/fs/cgroup; do
    mount -t tmpfs tmpfs "$memory"
done
mount --bind "$modules" lib/modules
mkdir -p ".$own/bin" ".$own/home" run/old
cp "$given/script" "$given/env" ".$own"

# Not chroot: the kernel must look for modprobe and modules here too, and pivot_root moves its threads as well.
pivot_root . run/old
umount -l /run/old

awk 'NR > 1 && $4 == 1 { print $1 }' /proc/cgroups | while read -r controller; do
    mkdir "/sys/fs/cgroup/$controller"
    mount -t cgroup -o "$controller" cgroup "/sys/fs/cgroup/$controller"
done

modprobe -a bridge br_netfilter veth sch_netem ip_tables iptable_filter iptable_nat ip6_tables ip6table_filter \
    ip6table_nat xt_addrtype xt_conntrack xt_MASQUERADE xt_nat xt_comment xt_mark xt_tcpudp \
    sch_prio xt_CLASSIFY xt_multiport xt_NFQUEUE nfnetlink_queue iptable_mangle ip6table_mangle ipt_REJECT ip6t_REJECT
ip link set lo up

# This kernel has no nftables for IPv4, and the host's alternatives are not ours to change.
for family in iptables ip6tables; do
    for verb in '' -save -restore; do
        ln -s "/usr/sbin/$family-legacy$verb" "$own/bin/$family$verb"
    done
done
export PATH="$own/bin:$PATH" HOME="$own/home"

dockerd >"$own/dockerd.log" 2>&1 &
dockerd=$!
deadline=$(($(date +%s) + 120))
until [ -S /run/docker.sock ] && timeout 60 docker version >/dev/null 2>&1; do
    if ! kill -0 "$dockerd" 2>/dev/null || [ "$(date +%s)" -gt "$deadline" ]; then
        tail -n 40 "$own/dockerd.log"
        echo 'guest: dockerd did not start'
        exit 1
    fi
    sleep 0.1
done

# From here to the last line the console belongs to the script: no kernel messages, no carriage returns.
echo 1 >/proc/sys/kernel/printk
stty -opost
echo 'guest: script begins'
(
    . "$own/env"
    export PATH="$own/bin:$PATH"
    exec sh "$own/script"
) </dev/null 2>&1 && status=0 || status=$?
echo "guest: script ended with $status"
