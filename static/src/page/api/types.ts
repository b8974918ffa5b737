/** The API's shapes, as far as the page reads them. */

export type Status = "QUEUED" | "PROCESSING" | "COMPLETED" | "FAILED" | "CANCELLED";
export type Stage = "downloading" | "probing" | "transcoding" | "uploading";

export interface Progress {
  percent: number | null;
  fps: number | null;
  speed: number | null;
  eta_s: number | null;
}

export interface StreamPlan {
  stream: number;
  type: string;
  codec: string | null;
  action: "copy" | "encode" | "drop";
  target: string | null;
  reason: string;
}

export interface Output {
  kind: string;
  path: string;
  size: number;
  content_type: string;
}

export interface Job {
  job_id: string;
  status: Status;
  stage: Stage | null;
  progress: Progress;
  filename: string | null;
  input_path: string;
  input_size?: number | null;
  output_format: string;
  output_path: string;
  options: Options;
  attempt: number;
  seq: number;
  error: { code: string; message: string } | null;
  warnings: { code: string; message: string }[];
  plan: { format: string; duration_s?: number | null; input_size?: number | null; streams: StreamPlan[]; notes?: string[] } | null;
  outputs: Output[];
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
  updated_at: string;
}

export interface AudioOptions {
  codec?: string;
  bitrate_kbps?: number;
  channels?: number;
  normalize?: boolean;
}

/** What a job may ask for beyond the format; `GET /formats` has the schema. */
export interface Options {
  video?: string;
  quality?: string | number;
  bit_depth?: number;
  max_height?: number;
  max_width?: number;
  fps?: number;
  trim?: { start_s?: number; end_s?: number };
  audio?: AudioOptions | "none";
  subtitles?: string;
  two_pass?: { target_size?: number | string; bitrate_kbps?: number };
  metadata?: string;
}

export interface Format {
  name: string;
  kind: "video" | "audio" | "image";
  content_type?: string;
  extension?: string;
  video_codecs: string[];
  audio_codecs: string[];
  note?: string;
}

export interface Formats {
  formats: Format[];
  options?: { properties?: Record<string, unknown> };
  limits?: { max_upload_size?: number };
}

export interface Download {
  url: string;
  filename: string;
  size: number;
  content_type: string;
  expires_at: string;
}

export const TERMINAL: ReadonlySet<Status> = new Set(["COMPLETED", "FAILED", "CANCELLED"]);
export const isActive = (job: Pick<Job, "status">) => !TERMINAL.has(job.status);
