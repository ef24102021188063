#!/usr/bin/env bash
# A SLURM with accounting on this machine alone, for the tests: cluster.sh install | start | restart | stop.
# Debian 12 or a relative, as root; 127.0.0.1 only. Everything it writes is in $HOME_OF_IT, but for a link in /etc/slurm.
# One node of two CPUs and one declared GPU (/dev/null, said to be an a100), in two partitions: cpu, which is the default, and gpu.
set -euo pipefail

HOME_OF_IT=${NATURAL_SPARSITY_SLURM:-/var/tmp/natural-sparsity-slurm}
PACKAGES="slurm-wlm slurm-wlm-basic-plugins slurm-client munge slurmdbd slurm-wlm-mysql-plugin mariadb-server"
DAEMONS="slurmd slurmctld slurmdbd mariadbd munged" # stopped in this order
HOST=$(hostname -s)
ETC=/etc/slurm/slurm.conf

# Up to half a minute until a command succeeds.
await() {
    local end=$((SECONDS + 30))
    while ((SECONDS < end)); do
        timeout 5 "$@" >/dev/null 2>&1 && return
        sleep 0.2
    done
    echo "cluster.sh: gave up waiting for: $* (logs are in $HOME_OF_IT/log)" >&2
    exit 1
}

running() { [ -s "$HOME_OF_IT/run/$1.pid" ] && kill -0 "$(<"$HOME_OF_IT/run/$1.pid")" 2>/dev/null; }

halt() {
    running "$1" || return 0
    kill "$(<"$HOME_OF_IT/run/$1.pid")"
    for _ in $(seq 150); do
        running "$1" || return 0
        sleep 0.2
    done
    kill -KILL "$(<"$HOME_OF_IT/run/$1.pid")"
}

install_packages() {
    command -v slurmctld slurmdbd slurmd munged mariadbd sacct >/dev/null && return
    apt-get update -qq
    # RUNLEVEL: the packages' own services are not to start.
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $PACKAGES
}

configure() {
    mkdir -p "$HOME_OF_IT"/{run,log,state,spool,munge,database}
    chmod 755 "$HOME_OF_IT"
    chmod 700 "$HOME_OF_IT/run"
    # Never beside a SLURM that is somebody's.
    if [ -e $ETC ] && [ "$(readlink $ETC)" != "$HOME_OF_IT/slurm.conf" ]; then
        echo "cluster.sh: $ETC is there already: this machine has a SLURM of its own" >&2
        exit 1
    fi
    cat >"$HOME_OF_IT/slurm.conf" <<CONF
ClusterName=natural-sparsity
SlurmctldHost=$HOST(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CryptoType=crypto/munge
SlurmctldPidFile=$HOME_OF_IT/run/slurmctld.pid
SlurmdPidFile=$HOME_OF_IT/run/slurmd.pid
StateSaveLocation=$HOME_OF_IT/state
SlurmdSpoolDir=$HOME_OF_IT/spool
SlurmctldLogFile=$HOME_OF_IT/log/slurmctld.log
SlurmdLogFile=$HOME_OF_IT/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
GresTypes=gpu
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=16819
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment
MpiDefault=none
ReturnToService=2
KillWait=20
MailProg=/bin/true
SchedulerParameters=sched_interval=5
NodeName=$HOST NodeAddr=127.0.0.1 CPUs=2 RealMemory=20000 Gres=gpu:a100:1
PartitionName=cpu Nodes=$HOST Default=YES MaxTime=1-0
PartitionName=gpu Nodes=$HOST MaxTime=1-0
CONF
    echo "NodeName=$HOST Name=gpu Type=a100 File=/dev/null" >"$HOME_OF_IT/gres.conf"
    (umask 077 && cat >"$HOME_OF_IT/slurmdbd.conf") <<CONF
DbdHost=$HOST
DbdAddr=127.0.0.1
DbdPort=16819
SlurmUser=root
AuthType=auth/munge
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=slurm
StorageLoc=slurm_acct_db
PidFile=$HOME_OF_IT/run/slurmdbd.pid
LogFile=$HOME_OF_IT/log/slurmdbd.log
CONF
    # Steps of a job look here, whatever SLURM_CONF says.
    mkdir -p /etc/slurm
    for name in slurm gres slurmdbd; do ln -sfn "$HOME_OF_IT/$name.conf" "/etc/slurm/$name.conf"; done
}

start() {
    configure
    local data=$HOME_OF_IT/database run=$HOME_OF_IT/run log=$HOME_OF_IT/log
    if ! running munged; then
        install -d -o root -m 755 /run/munge
        [ -s "$HOME_OF_IT/munge/key" ] || (umask 077 && head -c 1024 /dev/urandom >"$HOME_OF_IT/munge/key")
        chmod 700 "$HOME_OF_IT/munge"
        munged --force --key-file="$HOME_OF_IT/munge/key" --pid-file="$run/munged.pid" \
            --log-file="$log/munged.log" --seed-file="$HOME_OF_IT/munge/seed"
        await bash -c "munge -n | unmunge"
    fi
    if ! running mariadbd; then
        if [ ! -d "$data/mysql" ]; then
            mariadb-install-db --no-defaults --user=root --datadir="$data" --auth-root-authentication-method=normal >"$log/database.log" 2>&1
        fi
        mariadbd --no-defaults --user=root --datadir="$data" --skip-networking --socket="$run/mysqld.sock" \
            --pid-file="$run/mariadbd.pid" --innodb-buffer-pool-size=64M </dev/null >>"$log/database.log" 2>&1 &
        await mariadb --no-defaults --socket="$run/mysqld.sock" -e 'select 1'
        mariadb --no-defaults --socket="$run/mysqld.sock" -e "create database if not exists slurm_acct_db;
            create user if not exists slurm@localhost; grant all on slurm_acct_db.* to slurm@localhost;"
    fi
    if ! running slurmdbd; then
        # The client library asks this variable where the database listens.
        MYSQL_UNIX_PORT=$run/mysqld.sock slurmdbd
        await sacctmgr -n list cluster
        sacctmgr -i add cluster natural-sparsity >>"$log/sacctmgr.log" 2>&1 || true
    fi
    restart_controller
    sacctmgr -i add account default >>"$log/sacctmgr.log" 2>&1 || true
    sacctmgr -i add user root account=default >>"$log/sacctmgr.log" 2>&1 || true
    running slurmd || slurmd
    await bash -c "sinfo -h -o %T | grep -qE 'idle|mixed|allocated'"
}

restart_controller() {
    halt slurmctld
    slurmctld
    await scontrol ping
}

stop() {
    for daemon in $DAEMONS; do halt "$daemon"; done
    for name in slurm gres slurmdbd; do
        if [ "$(readlink "/etc/slurm/$name.conf")" = "$HOME_OF_IT/$name.conf" ]; then rm "/etc/slurm/$name.conf"; fi
    done
    rm -rf "$HOME_OF_IT"
}

case ${1:-} in
install) install_packages ;;
start | stop) "$1" ;;
restart) restart_controller ;;
*)
    sed -n '2,4s/^# //p' "$0" >&2
    exit 2
    ;;
esac
