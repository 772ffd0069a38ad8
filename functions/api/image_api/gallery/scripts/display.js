// How an image is put into words: its name, what it shows, how far it has come.

/** The user's title, else the file's name. */
export const title = (image) => image.data.title || image.data.original_name || image.data.image_id;

/** What a screen reader says for the picture: the person's own text, which is empty for a decoration; else caption or name. */
export const altText = (image) => image.data.alt_text ?? (caption(image) || title(image));

export const caption = (image) => image.data.metadata?.caption ?? "";

/** One short line on where the image is in the pipeline. */
export function progress(image) {
  const { stages } = image.data;
  switch (image.status) {
    case "pending":
      return "Waiting";
    case "processing":
      return stages.thumbnails === "done" ? "Writing the caption" : "Making thumbnails";
    case "failed":
      return "Failed";
    default:
      return "Done";
  }
}

/** Why it failed, for people; empty if it did not. */
export const problem = (image) => (image.status === "failed" ? (image.error?.message ?? "Processing failed.") : "");

/** Whether all words of `query` are in what is known of the image. */
export function matches(image, query) {
  const { data } = image;
  const text = [title(image), data.original_name, data.alt_text, caption(image), ...(data.tags ?? []), image.error?.code]
    .filter(Boolean)
    .join("\n")
    .toLocaleLowerCase();
  return query.toLocaleLowerCase().split(/\s+/u).every((word) => text.includes(word));
}

/** How each step of the pipeline stands, in a line. */
export const stages = ({ data }) =>
  Object.entries(data.stages)
    .map(([stage, state]) => `${stage} ${state}`)
    .join(", ");

/** The names of the thumbnails that the image has; the API's configuration chooses them. */
export const thumbnailSizes = (image) => Object.keys(image.data.thumbnails ?? {});

/** The size to show: the first of `preferred` that the image has, else its last; null without thumbnails. */
export function thumbnailSize(image, ...preferred) {
  const sizes = thumbnailSizes(image);
  return preferred.find((size) => sizes.includes(size)) ?? sizes.at(-1) ?? null;
}

/** Changes with the picture: the digest of the file that the thumbnails were made of. */
export const thumbnailVersion = (image) => image.data.metadata?.sha256?.slice(0, 16) ?? "";
