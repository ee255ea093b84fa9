# SPDX-License-Identifier: Apache-2.0
"""Bars with their spread, as an SVG file without a script or a font of its own."""

import html

WIDTH, LABEL, ROW, BAR, TOP, RIGHT = 860, 330, 26, 14, 44, 90
COLOURS = {"cmkd": "#1f6f8b", "": "#9aa5b1"}


def bars(title, unit, rows):
    """rows: (label, low, median, high), in the order in which they are drawn; those that begin with "cmk" in cmkd's colour."""
    longest = max(high for _, _, _, high in rows) or 1
    scale = (WIDTH - LABEL - RIGHT) / longest
    height = TOP + ROW * len(rows) + 14
    out = ['<!-- SPDX-License-Identifier: Apache-2.0 -->',
           f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13">',
           f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
           f'<text x="12" y="24" font-size="15" fill="#1b1f23">{html.escape(title)}</text>']
    for n, (label, low, median, high) in enumerate(rows):
        y = TOP + n * ROW
        colour = COLOURS["cmkd" if label.startswith("cmk") else ""]
        middle = y + BAR / 2
        out.append(f'<text x="{LABEL - 8}" y="{y + 11}" text-anchor="end" fill="#1b1f23">{html.escape(label)}</text>')
        out.append(f'<rect x="{LABEL}" y="{y}" width="{median * scale:.1f}" height="{BAR}" fill="{colour}"/>')
        out.append(f'<path d="M{LABEL + low * scale:.1f} {middle}H{LABEL + high * scale:.1f}" stroke="#1b1f23"/>')
        out.append(f'<text x="{LABEL + high * scale + 6:.1f}" y="{y + 11}" fill="#1b1f23">{median:.2f} {html.escape(unit)}</text>')
    return "\n".join([*out, "</svg>", ""])
