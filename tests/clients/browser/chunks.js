// Chunks without a player's library: Media Source Extensions with the manifest's own numbers, and
// Ogg decoded chunk by chunk.

import { append, audio, fetchBytes, join, openSource, openTier, ranges } from './media.js';
import { encode, record } from './recorder.js';

/** Lays tracks end to end in one buffer, each trimmed to its own samples. */
async function lay(manifests, tier) {
  const source = await openSource();
  let buffer, end = 0;
  for (const manifest of manifests) {
    const rendition = await openTier(manifest, tier);
    buffer ??= source.addSourceBuffer(rendition.type);
    const start = end;
    end += rendition.samples / rendition.rate_hz;
    buffer.appendWindowEnd = end;
    buffer.appendWindowStart = buffer.timestampOffset = start;
    await append(buffer, await rendition.get(rendition.init));
    for (const chunk of rendition.chunks) await append(buffer, await rendition.get(chunk));
  }
  source.endOfStream();
  return end;
}

/** Lays tracks end to end and tells what the browser made of them. */
export async function joinTracks(manifests, tier) {
  const end = await lay(manifests, tier);
  return { end, ranges: ranges(audio), duration: audio.duration };
}

/** Lays tracks end to end and records what is heard around `at` seconds. */
export async function recordSeam(manifests, tier, rateHz, at, seconds) {
  await lay(manifests, tier);
  return record(audio, rateHz, at - seconds / 2, seconds);
}

/** Decodes every Ogg chunk by itself, and the joined stream; floats in base64, by channel. */
export async function decodeOgg(manifest, tier) {
  const rendition = await openTier(manifest, tier);
  const init = await rendition.get(rendition.init), bodies = [], alone = [];
  for (const chunk of rendition.chunks) {
    const parts = [init], { preroll_range: range } = chunk;
    if (range) parts.push(await rendition.get(rendition.preroll, range));
    const body = await rendition.get(chunk);
    bodies.push(body);
    alone.push(await decode(join([...parts, body]), rendition));
  }
  return { alone, joined: await decode(join([init, ...bodies]), rendition) };
}

async function decode(bytes, { rate_hz: rateHz, channels }) {
  const context = new OfflineAudioContext(channels, 1, rateHz);
  const sound = await context.decodeAudioData(bytes.buffer);
  return Array.from({ length: channels }, (_, channel) =>
    encode(new Uint8Array(sound.getChannelData(channel).buffer)));
}
