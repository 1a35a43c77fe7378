// Shaka Player, as a site would use it.

import {
  audio, event, loadScript, playToTheEnd, ranges, seek, until, watchAppends,
} from './media.js';
import { record } from './recorder.js';

const ALL_S = 600;

async function openShaka(streaming) {
  await loadScript('/node_modules/shaka-player/dist/shaka-player.compiled.js');
  shaka.polyfill.installAll();
  const player = new shaka.Player(), errors = [];
  player.addEventListener('error', ({ detail }) => errors.push(String(detail)));
  player.configure({
    abr: { enabled: false, useNetworkInformation: false, defaultBandwidthEstimate: 1 },
    streaming,
  });
  await player.attach(audio);
  return { player, errors, ...watchAppends() };
}

const bufferedTo = (player, time) => until(
  () => player.getBufferedInfo().total.some(({ end }) => end >= time), `sound until ${time}`);

/** Plays from the start, over the first seam of chunks, and to the end. */
export async function play(url, { rateHz, seam, config }) {
  const { player, errors, appended, offsets } = await openShaka({ bufferingGoal: ALL_S, ...config });
  const playing = event(audio, 'playing'), before = performance.now();
  audio.addEventListener('playing', () => { startMs ??= performance.now() - before; });
  let startMs;
  await player.load(url);
  await audio.play();
  await playing();
  await until(() => player.isBufferFullyLoaded?.() ?? player.isEnded?.(), 'all');
  return { startMs };
}
