// What is only called where a request is refused, apart from what every chunk's request runs.

// What one client has for itself: an address, or 64 bits of one in IPv6, where there is one.
function network(r) {
  const address = r.rawVariables.binary_remote_addr, whole = address.toString('hex');
  return /^0{16}/.test(whole) ? whole : whole.slice(0, 16);
}

// Takes from the headers of a chunk what is not true of a refusal.
function correct(r) {
  r.headersOut['Cache-Control'] = 'no-store';
  r.headersOut['X-Request-Id'] = r.variables.lathe_request_id;
}

export default { correct, network };
