// Calls to the HTTP API. Every path is relative to the page, so that the gallery works under any host and prefix.

const KEY_STORAGE_NAME = "imgpipe-api-key";

/** An error of the API or of the connection to it. `status` is 0 if there was no response. */
export class ApiError extends Error {
  constructor(status, code, message, retryAfter = null) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }

  /** Whether the same call may succeed later. */
  get transient() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

// Messages for responses of API Gateway or a proxy, which do not have the API's error format. They do not say what to do:
// they are shown next to a Retry button, or while the page retries.
const DEFAULT_MESSAGES = {
  403: "The service denied access.",
  413: "The request is too large for the service.",
  415: "The service does not support files of this kind.",
  429: "The service is busy.",
  502: "The service failed.",
  503: "The service is busy.",
  504: "The service took too long to respond.",
};

let promptForKey = async () => {
  throw new ApiError(401, "unauthorized", "An API key is required.");
};
let pendingKey = null;

/** Sets the function that asks the user for a key. `rejected` is true if the service rejected the last key. */
export function setKeyPrompt(prompt) {
  promptForKey = prompt;
}

/** Whether calls send a key. If so, an <img> cannot load pictures by their URL. */
export const hasKey = () => sessionStorage.getItem(KEY_STORAGE_NAME) !== null;

const resolve = (path) => new URL(path, document.baseURI);

async function request(path, options = {}) {
  for (;;) {
    const key = sessionStorage.getItem(KEY_STORAGE_NAME);
    const headers = new Headers(options.headers);
    if (key) headers.set("X-Api-Key", key);
    let response;
    try {
      response = await fetch(resolve(path), { ...options, headers });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError(0, "unreachable", "The service cannot be reached.");
    }
    if (response.status !== 401) return response;
    // Many calls may be rejected at once. Ask only once, and only for calls that used the newest key.
    if (sessionStorage.getItem(KEY_STORAGE_NAME) === key) {
      pendingKey ??= promptForKey(key !== null).finally(() => (pendingKey = null));
      sessionStorage.setItem(KEY_STORAGE_NAME, await pendingKey);
    }
  }
}

async function requestJson(path, options = {}) {
  const response = await request(path, options);
  if (response.status === 204) return null;
  let body = null;
  try {
    body = await response.json();
  } catch {
    // An error of API Gateway is not always JSON.
  }
  if (!response.ok || body === null) {
    const error = body?.error ?? {};
    const message =
      error.message ?? DEFAULT_MESSAGES[response.status] ?? `The service responded with status ${response.status}.`;
    throw new ApiError(
      response.status,
      error.code ?? "error",
      message,
      Number(response.headers.get("Retry-After")) || null,
    );
  }
  return body;
}

const jsonRequest = (method, body, headers = {}) => ({
  method,
  body: JSON.stringify(body),
  headers: { "Content-Type": "application/json", ...headers },
});

const imagePath = (id) => `api/images/${encodeURIComponent(id)}`;

/** Fetches one page: `{data, next_cursor}`. */
export function listImages({ limit = 50, cursor = null, status = "" } = {}) {
  const query = new URLSearchParams({ limit });
  if (cursor) query.set("cursor", cursor);
  if (status) query.set("status", status);
  return requestJson(`api/images?${query}`);
}

/** Fetches one image. */
export const getImage = (id) => requestJson(imagePath(id), { cache: "no-cache" });
/** Fetches `{max_post_bytes, max_image_bytes}`. */
export const getLimits = async () => (await requestJson(".", { headers: { Accept: "application/json" } })).limits;
export const getStatistics = () => requestJson("api/stats");
export const getHealth = () => requestJson("health");
export const reprocessImage = (id) => requestJson(`${imagePath(id)}/reprocess`, { method: "POST" });

/** Deletes an image. Succeeds if it is already deleted. */
export async function deleteImage(id) {
  try {
    await requestJson(imagePath(id), { method: "DELETE", keepalive: true }); // also while the user leaves the page
  } catch (error) {
    if (error.status !== 404) throw error;
  }
}

/** Sets title, alt text or tags. Fails with 412 if the texts no longer have this `text_etag`. */
export const patchImage = (id, changes, etag) =>
  requestJson(imagePath(id), jsonRequest("PATCH", changes, etag ? { "If-Match": etag } : {}));

/** Reserves an upload: `{image_id, upload: {method, url, headers}}`, without `upload` if the file has already arrived. */
export const reserveUpload = (file, idempotencyKey, signal) =>
  requestJson("api/uploads", { ...jsonRequest("POST", file, { "Idempotency-Key": idempotencyKey }), signal });

/** The URL of a thumbnail, for use without a key. */
export const thumbnailUrl = (id, size, version) =>
  `${resolve(`${imagePath(id)}/thumbnails/${size}`).href}${version ? `?v=${encodeURIComponent(version)}` : ""}`;

/** Fetches a thumbnail's bytes with the key. */
export async function getThumbnailBlob(id, size) {
  const response = await request(`${imagePath(id)}/thumbnails/${size}`);
  if (!response.ok) throw new ApiError(response.status, "error", "The thumbnail could not be loaded.");
  return response.blob();
}

/** Fetches a short-lived URL of the original file in the bucket. */
export async function getOriginalUrl(id) {
  const response = await requestJson(`${imagePath(id)}/original/address`);
  return response.data.url;
}

/** Fetches the original's bytes from the bucket, without the key. */
export async function getOriginalBlob(id) {
  const response = await fetch(await getOriginalUrl(id));
  if (!response.ok) throw new ApiError(response.status, "error", "The original could not be loaded.");
  return response.blob();
}
