#!/bin/sh
# A device of its own on this machine: systemd as PID 1 on a copy-on-write view of its files, without its services.
# boot_device.sh FOLDER, as root in new mount, PID, cgroup, IPC and UTS namespaces. Nothing outside them changes.
set -eu
mount -t tmpfs tmpfs "$1"
cd "$1"
mkdir upper work root
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
cd root
find etc/systemd/system lib/systemd/system/ -depth \( -name '*.wants' -o -name '*.requires' \) -exec rm -rf {} +
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount --rbind /dev dev
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
pivot_root . mnt
umount -l /mnt
mount --make-rshared / # credentials reach a service by a mount that propagates
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=basic.target \
    --log-target=null --show-status=no
