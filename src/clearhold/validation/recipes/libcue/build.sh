#!/bin/sh
# Builds libcue and a driver in the shape of an OSS-Fuzz build script; needs bison and flex.
set -eu
cd "$SRC"
bison -d -o "$WORK/cue_parser.c" cue_parser.y
flex -o "$WORK/cue_scanner.c" cue_scanner.l
units="$WORK/cue_parser.c $WORK/cue_scanner.c cd.c cdtext.c rem.c time.c $RECIPE/parse.c"
if [ "$FLAVOUR" = fuzz ]; then
  "$CC" $CFLAGS $LIB_FUZZING_ENGINE -I. -I"$WORK" $units -o "$OUT/fuzz_parse"
else
  "$CC" $CFLAGS -DSTANDALONE -I. -I"$WORK" $units -o "$OUT/parse"
fi
if [ "$FLAVOUR" = plain ]; then
  # The project's own tests end themselves by assert, so these must stay in.
  mkdir "$OUT/tests"
  for unit in t/*.c; do
    "$CC" $CFLAGS -UNDEBUG -I. -I"$WORK" "$WORK/cue_parser.c" "$WORK/cue_scanner.c" cd.c cdtext.c \
      rem.c time.c "$unit" -o "$OUT/tests/$(basename "$unit" .c)"
  done
fi
