// Reads a fragmented MP4 on stdin with mp4box.js and tells what it understood.
const { createFile } = require('mp4box');

const data = require('fs').readFileSync(0);
const file = createFile();
file.onError = fault => { throw new Error(fault); };
const samples = [];
file.onReady = ({ tracks }) => {
  file.setExtractionOptions(tracks[0].id, null, { nbSamples: 1e9 });
  file.start();
};
file.onSamples = (_id, _user, found) => { samples.push(...found); };
const bytes = data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength);
bytes.fileStart = 0;
file.appendBuffer(bytes);
file.flush();

// mp4box.js knows no ALAC, and leaves its audio sample entry (ISO/IEC 14496-12, 12.2.3) unread.
function readEntry({ samplerate, channel_count: channels, data }) {
  if (samplerate !== undefined) return { rate: samplerate, channels };
  const fields = new DataView(data.buffer, data.byteOffset);
  return { rate: fields.getUint16(16), channels: fields.getUint16(8) };
}

const [track] = file.getInfo().tracks;
const { moov, moofs } = file;
const [trak] = moov.traks;
const [entry] = trak.mdia.minf.stbl.stsd.entries;
console.log(JSON.stringify({
  codec: track.codec,
  timescale: track.timescale,
  entry: readEntry(entry),
  edits: trak.edts?.elst.entries.map(({ segment_duration, media_time }) => [segment_duration, media_time]) ?? [],
  fragments: moofs.map(({ mfhd, trafs: [traf] }) => [mfhd.sequence_number, traf.tfdt.baseMediaDecodeTime]),
  samples: samples.map(({ dts, duration, size, is_sync }) => [dts, duration, size, is_sync]),
}));
