// Calls to the HTTP API. Every path is relative to the page, so that the gallery works under any host and prefix.

/**
 * @import {
 *   Rendition,
 *   AcceptedResponse, ErrorResponse, HealthResponse, ImagePatch, ImageResponse, IndexResponse, ListResponse,
 *   OriginalResponse, PatchedResponse, StatsResponse, Status, UploadRequest, UploadResponse,
 * } from "../../../types/api.d.ts"
 */

const KEY_STORAGE_NAME = "imgpipe-api-key";

/** An error of the API or of the connection to it. `status` is 0 if there was no response. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} code
   * @param {string} message
   * @param {number | null} [retryAfter] seconds
   */
  constructor(status, code, message, retryAfter = null) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }

  /** Whether the same call may succeed later. */
  get isTransient() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/**
 * Whether an error of any kind is an `ApiError` that a retry may get past.
 * @param {unknown} error
 * @returns {error is ApiError}
 */
export const isTransient = (error) => error instanceof ApiError && error.isTransient;

/**
 * Whether an error of any kind is a response with this status.
 * @param {unknown} error
 * @param {number} status
 */
export const hasStatus = (error, status) => error instanceof ApiError && error.status === status;

/** @param {unknown} error */
export const messageOf = (error) => (error instanceof Error ? error.message : String(error));

// Messages for responses of API Gateway or a proxy, which do not have the API's error format. They do not say what to do:
// they are shown next to a Retry button, or while the page retries.
/** @type {Record<number, string>} */
const DEFAULT_MESSAGES = {
  403: "The service denied access.",
  413: "The request is too large for the service.",
  415: "The service does not support files of this kind.",
  429: "The service is busy.",
  502: "The service failed.",
  503: "The service is busy.",
  504: "The service took too long to respond.",
};

/** @type {(rejected: boolean) => Promise<string>} */
let promptForKey = async () => {
  throw new ApiError(401, "unauthorized", "An API key is required.");
};
/** @type {Promise<string> | null} */
let pendingKey = null;

/**
 * Sets the function that asks the user for a key. `rejected` is true if the service rejected the last key.
 * @param {(rejected: boolean) => Promise<string>} prompt
 */
export function setKeyPrompt(prompt) {
  promptForKey = prompt;
}

/** Whether calls send a key. If so, an <img> cannot load pictures by their URL. */
export const hasKey = () => sessionStorage.getItem(KEY_STORAGE_NAME) !== null;

/** @param {string} path */
const resolve = (path) => new URL(path, document.baseURI);

/**
 * Sends a request with the key, and asks for the key as often as the service rejects it.
 * @param {string} path
 * @param {RequestInit} [options]
 */
