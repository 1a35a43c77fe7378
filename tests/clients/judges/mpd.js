// Reads a DASH manifest on stdin with mpd-parser and tells what it understood.
const { parse } = require('mpd-parser');

const text = require('fs').readFileSync(0, 'utf-8');
const warnings = [];
const eventHandler = ({ type, message }) => { if (type === 'warn') warnings.push(message); };
const { duration, mediaGroups, playlists } =
  parse(text, { manifestUri: process.argv[2], eventHandler });
const groups = Object.values(mediaGroups.AUDIO).flatMap(group => Object.values(group));
const audio = [...playlists, ...groups.flatMap(group => group.playlists)];
console.log(JSON.stringify({
  duration,
  warnings,
  playlists: audio.map(({ attributes, segments, timeline }) => ({
    id: attributes.NAME,
    codecs: attributes.CODECS,
    bandwidth: attributes.BANDWIDTH,
    timeline,
    segments: segments.map(({ resolvedUri, duration: seconds, map, presentationTime }) =>
      ({ uri: resolvedUri, seconds, start: presentationTime, init: map.resolvedUri })),
  })),
}));
