// What every page shares: the CSRF token for scripts, and requests to the desk.

const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content ?? "";

/** The address of a path of the desk, also behind a reverse proxy that puts it below a path. */
export const url = (path) => meta("root-path") + path;

/** An answer of the desk that is an error; `status` is that of HTTP, 0 where nobody answered. */
export class DeskError extends Error {
  constructor(message, status, details = {}) {
    super(message);
    this.status = status;
    this.details = details;
  }
}

/**
 * Ask the desk for JSON, or send it some. `body` is an object (sent as JSON), a Blob or a File.
 * Throws DeskError with the message that the desk gives.
 */
export async function ask(path, { method = "GET", body = undefined, headers = {} } = {}) {
  const raw = body instanceof Blob;
  const sent = {
    method,
    headers: { Accept: "application/json", "X-CSRF-Token": meta("csrf-token"), ...headers },
  };
  if (body !== undefined) {
    sent.body = raw ? body : JSON.stringify(body);
    sent.headers["Content-Type"] = raw ? "application/octet-stream" : "application/json";
  }
  let response;
  try {
    response = await fetch(url(path), sent);
  } catch {
    throw new DeskError("The desk does not answer: check the connection, then try again", 0);
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) {
    throw new DeskError(answer.error ?? `The desk answers ${response.status}`, response.status, answer);
  }
  return answer;
}
