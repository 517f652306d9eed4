"""Proofs of one made-up flaw, written by several people, and one of another flaw."""

PACKAGE = "pkg:pypi/quuxlib@1.0"
FRAMES = ("copy_glyph_table", "render_outline", "load_face")

PROOF = b"""import quuxlib
# the third table is longer than its header says
face = quuxlib.open_face(b'glyf\\x00\\x01\\x00\\x00maxp')
table = face.subtable('kerning-pairs', stride=48213, overlap=True)
for zone in ('ascender', 'baseline', 'descender'):
    table.attach(zone, hinting='autofit-legacy', epsilon=0.00071)
outline = table.rasterise(antialias='subpixel', gamma=2.2, palette=[17, 99, 1203])
outline.composite_onto(quuxlib.Canvas(800, 600, colourspace='adobe-rgb'))
"""

REFORMATTED = (
    PROOF.replace(b"    ", b"\t")
    .replace(b", ", b",")
    .replace(b"# the third table is longer than its header says\n", b"\n\n")
)
OTHER_AMOUNTS = PROOF.replace(b"48213", b"59000").replace(b"1203", b"4411")
MORE_AROUND = (
    b"import quuxlib\nimport sys\nprint('starting up', sys.version)\n"
    + PROOF.partition(b"\n")[2]
    + b"print('unreachable tail of the script')\n"
)
ANOTHER_FLAW = b"""import quuxlib
archive = quuxlib.unpack_archive('wavelet-coded', endian='little', checksum=False)
archive.seek_record(77123).decode_stream(predictor='paeth-cascade', threads=3)
archive.merge_metadata({'exif-orientation': 9, 'thumbnail': None, 'maker-note': b'zz'})
"""
WEAK = b"import quuxlib\nquuxlib.open(b'A' * 70000)\n"
