"""The whole tree of errors that a person can meet, each with a stable code.

A leaf class is one kind of fault. Its ``code`` never changes once released, ``title`` says what
is wrong in general, ``advice`` says what to do; an instance adds ``detail`` (this case) and
``measured`` (the figures that decided). Domain code raises these and knows nothing of HTTP: the
origin and the command line each hold one table from class to status or exit code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

Measure = str | int | float | bool | None
Measured = Mapping[str, Measure]


class LatheError(Exception):
    """Base of the tree; never raised itself."""

    code: ClassVar[str]
    title: ClassVar[str]
    advice: ClassVar[str]
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str, /, **measured: Measure) -> None:
        super().__init__(detail)
        self.detail = detail
        self.measured: Measured = measured


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One of several things that are wrong: where (a JSON pointer, RFC 6901), what, what to do."""

    pointer: str
    code: str
    detail: str
    advice: str


# --------------------------------------------------------------------------- the branches


class InvalidInput(LatheError):
    """What was sent is wrong and will be wrong again."""


class Unauthenticated(LatheError):
    """No key was shown, or none that is known."""


class NotAllowed(LatheError):
    """The caller is known, and may not."""


class RightsMissing(NotAllowed):
    """No right covers this listener here and now."""


class Untrusted(LatheError):
    """A signature or seal does not hold. The answer never says which check failed."""


class Gone(LatheError):
    """What was asked for was valid once and is not any more."""


class NotFound(LatheError):
    """There is no such thing."""


class TooMany(LatheError):
    """It was asked for more often than is allowed; ``retry_after_s`` is measured."""


class Conflict(LatheError):
    """The request contradicts what is already there."""


class Locked(LatheError):
    """Somebody else is at it; the same call may succeed in a moment."""


class ChecksumDiffers(LatheError):
    """Bytes are not what their sender says they are."""


class PreconditionFailed(LatheError):
    """The caller expects what is not so here."""


class TooLarge(LatheError):
    """More was sent than is accepted."""


class Unavailable(LatheError):
    """A part the work needs is away; the same call may succeed later."""

    retryable = True


class Broken(LatheError):
    """lathe itself is at fault: a promise it makes about its own output did not hold."""


# --------------------------------------------------------------------------- masters


class MasterNotAFile(InvalidInput):
    code = "master-not-a-file"
    title = "The master is not a regular file"
    advice = "Give the path of a regular file that can be read."


class MasterEmpty(InvalidInput):
    code = "master-empty"
    title = "The master is empty"
    advice = "The file holds no bytes: export it again and send it again."


class MasterUnreadable(InvalidInput):
    code = "master-unreadable"
    title = "The master is no audio file that lathe reads"
    advice = "Send WAV, FLAC, AIFF or ALAC in MP4 (lossy: MP3, AAC, Ogg Vorbis or Opus)."


class MasterHasNoAudio(InvalidInput):
    code = "master-has-no-audio"
    title = "The master holds no audio stream"
    advice = "Send the file that holds the sound."


class MasterHasVideo(InvalidInput):
    code = "master-has-video"
    title = "The master holds moving pictures"
    advice = "Send the audio alone; a cover picture embedded as artwork is welcome."


class MasterAmbiguous(InvalidInput):
    code = "master-ambiguous"
    title = "The master holds more than one audio stream"
    advice = "Send one file per recording, with one audio stream each."


class MasterChannels(InvalidInput):
    code = "master-channels"
    title = "The master is neither mono nor stereo"
    advice = "Send a mono or stereo mix."


class MasterRate(InvalidInput):
    code = "master-rate"
    title = "The master's sample rate is not accepted"
    advice = "Send 44.1, 48, 88.2, 96, 176.4 or 192 kHz, as the recording was made."


class MasterDepth(InvalidInput):
    code = "master-depth"
    title = "The master's bit depth is not accepted"
    advice = "Send 16- or 24-bit integer PCM."


class MasterHasNoSamples(InvalidInput):
    code = "master-has-no-samples"
    title = "The master's header is whole, but no samples follow"
    advice = "Export the file again and check its length before sending it."


class MasterTruncated(InvalidInput):
    code = "master-truncated"
    title = "The master ends before its header says it does"
    advice = "The transfer or the export was cut short: compare the size with the original."


