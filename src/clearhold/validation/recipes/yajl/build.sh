#!/bin/sh
# Builds yajl and a driver in the shape of an OSS-Fuzz build script.
set -eu
cd "$SRC"
mkdir -p "$WORK/include"
sed -e 's/${YAJL_MAJOR}/2/; s/${YAJL_MINOR}/1/; s/${YAJL_MICRO}/0/' src/api/yajl_version.h.cmake \
  > src/api/yajl_version.h
ln -s "$SRC/src/api" "$WORK/include/yajl"
"$CC" $CFLAGS -I"$WORK/include" -Isrc src/*.c "$RECIPE/parse.c" -lm -o "$OUT/parse"
if [ "$FLAVOUR" = plain ]; then
  mkdir "$OUT/tests"
  for unit in test/parsing/yajl_test test/api/gen-extra-close; do
    "$CC" $CFLAGS -I"$WORK/include" -Isrc src/*.c "$unit.c" -lm -o "$OUT/tests/$(basename "$unit")"
  done
fi
