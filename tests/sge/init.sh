# The first process of a private Grid Engine: Debian's packages, in namespaces where nothing of it is seen from outside.
# Says `ready` when jobs can be submitted; ends, and with it all that it started, when its standard input does.
# Usage: init.sh HOST FOLDER
set -eu
exec 3>&1 1>&2
export SGE_ROOT=/var/lib/gridengine SGE_CELL=default SGE_QMASTER_PORT=6444 SGE_EXECD_PORT=6445
host=$1
work=$2

mount --make-rprivate /
hostname "$host"
ip link set lo up
ip addr add 10.88.0.1/32 dev lo
printf '127.0.0.1 localhost\n10.88.0.1 %s\n' "$host" >"$work/hosts"  # it refuses a host that is `localhost`
mount --bind "$work/hosts" /etc/hosts

mount -t tmpfs -o mode=755 tmpfs /var/spool/gridengine
mount -t tmpfs -o mode=755 tmpfs "$SGE_ROOT/$SGE_CELL"
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/gridengine "$SGE_ROOT/$SGE_CELL/common"
for folder in execd qmaster/job_scripts spooldb; do mkdir -p "/var/spool/gridengine/$folder"; done
cat >"$SGE_ROOT/$SGE_CELL/common/bootstrap" <<EOT
admin_user              sgeadmin
default_domain          none
ignore_fqdn             false
spooling_method         berkeleydb
spooling_lib            libspoolb
spooling_params         /var/spool/gridengine/spooldb
binary_path             /usr/sbin
qmaster_spool_dir       /var/spool/gridengine/qmaster
security_mode           none
listener_threads        2
worker_threads          2
scheduler_threads       1
EOT
echo "$host" >"$SGE_ROOT/$SGE_CELL/common/act_qmaster"
chown -R sgeadmin: /run/gridengine /var/spool/gridengine "$SGE_ROOT/$SGE_CELL"
su -s /bin/sh -c "/usr/share/gridengine/scripts/init_cluster $SGE_ROOT $SGE_CELL /var/spool/gridengine/spooldb sgeadmin" sgeadmin

SGE_MASTER_PIDFILE=/run/gridengine/qmaster.pid /usr/sbin/sge_qmaster
tries=0
until qconf -sh >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ $tries -lt 300 ]
    sleep 0.1
done
qconf -ah "$host"
qconf -as "$host"
qconf -ssconf | sed -e 's/^schedule_interval.*/schedule_interval 0:0:1/' -e 's/^flush_submit_sec.*/flush_submit_sec 1/' \
    -e 's/^flush_finish_sec.*/flush_finish_sec 1/' >"$work/schedule"
qconf -Msconf "$work/schedule"
qconf -sconf | sed -e 's/^min_uid.*/min_uid 0/' -e 's/^min_gid.*/min_gid 0/' -e 's#^mailer.*#mailer /bin/true#' \
    -e 's/^load_report_time.*/load_report_time 00:00:02/' >"$work/global"
qconf -Mconf "$work/global"
SGE_EXECD_PIDFILE=/run/gridengine/execd.pid /usr/sbin/sge_execd
printf 'group_name @allhosts\nhostlist %s\n' "$host" >"$work/group"
qconf -Ahgrp "$work/group"
qconf -sq | sed -e 's/^qname.*/qname main.q/' -e 's/^hostlist.*/hostlist @allhosts/' -e 's/^slots .*/slots 8/' \
    -e 's#^shell .*#shell /bin/bash#' -e 's/^pe_list.*/pe_list NONE/' -e 's/^ckpt_list.*/ckpt_list NONE/' \
    -e 's/^notify.*/notify 00:00:20/' -e 's#^tmpdir.*#tmpdir /run/gridengine#' \
    -e 's/^load_thresholds.*/load_thresholds NONE/' >"$work/queue"
qconf -Aq "$work/queue"
echo ready >&3
exec 3>&-
cat >/dev/null  # not by exec: the first process must take in what others leave behind
