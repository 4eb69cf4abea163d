#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Four hosts played by network namespaces of this machine, on a switch whose links have a latency and a rate (hosts/switch.c).
# As root, on Linux, with iproute2, Open MPI and /dev/net/tun.
#
# usage: hosts.sh BIN_FOLDER WORK_FOLDER MICROSECONDS BYTES_PER_SECOND COMMAND...
# Runs the command, with two functions, `on RANKS PROGRAM OPTION...` and `cut_link HOST`:
#
#     sh tests/hosts.sh build/release/bin /tmp/work 200 125000000 'on 4 moons_mpi --chunk 4 --epochs 60 --hash'
#
# The command `check DIGITS_FOLDER` is a test of its own: 1, 2, 4 and 8 ranks come to the weights of one program; a link that is
# cut ends the job within seconds, with the name of the rank behind it, and those that are left go on from the checkpoint to
# the weights of a run never disturbed.
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

rm -f "$work/ready"
"$work/switch" opt_vh 4 "$delay" "$rate" >"$work/ready" &
switch=$!
until grep -qs ready "$work/ready"; do
    kill -0 $switch 2>/dev/null || exit 77
    sleep 0.05
done
for i in 1 2 3 4; do
    ip netns add "opthost$i" || exit 77 # what a test that cannot be run ends with
    ip link set "opt_vh$i" netns "opthost$i"
    ip -n "opthost$i" link set lo up
    ip -n "opthost$i" addr add "10.77.0.$i/24" dev "opt_vh$i"
    ip -n "opthost$i" link set "opt_vh$i" mtu 9000 up
    # Who sends to a host that cannot be reached gives up after 6 seconds; the system's default is a quarter of an hour,
    # for which mpirun would wait when its ranks have long ended.
    ip netns exec "opthost$i" sysctl -q net.ipv4.tcp_retries2=4
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

# on RANKS PROGRAM OPTION...: ranks in turn on the hosts. mpirun looks whether they can be reached.
on() {
    ranks=$1 program=$2
    shift 2
    list=$(seq -s , -f "10.77.0.%g:$(((ranks + 3) / 4))" $((ranks < 4 ? ranks : 4)))
    "$work/start" 10.77.0.1 mpirun -H "$list" -n "$ranks" --map-by node --mca plm_rsh_agent "$work/start" \
        --mca oob_tcp_if_include 10.77.0.0/24 --mca oob_tcp_keepalive_time 3 --mca oob_tcp_keepalive_intvl 1 \
        --mca oob_tcp_keepalive_probes 3 --mca btl_tcp_if_include 10.77.0.0/24 --mca btl self,tcp "$bin/$program" "$@"
}

# cut_link HOST: it goes down
cut_link() {
    ip -n "opthost$1" link set "opt_vh$1" down
}

fail() {
    echo "$*"
    exit 1
}

check() {
    ! ldd "$bin/moons_mpi" | grep -q libmpich || exit 77 # another mpirun's
    network="--data $1 --layers 64,32,10 --chunk 4 --patience 0 --hash --checkpoint job.safetensors"
    rm -f job.safetensors*
    "$bin/moons" --epochs 20 --chunk 4 --hash --quiet >moons.alone
    "$bin/images" $network --epochs 30 >images.alone
    for ranks in 1 2 4 8; do
        on $ranks moons_mpi --epochs 20 --chunk 4 --hash --quiet >moons.ranks
        cmp moons.alone moons.ranks || fail "moons differ on $ranks ranks"
    done

    rm -f job.safetensors*
    : >job.out
    on 4 images_mpi $network --epochs 30 --timeout 3 >job.out 2>job.err &
    job=$!
    while [ "$(wc -l <job.out)" -lt 5 ]; do
        kill -0 $job 2>/dev/null || { cat job.err; fail "it ended too early"; }
        sleep 0.02
    done
    cut_link 3
    cut=$(date +%s) status=0
    wait $job || status=$?
    [ $status != 0 ] || fail "the job whose link was cut ended with status 0"
    [ $(($(date +%s) - cut)) -le 15 ] || fail "the job whose link was cut did not end within 15 seconds"
    grep -q 'rank 2 has not answered for 3 seconds' job.err || { cat job.err; fail "who cannot be reached is not named"; }
    on 2 images_mpi $network --epochs 30 --resume >images.ranks
    [ "$(grep '^weights ' images.ranks)" = "$(grep '^weights ' images.alone)" ] ||
        { cat images.ranks; fail "resumed by 2 ranks it comes to other weights"; }
    echo "1, 2, 4 and 8 ranks on four hosts; a link cut and the job gone on with: the weights of one program"
}

cd "$work"
eval "$@"
