"""Computes the filter banks with librosa, once: ``python -m pipeline.hearing.make_banks``.

librosa takes seconds to import and to compile; what its banks hold never changes.
"""

from pathlib import Path

import librosa
import numpy as np
import numpy.typing as npt

from pipeline.hearing.spectra import (
    BANDS,
    CHROMA_FRAME_SAMPLES,
    CHROMA_HIGHEST_HZ,
    CHROMA_LOWEST_HZ,
    FRAME_SAMPLES,
    HIGHEST_HZ,
    LOWEST_HZ,
    RATE_HZ,
)


def compute_banks() -> dict[str, npt.NDArray[np.float32]]:
    """Return the banks by name: ``mel`` is 40 × 1025, ``chroma`` 12 × 2049."""
    mel = librosa.filters.mel(
        sr=RATE_HZ, n_fft=FRAME_SAMPLES, n_mels=BANDS, fmin=LOWEST_HZ, fmax=HIGHEST_HZ
    )
    chroma = librosa.filters.chroma(
        sr=RATE_HZ, n_fft=CHROMA_FRAME_SAMPLES, octwidth=None, norm=None
    )
    bins_hz = librosa.fft_frequencies(sr=RATE_HZ, n_fft=CHROMA_FRAME_SAMPLES)
    outside = (bins_hz < CHROMA_LOWEST_HZ) | (bins_hz > CHROMA_HIGHEST_HZ)
    chroma[:, outside] = 0
    return {"mel": mel.astype(np.float32), "chroma": chroma.astype(np.float32)}


def main() -> None:
    """Write the file."""
    banks = compute_banks()
    place = Path(__file__).with_name("banks.npz")
    np.savez_compressed(place, mel=banks["mel"], chroma=banks["chroma"])


if __name__ == "__main__":
    main()
