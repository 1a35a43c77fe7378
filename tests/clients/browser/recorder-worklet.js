const QUANTUM = 128;

registerProcessor('recorder', class extends AudioWorkletProcessor {
  constructor() {
    super();
    this.blocks = [];
    this.port.onmessage = () => this.give();
  }

  process([[left, right]]) {
    if (!left) return true;
    const block = new Float32Array(2 * QUANTUM);
    for (let i = 0; i < QUANTUM; i++) {
      block[2 * i] = left[i];
      block[2 * i + 1] = right[i];
    }
    this.blocks.push(block);
    return true;
  }

  give() {
    const pcm = new Float32Array(2 * QUANTUM * this.blocks.length);
    this.blocks.forEach((block, i) => pcm.set(block, 2 * QUANTUM * i));
    this.port.postMessage(pcm, [pcm.buffer]);
  }
});
