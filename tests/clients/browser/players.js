// Shaka Player and hls.js as a site would use them: start, seek, another tier in mid-track, the end.

import {
  audio, event, loadScript, playToTheEnd, ranges, seek, until, watchFetches,
} from './media.js';

const CHUNK_S = 10, SLACK_S = .05;

async function openShaka(url, fresh) {
  await loadScript('/node_modules/shaka-player/dist/shaka-player.compiled.js');
  shaka.polyfill.installAll();
  const player = new shaka.Player(), errors = [];
  player.addEventListener('error', ({ detail }) => errors.push(`${detail.code} ${detail.data}`));
  player.configure({
    abr: { defaultBandwidthEstimate: 1, useNetworkInformation: false },
    streaming: { bufferingGoal: 1, rebufferingGoal: 1, segmentPrefetchLimit: 0 },
  });
  if (fresh) {
    player.getNetworkingEngine().registerRequestFilter(async (_, request) => {
      request.uris = await Promise.all(request.uris.map(uri => fresh.rewrite(uri)));
    });
  }
  await player.attach(audio);
  await player.load(url);
  player.configure('abr.enabled', false);
  const tiers = () => player.getVariantTracks().sort((a, b) => a.bandwidth - b.bandwidth);
  return {
    errors,
    count: () => tiers().length,
    choose: place => player.selectVariantTrack(tiers()[place]),
    fill: seconds => player.configure('streaming.bufferingGoal', seconds),
  };
}

async function openHls(url, fresh) {
  await loadScript('/node_modules/hls.js/dist/hls.js');
  const xhrSetup = fresh && (async (xhr, asked) => xhr.open('GET', await fresh.rewrite(asked)));
  const player = new Hls({ startLevel: 0, maxBufferLength: 1, maxMaxBufferLength: 1, xhrSetup });
  const errors = [], parsed = new Promise(resolve => player.on(Hls.Events.MANIFEST_PARSED, resolve));
  player.on(Hls.Events.ERROR, (_, { type, details }) => errors.push(`${type} ${details}`));
  player.loadSource(url);
  player.attachMedia(audio);
  await parsed;
  player.loadLevel = 0;
  return {
    errors,
    count: () => player.levels.length,
    choose: place => { player.loadLevel = place; },
    fill: seconds => {
      player.config.maxBufferLength = player.config.maxMaxBufferLength = seconds;
    },
  };
}

/**
 * Plays a track, chunk i of it in tier walk[i], the lowest first; returns what the browser then
 * held, and where it went. It stands still while it loads, so that nothing is loaded too soon.
 */
export async function play(kind, url, walk) {
  const noted = watchFetches();
  const player = await { shaka: openShaka, hls: openHls }[kind](url);
  const playing = event(audio, 'playing');
  await audio.play();
  await playing();
  audio.pause();
  for (let place = 0; place < walk.length; place++) {
    if (place > 0 && walk[place] !== walk[place - 1]) player.choose(walk[place]);
    player.fill(place * CHUNK_S + 1);
    const end = Math.min((place + 1) * CHUNK_S, audio.duration) - SLACK_S;
    await until(() => ranges(audio).some(range => range[1] >= end), `chunk ${place}`);
  }
  const sought = await seek(audio.duration / 2);
  const ended = await playToTheEnd();
  return {
    errors: player.errors, tiers: player.count(), ranges: ranges(audio),
    duration: audio.duration, sought, ended, urls: noted.urls(),
  };
}

/**
 * Plays a track whose URLs end at a time between its chunks, with the origin's own module to keep
 * them fresh, or with none; returns what the browser held and which URLs it asked for.
 */
export async function playThrough(kind, url, manifestUrl, endsAt, isFresh) {
  const noted = watchFetches();
  const { FreshUrls } = await import(new URL('/fresh.js', manifestUrl));
  const fresh = isFresh ? await FreshUrls.open(manifestUrl) : null;
  const player = await { shaka: openShaka, hls: openHls }[kind](url, fresh);
  const playing = event(audio, 'playing');
  await audio.play();
  await playing();
  audio.pause();
  const early = Date.now() < endsAt, loaded = ranges(audio);
  await new Promise(resolve => setTimeout(resolve, endsAt - Date.now() + 500));
  player.fill(audio.duration);
  const whole = () => ranges(audio).some(range => range[1] >= audio.duration - SLACK_S);
  await until(() => whole() || player.errors.length, 'the end, or an error');
  const ended = whole() ? await playToTheEnd() : null;
  fresh?.close();
  return { early, loaded, errors: player.errors, ranges: ranges(audio), ended, urls: noted.urls() };
}