class MasterCorrupt(InvalidInput):
    code = "master-corrupt"
    title = "The master cannot be decoded to its end"
    advice = "The file is damaged: export it again, or copy it again and compare checksums."


class MasterChangesFormat(InvalidInput):
    code = "master-changes-format"
    title = "The master changes its format in the middle"
    advice = "It looks like two recordings joined: send one file per recording."


class MasterChecksum(InvalidInput):
    code = "master-checksum"
    title = "The master's audio does not match the checksum it carries"
    advice = "The audio was altered after encoding: encode the FLAC again from the original."


class BodyTooLarge(TooLarge):
    code = "body-too-large"
    title = "The request says more than is read of one"
    advice = "Send less at once; `measured` tells how much is read."


class MasterTooLarge(TooLarge):
    code = "master-too-large"
    title = "The master is larger than this origin accepts"
    advice = "Send a smaller file, or ask the operator to raise LATHE_MAX_MASTER_BYTES."


class QualityRefused(InvalidInput):
    code = "quality-refused"
    title = "A rule of the label's refuses the master"
    advice = "Set right what `measured` names, and deliver it again; docs/quality.md has the rules."


class NoTierEarned(InvalidInput):
    code = "no-tier-earned"
    title = "None of the tiers asked for can be made from this master"
    advice = "Ask for other tiers; `measured` tells why each was refused."


class LadderInvalid(InvalidInput):
    code = "ladder-invalid"
    title = "The ladder of tiers is not valid"
    advice = "Compare the file with the ladder that ships in pipeline/ladder.toml."


class TierUnknown(InvalidInput):
    code = "tier-unknown"
    title = "There is no tier of that name"
    advice = "Choose among the tiers of the ladder."


# --------------------------------------------------------------------------- deliveries


class RequestInvalid(InvalidInput):
    code = "request-invalid"
    title = "The request does not have the shape that is documented"
    advice = "Compare it with the OpenAPI document at /openapi.json."


class MetadataInvalid(InvalidInput):
    code = "metadata-invalid"
    title = "What is said of the delivery is not valid"
    advice = "Set right what `faults` names, and send all of it again."

    faults: tuple[Fault, ...] = ()


class IsrcInvalid(InvalidInput):
    code = "isrc-invalid"
    title = "The ISRC is none"
    advice = "Give 12 characters as ISO 3901 has them: 2 letters, 3 letters or digits, 7 digits."


class TerritoryUnknown(InvalidInput):
    code = "territory-unknown"
    title = "The territory is unknown"
    advice = "Give ISO 3166-1 alpha-2 codes, or Worldwide."


# --------------------------------------------------------------------------- callers and listeners


class KeyMissing(Unauthenticated):
    code = "key-missing"
    title = "A key is needed"
    advice = (
        "Send `Authorization: Bearer <key>`; the development key is printed once by `make run`."
    )


class KeyUnknown(Unauthenticated):
    code = "key-unknown"
    title = "The key is not known"
    advice = "Check the key, or ask the operator for a new one."


class KeyRevoked(Unauthenticated):
    code = "key-revoked"
    title = "The key was revoked"
    advice = "Ask the operator for a new one: `lathe keys create`."


class SessionMissing(Unauthenticated):
    code = "session-missing"
    title = "Listeners sign in here"
    advice = "Sign in with `POST /v1/sessions` and send `Authorization: Bearer <token>`."


class SessionUnknown(Unauthenticated):
    code = "session-unknown"
    title = "The session has ended"
    advice = "Sign in again with `POST /v1/sessions`."


class CredentialsWrong(Unauthenticated):
    code = "credentials-wrong"
    title = "Address and password do not belong together"
    advice = "Check both; after a few failures wait until they are asked for again."


class TooManyAttempts(TooMany):
    code = "too-many-attempts"
    title = "Sign-in failed too often"
    advice = "Wait as long as Retry-After says; then the right password opens again."


class TooManyRequests(TooMany):
    code = "too-many-requests"
    title = "Asked too often"
    advice = "Wait as long as Retry-After says; RateLimit tells in every answer how much is left."


class PasswordUnfit(InvalidInput):
    code = "password-unfit"
    title = "The password cannot be used"
    advice = "Choose one of 8 to 256 characters."


class RoleMayNot(NotAllowed):
    code = "role-may-not"
    title = "The role of this account does not allow it"
    advice = "An administrator changes roles with `lathe accounts change`."


