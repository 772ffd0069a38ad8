// The HTTP API. Every path is relative to the page, so that the gallery works under any host and prefix.

const KEY = "imgpipe-api-key";

/** An error of the API or of the connection to it. `status` is 0 if there was no response. */
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

// For responses of API Gateway or a proxy, which do not have the API's error format.
// What to do is said where they are shown: beside a Retry button, or while the page tries again.
const PLAIN_WORDS = {
  403: "The service does not allow this.",
  413: "That is too large for the service.",
  415: "The service does not support files of this kind.",
  429: "The service is busy.",
  502: "The service failed.",
  503: "The service is busy.",
  504: "The service took too long to respond.",
};

let askForKey = async () => {
  throw new ApiError(401, "unauthorized", "An API key is required.");
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
    let response;
    try {
      response = await fetch(address(path), { ...options, headers });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError(0, "unreachable", "The service cannot be reached.");
    }
    if (response.status !== 401) return response;
    // Many calls may be refused at once: one question, and only those that used the newest key ask again.
    if (sessionStorage.getItem(KEY) === key) {
      asking ??= askForKey(key !== null).finally(() => (asking = null));
      sessionStorage.setItem(KEY, await asking);
    }
  }
}

async function json(path, options = {}) {
  const response = await call(path, options);
  if (response.status === 204) return null;
  let body = null;
  try {
    body = await response.json();
  } catch {
    // An error of API Gateway need not be JSON.
  }
  if (!response.ok || body === null) {
    const error = body?.error ?? {};
    const message = error.message ?? PLAIN_WORDS[response.status] ?? `The service responded with status ${response.status}.`;
    throw new ApiError(response.status, error.code ?? "error", message, Number(response.headers.get("Retry-After")) || null);
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
  const response = await call(`${image(id)}/thumbnails/${size}`);
  if (!response.ok) throw new ApiError(response.status, "error", "There is no thumbnail.");
  return response.blob();
}

/** A short-lived address of the original file in the bucket. */
export async function originalAddress(id) {
  const response = await json(`${image(id)}/original/address`);
  return response.data.url;
}

/** The original's bytes, straight from the bucket and without the key. */
export async function originalBlob(id) {
  const response = await fetch(await originalAddress(id));
  if (!response.ok) throw new ApiError(response.status, "error", "The bucket refused the file.");
  return response.blob();
}
