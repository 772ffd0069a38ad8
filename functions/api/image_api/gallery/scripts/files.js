// Files from the picker, a folder, the clipboard or a drop.

// Browsers have no media type for some of these. The server decides by the bytes, not by the name.
/** @type {Record<string, string>} */
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

/**
 * The media type to announce, or "" if neither the name nor the browser tells it.
 * @param {File} file
 */
export function mediaType(file) {
  const extension = file.name.toLowerCase().match(/\.([a-z]+)$/)?.[1] ?? "";
  return TYPES_BY_EXTENSION[extension] ?? file.type;
}

/** @param {File} file */
const isPicture = (file) => mediaType(file).startsWith("image/");

/**
 * Returns the pictures, and the number of other files. Folders usually contain other files.
 * @param {File[]} files
 * @returns {[pictures: File[], others: number]}
 */
export function splitPictures(files) {
  const pictures = files.filter(isPicture);
  return [pictures, files.length - pictures.length];
}

/**
 * @param {FileSystemEntry} entry
 * @returns {entry is FileSystemFileEntry}
 */
const isFile = (entry) => entry.isFile;

/**
 * @param {FileSystemEntry} entry
 * @returns {entry is FileSystemDirectoryEntry}
 */
const isDirectory = (entry) => entry.isDirectory;

/**
 * Returns all files of a drop, including those in folders.
 * @param {DataTransfer} dataTransfer
 */
export async function droppedFiles(dataTransfer) {
  // Read the entries before the first await: the browser clears the list when the event ends.
  const entries = [...dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter((entry) => !!entry);
  if (!entries.length) return [...dataTransfer.files];
  /** @type {File[]} */
  const files = [];
  for (const entry of entries) await collectFiles(entry, files);
  return files;
}

/**
 * Appends the file, or the files in the folder, to `files`.
 * @param {FileSystemEntry} entry
 * @param {File[]} files
 */
async function collectFiles(entry, files) {
  if (isFile(entry)) {
    files.push(await new Promise((resolve, reject) => entry.file(resolve, reject)));
  } else if (isDirectory(entry)) {
    const reader = entry.createReader();
    for (;;) {
      /** @type {FileSystemEntry[]} */
      const batch = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // at most 100
      if (!batch.length) break;
      for (const child of batch) await collectFiles(child, files);
    }
  }
}
