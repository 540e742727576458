"""The door for pixels: what comes in right, and what is refused with which sentence."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import sys
import zlib
from collections import Counter

import cv2
import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest

from lfss import decode
from lfss.errors import ImageError, SupportError
from lfss.images import halve, list_images, read_image, read_mask, read_scribbles, resize_to

RED, GREEN, BLACK, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 0), (255, 255, 255)


def photo(height: int = 24, width: int = 32, seed: int = 0) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def encoded(picture: np.ndarray | PIL.Image.Image, form: str, **options) -> bytes:
    out = io.BytesIO()
    (picture if isinstance(picture, PIL.Image.Image) else PIL.Image.fromarray(picture)).save(
        out, form, **options
    )
    return out.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that ends where its first pixels should begin."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    checked = struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    return b"\x89PNG\r\n\x1a\n" + checked + struct.pack(">I", 9000) + b"IDAT"


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_formats_give_exact_pixels(form):
    options = {"lossless": True} if form == "WEBP" else {}
    image = read_image(encoded(photo(), form, **options), name="x")
    np.testing.assert_array_equal(image.pixels, photo())
    assert image.pixels.dtype == np.uint8
    assert image.size == (24, 32)


def test_jpeg_is_close_and_path_array_bytes_and_pil_agree(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded(photo(), "JPEG", quality=95))
    image = read_image(path)
    assert np.abs(image.pixels.astype(int) - photo()).mean() < 4
    assert (image.name, image.path) == ("photo.jpg", path)
    with PIL.Image.open(path) as opened:
        others = [read_image(path.read_bytes()), read_image(image.pixels), read_image(opened)]
    assert {other.digest for other in others} == {image.digest}
    assert [other.name for other in others] == ["picture", "picture", "photo.jpg"]


def test_pixels_are_read_only_and_apart_from_the_array_given():
    array = photo()
    image = read_image(array)
    with pytest.raises(ValueError, match="read-only"):
        image.pixels[0, 0] = 0
    before = image.pixels.copy()
    array[:] = 0
    np.testing.assert_array_equal(image.pixels, before)


def test_digest_is_sha256_of_shape_and_pixels_and_sees_the_shape():
    pixels = photo()
    expected = hashlib.sha256(b"(24, 32, 3)" + pixels.tobytes()).hexdigest()
    assert read_image(pixels).digest == expected
    assert read_image(encoded(pixels, "PNG")).digest == expected
    assert read_image(pixels.reshape(32, 24, 3)).digest != expected


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation):
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    data = encoded(photo(), "PNG", exif=exif)
    expected = np.asarray(PIL.ImageOps.exif_transpose(PIL.Image.open(io.BytesIO(data))))
    image = read_image(data)
    np.testing.assert_array_equal(image.pixels, expected)
    assert image.pixels.flags.c_contiguous


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_array_is_turned_as_pillow_turns_its_picture(orientation, shape):
    array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    picture = PIL.Image.fromarray(array)
    picture.getexif()[0x0112] = orientation
    upright = np.asarray(PIL.ImageOps.exif_transpose(picture))
    assert np.array_equal(decode.turned(array, orientation), upright)


def test_tiff_orientation_is_applied_once():
    image = read_image(encoded(photo(), "TIFF", tiffinfo={274: 6}))
    np.testing.assert_array_equal(image.pixels, np.rot90(photo(), -1))


def test_damaged_exif_does_not_stop_a_good_picture():
    data = encoded(photo(), "JPEG", exif=b"Exif\x00\x00" + b"\xff" * 20)
    assert read_image(data).size == (24, 32)


DEPTHS = [(255, 255), (1000, 1023), (4095, 4095), (9000, 16383), (60000, 65535)]


@pytest.mark.parametrize(("top", "scale"), DEPTHS)
def test_sixteen_bits_are_scaled_by_the_bit_depth_in_use(top, scale):
    values = np.linspace(0, top, 24 * 32).reshape(24, 32).astype(np.uint16)
    expected = np.rint(values * (255 / scale)).astype(np.uint8)
    for source in (values, encoded(values, "PNG"), encoded(values, "TIFF")):
        np.testing.assert_array_equal(read_image(source).pixels[..., 1], expected)


def test_sixteen_bit_colour_keeps_twelve_bit_pictures_bright():
    colour = photo().astype(np.uint16) * 16
    for form in (".png", ".tiff"):
        data = cv2.imencode(form, colour[..., ::-1])[1].tobytes()
        assert np.abs(read_image(data).pixels.astype(int) - photo()).max() <= 1
    with pytest.raises(ImageError, match="cut short"):
        read_image(cv2.imencode(".png", colour)[1].tobytes()[:-60])


def test_floats_booleans_and_other_integers_are_scaled():
    ramp = np.linspace(0, 1, 24 * 32, dtype=np.float32).reshape(24, 32)
    assert read_image(ramp).pixels.max() == 255
    np.testing.assert_array_equal(read_image(ramp).pixels, read_image(ramp * 500 - 100).pixels)
    np.testing.assert_array_equal(np.unique(read_image(ramp > 0.5).pixels), [0, 255])
    np.testing.assert_array_equal(read_image(photo().astype(np.int64)).pixels, photo())
    ramp[0, 0] = np.nan
    assert read_image(ramp).pixels[0, 0].tolist() == [0, 0, 0]
    assert read_image(np.full((9, 9), -3.0)).pixels.max() == 0


def test_transparency_is_laid_over_white():
    rgba = np.dstack([photo(), np.full((24, 32), 255, np.uint8)])
    rgba[:8, :, 3] = 0
    rgba[8:16, :, 3] = 128
    pixels = read_image(encoded(rgba, "PNG")).pixels
    assert (pixels[:8] == 255).all()
    np.testing.assert_array_equal(pixels[16:], photo()[16:])
    expected = photo()[8:16] * (128 / 255) + 255 * (127 / 255)
    assert np.abs(pixels[8:16] - expected).max() <= 1


def test_an_alpha_channel_of_zeros_is_ignored():
    rgba = np.dstack([photo(), np.zeros((24, 32), np.uint8)])
    np.testing.assert_array_equal(read_image(rgba).pixels, photo())


def test_grey_palette_and_cmyk_become_rgb():
    grey = photo()[..., 0]
    np.testing.assert_array_equal(read_image(encoded(grey, "PNG")).pixels, np.dstack([grey] * 3))
    np.testing.assert_array_equal(read_image(grey[..., None]).pixels, np.dstack([grey] * 3))
    flat = np.zeros((24, 32, 3), np.uint8)
    flat[:, 16:] = 200, 40, 90
    palette = PIL.Image.fromarray(flat).quantize(4)
    np.testing.assert_array_equal(read_image(encoded(palette, "PNG")).pixels, flat)
    cmyk = PIL.Image.fromarray(flat).convert("CMYK")
    assert np.abs(read_image(encoded(cmyk, "JPEG", quality=98)).pixels.astype(int) - flat).mean() < 6


def test_transparent_palette_is_white_too():
    palette = PIL.Image.new("P", (16, 16), 1)
    palette.putpalette([9, 9, 9, 200, 0, 0])
    palette.paste(0, (0, 0, 8, 16))
    pixels = read_image(encoded(palette, "PNG", transparency=0)).pixels
    assert pixels[0, 0].tolist() == [255] * 3
    assert pixels[0, 12].tolist() == [200, 0, 0]


def test_animated_gif_gives_its_first_frame():
    frames = [PIL.Image.new("RGB", (16, 16), c) for c in (RED, GREEN)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert read_image(data).pixels[3, 3].tolist() == list(RED)


def test_names_outside_ascii_are_read(tmp_path):
    path = tmp_path / "写真 – Übung 🐕.png"
    path.write_bytes(encoded(photo(), "PNG"))
    assert read_image(path).name == path.name
    assert read_image(str(path)).size == (24, 32)


def test_heic_is_read_or_explained(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match=r"'a\.heic'.*pip install pillow-heif"):
        read_image(b"\0\0\0\x18ftypheic" + bytes(40), name="a.heic")
    monkeypatch.undo()
    heif = pytest.importorskip("pillow_heif", reason="pillow-heif is optional")
    out = io.BytesIO()
    heif.from_pillow(PIL.Image.fromarray(photo(64, 64))).save(out, quality=95)
    assert read_image(out.getvalue()).size == (64, 64)


def bad_files() -> dict[str, tuple[bytes, str]]:
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    jpeg, png = encoded(noise, "JPEG"), encoded(noise, "PNG")
    return {
        "cut.jpg": (jpeg[: len(jpeg) // 2], "cut short or damaged"),
        "cut.png": (png[: len(png) // 2], "cut short or damaged"),
        "text.jpg": (b"this is not a picture, but a text\n" * 50, "not a picture that can be read"),
        "empty.jpg": (b"", "is empty"),
        "page.jpg": (b"<!doctype html><html></html>", "not a picture that can be read"),
        "drawing.png": (b'<?xml version="1.0"?><svg xmlns="x"/>', "SVG"),
        "dot.png": (encoded(np.zeros((1, 1, 3), np.uint8), "PNG"), "1 x 1 pixels, too small"),
        "huge.png": (png_header(30_000, 30_000), "900 megapixels"),
        "script.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
    }


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", bad_files())
def test_bad_file_gets_one_sentence_that_names_it(name, tmp_path):
    data, words = bad_files()[name]
    path = tmp_path / name
    path.write_bytes(data)
    for source in (path, data):
        with pytest.raises(ImageError, match=words) as caught:
            read_image(source, name=name)
        assert f"'{name}'" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert str(tmp_path) not in str(caught.value)


def test_missing_file_folder_pipe_and_wrong_type_are_refused(tmp_path):
    with pytest.raises(ImageError, match="no file"):
        read_image(tmp_path / "none.jpg")
    with pytest.raises(ImageError, match="is a folder"):
        read_image(tmp_path)
    with pytest.raises(ImageError, match="not the name of a file"):
        read_image("a\0b.jpg")
    with pytest.raises(ImageError, match="not int"):
        read_image(7)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.jpg")
        with pytest.raises(ImageError, match="not an ordinary file"):
            read_image(tmp_path / "pipe.jpg")


def test_file_without_permission_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(photo(), "PNG"))

    def deny(*_args, **_options):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", deny)
    with pytest.raises(ImageError, match=r"a\.png.*Permission denied.*permissions"):
        read_image(path)


@pytest.mark.parametrize("shape", [(5,), (20, 20, 2), (1, 20, 20, 3)])
def test_arrays_of_other_shapes_are_refused(shape):
    with pytest.raises(ImageError, match="array"):
        read_image(np.zeros(shape, np.uint8))
    with pytest.raises(ImageError, match="array"):
        read_image(np.full((20, 20), "x"))


@pytest.mark.filterwarnings("error")
def test_the_cap_is_ours_and_pillows_own_limit_is_put_back():
    limit = PIL.Image.MAX_IMAGE_PIXELS
    with pytest.raises(ImageError, match="at most 200 are read"):
        read_image(png_header(14_000, 15_000))
    with decode.opened(png_header(14_000, 14_214), "x", 200) as picture:
        assert picture.size == (14_000, 14_214)
    with pytest.raises(ImageError, match="at most 1 are read"):
        read_image(np.zeros((1100, 1000, 3), np.uint8), max_megapixels=1)
    assert limit == PIL.Image.MAX_IMAGE_PIXELS


def test_resizing_averages_like_a_plain_loop():
    pixels = photo(40, 60)
    got = resize_to(read_image(pixels), 20)
    expected = np.zeros((3, 20, 20))
    for c in range(3):
        for row in range(20):
            for column in range(20):
                block = pixels[2 * row : 2 * row + 2, 3 * column : 3 * column + 3, c]
                expected[c, row, column] = block.mean() / 255
    assert got.dtype == np.float32
    assert got.flags.c_contiguous
    np.testing.assert_allclose(got, expected, atol=0.6 / 255)


def test_resizing_shrinks_one_axis_without_flicker_while_the_other_grows():
    stripes = np.zeros((10, 400, 3), np.uint8)
    stripes[:, ::2] = 255
    got = resize_to(stripes, 50)
    assert got.shape == (3, 50, 50)
    np.testing.assert_allclose(got, 0.5, atol=0.01)


def test_listing_is_in_counting_order_and_leaves_out_what_is_no_picture(tmp_path):
    outside = tmp_path / "outside.png"
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    names = ["img10.jpg", "img2.JPG", "IMG1.png", "notes.txt", ".secret.png", "sub/a.webp", ".hidden/b.png"]
    for file in (outside, *(folder / n for n in names)):
        file.write_bytes(b"x")
    (folder / "link.txt").symlink_to(outside)
    (folder / "inner.png").symlink_to(folder / "sub" / "a.webp")
    got = [str(p.relative_to(folder)) for p in list_images(folder)]
    assert got == ["IMG1.png", "img2.JPG", "img10.jpg", "inner.png"]
    assert [p.name for p in list_images(folder, recursive=False)] == got


def test_links_out_of_the_folder_are_followed_as_caches_of_data_sets_have_them(tmp_path):
    store, folder = tmp_path / "blobs" / "1f0c", tmp_path / "snapshot"
    for made in (store.parent, folder):
        made.mkdir()
    store.write_bytes(b"x")
    (folder / "a.png").symlink_to(store)
    (folder / "annexed.png").symlink_to("../.git/annex/not-fetched.png")
    (folder / "circle.png").symlink_to(folder / "circle.png")
    assert [p.name for p in list_images(folder)] == ["a.png", "annexed.png", "circle.png"]
    with pytest.raises(ImageError, match="There is no file"):
        read_image(folder / "annexed.png")
    with pytest.raises(ImageError, match="a link that leads to itself"):
        read_image(folder / "circle.png")


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root may give files away")
def test_links_to_files_of_another_owner_are_left_out_and_counted(tmp_path, caplog):
    secret, folder = tmp_path / "secret.png", tmp_path / "in"
    folder.mkdir()
    secret.write_bytes(b"x")
    os.chown(secret, 12345, 12345)
    (folder / "a.png").symlink_to(secret)
    assert list_images(folder) == []
    assert "1 link in" in caplog.text


def test_links_to_folders_outside_are_not_followed_and_told(tmp_path, caplog):
    for folder in ("in/sub", "away"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.png").write_bytes(b"x")
    (tmp_path / "in/inner").symlink_to(tmp_path / "in/sub")
    (tmp_path / "in/outer").symlink_to(tmp_path / "away")
    assert [p.parent.name for p in list_images(tmp_path / "in")] == ["sub"]
    assert "1 link to a folder leads" in caplog.text
    assert "Name the other folder as well" in caplog.text


def test_what_is_no_picture_is_counted_by_its_ending(tmp_path):
    for name in ("a.png", "b.MOV", "c.mov", "d.txt", ".hidden.txt", "e"):
        (tmp_path / name).write_bytes(b"x")
    others: Counter[str] = Counter()
    assert [p.name for p in list_images(tmp_path, passed_over=others)] == ["a.png"]
    assert others == {".mov": 2, ".txt": 1, "": 1}


@pytest.mark.parametrize(("form", "name"), [("AVIF", "a.avif"), ("JPEG2000", "a.jp2"), ("PPM", "a.ppm")])
def test_further_formats_that_pillow_reads_are_read_and_listed(form, name, tmp_path):
    if form not in PIL.Image.SAVE and PIL.Image.init() and form not in PIL.Image.SAVE:
        pytest.skip(f"this Pillow writes no {form}")
    (tmp_path / name).write_bytes(encoded(photo(), form))
    (tmp_path / "b.jfif").write_bytes(encoded(photo(), "JPEG"))
    assert [p.name for p in list_images(tmp_path)] == [name, "b.jfif"]
    assert np.abs(read_image(tmp_path / name).pixels.astype(int) - photo()).mean() < 12


def test_listing_keeps_sub_folders_named_files_and_their_order(tmp_path):
    (tmp_path / "b").mkdir()
    for name in ("b/2.png", "b/1.png", "z.dat"):
        (tmp_path / name).write_bytes(b"x")
    got = list_images([tmp_path / "z.dat", tmp_path, tmp_path / "b" / "1.png"])
    assert [str(p.relative_to(tmp_path)) for p in got] == ["z.dat", "b/1.png", "b/2.png"]
    assert list_images(tmp_path, recursive=False) == []


def test_listing_refuses_what_is_missing_or_locked(tmp_path, monkeypatch):
    with pytest.raises(ImageError, match="no file or folder"):
        list_images(tmp_path / "none")

    def deny(_path):
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr(os, "scandir", deny)
    with pytest.raises(ImageError, match=r"cannot be read.*Permission denied"):
        list_images(tmp_path)


def disc() -> np.ndarray:
    rows, columns = np.ogrid[:24, :32]
    return (rows - 11) ** 2 + (columns - 15) ** 2 < 60


def drawn_masks() -> dict[str, np.ndarray | PIL.Image.Image]:
    mask, full = disc(), np.full((24, 32), 255, np.uint8)
    palette = PIL.Image.fromarray(mask.astype(np.uint8) * 3, "L").convert("P")
    palette.putpalette([0, 0, 0] * 256)
    colour = np.zeros((24, 32, 3), np.uint8)
    colour[mask] = 0, 0, 7
    return {
        "0 and 255": mask * np.uint8(255),
        "0 and 1": mask.astype(np.uint8),
        "one bit": PIL.Image.fromarray(mask),
        "16 bit": mask.astype(np.uint16) * 300,
        "palette of blacks": palette,
        "colour": colour,
        "colour, opaque": np.dstack([colour, full]),
        "black cut-out": np.dstack([colour * 0, mask * np.uint8(255)]),
    }


@pytest.mark.parametrize("kind", drawn_masks())
def test_masks_of_every_kind_read_the_same(kind, tmp_path):
    path = tmp_path / "m.png"
    path.write_bytes(encoded(drawn_masks()[kind], "PNG"))
    got = read_mask(path, (24, 32))
    assert got.dtype == np.bool_
    np.testing.assert_array_equal(got, disc())


def test_jpeg_masks_ignore_the_noise_of_compression(tmp_path):
    path = tmp_path / "m.jpg"
    for form in (disc() * np.uint8(255), np.dstack([disc() * np.uint8(255)] * 3)):
        path.write_bytes(encoded(form, "JPEG", quality=60))
        assert (read_mask(path, (24, 32)) != disc()).sum() <= 8


def test_masks_that_do_not_fit_or_mark_nothing_are_refused(tmp_path):
    path = tmp_path / "m.png"
    path.write_bytes(encoded(disc(), "PNG"))
    with pytest.raises(SupportError, match=r"'m.png' is 24 x 32, its picture is 32 x 24 \(rows x columns\)"):
        read_mask(path, (32, 24))
    path.write_bytes(encoded(disc() & False, "PNG"))
    with pytest.raises(SupportError, match="marks no pixel"):
        read_mask(path, (24, 32))
    with pytest.raises(ImageError, match="no file"):
        read_mask(tmp_path / "none.png", (24, 32))


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_a_photo_given_as_a_mask_is_refused_and_an_object_cut_out_of_it_is_not(form, tmp_path):
    path, photo = tmp_path / "m.img", np.random.default_rng(0).integers(20, 250, (96, 128, 3), np.uint8)
    path.write_bytes(encoded(photo, form))
    with pytest.raises(SupportError, match="is a photo, not a mask"):
        read_mask(path, (96, 128))
    photo[:, :16] = 0
    path.write_bytes(encoded(photo, form))
    assert 0.5 < read_mask(path, (96, 128)).mean() < 0.9


def test_scribbles_are_green_or_white_and_red(tmp_path):
    strokes = np.zeros((24, 32, 4), np.uint8)
    strokes[2, 3:9] = (*GREEN, 255)
    strokes[4, 3:9] = (*WHITE, 255)
    strokes[20, 3:9] = (*RED, 255)
    strokes[22, 3:9] = (*RED, 0)
    path = tmp_path / "s.png"
    path.write_bytes(encoded(strokes, "PNG"))
    inside, outside = read_scribbles(path, (24, 32))
    assert np.flatnonzero(inside.any(axis=1)).tolist() == [2, 4]
    assert outside is not None
    assert np.flatnonzero(outside.any(axis=1)).tolist() == [20]
    strokes[20] = 0
    path.write_bytes(encoded(strokes, "PNG"))
    assert read_scribbles(path, (24, 32))[1] is None
    path.write_bytes(encoded(strokes * 0, "PNG"))
    with pytest.raises(SupportError, match="no stroke"):
        read_scribbles(path, (24, 32))
    with pytest.raises(SupportError, match="its picture is"):
        read_scribbles(path, (24, 33))


def test_a_picture_far_too_large_is_halved_by_the_means_of_four_pixels():
    given = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    made = halve(given, 16)
    means = given.reshape(32, 2, 48, 2, 3).mean((1, 3))
    assert made.shape == means.shape
    assert np.abs(made - means).max() <= 1
    np.testing.assert_array_equal(halve(given[:, :95], 16), given[:, :95])  # an odd side ends it


def test_the_smallest_side_is_a_documented_number():
    side = decode.MIN_SIDE
    assert read_image(np.zeros((side, side), np.uint8)).size == (side, side)
    with pytest.raises(ImageError, match=f"at least {side} x {side}"):
        read_image(np.zeros((side - 1, 500), np.uint8))


def tiff(samples: np.ndarray, *, photometric: int, planar: int = 1, kind: int = 1) -> bytes:
    """A TIFF file of one strip, or of one for each colour; samples (H, W, C) of 8 or 16 bits, or floats."""
    height, width, count = samples.shape
    bits = samples.dtype.itemsize * 8
    stored = samples if planar == 1 else np.moveaxis(samples, 2, 0)
    data = np.ascontiguousarray(stored).tobytes()
    strips = 1 if planar == 1 else count
    sizes = [len(data) // strips] * strips
    values = {
        256: [width], 257: [height], 258: [bits] * count, 259: [1], 262: [photometric],
        273: [8 + sum(sizes[:i]) for i in range(strips)], 277: [count], 278: [height], 279: sizes,
        284: [planar], 339: [kind] * count,
    }  # fmt: skip
    place, entries, beyond = 8 + len(data), b"", b""
    after = place + 2 + 12 * len(values) + 4
    for tag, numbers in values.items():
        packed = struct.pack(f"<{len(numbers)}I", *numbers)
        if len(packed) > 4:
            entry, beyond = struct.pack("<I", after + len(beyond)), beyond + packed
        else:
            entry = packed
        entries += struct.pack("<HHI", tag, 4, len(numbers)) + entry
    head = b"II*\0" + struct.pack("<I", place)
    return head + data + struct.pack("<H", len(values)) + entries + bytes(4) + beyond


def test_white_is_zero_is_turned_at_every_depth():
    levels = np.linspace(0, 65535, 160).astype(np.uint16).reshape(10, 16, 1)
    for samples, top in ((levels, 65535), ((levels >> 8).astype(np.uint8), 255)):
        read = read_image(tiff(samples, photometric=0)).pixels
        expected = 255 - np.rint(samples[..., 0] * (255 / top))
        assert np.abs(read[..., 0] - expected).max() <= 1
        plain = read_image(tiff(samples, photometric=1)).pixels
        assert np.abs(plain[..., 0] - (255 - expected)).max() <= 1


def test_colours_one_after_the_other_are_read_with_eight_bits_and_told_with_sixteen():
    samples = np.random.default_rng(0).integers(0, 255, (10, 16, 3), np.uint8)
    np.testing.assert_array_equal(read_image(tiff(samples, photometric=2, planar=2)).pixels, samples)
    together = read_image(tiff(samples.astype(np.uint16) * 257, photometric=2)).pixels
    np.testing.assert_array_equal(together, samples)
    with pytest.raises(ImageError, match="one after the other"):
        read_image(tiff(samples.astype(np.uint16) * 257, photometric=2, planar=2))


@pytest.mark.parametrize(
    "samples",
    [np.zeros((10, 16, 5), np.uint8), np.zeros((10, 16, 3), np.float32)],
    ids=["five bands", "float"],
)
def test_kinds_of_tiff_that_are_not_read_are_told(samples):
    kind = 3 if samples.dtype == np.float32 else 1
    with pytest.raises(ImageError, match="a TIFF of a kind that is not read"):
        read_image(tiff(samples, photometric=1 if samples.shape[2] == 5 else 2, kind=kind))
