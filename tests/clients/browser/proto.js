export const audio = document.querySelector('audio');
export const ranges = b => Array.from({length: b.length}, (_, i) => [b.start(i), b.end(i)]);
const until = (f, what, ms=60000) => new Promise((ok, no) => { const t0=performance.now(); const t=setInterval(()=>{ if (f()) {clearInterval(t); ok();} else if (performance.now()-t0>ms) {clearInterval(t); no(new Error('never: '+what));} }, 20); });
function spy() {
  const log = [];
  const orig = SourceBuffer.prototype.appendBuffer;
  SourceBuffer.prototype.appendBuffer = function (d) { log.push(['append', d.byteLength, this.timestampOffset, this.appendWindowStart, this.appendWindowEnd, this.mode, ranges(this.buffered)]); return orig.call(this, d); };
  for (const name of ['remove','abort','changeType']) { const o = SourceBuffer.prototype[name]; SourceBuffer.prototype[name] = function (...a) { log.push([name, ...a]); return o.apply(this, a); }; }
  const e = MediaSource.prototype.endOfStream; MediaSource.prototype.endOfStream = function (...a) { log.push(['eos', ...a]); return e.apply(this, a); };
  const ds = Object.getOwnPropertyDescriptor(MediaSource.prototype, 'duration');
  Object.defineProperty(MediaSource.prototype, 'duration', { get() { return ds.get.call(this); }, set(v) { log.push(['duration', v]); ds.set.call(this, v); }, configurable: true });
  return log;
}
async function script(src) { await new Promise((ok, no) => { const s=document.createElement('script'); s.src=src; s.onload=ok; s.onerror=()=>no(new Error(src)); document.head.append(s); }); }
export async function shaka(url, config) {
  const log = spy();
  await script('/node_modules/shaka-player/dist/shaka-player.compiled.js');
  const S = window.shaka; S.polyfill.installAll();
  const player = new S.Player(); await player.attach(audio);
  const errors = []; player.addEventListener('error', e => errors.push(e.detail.code));
  player.configure(config);
  audio.muted = true;
  const t0 = performance.now();
  const playing = new Promise(ok => audio.addEventListener('playing', ok, {once:true}));
  await player.load(url);
  audio.play();
  await playing; const start = performance.now()-t0;
  const variants = player.getVariantTracks().map(v => [v.id, v.bandwidth, v.audioCodec, v.active, v.audioSamplingRate]);
  await until(() => audio.buffered.length && audio.buffered.end(audio.buffered.length-1) > audio.duration-0.05, 'buffered');
  const all = ranges(audio.buffered);
  audio.playbackRate = 16;
  await until(() => audio.ended, 'end');
  return {start, variants, all, duration: audio.duration, time: audio.currentTime, errors, log};
}
export async function hls(url, config) {
  const log = spy();
  await script('/node_modules/hls.js/dist/hls.js');
  const h = new window.Hls(config||{});
  const errors = []; h.on('hlsError', (_, d) => errors.push([d.type, d.details, d.fatal]));
  audio.muted = true;
  const t0 = performance.now();
  const playing = new Promise(ok => audio.addEventListener('playing', ok, {once:true}));
  h.loadSource(url); h.attachMedia(audio); 
  h.on('hlsManifestParsed', () => audio.play());
  await playing; const start = performance.now()-t0;
  await until(() => audio.buffered.length && audio.buffered.end(audio.buffered.length-1) > audio.duration-0.05, 'buffered', 20000).catch(e=>errors.push(e.message));
  const all = ranges(audio.buffered);
  audio.playbackRate = 16;
  await until(() => audio.ended, 'end', 20000).catch(e=>errors.push(e.message));
  return {start, levels: h.levels.map(l=>[l.bitrate, l.codecSet, l.audioCodec]), all, duration: audio.duration, time: audio.currentTime, errors, log};
}
export async function hw() { const c = new AudioContext(); const r=[c.sampleRate, c.state, c.currentTime]; await new Promise(o=>setTimeout(o,500)); return [...r, c.state, c.currentTime]; }
