// The upload of one file: reserved with the API, then put directly into the bucket by presigned URL.

import { ApiError, getLimits, reserveUpload } from "./api.js";
import { formatFileSize } from "./dom.js";
import { mediaType } from "./files.js";

/** @import { Limits, PresignedUpload } from "../../../types/api.d.ts" */

const MAX_NAME_LENGTH = 255;

// Messages for the bucket's errors. Its own messages are XML.
/** @type {Record<number, string>} */
const BUCKET_MESSAGES = {
  400: "The bucket rejected the file. It may have changed since you added it: add it again.",
  403: "The bucket rejected the upload: its link has expired, or the clock of this device is wrong.",
  404: "The bucket no longer exists.",
  413: "The file is too large for the bucket.",
};

/** @type {Promise<Limits | null> | null} */
let limits = null;

/**
 * Uploads a file and resolves to its image's id.
 * @param {File} file
 * @param {string} key makes retries safe: the same key never creates a second image
 * @param {AbortSignal} signal
 * @param {(bytesSent: number) => void} onProgress
 */
export async function uploadFile(file, key, signal, onProgress) {
  if (file.size === 0) throw new ApiError(400, "empty_file", "The file is empty.");
  // Fetch the limits once for all files. If that fails, the API itself rejects files that are too large.
  limits ??= getLimits().catch(() => (limits = null));
  const maxBytes = (await limits)?.max_image_bytes ?? Infinity;
  if (file.size > maxBytes) {
    throw new ApiError(
      413,
      "too_large",
      `The file is ${formatFileSize(file.size)}; the limit is ${formatFileSize(maxBytes)}.`,
    );
  }
  // Always use the same key: if a response was lost, the API returns the same reservation again.
  const body = {
    filename: file.name.slice(-MAX_NAME_LENGTH),
    content_type: mediaType(file) || "application/octet-stream",
    size: file.size,
  };
  const reservation = await reserveUpload(body, key, signal);
  // Without `upload` the file has already arrived, by an attempt whose response was lost.
  if ("upload" in reservation) await putFile(reservation.upload, file, signal, onProgress);
  return reservation.image_id;
}

// XMLHttpRequest reports the progress of an upload; fetch does not. The API key is never sent to the bucket.
/**
 * @param {PresignedUpload} upload
 * @param {File} file
 * @param {AbortSignal} signal
 * @param {(bytesSent: number) => void} onProgress
 * @returns {Promise<void>}
 */
function putFile({ method, url, headers }, file, signal, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    /** @type {(status: number, code: string, message: string) => void} */
    const fail = (status, code, message) => reject(new ApiError(status, code, message));
    request.open(method, url);
    for (const [name, value] of Object.entries(headers)) {
      if (!["host", "content-length"].includes(name.toLowerCase())) request.setRequestHeader(name, value); // the browser sets these two
    }
    request.upload.addEventListener("progress", (event) => onProgress(event.loaded));
    request.addEventListener("load", () => {
      // 412: the object exists, so an earlier attempt succeeded and its response was lost.
      if (request.status < 300 || request.status === 412) resolve();
      else
        fail(
          request.status,
          "rejected",
          BUCKET_MESSAGES[request.status] ?? `The bucket responded with status ${request.status}.`,
        );
    });
    request.addEventListener("error", () => fail(0, "unreachable", "The connection was lost."));
    request.addEventListener("abort", () => fail(0, "aborted", "Canceled."));
    if (signal.aborted) return void fail(0, "aborted", "Canceled.");
    signal.addEventListener("abort", () => request.abort(), { once: true });
    request.send(file);
  });
}
