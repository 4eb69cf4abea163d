#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Four hosts played by network namespaces of this machine, on a switch whose links have a latency and a rate (hosts/switch.c).
# As root, on Linux, with iproute2, Open MPI and /dev/net/tun.
#
# usage: hosts.sh BIN_FOLDER WORK_FOLDER MICROSECONDS BYTES_PER_SECOND COMMAND...
# Runs the command, with two functions, `on HOSTS PROGRAM OPTION...` and `cut_link HOST`:
#
#     sh tests/hosts.sh build/release/bin /tmp/work 200 125000000 'on 4 moons_mpi --chunk 4 --epochs 60 --hash'
set -eu
here=$(cd "$(dirname "$0")" && pwd)
bin=$(cd "$1" && pwd) work=$2 delay=$3 rate=$4
shift 4
mkdir -p "$work"
work=$(cd "$work" && pwd)
"${CC:-cc}" -O2 -std=c11 -o "$work/switch" "$here/hosts/switch.c"

clean_up() {
    [ -z "${switch:-}" ] || kill "$switch" 2>/dev/null || true
    for i in 1 2 3 4; do
        ip netns pids "opthost$i" 2>/dev/null | xargs -r kill -KILL 2>/dev/null || true
        ip netns del "opthost$i" 2>/dev/null || true
    done
}
clean_up
trap clean_up EXIT

"$work/switch" opt_vh 4 "$delay" "$rate" >"$work/ready" &
switch=$!
until grep -q ready "$work/ready"; do sleep 0.05; done
for i in 1 2 3 4; do
    ip netns add "opthost$i"
    ip link set "opt_vh$i" netns "opthost$i"
    ip -n "opthost$i" link set lo up
    ip -n "opthost$i" addr add "10.77.0.$i/24" dev "opt_vh$i"
    ip -n "opthost$i" link set "opt_vh$i" mtu 9000 up
done

# What mpirun starts a program on another host by.
cat >"$work/start" <<'EOT'
#!/bin/sh
host=opthost${1##*.}
shift
exec ip netns exec "$host" unshare --uts sh -c "hostname $host; $*"
EOT
chmod +x "$work/start"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1

# on HOSTS PROGRAM OPTION...: as many ranks, one a host
on() {
    ranks=$1 program=$2
    shift 2
    list=$(seq -s , -f '10.77.0.%g' "$ranks")
    "$work/start" 10.77.0.1 mpirun -H "$list" -n "$ranks" --mca plm_rsh_agent "$work/start" \
        --mca oob_tcp_if_include 10.77.0.0/24 --mca btl_tcp_if_include 10.77.0.0/24 --mca btl self,tcp "$bin/$program" "$@"
}

# cut HOST: its link goes down
cut_link() {
    ip -n "opthost$1" link set "opt_vh$1" down
}

cd "$work"
eval "$@"
