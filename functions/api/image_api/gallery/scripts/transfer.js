// One file on its way: announced to the API, then put straight into the bucket by presigned URL.

import { ApiError, getLimits, reserveUpload } from "./api.js";
import { fileSize } from "./dom.js";
import { mediaType } from "./files.js";

const LONGEST_NAME = 255;

// The bucket's errors, for people. Its own messages are XML.
const REFUSALS = {
  400: "The file that arrived is not the one that was announced. If it has changed, add it again.",
  403: "The bucket refused the upload: its link has expired, or this device's clock is wrong.",
  404: "The bucket does not exist any more.",
  413: "The file is too large for the bucket.",
};

let limits = null;

/** Uploads a file and resolves to its image's id. `key` makes trying again safe; `onprogress` gets the bytes sent. */
export async function transfer(file, key, signal, onprogress) {
  if (file.size === 0) throw new ApiError(400, "empty_file", "The file is empty.");
  // Asked once for all files. Without limits the API itself rejects files that are too large.
  limits ??= getLimits().catch(() => (limits = null));
  const most = (await limits)?.max_image_bytes ?? Infinity;
  if (file.size > most) {
    throw new ApiError(413, "too_large", `The file is ${fileSize(file.size)}; the limit is ${fileSize(most)}.`);
  }
  // The same key each time: a reservation whose response got lost is returned again, not made twice.
  const wanted = {
    filename: file.name.slice(-LONGEST_NAME),
    content_type: mediaType(file) || "application/octet-stream",
    size: file.size,
  };
  const reserved = await reserveUpload(wanted, key, signal);
  // Without an address the file has arrived already, by a try whose response was lost.
  if (reserved.upload) await put(reserved.upload, file, signal, onprogress);
  return reserved.image_id;
}

// fetch tells nothing of what has been sent; XMLHttpRequest does. The API's key never goes along.
function put({ method, url, headers }, file, signal, onprogress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const fail = (status, code, message) => reject(new ApiError(status, code, message));
    request.open(method, url);
    for (const [name, value] of Object.entries(headers)) {
      if (!["host", "content-length"].includes(name.toLowerCase())) request.setRequestHeader(name, value); // the browser's
    }
    request.upload.addEventListener("progress", (event) => onprogress(event.loaded));
    request.addEventListener("load", () => {
      // 412: the object is there already, so an earlier try had arrived and its response was lost.
      if (request.status < 300 || request.status === 412) resolve();
      else fail(request.status, "refused", REFUSALS[request.status] ?? `The bucket responded with status ${request.status}.`);
    });
    request.addEventListener("error", () => fail(0, "unreachable", "The connection broke."));
    request.addEventListener("abort", () => fail(0, "aborted", "Cancelled."));
    if (signal.aborted) return void fail(0, "aborted", "Cancelled.");
    signal.addEventListener("abort", () => request.abort(), { once: true });
    request.send(file);
  });
}