class KeyLacksScope(NotAllowed):
    code = "key-lacks-scope"
    title = "The key is not good for this"
    advice = "Use a key that has the scope, or ask the operator for one."


class SubscriptionTooLow(NotAllowed):
    code = "subscription-too-low"
    title = "The subscription does not reach this quality"
    advice = "Ask for another codec or a lower quality, or for a plan that reaches it."


class RightNotBegun(RightsMissing):
    code = "right-not-begun"
    title = "The right to hear the track has not begun yet"
    advice = "Ask again when it has; measured tells when."


class RightEnded(RightsMissing):
    code = "right-ended"
    title = "The right to hear the track has ended"
    advice = "Its label may deliver a right that goes on."


class UseNotLicensed(RightsMissing):
    code = "use-not-licensed"
    title = "The track is not licensed for this use"
    advice = "Its label says which uses it licenses: stream, download or both."


class StandardPlayersNotAllowed(RightsMissing):
    code = "standard-players-not-allowed"
    title = "The label does not let the track be kept by standard players"
    advice = "Take it in the form `sealed`; `lathe labels policy` says what a label lets."


class TierNotLicensed(RightsMissing):
    code = "tier-not-licensed"
    title = "The track is not licensed at this quality"
    advice = "Ask for a lossy codec, or for no codec at all."


class TerritoryNotLicensed(RightsMissing):
    code = "territory-not-licensed"
    title = "The track is not licensed where the listener is"
    advice = "It can be played in the territories that its label licensed."


class TerritoryUndetermined(RightsMissing):
    code = "territory-undetermined"
    title = "It is not known where the listener is"
    advice = "The operator sets LATHE_TERRITORY or a trusted edge that says it."


class UrlUntrusted(Untrusted):
    code = "url-untrusted"
    title = "The URL is not one that this origin signed"
    advice = "Fetch the track's manifest again and use its URLs unchanged."


class UrlExpired(Gone):
    code = "url-expired"
    title = "The signed URL has expired"
    advice = "Fetch the manifest at refresh_url and go on with its URLs."


class TrackTakenDown(Gone):
    code = "track-taken-down"
    title = "The track was taken down"
    advice = "It can be heard nowhere any more; take it out of queues and playlists."


class AccountNotFound(NotFound):
    code = "account-not-found"
    title = "There is no such account"
    advice = "Check the id."


class TrackNotFound(NotFound):
    code = "track-not-found"
    title = "There is no such track"
    advice = "Check the id; a track exists once its delivery was accepted."


class TrackNotReady(NotFound):
    code = "track-not-ready"
    title = "The track is not published yet"
    advice = "Watch its job; the track can be played when the job is done."


class JobNotFound(NotFound):
    code = "job-not-found"
    title = "There is no such job"
    advice = "Check the id that the delivery returned."


class DeliveryNotFound(NotFound):
    code = "delivery-not-found"
    title = "No delivery has this id"
    advice = "Check the id with `GET /v1/deliveries`."


class ReportNotFound(NotFound):
    code = "report-not-found"
    title = "There is no report of this master's quality"
    advice = "Ask for it again when its job has got past `press`."


class ObjectNotFound(NotFound):
    code = "object-not-found"
    title = "There is no such object"
    advice = "Use the names that the manifest gives."


class PathNotFound(NotFound):
    code = "path-not-found"
    title = "There is nothing at this path"
    advice = "The OpenAPI document at /openapi.json lists every path."


class MethodNotSupported(LatheError):
    code = "method-not-supported"
    title = "This path does not answer that method"
    advice = "The Allow header names the methods it does answer."


class RangeUnsatisfiable(LatheError):
    code = "range-unsatisfiable"
    title = "The range asked for lies outside the object"
    advice = "The Content-Range header gives the object's size."


# --------------------------------------------------------------------------- the plant


class JobLost(Conflict):
    """Another worker took the job over: what this one made must not be published."""

    code = "job-lost"
    title = "The job was taken over by another worker"
    advice = "Nothing needs doing: the other worker finishes it."


class JobQuarantined(Conflict):
    code = "job-quarantined"
    title = "The job stopped its worker too often and was set aside"
    advice = "An operator looks at the master and the worker's log before it is tried again."


class JobStateWrong(Conflict):
    code = "job-state-wrong"
    title = "The job is in a state that does not allow this"
    advice = "See where it stands with `lathe jobs show`."


