// Whether a signed URL opens what it names: the same check as protection/signing.py, which tells
// the format. nginx.conf reads the URL, of the path as it was sent, so that nothing is opened that
// was not signed so, and finds the key.
//
// nginx runs a module anew for every request, and njs interprets it: what is called costs most.
import crypto from 'crypto';

// Takes as long wherever the first difference is. Both are 32 bytes.
function isSame(one, other) {
  const a = new Uint32Array(one.buffer, one.byteOffset, 8);
  const b = new Uint32Array(other.buffer, other.byteOffset, 8);
  return ((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3])
    | (a[4] ^ b[4]) | (a[5] ^ b[5]) | (a[6] ^ b[6]) | (a[7] ^ b[7])) === 0;
}

function opens(r) {
  // The message first, for with it the rest of the URL is read.
  const message = r.rawVariables.lathe_message, said = r.variables, secret = said.lathe_secret;
  if (!secret) return 'no';
  const key = Buffer.from(secret, 'base64url');
  const expected = crypto.createHmac('sha256', key).update(message).digest();
  const given = Buffer.from(said.lathe_signature, 'base64url');
  // As text, of which both have ten digits before the point.
  return isSame(expected, given) && said.msec < said.lathe_expires ? 'yes' : 'no';
}

export default { opens };
