#!/bin/sh
# Builds libcue and a driver in the shape of an OSS-Fuzz build script; needs bison and flex.
set -eu
cd "$SRC"
bison -d -o "$WORK/cue_parser.c" cue_parser.y
flex -o "$WORK/cue_scanner.c" cue_scanner.l
"$CC" $CFLAGS -I. -I"$WORK" "$WORK/cue_parser.c" "$WORK/cue_scanner.c" cd.c cdtext.c rem.c time.c \
  "$RECIPE/parse.c" -o "$OUT/parse"