class AccountExists(Conflict):
    code = "account-exists"
    title = "There is an account with this address already"
    advice = "Sign in, or have the password set anew."


class PlaybackTakenOver(Conflict):
    code = "playback-taken-over"
    title = "The account plays on another device"
    advice = "Stop playing here; take the lease again to go on here."


class AlbumNotFound(NotFound):
    code = "album-not-found"
    title = "There is no such album"
    advice = "Check the id; an album exists once a track of it is published."


class RecordingElsewhere(Conflict):
    """A delivered master is a recording that another label has published."""

    code = "recording-elsewhere"
    title = "Another label has published this recording"
    advice = "An operator compares the rights and says `lathe jobs approve` or `lathe jobs cancel`."


class PlaceCondemned(Unavailable):
    """Orphaned objects are being removed just where new ones are to be put."""

    code = "place-condemned"
    title = "What is to be stored is just being removed from the store"
    advice = "Try again in a minute: a removal that broke off is finished by then."


class ObjectDiffers(Conflict):
    code = "object-differs"
    title = "Other bytes are already stored under this key"
    advice = "Report it: keys derive from content and recipe, so this should be impossible."


class CatalogueUnavailable(Unavailable):
    code = "catalogue-unavailable"
    title = "The catalogue is away"
    advice = "Try again in a moment."


class SessionsUnavailable(Unavailable):
    code = "sessions-unavailable"
    title = "What keeps the sessions does not answer"
    advice = "Check LATHE_SESSIONS and that the Redis behind it runs; then try again."


class QueueUnavailable(Unavailable):
    code = "queue-unavailable"
    title = "The queue is away"
    advice = "Nothing is lost: the job is sent again when the queue is back."


class StoreUnavailable(Unavailable):
    code = "store-unavailable"
    title = "The object store is away"
    advice = "Nothing is lost: the work goes on when the store is back."


class StoreRefused(Unavailable):
    code = "store-refused"
    title = "The object store refuses what lathe asks"
    advice = "An operator checks the credentials, the bucket and its policy."


class SettingsInvalid(InvalidInput):
    code = "settings-invalid"
    title = "The settings are not valid"
    advice = "README.md lists every setting with its default."


class OutputNotWritable(Unavailable):
    code = "output-not-writable"
    title = "The output cannot be written"
    advice = "Check the folder's permissions and the free space, then run the same command again."


class DiskFull(Unavailable):
    code = "disk-full"
    title = "There is no room left on the disk"
    advice = "Nothing is lost: free some space and send it again; waiting jobs go on."


class PressedFolderUnreadable(InvalidInput):
    code = "pressed-folder-unreadable"
    title = "The folder is none that lathe pressed, or its description is damaged"
    advice = "Give a folder that `lathe transcode` made; press the master again if it is damaged."


class MasterOutsideTree(InvalidInput):
    code = "master-outside-tree"
    title = "A symbolic link leads out of the folder"
    advice = "Name the file that it leads to, if it is meant to be pressed."


class ListUnreadable(InvalidInput):
    code = "list-unreadable"
    title = "The list of masters cannot be read"
    advice = "Give a text file in UTF-8 with one path a line, or - for standard input."


class ReportUnreadable(InvalidInput):
    code = "report-unreadable"
    title = "The report that is to be gone on with is none"
    advice = "Name the report of an earlier run, or a file that does not exist yet."


class AddressUnavailable(Unavailable):
    code = "address-unavailable"
    title = "The origin cannot listen there"
    advice = "Is another one running? LATHE_PORT=0 takes any free port."


class ToolMissing(Unavailable):
    code = "tool-missing"
    title = "A program that lathe needs is not installed"
    advice = "Install the Debian package ffmpeg."


class ToolKilled(Unavailable):
    code = "tool-killed"
    title = "A program that lathe runs was killed from outside"
    advice = "It is tried again; if it happens again, look for a lack of memory on the machine."


class Stopped(Unavailable):
    code = "stopped"
    title = "The work was stopped before its end"
    advice = "Nothing half-made is visible; the work is taken up again on the next start."


class Unexpected(Broken):
    code = "unexpected"
    title = "lathe made a mistake"
    advice = "Report it with the time and the job id; the log holds the cause."


class EncoderFailed(Broken):
    code = "encoder-failed"
    title = "An encoder stopped before its end"
    advice = (
        "See whether this ffmpeg has the encoder and allows the ladder's rates; else report it."
    )


