"""A plot of how often answers of some confidence are right, as SVG."""

from collections.abc import Sequence

_SIZE, _MARGIN = 400, 50


def draw_calibration(bins: Sequence[tuple[float, float, int]]) -> str:
    """Return a plot of ``bins``: mean confidence, share that was right, and how many answers."""
    marks = "\n".join(
        f'<circle cx="{_x(mean):.1f}" cy="{_y(right):.1f}" r="{3 + min(9, count**0.4):.1f}">'
        f"<title>{count} answers</title></circle>"
        for mean, right, count in bins
    )
    end = _MARGIN + _SIZE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {end + 20} {end + 20}" '
        'font-family="sans-serif" font-size="12">\n'
        f'<path d="M{_x(0)} {_y(1)}V{_y(0)}H{_x(1)}" fill="none" stroke="black"/>\n'
        f'<path d="M{_x(0)} {_y(0)}L{_x(1)} {_y(1)}" stroke="grey" stroke-dasharray="4"/>\n'
        f'<g fill="steelblue" fill-opacity="0.7">\n{marks}\n</g>\n'
        f'<text x="{_x(0.4)}" y="{end + 15}">confidence</text>\n'
        f'<text x="5" y="15">share that was right</text>\n'
        "</svg>\n"
    )


def _x(share: float) -> float:
    return _MARGIN + share * (_SIZE - _MARGIN)


def _y(share: float) -> float:
    return _SIZE + 30 - share * (_SIZE - _MARGIN)
