/* Target `parse`: a cue sheet from text. */
#include <stdio.h>
#include <stdlib.h>

#include "libcue.h"

#define MAXIMUM (64 * 1024)
#define UNUSABLE_PROOF 65

int main(int count, char **arguments) {
  FILE *file = count == 2 ? fopen(arguments[1], "rb") : NULL;
  char *text = malloc(MAXIMUM + 1);
  if (file == NULL || text == NULL) return UNUSABLE_PROOF;
  size_t length = fread(text, 1, MAXIMUM + 1, file);
  fclose(file);
  if (length > MAXIMUM) return UNUSABLE_PROOF;
  text[length] = 0;
  struct Cd *cd = cue_parse_string(text);
  puts(cd == NULL ? "refused" : "parsed");
  if (cd != NULL) cd_delete(cd);
  free(text);
  return 0;
}
