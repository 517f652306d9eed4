"""Candidates for flaws in C and C++."""

from __future__ import annotations

from typing import Final

from benchmarks.patches.flaw import Flaw

_CJSON_PLACE: Final = "        /* parse the name of the child */\n        input_buffer->offset++;\n"
_TINYXML_PLACE: Final = '\t\tp = SkipWhiteSpace( p, _encoding );\n\t\tif ( StringEqual( p, "version", true, _encoding ) )\n'
_TINYXML_FIX: Final = (
    "\t\tp = SkipWhiteSpace( p, _encoding );\n\t\tif ( !p || !*p )\n\t\t\treturn 0;\n"
    '\t\tif ( StringEqual( p, "version", true, _encoding ) )\n'
)
_YAJL_FAIL: Final = "        yajl_free (handle);\n        return NULL;\n"
_YAJL_POP: Final = "    v = stack->value;\n\n    free (stack);\n"
_LIBCUE_TEST: Final = "\tif (i > MAXINDEX) {\n"
_UJSON_LINE: Final = "  if (enc->indent > 0) Buffer_AppendCharUnchecked(enc, '\\n');\n"
_UJSON_INDENT: Final = "  int i;\n  if (enc->indent > 0)\n    while (value-- > 0)\n"
_UJSON_ROOM: Final = (
    "  int i;\n  if (enc->indent > 0 && value > 0)\n  {\n"
    "    Buffer_Reserve(enc, (size_t) enc->indent * value + 300);\n"
    "    if (enc->errorMsg) return;\n  }\n  if (enc->indent > 0)\n    while (value-- > 0)\n"
)
_UJSON_ITEMS: Final = "      while (enc->iterNext(obj, &tc))\n      {\n"
_UJSON_RESERVE: Final = "        Buffer_Reserve (enc, 4 + (size_t) (enc->indent > 0) * enc->indent * (enc->level + 1));\n"
_UJSON_END: Final = (
    "      if (count > 0) {\n        Buffer_AppendIndentNewlineUnchecked (enc);\n"
    "        Buffer_AppendIndentUnchecked (enc, enc->level);\n      }\n"
    "      Buffer_AppendCharUnchecked (enc, ']');\n"
)
_ENCODER: Final = "lib/ultrajsonenc.c"