class EncoderInexact(Broken):
    code = "encoder-inexact"
    title = "An encoder did not give the samples it was fed"
    advice = "Report it with the output of `ffmpeg -version`: this build breaks a measured fact."


class ObjectDamaged(Broken):
    code = "object-damaged"
    title = "A stored object is not what was pressed"
    advice = "Restore it from a backup, or press its master again."


# --------------------------------------------------------------------------- devices and downloads


class DeviceUnfit(InvalidInput):
    code = "device-unfit"
    title = "The device's keys cannot be used"
    advice = "Send two different P-256 points, uncompressed, in base64url without padding."


class DeviceUntrusted(Untrusted):
    code = "device-untrusted"
    title = "The proof of the device does not hold"
    advice = "Ask for a new challenge, and sign it with the key that the device is known by."


class DownloadUntrusted(Untrusted):
    code = "download-untrusted"
    title = "The download does not open on this device"
    advice = "Renew the licence; if that does not help, download it again on this device."


class DeviceRevoked(Gone):
    code = "device-revoked"
    title = "The device was removed from its account"
    advice = "Register it anew with new keys, and download again."


class LicenceExpired(Gone):
    code = "licence-expired"
    title = "The licence of the download has expired"
    advice = "Go online and renew it."


class ClockTurnedBack(NotAllowed):
    code = "clock-turned-back"
    title = "The device's clock was turned back"
    advice = "Set the clock, or go online and renew the licence."


class KeyNotFound(NotFound):
    code = "key-not-found"
    title = "No API key has this id"
    advice = "Check the id with `lathe keys list`."


class PartnerNotFound(NotFound):
    code = "partner-not-found"
    title = "No certificate of a partner has this name"
    advice = "Put it as NAME.pem into the folder that LATHE_CPIX_PARTNERS names."


class TrackNotEncrypted(NotFound):
    code = "track-not-encrypted"
    title = "Nothing of the track is in common encryption"
    advice = "Take a download of it in the form `cenc` first."


class DeviceNotFound(NotFound):
    code = "device-not-found"
    title = "The account has no such device"
    advice = "Check the id with `GET /v1/devices`."


class DownloadNotFound(NotFound):
    code = "download-not-found"
    title = "The account has no such download"
    advice = "Check the id with `GET /v1/downloads`."


class DeviceExists(Conflict):
    code = "device-exists"
    title = "A device with this key was registered before"
    advice = "Make new keys: one that was removed does not come back."


class DevicesFull(Conflict):
    code = "devices-full"
    title = "The account has as many devices as it may"
    advice = "Remove one with `DELETE /v1/devices/{id}`."


class DownloadsFull(Conflict):
    code = "downloads-full"
    title = "The device has as many tracks as it may"
    advice = "Delete a download; its tracks count no more then."


class DownloadNotReady(Conflict):
    code = "download-not-ready"
    title = "The download is still being sealed"
    advice = "Ask for it again until its state is ready."


class OriginUnavailable(Unavailable):
    code = "origin-unavailable"
    title = "The origin cannot be reached"
    advice = "What is on the device plays on; try again in a while, or when there is a network."


class KeyServiceUnavailable(Unavailable):
    code = "key-service-unavailable"
    title = "The key service is away"
    advice = "Nothing is lost: start again when AWS KMS answers."


class KeyServiceRefused(InvalidInput):
    code = "key-service-refused"
    title = "The key service refuses what lathe asks"
    advice = (
        "Check credentials and the key's policy, and LATHE_CONTENT_KEYS: it must be as it was made."
    )


class TooManySwaps(TooMany):
    code = "too-many-swaps"
    title = "The account registered too many devices lately"
    advice = "Wait as long as Retry-After says, or go on with a device that is registered."


class ContentKeyLost(Broken):
    code = "content-key-lost"
    title = "A content key cannot be unwrapped"
    advice = "Put the key that `measured` names back in front of LATHE_CONTENT_KEYS' last one."


# --------------------------------------------------------------------------- uploads


class UploadNotFound(NotFound):
    code = "upload-not-found"
    title = "The label has no such upload"
    advice = "It may have expired, or been ended: begin a new one with `POST /v1/uploads`."


class UploadBusy(Locked):
    code = "upload-busy"
    title = "Another request is writing to the upload"
    advice = "Wait a few seconds, ask with HEAD how much there is, and go on from there."


