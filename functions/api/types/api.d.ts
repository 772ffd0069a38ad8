// The API's request and response bodies, as far as the gallery uses them; the names are those of the OpenAPI schema, and
// a test compares the members. Only the type checker reads this file: it is neither served nor part of the function.

export type Status = "pending" | "processing" | "success" | "failed";

export type StageState = "pending" | "done" | "failed";

export interface ErrorBody {
  code: string;
  message: string;
}

export interface ErrorResponse {
  status: "error";
  data: null;
  error: ErrorBody;
}

export interface Metadata {
  width: number;
  height: number;
  format: string;
  size_bytes: number;
  sha256: string;
  color_mode: string | null;
  bit_depth: number | null;
  has_alpha: boolean | null;
  frames: number | null;
  icc_profile: string | null;
  dpi: number[] | null;
  placeholder: Placeholder | null;
  exif: Record<string, unknown>;
  warnings: string[];
  caption: string | null;
  caption_model: string | null;
  caption_confidence: number | null;
  caption_flags: string[] | null;
  caption_language: string | null;
}

/** Where the picture was taken, in decimal degrees. `metadata` has it only if the service is configured to show it. */
export interface Position {
  latitude: number;
  longitude: number;
}

/** What to show until a picture is loaded: a ThumbHash in base64, and the average color. */
export interface Placeholder {
  thumbhash: string;
  color: string;
}

export interface Rendition {
  name: string;
  url: string;
  width: number;
  height: number;
  bytes: number;
  format: string;
}

export interface Stages {
  metadata: StageState;
  thumbnails: StageState;
  caption: StageState;
}

export interface ImageData {
  image_id: string;
  original_name: string;
  title: string | null;
  alt_text: string | null;
  alt_text_source: "person" | "caption" | null;
  tags: string[];
  text_etag: string;
  content_type: string | null;
  source: string;
  created_at: string;
  processed_at: string | null;
  generation: number;
  processing_time_seconds: number | null;
  metadata: (Metadata & { gps?: Position; duplicate_of?: string }) | null;
  thumbnails: Record<string, string> | null;
  renditions: Rendition[] | null;
  stages: Stages;
}

export interface ImageResponse {
  status: Status;
  data: ImageData;
  error: ErrorBody | null;
}

export interface PatchedResponse extends ImageResponse {
  warnings: string[];
}

export interface ListResponse {
  status: "success";
  data: ImageResponse[];
  next_cursor: string | null;
  warnings: string[];
  review_count: number | null;
  error: null;
}

export interface AcceptedResponse {
  image_id: string;
  status: Status;
  data: ImageData;
  error: ErrorBody | null;
}

export interface ImagePatch {
  title?: string | null;
  alt_text?: string | null;
  alt_text_from?: "caption" | null;
  tags?: string[] | null;
}

export interface OriginalLocation {
  url: string;
}

export interface OriginalResponse {
  status: Status;
  data: OriginalLocation;
  error: null;
}

export interface UploadRequest {
  filename: string;
  content_type: string;
  size: number;
  sha256?: string | null;
}

export interface PresignedUpload {
  method: "PUT";
  url: string;
  headers: Record<string, string>;
}

export interface UploadResponse {
  image_id: string;
  upload: PresignedUpload;
  expires_at: string;
}

export interface ProcessingTimes {
  p50: number | null;
  p95: number | null;
  p99: number | null;
}

export interface StatsResponse {
  total: number;
  in_progress: number;
  success: number;
  failed: number;
  success_rate: string;
  failure_rate: string;
  average_processing_time_seconds: number | null;
  processing_time_seconds: ProcessingTimes;
}

export interface NextModel {
  name: string;
  percent: number;
}

export interface ModelQuality {
  precision: string;
  identical_captions: number | null;
  equal_tokens: number | null;
}

export interface HealthResponse {
  status: "ok";
  caption_model: string | null;
  caption_model_quality: ModelQuality | null;
  next_caption_model: NextModel | null;
}

export interface Limits {
  max_post_bytes: number;
  max_image_bytes: number;
}

export interface IndexResponse {
  name: string;
  documentation: string;
  endpoints: Record<string, string>;
  limits: Limits;
}
