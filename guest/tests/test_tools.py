# SPDX-License-Identifier: Apache-2.0
"""The picture tools: same arguments same picture, exact sizes, PNGs that decode. TAP on stdout."""
import pathlib
import struct
import subprocess
import sys
import tempfile
import zlib

TOOLS = pathlib.Path(__file__).resolve().parents[2] / "tools"
sys.path.insert(0, str(TOOLS))
import canvas  # noqa: E402 (its place is known only now)
import story  # noqa: E402


def tool(name, *args):
    return subprocess.run(
        [sys.executable, TOOLS / name, *map(str, args)], capture_output=True, text=True, check=False
    )


def picture(folder, *args):
    path = folder / "picture.pgm"
    done = tool("make_picture.py", path, *args)
    assert done.returncode == 0, done.stderr
    return path.read_bytes()


def decode(data):
    """Width, height, colour type and unfiltered rows of a PNG whose rows all use filter 0."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, {}
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + size]
        assert struct.unpack_from(">I", data, at + 8 + size)[0] == zlib.crc32(kind + body)
        chunks[kind] = body
        at += 12 + size
    width, height, _, colour = struct.unpack_from(">IIBB", chunks[b"IHDR"])
    rows = zlib.decompress(chunks[b"IDAT"])
    assert len(rows) == height * (width + 1) and not any(rows[:: width + 1])
    return (
        width,
        height,
        colour,
        b"".join(rows[y * (width + 1) + 1 : (y + 1) * (width + 1)] for y in range(height)),
    )


def same_arguments_give_the_same_picture(folder):
    one = picture(folder, "--width", 320, "--height", 256, "--seed", 7)
    assert one == picture(folder, "--width", 320, "--height", 256, "--seed", 7)
    assert one != picture(folder, "--width", 320, "--height", 256, "--seed", 8)


def pictures_have_the_size_they_tell(folder):
    data = picture(folder, "--width", 320, "--height", 256)
    assert (
        data.startswith(b"P5\n320 256\n255\n")
        and len(data) == len(b"P5\n320 256\n255\n") + 320 * 256
    )
    assert max(data[-320 * 256 :]) == 255 and len(set(data[-320 * 256 :])) > 100


def deep_pictures_are_the_same_scaled(folder):
    flat = picture(folder, "--width", 320, "--height", 256)[-320 * 256 :]
    deep = picture(folder, "--width", 320, "--height", 256, "--depth", 16)[-320 * 256 * 2 :]
    assert deep[::2] == flat and deep[1::2] == flat


def png_decodes_to_the_picture(folder):
    for depth in (8, 16):
        samples = picture(folder, "--width", 320, "--height", 256, "--depth", depth)[
            -320 * 256 * depth // 8 :
        ]
        assert tool("pgm2png.py", folder / "picture.pgm", folder / "out.png").returncode == 0
        assert decode((folder / "out.png").read_bytes()) == (320, 256, 0, samples[:: depth // 8])


def heat_palette_keeps_the_indices(folder):
    samples = picture(folder, "--width", 320, "--height", 256)[-320 * 256 :]
    assert (
        tool(
            "pgm2png.py", folder / "picture.pgm", folder / "out.png", "--palette", "heat"
        ).returncode
        == 0
    )
    assert decode((folder / "out.png").read_bytes()) == (320, 256, 3, samples)


def damaged_files_are_refused_in_one_line(folder):
    for data in (
        b"",
        b"P5",
        b"P6 1 1 255 abc",
        b"P5 2 2 255 abc",
        b"P5 0 1 255 ",
        b"P5 #",
        b"P5 x 1 255 a",
    ):
        (folder / "bad.pgm").write_bytes(data)
        done = tool("pgm2png.py", folder / "bad.pgm", folder / "bad.png")
        assert (
            done.returncode == 1 and done.stderr.count("\n") == 1 and "pgm2png" in done.stderr
        ), done.stderr
        assert not (folder / "bad.png").exists()


def halving_takes_the_mean_of_four(_folder):
    assert canvas.halved(4, 2, bytes((10, 20, 255, 255, 30, 40, 255, 0)))[2] == bytes((25, 191))
    assert canvas.fitted(8, 8, bytes(64), 3) == (2, 2, bytes(4))


def an_animation_shows_its_frames_in_sequence(folder):
    frames = []
    for colour in (1, 2, 3):
        frames.append((canvas.Canvas(20, 10, colour), 100 * colour))
        frames[-1][0].text(2, 1, "ab", canvas.INK, 1)
    (folder / "a.png").write_bytes(canvas.animation(frames))
    at, sequence, shown, data = 8, [], [], (folder / "a.png").read_bytes()
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + size]
        assert struct.unpack_from(">I", data, at + 8 + size)[0] == zlib.crc32(kind + body)
        if kind == b"acTL":
            assert struct.unpack(">II", body) == (3, 0)
        if kind in (b"fcTL", b"fdAT"):
            sequence.append(struct.unpack_from(">I", body)[0])
        if kind == b"fcTL":
            assert struct.unpack_from(">IIIII", body)[1:] == (20, 10, 0, 0)
        if kind in (b"IDAT", b"fdAT"):
            shown.append(zlib.decompress(body[4:] if kind == b"fdAT" else body))
        at += 12 + size
    assert sequence == list(range(5)), sequence
    assert shown == [b"".join(b"\0" + bytes(c.pixels[20 * y : 20 * y + 20]) for y in range(10)) for c, _ in frames]


def every_differing_sample_is_counted(_folder):
    one = b"P5 3 2 65535 " + bytes(12)
    assert story.differing(one, one)[0] == 0
    assert story.differing(one, one[:-1] + b"x") == (1, 3, 2, bytes((0, 0, 0, 0, 0, 255)))


def small_pictures_are_refused(folder):
    assert tool("make_picture.py", folder / "x.pgm", "--width", 255).returncode == 1


def main():
    tests = [
        same_arguments_give_the_same_picture,
        pictures_have_the_size_they_tell,
        deep_pictures_are_the_same_scaled,
        png_decodes_to_the_picture,
        heat_palette_keeps_the_indices,
        damaged_files_are_refused_in_one_line,
        halving_takes_the_mean_of_four,
        an_animation_shows_its_frames_in_sequence,
        every_differing_sample_is_counted,
        small_pictures_are_refused,
    ]
    failed = 0
    print(f"1..{len(tests)}")
    for number, test in enumerate(tests, 1):
        with tempfile.TemporaryDirectory() as folder:
            try:
                test(pathlib.Path(folder))
                print(f"ok {number} - {test.__name__}")
            except AssertionError as error:
                failed += 1
                print(f"not ok {number} - {test.__name__}\n# {error or 'assertion failed'}")
    sys.exit(failed != 0)


if __name__ == "__main__":
    main()
