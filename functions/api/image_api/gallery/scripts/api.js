// The HTTP API. Every path is relative to the page, so that the gallery works under any host and prefix.

const KEY = "imgpipe-api-key";

/** What the API, or the way to it, did not do. `status` is 0 where no answer came. */
export class ApiError extends Error {
  constructor(status, code, message, retryAfter = null) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }

  /** Whether the same call may succeed a little later. */
  get transient() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

// For answers that are not ours: API Gateway's own, or a proxy's.
const PLAIN_WORDS = {
  403: "The service does not allow this.",
  413: "That is too large for the service.",
  415: "The service does not take files of this kind.",
  429: "The service has too much to do at the moment.",
  502: "The service is out of order at the moment.",
  503: "The service has too much to do at the moment.",
  504: "The service took too long to answer.",
};

let askForKey = async () => {
  throw new ApiError(401, "unauthorized", "This stack wants an API key.");
};
let asking = null;

/** `ask(wrong)` resolves to a key that the user typed; `wrong` tells that the last one was refused. */
export function onKeyNeeded(ask) {
  askForKey = ask;
}

/** Whether calls carry a key; then pictures cannot be loaded by their address alone. */
export const hasKey = () => sessionStorage.getItem(KEY) !== null;

const address = (path) => new URL(path, document.baseURI);

async function call(path, options = {}) {
  for (;;) {
    const key = sessionStorage.getItem(KEY);
    const headers = new Headers(options.headers);
    if (key) headers.set("X-Api-Key", key);
    let answer;
    try {
      answer = await fetch(address(path), { ...options, headers });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError(0, "unreachable", "The service cannot be reached.");
    }
    if (answer.status !== 401) return answer;
    // Many calls may be refused at once: one question, and only those that used the newest key ask again.
    if (sessionStorage.getItem(KEY) === key) {
      asking ??= askForKey(key !== null).finally(() => (asking = null));
      sessionStorage.setItem(KEY, await asking);
    }
  }
}

async function json(path, options = {}) {
  const answer = await call(path, options);
  if (answer.status === 204) return null;
  let body = null;
  try {
    body = await answer.json();
  } catch {
    // API Gateway's own errors need not be JSON of ours.
  }
  if (!answer.ok || body === null) {
    const error = body?.error ?? {};
    const message = error.message ?? PLAIN_WORDS[answer.status] ?? `The service answered ${answer.status}.`;
    throw new ApiError(answer.status, error.code ?? "error", message, Number(answer.headers.get("Retry-After")) || null);
  }
  return body;
}

const send = (method, body, headers = {}) => ({
  method,
  body: JSON.stringify(body),
  headers: { "Content-Type": "application/json", ...headers },
});

const image = (id) => `api/images/${encodeURIComponent(id)}`;

/** One page: `{data, next_cursor}`. */
export function listImages({ limit = 50, cursor = null, status = "" } = {}) {
  const query = new URLSearchParams({ limit });
  if (cursor) query.set("cursor", cursor);
  if (status) query.set("status", status);
  return json(`api/images?${query}`);
}

/** One image. */
export const getImage = (id) => json(image(id), { cache: "no-cache" });
/** `{max_post_bytes, max_image_bytes}`. */
export const getLimits = async () => (await json(".", { headers: { Accept: "application/json" } })).limits;
export const getStatistics = () => json("api/stats");
export const getHealth = () => json("health");
export const reprocess = (id) => json(`${image(id)}/reprocess`, { method: "POST" });

/** Deletes an image; one that is gone already is as good. */
export async function deleteImage(id) {
  try {
    await json(image(id), { method: "DELETE", keepalive: true }); // also while the page is being left
  } catch (error) {
    if (error.status !== 404) throw error;
  }
}

/** Sets title, alt text or tags; 412 if these texts are no longer those with this `text_etag`. */
export const changeImage = (id, changes, etag) => json(image(id), send("PATCH", changes, etag ? { "If-Match": etag } : {}));

/** A place for a file in the bucket: `{image_id, upload: {method, url, headers}}`; no `upload` if it is there already. */
export const reserveUpload = (file, idempotencyKey, signal) =>
  json("api/uploads", { ...send("POST", file, { "Idempotency-Key": idempotencyKey }), signal });

/** Where the browser gets a thumbnail from without a key. */
export const thumbnailAddress = (id, size, version) =>
  `${address(`${image(id)}/thumbnails/${size}`).href}${version ? `?v=${encodeURIComponent(version)}` : ""}`;

/** A thumbnail's bytes, fetched with the key. */
export async function thumbnailBlob(id, size) {
  const answer = await call(`${image(id)}/thumbnails/${size}`);
  if (!answer.ok) throw new ApiError(answer.status, "error", "There is no thumbnail.");
  return answer.blob();
}

/** A short-lived address of the original file in the bucket. */
export async function originalAddress(id) {
  const answer = await json(`${image(id)}/original/address`);
  return answer.data.url;
}

/** The original's bytes, straight from the bucket and without the key. */
export async function originalBlob(id) {
  const answer = await fetch(await originalAddress(id));
  if (!answer.ok) throw new ApiError(answer.status, "error", "The bucket refused the file.");
  return answer.blob();
}
