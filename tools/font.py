# SPDX-License-Identifier: Apache-2.0
"""A font of 5 x 7 dots for captions: printable ASCII, and how a line of text becomes rows of dots."""

# A character each: five columns from the left, bit 0 at the top.
COLUMNS = bytes.fromhex(
    "0000000000" "00005f0000" "0007000700" "147f147f14" "242a7f2a12" "2313086462" "3649562050" "0005030000"  # space to '
    "001c224100" "0041221c00" "14083e0814" "08083e0808" "0050300000" "0808080808" "0060600000" "2010080402"  # ( to /
    "3e5149453e" "00427f4000" "4261514946" "2141454b31" "1814127f10" "2745454539" "3c4a494930" "0171090503"  # 0 to 7
    "3649494936" "064949291e" "0036360000" "0056360000" "0814224100" "1414141414" "0041221408" "0201510906"  # 8 to ?
    "324979413e" "7e1111117e" "7f49494936" "3e41414122" "7f4141221c" "7f49494941" "7f09090901" "3e4149497a"  # @ to G
    "7f0808087f" "00417f4100" "2040413f01" "7f08142241" "7f40404040" "7f020c027f" "7f0408107f" "3e4141413e"  # H to O
    "7f09090906" "3e4151215e" "7f09192946" "4649494931" "01017f0101" "3f4040403f" "1f2040201f" "3f4038403f"  # P to W
    "6314081463" "0708700807" "6151494543" "007f414100" "0204081020" "0041417f00" "0402010204" "4040404040"  # X to _
    "0001020400" "2054545478" "7f48444438" "3844444420" "384444487f" "3854545418" "087e090102" "18a4a4a47c"  # ` to g
    "7f08040478" "00447d4000" "4080847d00" "7f10284400" "00417f4000" "7c04180478" "7c08040478" "3844444438"  # h to o
    "fc24242418" "18242424fc" "7c08040408" "4854545420" "043f444020" "3c4040207c" "1c2040201c" "3c4030403c"  # p to w
    "4428102844" "1ca0a0a07c" "4464544c44" "0008364100" "00007f0000" "0041360800" "0804081008"  # x to ~
)
WIDTH, HEIGHT = 6, 8  # with the gap to the next one


def dots(text):
    """HEIGHT rows of 0 and 1, WIDTH columns a character; what is not ASCII shows as a question mark."""
    columns = []
    for character in text:
        at = ord(character) - 32 if 32 <= ord(character) < 127 else ord("?") - 32
        columns += [*COLUMNS[5 * at : 5 * at + 5], 0]
    return [bytes(column >> row & 1 for column in columns) for row in range(HEIGHT)]


def doubled(rows):
    """Twice the size with its corners rounded: a dot's quarter takes the colour of two neighbours that agree."""
    def at(x, y):
        return rows[y][x] if 0 <= y < len(rows) and 0 <= x < len(rows[0]) else 0

    out = []
    for y, row in enumerate(rows):
        upper, lower = bytearray(), bytearray()
        for x, dot in enumerate(row):
            up, down, left, right = at(x, y - 1), at(x, y + 1), at(x - 1, y), at(x + 1, y)
            different = up != down and left != right
            upper += bytes((up if different and up == left else dot, up if different and up == right else dot))
            lower += bytes((down if different and down == left else dot, down if different and down == right else dot))
        out += [bytes(upper), bytes(lower)]
    return out
