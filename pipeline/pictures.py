"""The front cover of a master in the sizes that players show.

What strangers send is opened with care: only formats that covers come in, only so many pixels, and
whatever is wrong with it, it is no picture then, for a master is not refused for its cover.
"""

import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

SIZES_PX = (64, 300, 640, 1200)
"""How long the longer side is, at most."""

MEDIA_TYPE = "image/jpeg"

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
_PIXELS_MAX = 50_000_000
_QUALITY = 85


@dataclass(frozen=True, kw_only=True, slots=True)
class Resized:
    """A picture as JPEG, sRGB, without what a camera or an editor wrote into it."""

    size_px: int
    width: int
    height: int
    data: bytes


def resize(picture: bytes) -> list[Resized]:
    """Return a picture in each of ``SIZES_PX`` that is no larger than itself, the smallest first.

    The next larger one holds it as large as it is. It is turned as it says that it is to be shown,
    and what it lets shine through is white. Empty for what is no picture.
    """
    # Who resizes nothing never loads what does.
    from PIL import Image, ImageOps

    found: list[Resized] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(io.BytesIO(picture), formats=_FORMATS) as opened:
                if opened.width * opened.height > _PIXELS_MAX:
                    return []
                # A large JPEG is never unpacked larger than is needed.
                opened.draft("RGB", (SIZES_PX[-1], SIZES_PX[-1]))
                longest = max(opened.size)
                whole = _in_srgb(ImageOps.exif_transpose(opened))
        for size_px in SIZES_PX:
            small = whole.copy()
            small.thumbnail((size_px, size_px), Image.Resampling.LANCZOS)
            file = io.BytesIO()
            small.save(file, "JPEG", quality=_QUALITY, optimize=True, progressive=True)
            width, height = small.size
            made = Resized(size_px=size_px, width=width, height=height, data=file.getvalue())
            found.append(made)
            if size_px >= longest:
                break
    except (OSError, SyntaxError, ValueError, Warning, Image.DecompressionBombError):
        return []
    return found


def _in_srgb(picture: "Image.Image") -> "Image.Image":
    from PIL import Image, ImageCms

    profile = picture.info.get("icc_profile")
    if picture.has_transparency_data:
        shown = picture.convert("RGBA")
        ground = Image.new("RGBA", shown.size, "white")
        return Image.alpha_composite(ground, shown).convert("RGB")
    if profile and picture.mode in ("RGB", "CMYK", "L"):
        try:
            own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            srgb = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(picture, own, srgb, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            converted = None
        if converted is not None:
            converted.info.pop("icc_profile", None)
            return converted
    plain = picture.convert("RGB")
    plain.info.clear()
    return plain
