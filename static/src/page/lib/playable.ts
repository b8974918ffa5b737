/** Whether it makes sense to offer the output of a job for playing here. */
import type { Job } from "../api/types.ts";

const NEVER = new Set(["avi", "ts"]);

export const isSound = (job: Job) => mainType(job).startsWith("audio/");
export const isPicture = (job: Job) => mainType(job).startsWith("image/");
export const playable = (job: Job) => job.status === "COMPLETED" && job.outputs.length > 0 && !NEVER.has(job.output_format);

const mainType = (job: Job) => job.outputs[0]?.content_type ?? "";
