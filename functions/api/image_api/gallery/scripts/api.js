// Calls to the HTTP API. Every path is relative to the page, so that the gallery works under any host and prefix.

const KEY = "imgpipe-api-key";

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
const PLAIN_WORDS = {
  403: "The service denied access.",
  413: "The request is too large for the service.",
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

/** Registers `ask(wrong)`, which resolves to a key that the user typed; `wrong` is true if the last key was rejected. */
export function onKeyNeeded(ask) {
  askForKey = ask;
}

/** Whether calls send a key. If so, an <img> cannot load pictures by their URL. */
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
    // Many calls may be rejected at once. Ask only once, and only for calls that used the newest key.
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
    // An error of API Gateway is not always JSON.
  }
  if (!response.ok || body === null) {
    const error = body?.error ?? {};
    const message =
      error.message ?? PLAIN_WORDS[response.status] ?? `The service responded with status ${response.status}.`;
    throw new ApiError(
      response.status,
      error.code ?? "error",
      message,
      Number(response.headers.get("Retry-After")) || null,
    );
  }
  return body;
}

const send = (method, body, headers = {}) => ({
  method,
  body: JSON.stringify(body),
  headers: { "Content-Type": "application/json", ...headers },
});

const image = (id) => `api/images/${encodeURIComponent(id)}`;

/** Fetches one page: `{data, next_cursor}`. */
export function listImages({ limit = 50, cursor = null, status = "" } = {}) {
  const query = new URLSearchParams({ limit });
  if (cursor) query.set("cursor", cursor);
  if (status) query.set("status", status);
  return json(`api/images?${query}`);
}

/** Fetches one image. */
export const getImage = (id) => json(image(id), { cache: "no-cache" });
/** Fetches `{max_post_bytes, max_image_bytes}`. */
export const getLimits = async () => (await json(".", { headers: { Accept: "application/json" } })).limits;
export const getStatistics = () => json("api/stats");
export const getHealth = () => json("health");
export const reprocess = (id) => json(`${image(id)}/reprocess`, { method: "POST" });

/** Deletes an image. Succeeds if it is already deleted. */
export async function deleteImage(id) {
  try {
    await json(image(id), { method: "DELETE", keepalive: true }); // also while the user leaves the page
  } catch (error) {
    if (error.status !== 404) throw error;
  }
}

/** Sets title, alt text or tags. Fails with 412 if the texts no longer have this `text_etag`. */
export const changeImage = (id, changes, etag) =>
  json(image(id), send("PATCH", changes, etag ? { "If-Match": etag } : {}));

/** Reserves an upload: `{image_id, upload: {method, url, headers}}`, without `upload` if the file has already arrived. */
export const reserveUpload = (file, idempotencyKey, signal) =>
  json("api/uploads", { ...send("POST", file, { "Idempotency-Key": idempotencyKey }), signal });

/** The URL of a thumbnail, for use without a key. */
export const thumbnailAddress = (id, size, version) =>
  `${address(`${image(id)}/thumbnails/${size}`).href}${version ? `?v=${encodeURIComponent(version)}` : ""}`;

/** Fetches a thumbnail's bytes with the key. */
export async function thumbnailBlob(id, size) {
  const response = await call(`${image(id)}/thumbnails/${size}`);
  if (!response.ok) throw new ApiError(response.status, "error", "The thumbnail could not be loaded.");
  return response.blob();
}

/** Fetches a short-lived URL of the original file in the bucket. */
export async function originalAddress(id) {
  const response = await json(`${image(id)}/original/address`);
  return response.data.url;
}

/** Fetches the original's bytes from the bucket, without the key. */
export async function originalBlob(id) {
  const response = await fetch(await originalAddress(id));
  if (!response.ok) throw new ApiError(response.status, "error", "The original could not be loaded.");
  return response.blob();
}