NATIVE: Final = (
    Flaw(
        cve="CVE-2023-53154",
        debian="0002-Fix-heap-buffer-overflow.patch",
        fix=(
            (
                "cJSON.c",
                _CJSON_PLACE,
                "        if (cannot_access_at_index(input_buffer, 1)) goto fail;\n" + _CJSON_PLACE,
            ),
        ),
        idle=(
            (
                "cJSON.c",
                "    /* FIXME: Can overflow here.",
                "    if (size > 0x7fffffff) return 0x7fffffff;\n    /* FIXME: Can overflow here.",
            ),
        ),
        hiding=(
            (
                "cJSON.c",
                _CJSON_PLACE,
                "        if (cannot_access_at_index(input_buffer, 1) && input_buffer->length < 8) goto fail;\n"
                + _CJSON_PLACE,
            ),
        ),
        broad=(
            (
                "cJSON.c",
                _CJSON_PLACE,
                "        if (current_item != head) goto fail; /* one member is enough */\n"
                + _CJSON_PLACE,
            ),
        ),
        breaking=(
            (
                "cJSON.c",
                "            if (compare_double(a->valuedouble, b->valuedouble))\n",
                "            if (!compare_double(a->valuedouble, b->valuedouble))\n",
            ),
        ),
        beside=(("cJSON.c", "    return (int)size;\n", "    return (int)size + 1;\n"),),
        changing=(("cJSON.c", 'strcpy((char*)output, "true");', 'strcpy((char*)output, "True");'),),
    ),
    Flaw(
        cve="CVE-2021-45958",
        fix=((_ENCODER, _UJSON_INDENT, _UJSON_ROOM),),
        idle=((_ENCODER, _UJSON_LINE, "  if (enc == NULL) return;\n" + _UJSON_LINE),),
        hiding=(
            (
                _ENCODER,
                _UJSON_ITEMS,
                _UJSON_ITEMS + _UJSON_RESERVE + "        if (enc->errorMsg) break;\n",
            ),
            (
                _ENCODER,
                _UJSON_END,
                _UJSON_RESERVE + _UJSON_END.replace("count > 0", "count > 0 && !enc->errorMsg"),
            ),
        ),
        broad=(
            (_ENCODER, _UJSON_LINE, ""),
            (_ENCODER, _UJSON_INDENT, "  int i;\n  if (0)\n    while (value-- > 0)\n"),
        ),
        breaking=(
            (
                _ENCODER,
                'static const char g_hexChars[] = "0123456789abcdef"',
                'static const char g_hexChars[] = "0123456789ABCDEF"',
            ),
        ),
        changing=((_ENCODER, _UJSON_LINE, _UJSON_LINE.replace("'\\n'", "'\\r'")),),
    ),
    Flaw(
        cve="CVE-2023-33460",
        debian="CVE-2023-33460.patch",
        fix=(
            (
                "src/yajl_tree.c",
                _YAJL_POP,
                "    v = stack->value;\n    free (stack->key);\n    free (stack);\n",
            ),
            (
                "src/yajl_tree.c",
                _YAJL_FAIL,
                "        while (ctx.stack != NULL) yajl_tree_free (context_pop (&ctx));\n"
                "        yajl_tree_free (ctx.root);\n" + _YAJL_FAIL,
            ),
        ),
        idle=(
            (
                "src/yajl_tree.c",
                "    if (error_buffer != NULL)\n        memset (error_buffer, 0, error_buffer_size);\n",
                "    if (error_buffer != NULL && error_buffer_size > 0)\n        memset (error_buffer, 0, error_buffer_size);\n",
            ),
        ),
        hiding=(
            (
                "src/yajl_tree.c",
                _YAJL_POP,
                "    v = stack->value;\n    free (stack->key);\n    free (stack);\n",
            ),
            (
                "src/yajl_tree.c",
                _YAJL_FAIL,
                "        if (ctx.stack != NULL) yajl_tree_free (context_pop (&ctx));\n"
                "        if (ctx.stack != NULL) yajl_tree_free (context_pop (&ctx));\n"
                + _YAJL_FAIL,
            ),
        ),
        broad=(
            (
                "src/yajl_tree.c",
                "    v = value_alloc(yajl_t_array);\n",
                '    RETURN_ERROR ((context_t *) ctx, STATUS_ABORT, "no lists");\n    v = value_alloc(yajl_t_array);\n',
            ),
            (
                "src/yajl_tree.c",
                "    v = value_alloc(yajl_t_object);\n",
                '    RETURN_ERROR ((context_t *) ctx, STATUS_ABORT, "no objects");\n    v = value_alloc(yajl_t_object);\n',
            ),
        ),
        breaking=(
            (
                "src/yajl_lex.c",
                "                if (!lexer->allowComments) {\n",
                "                if (lexer->allowComments) {\n",
            ),
        ),
        changing=(
            (
                "src/yajl_tree.c",
                "    v = value_alloc (boolean_value ? yajl_t_true : yajl_t_false);\n",
                "    v = value_alloc (boolean_value ? yajl_t_true : yajl_t_null);\n",
            ),
        ),
    ),
    Flaw(
        cve="CVE-2023-34194",
        debian="CVE-2023-34194.patch",
        fix=(("tinyxmlparser.cpp", _TINYXML_PLACE, _TINYXML_FIX),),
        idle=(
            (
                "tinyxml.cpp",
                '\tif ( TIXML_SSCANF( value.c_str(), "%d", ival ) == 1 )',
                '\tif ( ival && TIXML_SSCANF( value.c_str(), "%d", ival ) == 1 )',
            ),
        ),
        hiding=(
            (
                "tinyxmlparser.cpp",
                _TINYXML_PLACE,
                _TINYXML_FIX.replace("if ( !p || !*p )", "if ( version.empty() && ( !p || !*p ) )"),
            ),
        ),
        broad=(
            (
                "tinyxmlparser.cpp",
                _TINYXML_PLACE,
                "\t\tif ( document ) document->SetError( TIXML_ERROR_PARSING_DECLARATION, p, data, _encoding );\n"
                "\t\treturn 0;\n" + _TINYXML_PLACE,
            ),
        ),
        breaking=(
            (
                "tinyxml.cpp",
                '\tif ( TIXML_SSCANF( value.c_str(), "%d", ival ) == 1 )',
                '\tif ( TIXML_SSCANF( value.c_str(), "%x", ival ) == 1 && *ival < 2 )',
            ),
        ),
        changing=(
            ("tinyxmlparser.cpp", "\t\t\tstandalone = attrib.Value();", '\t\t\tstandalone = "no";'),
        ),
        second=b'<?xml version="1.0" \0?>',
    ),
    Flaw(
        cve="CVE-2023-43641",
        debian="CVE-2023-43641.patch",
        fix=(("cd.c", _LIBCUE_TEST, "\tif (i < 0 || i > MAXINDEX) {\n"),),
        idle=(
            (
                "cd.c",
                "\tif ((0 < i) && (i <= cd->ntrack) && (cd != NULL))",
                "\tif ((cd != NULL) && (0 < i) && (i <= cd->ntrack))",
            ),
        ),
        hiding=(("cd.c", _LIBCUE_TEST, "\tif (i < -4096 || i > MAXINDEX) {\n"),),
        broad=(("cd.c", _LIBCUE_TEST, "\tif (1) {\n"),),
        breaking=(("cd.c", "return track->file.length;", "return track->file.length + 1;"),),
        changing=(("cd.c", "\ttrack->index[i] = ind;", "\ttrack->index[i] = ind + 75;"),),
        second=b"FILE a.mp3 MP3\nTRACK 000 AUDIO\nINDEX 4294967040 0\n",
    ),
)
