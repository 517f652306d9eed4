#!/bin/sh
# Builds ujson's extension from its published source, in the shape of an OSS-Fuzz build script.
# FLAVOUR is plain, address or fuzz; the fuzz flavour leaves one libFuzzer binary per harness.
set -eu
cd "$SRC"
python=/usr/bin/python3
include=$($python -c 'import sysconfig; print(sysconfig.get_path("include"))')
library=$($python -c 'import sysconfig; print("python" + sysconfig.get_config_var("LDVERSION"))')
search="-D_GNU_SOURCE -I$include -Ipython -Ilib -Ideps/double-conversion/double-conversion"

pending=
for unit in deps/double-conversion/double-conversion/*.cc lib/*.cc lib/*.c python/*.c; do
  object=$WORK/$(basename "$unit").o
  case $unit in
    *.cc) "$CXX" $CXXFLAGS $search -fPIC -c "$unit" -o "$object" & ;;
    *) "$CC" $CFLAGS $search -fPIC -c "$unit" -o "$object" & ;;
  esac
  pending="$pending $!"
  # Two compilers at a time keep within the job's processes and memory.
  set -- $pending
  if [ $# -ge 2 ]; then wait "$1"; shift; pending=$*; fi
done
for job in $pending; do wait "$job"; done

if [ "$FLAVOUR" = fuzz ]; then
  "$CXX" $CXXFLAGS -I"$include" -c "$RECIPE/fuzz_encode.cc" -o "$WORK/fuzz_encode.o"
  "$CXX" $CXXFLAGS $LIB_FUZZING_ENGINE "$WORK"/*.o -l"$library" -o "$OUT/fuzz_encode"
else
  "$CXX" $CXXFLAGS -shared "$WORK"/*.o -o "$OUT/ujson.so"
fi