class UploadOffsetWrong(Conflict):
    code = "upload-offset-wrong"
    title = "The bytes do not follow those that are there"
    advice = "Ask with HEAD how much of the upload there is, and go on from there."


class UploadJoined(NotAllowed):
    code = "upload-joined"
    title = "Nothing can be added to what was joined of parts"
    advice = "Begin a new upload."


class UploadSizeWrong(Conflict):
    code = "upload-size-wrong"
    title = "The upload is not as long as was said"
    advice = "Begin a new upload that says the file's right length."


class UploadIncomplete(Conflict):
    code = "upload-incomplete"
    title = "Not all of the upload is there yet"
    advice = "Send the rest of it first."


class UploadSpent(Conflict):
    code = "upload-spent"
    title = "Nothing of the upload is kept any more"
    advice = "Its master was removed meanwhile: upload the file again."


class UploadsFull(Conflict):
    code = "uploads-full"
    title = "The label has as many uploads open as it may"
    advice = "Deliver what is there, or end uploads with DELETE."


class UploadChecksumDiffers(ChecksumDiffers):
    code = "upload-checksum-differs"
    title = "The bytes do not hash to what was said"
    advice = "They were altered on the way, and are not kept: send them again."


class TusVersionUnsupported(PreconditionFailed):
    code = "tus-version-unsupported"
    title = "The version of the protocol is not spoken here"
    advice = "Speak tus 1.0.0, and say so in Tus-Resumable."


class MediaTypeUnsupported(LatheError):
    code = "media-type-unsupported"
    title = "The request's content is of a type that is not taken here"
    advice = "Send it as the type that `measured` names."


# --------------------------------------------------------------------------- messages of DDEX


class ErnUnreadable(InvalidInput):
    code = "ern-unreadable"
    title = "The message is no ERN message that lathe reads"
    advice = "Send a NewReleaseMessage of ERN 3.8.2 or 4.1 to 4.3, or a PurgeReleaseMessage of 4.x."


class ResourceMissing(InvalidInput):
    code = "resource-missing"
    title = "A file that the message names is not there"
    advice = "Send the file under the name that the message gives it, and the message again."


class ResourceHashDiffers(InvalidInput):
    code = "resource-hash-differs"
    title = "A file does not hash to what the message says"
    advice = "The file was altered, or is another one: send it again."


class ReferenceDangling(InvalidInput):
    code = "reference-dangling"
    title = "The message refers to something that is not in it"
    advice = "Add what is referred to, or take the reference away."


class DealWithoutTerm(InvalidInput):
    code = "deal-without-term"
    title = "A deal does not say when it begins"
    advice = "Give its ValidityPeriod a StartDate or StartDateTime."


class TrackWithoutDeal(InvalidInput):
    code = "track-without-deal"
    title = "No deal covers a track"
    advice = "Add a deal for its release, or for the track's own, with streams or downloads."


# --------------------------------------------------------------------------- asked twice


class IdempotencyKeyReused(InvalidInput):
    code = "idempotency-key-reused"
    title = "The Idempotency-Key was given to another request"
    advice = "Give each request a key of its own, and the same one only to the same request."


class IdempotencyKeyBusy(Conflict):
    code = "idempotency-key-busy"
    title = "A request with this Idempotency-Key is being answered"
    advice = "Ask again in a few seconds, with the same key."


def leaves(root: type[LatheError] = LatheError) -> list[type[LatheError]]:
    """Return every concrete error of the tree (those with a code), ordered by code."""
    found = [root] if "code" in vars(root) else []
    for child in root.__subclasses__():
        found.extend(leaves(child))
    return sorted(found, key=lambda leaf: leaf.code)


# --------------------------------------------------------------------------- webhooks


class WebhookNotFound(NotFound):
    code = "webhook-not-found"
    title = "The label has no such webhook"
    advice = "List them with `GET /v1/webhooks`."


class WebhookUrlUnfit(InvalidInput):
    code = "webhook-url-unfit"
    title = "Nothing can be sent to this URL"
    advice = "Give a URL of https whose host has a public address, without user and password."


class WebhooksFull(Conflict):
    code = "webhooks-full"
    title = "The label has as many webhooks as it may"
    advice = "Remove one with `DELETE /v1/webhooks/{id}`."
