// Files from the picker, a folder, the clipboard or a drop.

// Browsers have no media type for some of these. The server decides by the bytes, not by the name.
const TYPES_BY_EXTENSION = {
  jpg: "image/jpeg",
  jpeg: "image/jpeg",
  jpe: "image/jpeg",
  jfif: "image/jpeg",
  mpo: "image/jpeg",
  png: "image/png",
  apng: "image/png",
  gif: "image/gif",
  webp: "image/webp",
  tif: "image/tiff",
  tiff: "image/tiff",
  bmp: "image/bmp",
  avif: "image/avif",
  heic: "image/heic",
  heif: "image/heic",
};
const TYPE_ALIASES = {
  "image/jpg": "image/jpeg",
  "image/pjpeg": "image/jpeg",
  "image/apng": "image/png",
  "image/x-ms-bmp": "image/bmp",
  "image/heif": "image/heic",
};

/** The media type to announce, or "" if the file does not look like a picture. */
export function mediaType(file) {
  const extension = file.name.toLowerCase().match(/\.([a-z]+)$/)?.[1];
  const type = TYPES_BY_EXTENSION[extension] ?? file.type;
  return TYPE_ALIASES[type] ?? type;
}

const isPicture = (file) => mediaType(file).startsWith("image/");

/** Returns `[pictures, number of other files]`. Folders usually contain other files. */
export function splitPictures(files) {
  const pictures = files.filter(isPicture);
  return [pictures, files.length - pictures.length];
}

/** Returns all files of a drop, including those in folders. */
export async function droppedFiles(dataTransfer) {
  // Read the entries before the first await: the browser clears the list when the event ends.
  const entries = [...dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...dataTransfer.files];
  const files = [];
  const walk = async (entry) => {
    if (entry.isFile) {
      files.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
    } else if (entry.isDirectory) {
      const reader = entry.createReader();
      for (;;) {
        const batch = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // at most 100
        if (!batch.length) break;
        for (const child of batch) await walk(child);
      }
    }
  };
  for (const entry of entries) await walk(entry);
  return files;
}
