/* Target `parse`: JSON text parsed into a tree, which is freed. */
#include <stdio.h>
#include <stdlib.h>
#include <yajl/yajl_tree.h>

#define MAXIMUM (64 * 1024)
#define UNUSABLE_PROOF 65

/* What came out, as far as it shows a change of behaviour. */
static void show(yajl_val value, int depth) {
  if (value == NULL || depth > 64) return;
  printf("%*s%d", depth, "", (int)value->type);
  if (YAJL_IS_STRING(value)) printf(" %s", YAJL_GET_STRING(value));
  if (YAJL_IS_NUMBER(value)) printf(" %s", YAJL_GET_NUMBER(value));
  putchar('\n');
  if (YAJL_IS_OBJECT(value)) {
    for (size_t at = 0; at < YAJL_GET_OBJECT(value)->len; at++) {
      printf("%*s%s:\n", depth, "", YAJL_GET_OBJECT(value)->keys[at]);
      show(YAJL_GET_OBJECT(value)->values[at], depth + 1);
    }
  }
  if (YAJL_IS_ARRAY(value)) {
    for (size_t at = 0; at < YAJL_GET_ARRAY(value)->len; at++) show(YAJL_GET_ARRAY(value)->values[at], depth + 1);
  }
}

int main(int count, char **arguments) {
  FILE *file = count == 2 ? fopen(arguments[1], "rb") : NULL;
  static char given[MAXIMUM + 1];
  if (file == NULL) return UNUSABLE_PROOF;
  size_t length = fread(given, 1, sizeof given, file);
  fclose(file);
  if (length > MAXIMUM) return UNUSABLE_PROOF;
  char *text = malloc(length + 1);
  if (text == NULL) return 1;
  for (size_t at = 0; at < length; at++) text[at] = given[at];
  text[length] = 0;
  char reason[256];
  yajl_val tree = yajl_tree_parse(text, reason, sizeof reason);
  puts(tree == NULL ? "refused" : "parsed");
  show(tree, 0);
  yajl_tree_free(tree);
  free(text);
  return 0;
}
