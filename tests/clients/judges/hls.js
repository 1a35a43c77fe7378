// Reads a playlist on stdin with hls-parser in strict mode and tells what it understood.
const HLS = require('hls-parser');

HLS.setOptions({ strictMode: true });
const playlist = HLS.parse(require('fs').readFileSync(0, 'utf-8'));
const told = playlist.isMasterPlaylist
  ? { variants: playlist.variants.map(({ uri, codecs, bandwidth, averageBandwidth }) =>
    ({ uri, codecs, bandwidth, averageBandwidth })) }
  : {
    targetDuration: playlist.targetDuration,
    endlist: playlist.endlist,
    type: playlist.playlistType,
    segments: playlist.segments.map(({ uri, duration, map }) => ({ uri, duration, map: map?.uri })),
  };
console.log(JSON.stringify({ version: playlist.version, ...told }));
