// Uploads a file with tus-js-client as its arguments say, and tells where to and how it went.
//   node send.js FILE ENDPOINT KEY STATE OPTIONS
// OPTIONS (JSON) go to the client; of them, `abortAt` ends this process when so many bytes have
// been sent, for the next one to go on with what STATE remembers.
const fs = require('fs');
const path = require('path');
const { PassThrough } = require('stream');
const tus = require('tus-js-client');

const [file, endpoint, key, state, said] = process.argv.slice(2);
const { abortAt, ...options } = JSON.parse(said);
const requests = [];
let retried = 0;

// Of a file the client knows the length; what it does not know it of is a pipe.
const source = options.uploadLengthDeferred
  ? fs.createReadStream(file).pipe(new PassThrough())
  : fs.createReadStream(file);

const upload = new tus.Upload(source, {
  endpoint,
  headers: { Authorization: `Bearer ${key}` },
  metadata: { filename: path.basename(file), filetype: 'audio/wav' },
  urlStorage: new tus.FileUrlStorage(state),
  fingerprint: async () => `file-${path.basename(file)}`,
  retryDelays: [0, 200, 500, 1000, 1000, 2000, 2000, 4000, 4000, 4000, 4000],
  ...options,
  onAfterResponse: (request, response) => {
    requests.push([request.getMethod(), response.getStatus()]);
  },
  onShouldRetry: (fault, attempt, { retryDelays }) => {
    retried += 1;
    const status = fault.originalResponse ? fault.originalResponse.getStatus() : 0;
    return status < 400 || status >= 500 || status === 409 || status === 423;
  },
  onProgress: (sent) => {
    process.stderr.write(`sent ${sent}\n`);
    if (abortAt !== undefined && sent >= abortAt) {
      upload.abort();
      console.log(JSON.stringify({ url: upload.url, requests, retried, aborted: true }));
      process.exit(0);
    }
  },
  onError: (fault) => {
    console.log(JSON.stringify({ fault: `${fault}`, requests, retried }));
    process.exit(1);
  },
  onSuccess: () => {
    console.log(JSON.stringify({ url: upload.url, requests, retried }));
    process.exit(0);
  },
});

upload.findPreviousUploads().then((previous) => {
  if (previous.length > 0) upload.resumeFromPreviousUpload(previous[0]);
  upload.start();
});
