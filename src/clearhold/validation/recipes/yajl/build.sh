#!/bin/sh
# Builds yajl and a driver in the shape of an OSS-Fuzz build script.
set -eu
cd "$SRC"
mkdir -p "$WORK/include"
sed -e 's/${YAJL_MAJOR}/2/; s/${YAJL_MINOR}/1/; s/${YAJL_MICRO}/0/' src/api/yajl_version.h.cmake \
  > src/api/yajl_version.h
ln -s "$SRC/src/api" "$WORK/include/yajl"
"$CC" $CFLAGS -I"$WORK/include" -Isrc src/*.c "$RECIPE/parse.c" -lm -o "$OUT/parse"
