// Requests to the server, and judgments that survive a dropped connection: what is to be sent is kept in the page's session storage
// until the server has acknowledged it. It carries a nonce, so that sending it twice makes one judgment.

const PENDING = "attune.pending";
const FIRST_WAIT = 500;
const LONGEST_WAIT = 8000;

// The server understood the request and refused it: sending it again is no use.
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function request(method, path, body) {
  const options = { method, credentials: "same-origin", cache: "no-store" };
  if (body !== undefined) {
    options.headers = { "Content-Type": "application/json", "X-Attune": "1" };
    options.body = JSON.stringify(body);
  }
  const response = await fetch(path, options);
  const answer = await response.json();
  if (response.ok) {
    return answer;
  }
  if (response.status >= 400 && response.status < 500) {
    throw new Refused(response.status, answer.error);
  }
  throw new Error(answer.error);
}

export const get = (path) => request("GET", path);
export const post = (path, body) => request("POST", path, body);

export function nonce() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const sleep = (milliseconds) => new Promise((wake) => setTimeout(wake, milliseconds));

// Tries until the server answers. `waiting(true)` says that it does not, `waiting(false)` that it does again.
export async function insist(action, waiting) {
  for (let wait = FIRST_WAIT; ; wait = Math.min(2 * wait, LONGEST_WAIT)) {
    try {
      const answer = await action();
      waiting(false);
      return answer;
    } catch (error) {
      if (error instanceof Refused) {
        waiting(false);
        throw error;
      }
      waiting(true);
      await sleep(wait);
    }
  }
}

export function keep(path, body) {
  sessionStorage.setItem(PENDING, JSON.stringify({ path, body }));
}

export function hasPending() {
  return sessionStorage.getItem(PENDING) !== null;
}

// Sends what is kept. It is forgotten once acknowledged or refused, but not while the session has run out.
export async function sendPending(waiting) {
  const { path, body } = JSON.parse(sessionStorage.getItem(PENDING));
  try {
    const answer = await insist(() => post(path, body), waiting);
    sessionStorage.removeItem(PENDING);
    return answer;
  } catch (error) {
    if (error.status !== 401) {
      sessionStorage.removeItem(PENDING);
    }
    throw error;
  }
}
