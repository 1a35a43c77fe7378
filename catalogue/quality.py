"""What was measured of a master, and what rules make of it.

Levels are in dB relative to full scale; a true peak in dBTP (ITU-R BS.1770-5, annex 2), loudness in
LUFS and LU (EBU R 128). Places are samples of the master, from 0. None is what there is not.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

RECIPE = "quality-1"
"""By what recipe reports are made; another one measures differently."""

SPANS_TOLD = 20
"""How many places of one kind a report names; all of them are counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A stretch of a master; ``channel`` is None where it is in all of them."""

    start_samples: int
    samples: int
    channel: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """Where something was found: how often, how many samples together, and the first places."""

    count: int = 0
    samples: int = 0
    longest_samples: int = 0
    first: tuple[Span, ...] = ()


class Suspicion(StrEnum):
    """What the spectrum of a master may be evidence of."""

    UPSAMPLED = "upsampled"
    LOSSY_PAST = "lossy-past"


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """That a spectrum ends like a wall; ``score`` from 0 to 1. Never a verdict by itself.

    Above ``edge_hz`` it is ``drop_db`` lower than just below, and stays so.
    """

    of: Suspicion
    score: float
    edge_hz: int
    drop_db: float


@dataclass(frozen=True, kw_only=True, slots=True)
class TierPeak:
    """How high a lossy tier of a master rises when it is decoded."""

    tier: str
    true_peak_dbtp: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class QualityReport:
    """What was measured of a master decoded to its end.

    ``dc_offset`` is a share of full scale, by channel. ``correlation`` of two channels is from -1
    to 1, ``correlation_min`` that of the worst 1.5 s. ``effective_bits`` are those that are ever
    used. ``tiers`` is empty where none was made.
    """

    recipe: str
    rate_hz: int
    channels: int
    bits: int | None
    lossy: bool
    declared_samples: int | None
    samples: int
    audio_md5: str | None
    sample_peak_dbfs: float | None
    true_peak_dbtp: float | None
    true_peak_at_samples: int | None
    clips: Places
    dc_offset: tuple[float, ...]
    head_silence_samples: int
    tail_silence_samples: int
    silences: Places
    dropouts: Places
    correlation: float | None
    correlation_min: float | None
    dual_mono: bool
    effective_bits: int | None
    evidence: tuple[Evidence, ...]
    integrated_lufs: float | None
    momentary_max_lufs: float | None
    short_term_max_lufs: float | None
    range_lu: float | None
    tiers: tuple[TierPeak, ...] = ()


class Verdict(StrEnum):
    """What a rule says, the worst last."""

    PASSED = "pass"
    WARN = "warn"
    REFUSE = "refuse"


class Rule(StrEnum):
    """What is asked of a master."""

    LOSSY = "lossy"
    CLIPS = "clips"
    TRUE_PEAK = "true-peak"
    TIER_TRUE_PEAK = "tier-true-peak"
    DC_OFFSET = "dc-offset"
    SILENT = "silent"
    HEAD_SILENCE = "head-silence"
    TAIL_SILENCE = "tail-silence"
    SILENCE_INSIDE = "silence-inside"
    DROPOUTS = "dropouts"
    CORRELATION = "correlation"
    DUAL_MONO = "dual-mono"
    EFFECTIVE_BITS = "effective-bits"
    UPSAMPLED = "upsampled"
    LOSSY_PAST = "lossy-past"
    TOO_LOUD = "too-loud"


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleSetting:
    """What a rule says of what goes beyond its limit; rules without a number have none."""

    verdict: Verdict
    limit: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class QualityFinding:
    """What a rule says of a master: what was measured, beyond which limit, where, what to do."""

    rule: Rule
    verdict: Verdict
    measured: float
    limit: float | None
    at_samples: int | None
    detail: str
    advice: str


@dataclass(frozen=True, kw_only=True, slots=True)
class QualityPolicy:
    """What each rule says; those that are not named here say what is usual."""

    settings: Mapping[Rule, RuleSetting] = field(default_factory=dict)

    def setting(self, rule: Rule) -> RuleSetting:
        """Return what a rule says."""
        return self.settings.get(rule, USUAL[rule])


USUAL: Mapping[Rule, RuleSetting] = {
    Rule.LOSSY: RuleSetting(verdict=Verdict.WARN),
    Rule.CLIPS: RuleSetting(verdict=Verdict.WARN, limit=0),
    Rule.TRUE_PEAK: RuleSetting(verdict=Verdict.WARN, limit=0.0),
    Rule.TIER_TRUE_PEAK: RuleSetting(verdict=Verdict.WARN, limit=1.0),
    Rule.DC_OFFSET: RuleSetting(verdict=Verdict.WARN, limit=0.002),
    Rule.SILENT: RuleSetting(verdict=Verdict.WARN),
    Rule.HEAD_SILENCE: RuleSetting(verdict=Verdict.WARN, limit=2.0),
    Rule.TAIL_SILENCE: RuleSetting(verdict=Verdict.WARN, limit=5.0),
    Rule.SILENCE_INSIDE: RuleSetting(verdict=Verdict.WARN, limit=10.0),
    Rule.DROPOUTS: RuleSetting(verdict=Verdict.WARN, limit=0),
    Rule.CORRELATION: RuleSetting(verdict=Verdict.WARN, limit=-0.3),
    Rule.DUAL_MONO: RuleSetting(verdict=Verdict.WARN),
    Rule.EFFECTIVE_BITS: RuleSetting(verdict=Verdict.WARN),
    Rule.UPSAMPLED: RuleSetting(verdict=Verdict.WARN, limit=0.7),
    Rule.LOSSY_PAST: RuleSetting(verdict=Verdict.WARN, limit=0.7),
    Rule.TOO_LOUD: RuleSetting(verdict=Verdict.PASSED, limit=-5.0),
}
"""What rules say unless a label has it otherwise; limits in dB, seconds, counts and scores."""

_ADVICE: Mapping[Rule, str] = {
    Rule.LOSSY: "Deliver the file that it was encoded from.",
    Rule.CLIPS: "Lower the level before the last stage, and export it again.",
    Rule.TRUE_PEAK: "Limit by true peak, at -1 dBTP or below.",
    Rule.TIER_TRUE_PEAK: "Leave more room: lossy encoders raise peaks.",
    Rule.DC_OFFSET: "Remove the offset with a high-pass filter, and export it again.",
    Rule.SILENT: "Check that this is the right file.",
    Rule.HEAD_SILENCE: "Cut the silence before the music.",
    Rule.TAIL_SILENCE: "Cut the silence after the music.",
    Rule.SILENCE_INSIDE: "Check the passage: a hidden track is better a track of its own.",
    Rule.DROPOUTS: "Listen to the places named; the transfer may have lost samples.",
    Rule.CORRELATION: "Check the polarity of the channels: it cancels itself in mono.",
    Rule.DUAL_MONO: "Deliver it in mono, or check that stereo was not lost.",
    Rule.EFFECTIVE_BITS: "Deliver it with the bits that it has, or the original with more.",
    Rule.UPSAMPLED: "Deliver it at the rate it was made at, if that is lower.",
    Rule.LOSSY_PAST: "Deliver the original, if this has been MP3 or AAC before.",
    Rule.TOO_LOUD: "Players will turn it down; dynamics would be heard.",
}


def write_rules(settings: Mapping[Rule, RuleSetting]) -> list[str]:
    """Return rules as they are said."""
    return [
        f"{rule}={setting.verdict}" + ("" if setting.limit is None else f":{setting.limit:g}")
        for rule, setting in sorted(settings.items())
    ]


def judge_quality(report: QualityReport, policy: QualityPolicy) -> list[QualityFinding]:
    """Return what rules that something goes beyond say of a master, the worst first."""
    found = []
    for rule, measured, at_samples, detail in _measure(report):
        setting = policy.setting(rule)
        if setting.limit is not None and not _beyond(rule, measured, setting.limit):
            continue
        if setting.verdict is Verdict.PASSED:
            continue
        found.append(
            QualityFinding(
                rule=rule,
                verdict=setting.verdict,
                measured=measured,
                limit=setting.limit,
                at_samples=at_samples,
                detail=detail,
                advice=_ADVICE[rule],
            )
        )
    return sorted(found, key=lambda each: list(Verdict).index(each.verdict), reverse=True)


def worst_of(findings: Sequence[QualityFinding]) -> Verdict:
    """Return the worst that findings say; that it passes, without any."""
    order = list(Verdict)
    return max((each.verdict for each in findings), key=order.index, default=Verdict.PASSED)


def _beyond(rule: Rule, measured: float, limit: float) -> bool:
    if rule is Rule.CORRELATION:
        return measured < limit
    if rule in (Rule.UPSAMPLED, Rule.LOSSY_PAST):
        return measured >= limit
    return measured > limit


def _measure(report: QualityReport) -> Iterator[tuple[Rule, float, int | None, str]]:
    """Give what each rule asks for: the figure, where, and what it means in words."""

    def seconds(samples: int) -> float:
        return round(samples / report.rate_hz, 3)

    if report.lossy:
        yield Rule.LOSSY, 1, None, "It is a lossy file: no lossless tier is made from it."
    if report.clips.count:
        at = report.clips.first[0].start_samples
        detail = (
            f"{report.clips.count} runs of 3 or more samples at full scale, the longest of "
            f"{report.clips.longest_samples}; the first at {seconds(at)} s."
        )
        yield Rule.CLIPS, report.clips.count, at, detail
    if report.true_peak_dbtp is not None:
        peak, at_peak = report.true_peak_dbtp, report.true_peak_at_samples
        where = "" if at_peak is None else f" at {seconds(at_peak)} s"
        yield Rule.TRUE_PEAK, peak, at_peak, f"Between samples it rises to {peak} dBTP{where}."
    else:
        yield Rule.SILENT, 1, None, "It holds nothing but silence."
    for tier in report.tiers:
        if tier.true_peak_dbtp is not None:
            told = f"Decoded, {tier.tier} rises to {tier.true_peak_dbtp} dBTP."
            yield Rule.TIER_TRUE_PEAK, tier.true_peak_dbtp, None, told
    offset = max(map(abs, report.dc_offset), default=0.0)
    yield Rule.DC_OFFSET, offset, None, f"Its mean is {offset:.5f} of full scale."
    head, tail = seconds(report.head_silence_samples), seconds(report.tail_silence_samples)
    if report.true_peak_dbtp is not None:
        yield Rule.HEAD_SILENCE, head, 0, f"It begins with {head} s below -60 dBFS."
        begins = report.samples - report.tail_silence_samples
        yield Rule.TAIL_SILENCE, tail, begins, f"It ends with {tail} s below -60 dBFS."
    if report.silences.count:
        longest = max(report.silences.first, key=lambda span: span.samples)
        lasts, at = seconds(report.silences.longest_samples), longest.start_samples
        told = f"Silence of {lasts} s lies inside, at {seconds(at)} s."
        yield Rule.SILENCE_INSIDE, lasts, at, told
    if report.dropouts.count:
        at = report.dropouts.first[0].start_samples
        told = f"{report.dropouts.count} gaps of zeros inside sound; the first at {seconds(at)} s."
        yield Rule.DROPOUTS, report.dropouts.count, at, told
    if report.correlation is not None:
        told = f"Left and right correlate by {report.correlation}."
        yield Rule.CORRELATION, report.correlation, None, told
    if report.dual_mono:
        yield Rule.DUAL_MONO, 1, None, "Both channels are the same, sample by sample."
    used, bits = report.effective_bits, report.bits
    if used is not None and bits is not None and used < bits:
        yield Rule.EFFECTIVE_BITS, used, None, f"Of {bits} bits only {used} are ever used."
    for each in report.evidence:
        rule = Rule.UPSAMPLED if each.of is Suspicion.UPSAMPLED else Rule.LOSSY_PAST
        told = f"Above {each.edge_hz} Hz it falls by {each.drop_db} dB, and stays there."
        yield rule, each.score, None, told
    if report.integrated_lufs is not None:
        told = f"It is {report.integrated_lufs} LUFS loud."
        yield Rule.TOO_LOUD, report.integrated_lufs, None, told


class QualityReports(Protocol):
    """Reports by the hash of their master. Methods raise Unavailable when the database is away."""

    def put(self, master_sha256: str, report: QualityReport, *, now: datetime) -> None:
        """Keep a report, in the place of an older one."""

    def get(self, master_sha256: str) -> QualityReport | None:
        """Return the report of a master, if there is one."""
