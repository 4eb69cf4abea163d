#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Runs the code for AVX-512 on a machine that need not have it: checks golden/bits.txt in Bochs, an emulator of a whole PC some
# of whose processors have AVX-512 (none of qemu's or valgrind's has). The PC starts Debian's kernel from a CD that has
# internal_bits and the programs named here, which must end with 0. A longer campaign: 11 minutes of a core, one of them to start.
#
# Debian, x86-64: apt-get install gcc bochs busybox-static cpio grub-pc-bin mtools xorriso
# The kernel's package is downloaded and unpacked, not installed.
#
# usage: avx512.sh SOURCE_FOLDER WORK_FOLDER [PROGRAM...]     such as build/release/tests/test_tensor_matmul
# Variables: EXTENT, f32 for half as much; THREADS, the numbers of threads (1); CPU, a processor by Bochs' name
# (corei7_skylake_x; `bochs -help cpu` says which there are); AT_MOST, the seconds before it is given up (7200).
set -eu
mkdir -p "$2"
source=$(cd "$1" && pwd)
work=$(cd "$2" && pwd)
shift 2
root=$work/root # of the PC's file system
rm -rf "$root" "$work/cd" "$work/objects"
mkdir -p "$root/bin" "$root/programs" "$work/cd/boot/grub" "$work/objects"

# ---- The programs --------------------------------------------------------------------------------------------------

# Others than internal_bits with the libraries that they need.
for program in "$@"; do
    cp "$program" "$root/programs"
    for library in $(ldd "$program" | grep -o '/[^ ]*'); do
        mkdir -p "$root${library%/*}"
        cp -L "$library" "$root$library"
    done
done

cd "$source"
flags="-std=c11 -O3 -DNDEBUG -D_FILE_OFFSET_BITS=64 -ffp-contract=off -fno-math-errno -fno-trapping-math"
flags="$flags -fexcess-precision=fast -Iinclude -Isrc"

# kernels ISA FLAG...
kernels() {
    isa=$1
    shift
    gcc $flags "$@" -DOPT__ISA="$isa" -c -o "$work/objects/$isa.o" src/kernel/kernels.c
}
kernels baseline
kernels avx2 -mavx2
kernels avx512 -mavx512f -mavx512vl -mavx512dq -mprefer-vector-width=512
gcc $flags -DOPT__HAS_X86 -static -o "$root/internal_bits" tests/internal_bits*.c \
    $(ls src/*/*.c | grep -v -e kernel/kernels.c -e ^src/mpi/) "$work"/objects/*.o -lm -pthread
cp -R tests/golden "$root"

# ---- The PC --------------------------------------------------------------------------------------------------------

cd "$work"
if ! ls kernel/boot/vmlinuz-* >/dev/null 2>&1; then
    package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: //p' | head -n 1)
    apt-get -q -o APT::Sandbox::User=root download "$package"
    dpkg -x "$package"_*.deb kernel
fi
cp kernel/boot/vmlinuz-* cd/vmlinuz
cp /bin/busybox root/bin
cat >root/init <<END
#!/bin/busybox sh
alias mkdir='busybox mkdir' mount='busybox mount' sed='busybox sed' sleep='busybox sleep' poweroff='busybox poweroff'
mkdir -p /proc /dev /tmp
mount -t proc proc /proc
mount -t devtmpfs dev /dev
sed -n 's/^model name.*: //p' /proc/cpuinfo
/internal_bits /golden/bits.txt ${THREADS:-1} ${EXTENT:-} avx512
echo "internal_bits ends with \$?"
for program in /programs/*; do
    [ ! -e \$program ] || { \$program; echo "\${program##*/} ends with \$?"; }
done
echo "all have ended"
sleep 10 # while the last lines are sent: 1 is too short after much output
poweroff -f
END
chmod +x root/init
(cd root && find . | cpio -o -H newc -R 0:0 --quiet | gzip -1) >cd/files

# clearcpuid: Bochs 2.7 says a wrong size of what XSAVES and XSAVEC save, and a kernel that sees that turns AVX off.
cat >cd/boot/grub/grub.cfg <<END
set timeout=0
menuentry linux {
    linux /vmlinuz console=ttyS0 loglevel=1 clearcpuid=xsaves,xsavec mitigations=off nokaslr
    initrd /files
}
END
grub-mkrescue -o cd.iso cd >grub.txt 2>&1 || { cat grub.txt; exit 2; }

# Its display is VNC's, because that needs neither a terminal nor X; nobody need look at it.
cat >bochsrc <<END
cpu: model=${CPU:-corei7_skylake_x}, ips=50000000, reset_on_triple_fault=0
megs: 512
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0-master: type=cdrom, path=cd.iso, status=inserted
boot: cdrom
display_library: rfb, options="timeout=0"
com1: enabled=1, mode=file, dev=serial.txt
clock: sync=none
log: log.txt
panic: action=fatal
error: action=ignore
info: action=ignore
END
echo continue >debugger # where Bochs is built with its debugger, as Debian's is
: >serial.txt
timeout "${AT_MOST:-7200}" bochs -q -f bochsrc -rc debugger </dev/null >bochs.txt 2>&1 || : # that it was turned off is an error

tr -d '\r' <serial.txt >result.txt
cat result.txt
grep -q '^all have ended$' result.txt || { tail -n 3 log.txt && exit 2; }
! grep -q 'ends with [^0]' result.txt
