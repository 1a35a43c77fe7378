// Records what the media element really gives: it plays through an AudioContext of the sound's own
// rate, so that nothing is resampled, into a worklet that keeps every sample.

import { event, seek, until } from './media.js';

const WORKLET = new URL('./recorder-worklet.js', import.meta.url);

/** Plays `seconds` from `start` on and returns the interleaved stereo floats, in base64. */
export async function record(audio, rateHz, start, seconds) {
  const recorder = await attach(audio, rateHz);
  await seek(start);
  await audio.play();
  await until(() => audio.currentTime >= start + seconds, `${seconds} s of sound`);
  const kept = event(recorder.port, 'message');
  let pcm;
  recorder.port.onmessage = ({ data }) => { pcm = data; };
  recorder.port.postMessage('give');
  await kept();
  audio.pause();
  return encode(new Uint8Array(pcm.buffer));
}

async function attach(audio, rateHz) {
  const context = new AudioContext({ sampleRate: rateHz, latencyHint: 'playback' });
  await context.audioWorklet.addModule(WORKLET);
  const recorder = new AudioWorkletNode(context, 'recorder', {
    channelCount: 2, channelCountMode: 'explicit',
  });
  context.createMediaElementSource(audio).connect(recorder).connect(context.destination);
  await context.resume();
  return recorder;
}

export function encode(bytes) {
  const piece = 1 << 15;
  let text = '';
  for (let place = 0; place < bytes.length; place += piece)
    text += String.fromCharCode(...bytes.subarray(place, place + piece));
  return btoa(text);
}
