#!/bin/sh
# Builds TinyXML and a driver in the shape of an OSS-Fuzz build script. DEBUG keeps the assertions.
set -eu
cd "$SRC"
for unit in tinystr tinyxml tinyxmlerror tinyxmlparser; do
  "$CXX" $CXXFLAGS -DDEBUG -DTIXML_USE_STL -I. -c "$unit.cpp" -o "$WORK/$unit.o"
done
"$CXX" $CXXFLAGS -DDEBUG -DTIXML_USE_STL -I. "$RECIPE/parse.cc" "$WORK"/*.o -o "$OUT/parse"
if [ "$FLAVOUR" = plain ]; then
  # The project's test program, which its own Makefile builds without assertions.
  mkdir "$OUT/tests"
  "$CXX" $CXXFLAGS -DTIXML_USE_STL -I. xmltest.cpp tiny*.cpp -o "$OUT/tests/xmltest"
fi
