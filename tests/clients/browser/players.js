// Shaka Player and hls.js as a site would use them: start, seek, another tier in mid-track, the end.

import {
  audio, event, loadScript, playToTheEnd, ranges, seek, until, watchFetches,
} from './media.js';

const NOT_ALL_S = 12, ALL_S = 600, FIRST_CHUNK_S = 9;

async function openShaka(url) {
  await loadScript('/node_modules/shaka-player/dist/shaka-player.compiled.js');
  shaka.polyfill.installAll();
  const player = new shaka.Player(), errors = [];
  player.addEventListener('error', ({ detail }) => errors.push(`${detail.code} ${detail.data}`));
  player.configure({
    abr: { defaultBandwidthEstimate: 1, useNetworkInformation: false },
    streaming: { bufferingGoal: NOT_ALL_S, rebufferingGoal: 1 },
  });
  await player.attach(audio);
  await player.load(url);
  player.configure('abr.enabled', false);
  const tiers = () => player.getVariantTracks().sort((a, b) => a.bandwidth - b.bandwidth);
  return {
    errors,
    count: () => tiers().length,
    active: () => tiers().findIndex(({ active }) => active),
    choose: place => player.selectVariantTrack(tiers()[place]),
    fillAll: () => player.configure('streaming.bufferingGoal', ALL_S),
  };
}

async function openHls(url) {
  await loadScript('/node_modules/hls.js/dist/hls.js');
  const player = new Hls({ startLevel: 0, maxBufferLength: NOT_ALL_S, maxMaxBufferLength: NOT_ALL_S });
  const errors = [], parsed = new Promise(resolve => player.on(Hls.Events.MANIFEST_PARSED, resolve));
  player.on(Hls.Events.ERROR, (_, { type, details }) => errors.push(`${type} ${details}`));
  player.loadSource(url);
  player.attachMedia(audio);
  await parsed;
  player.autoLevelCapping = 0;
  return {
    errors,
    count: () => player.levels.length,
    active: () => player.loadLevel,
    choose: place => {
      player.autoLevelCapping = -1;
      player.nextLoadLevel = place;
    },
    fillAll: () => { player.config.maxBufferLength = player.config.maxMaxBufferLength = ALL_S; },
  };
}

/** Plays a track from its start; returns what the browser then held, and where it went. */
export async function play(kind, url) {
  const noted = watchFetches();
  const player = await { shaka: openShaka, hls: openHls }[kind](url);
  const playing = event(audio, 'playing');
  await audio.play();
  await playing();
  await until(() => audio.buffered.end(0) > FIRST_CHUNK_S, 'the first chunk');
  const first = player.active();
  const last = player.count() - 1;
  if (last > 0) player.choose(last);
  player.fillAll();
  const loaded = () => audio.buffered.length === 1
    && audio.buffered.end(0) >= audio.duration - .05;
  await until(loaded, 'the whole track');
  const sought = await seek(audio.duration / 2);
  const ended = await playToTheEnd();
  return {
    errors: player.errors, first, last: player.active(), tiers: player.count(),
    ranges: ranges(audio), duration: audio.duration, sought, ended, urls: noted.urls(),
  };
}