async function request(path, options = {}) {
  for (;;) {
    const key = sessionStorage.getItem(KEY_STORAGE_NAME);
    const headers = new Headers(options.headers);
    if (key) headers.set("X-Api-Key", key);
    let response;
    try {
      response = await fetch(resolve(path), { ...options, headers });
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") throw error;
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

/**
 * Sends a request and resolves to the body of the response; null if it has none.
 * @template T
 * @param {string} path
 * @param {RequestInit} [options]
 * @returns {Promise<T>}
 */
async function requestJson(path, options = {}) {
  const response = await request(path, options);
  const body = response.status === 204 ? null : await response.json().catch(() => null);
  if (!response.ok || (body === null && response.status !== 204)) throw errorOf(response, body);
  return body;
}

/**
 * @param {Response} response
 * @param {Partial<ErrorResponse> | null} body of API Gateway or a proxy: JSON of another format, or none
 */
function errorOf(response, body) {
  const code = body?.error?.code ?? "error";
  const message =
    body?.error?.message ??
    DEFAULT_MESSAGES[response.status] ??
    `The service responded with status ${response.status}.`;
  return new ApiError(response.status, code, message, Number(response.headers.get("Retry-After")) || null);
}

/**
 * @param {"POST" | "PATCH"} method
 * @param {object} body
 * @param {Record<string, string>} [headers]
 */
const jsonRequest = (method, body, headers = {}) => ({
  method,
  body: JSON.stringify(body),
  headers: { "Content-Type": "application/json", ...headers },
});

/** @param {string} id */
const imagePath = (id) => `api/images/${encodeURIComponent(id)}`;

/**
 * Fetches one page.
 * @param {object} [list]
 * @param {number} [list.limit]
 * @param {string | null} [list.cursor]
 * @param {string} [list.query]
 * @param {Status | ""} [list.status]
 * @param {"newest" | "oldest"} [list.order]
 * @param {"open" | ""} [list.review]
 * @returns {Promise<ListResponse>}
 */
export function listImages({
  limit = 50,
  cursor = null,
  query = "",
  status = "",
  order = "newest",
  review = "",
} = {}) {
  const parameters = new URLSearchParams({ limit: String(limit) });
  const optional = { cursor, q: query, status, order: order === "newest" ? "" : order, review };
  for (const [name, value] of Object.entries(optional)) if (value) parameters.set(name, value);
  return requestJson(`api/images?${parameters}`);
}

/** @type {(id: string) => Promise<ImageResponse>} */
export const getImage = (id) => requestJson(imagePath(id), { cache: "no-cache" });

/** Fetches the maximum sizes of files. */
export async function getLimits() {
  /** @type {IndexResponse} */
  const index = await requestJson(".", { headers: { Accept: "application/json" } });
  return index.limits;
}

/** @type {() => Promise<StatsResponse>} */
export const getStatistics = () => requestJson("api/stats");

/** @type {() => Promise<HealthResponse>} */
export const getHealth = () => requestJson("health");

/** @type {(id: string) => Promise<AcceptedResponse>} */
export const reprocessImage = (id) => requestJson(`${imagePath(id)}/reprocess`, { method: "POST" });

/**
 * Deletes an image. Succeeds if it is already deleted.
 * @param {string} id
 */
export async function deleteImage(id) {
  try {
    await requestJson(imagePath(id), { method: "DELETE", keepalive: true }); // also while the user leaves the page
  } catch (error) {
    if (!hasStatus(error, 404)) throw error;
  }
}

/**
 * Sets title, alt text or tags. Fails with 412 if the texts no longer have this `text_etag`.
 * @param {string} id
 * @param {ImagePatch} changes
 * @param {string} etag
 * @returns {Promise<PatchedResponse>}
 */
export const patchImage = (id, changes, etag) =>
  requestJson(imagePath(id), jsonRequest("PATCH", changes, { "If-Match": etag }));

/**
 * Reserves an upload. If the file of this key has already arrived, resolves to its image.
 * @param {UploadRequest} file
 * @param {string} idempotencyKey
 * @param {AbortSignal} signal
 * @returns {Promise<UploadResponse | AcceptedResponse>}
 */
export const reserveUpload = (file, idempotencyKey, signal) =>
  requestJson("api/uploads", { ...jsonRequest("POST", file, { "Idempotency-Key": idempotencyKey }), signal });

/**
 * Returns the URL of a rendition, for use without a key. Its query changes with the bytes, so browsers keep it.
 * @param {string} id
 * @param {Rendition} rendition
 */
export const renditionUrl = (id, rendition) => resolve(renditionPath(id, rendition)).href;

/**
 * The API's own host may differ from that of this page, so only the query of its URL is used.
 * @param {string} id
 * @param {Rendition} rendition
 */
const renditionPath = (id, { name, url }) =>
  `${imagePath(id)}/thumbnails/${name}${new URL(url, document.baseURI).search}`;

/**
 * Fetches a rendition's bytes with the key.
 * @param {string} id
 * @param {Rendition} rendition
 */
export async function getRenditionBlob(id, rendition) {
  const response = await request(renditionPath(id, rendition));
  if (!response.ok) throw new ApiError(response.status, "error", "The picture could not be loaded.");
  return response.blob();
}

/**
 * Fetches a short-lived URL of the original file in the bucket.
 * @param {string} id
 */
export async function getOriginalUrl(id) {
  /** @type {OriginalResponse} */
  const response = await requestJson(`${imagePath(id)}/original/address`);
  return response.data.url;
}

/**
 * Fetches the original's bytes from the bucket, without the key.
 * @param {string} id
 */
export async function getOriginalBlob(id) {
  const response = await fetch(await getOriginalUrl(id));
  if (!response.ok) throw new ApiError(response.status, "error", "The original could not be loaded.");
  return response.blob();
}
