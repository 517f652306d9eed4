#!/bin/sh
# Builds cJSON and a driver in the shape of an OSS-Fuzz build script; the plain flavour adds the
# project's own tests, one program each as its CMake files make them.
set -eu
cd "$SRC"
if [ "$FLAVOUR" = fuzz ]; then
  "$CC" $CFLAGS $LIB_FUZZING_ENGINE -I. cJSON.c "$RECIPE/parse.c" -lm -o "$OUT/fuzz_parse"
  exit 0
fi
"$CC" $CFLAGS -DSTANDALONE -I. cJSON.c "$RECIPE/parse.c" -lm -o "$OUT/parse"
if [ "$FLAVOUR" = plain ]; then
  # Tests of static functions include cJSON.c themselves; the rest link against it.
  mkdir "$OUT/tests"
  "$CC" $CFLAGS -Itests/unity/src -c tests/unity/src/unity.c -o "$WORK/unity.o"
  "$CC" $CFLAGS -c cJSON.c -o "$WORK/cJSON.o"
  pending=
  for unit in parse_examples parse_number parse_hex4 parse_string parse_array parse_object \
    parse_value print_string print_number print_array print_object print_value misc_tests \
    parse_with_opts compare_tests cjson_add readme_examples minify_tests; do
    library=$WORK/cJSON.o
    if grep -q '"common.h"' "tests/$unit.c" && grep -q 'include "../cJSON.c"' tests/common.h; then
      library=
    fi
    "$CC" $CFLAGS -O1 -I. -Itests -Itests/unity/src -Itests/unity/examples "tests/$unit.c" \
      "$WORK/unity.o" $library -lm -o "$OUT/tests/$unit" &
    pending="$pending $!"
    # Two compilers at a time keep within the job's processes and memory.
    set -- $pending
    if [ $# -ge 2 ]; then wait "$1"; shift; pending=$*; fi
  done
  for job in $pending; do wait "$job"; done
  cp "$RECIPE/run_tests.sh" "$OUT/run_tests.sh"
fi
