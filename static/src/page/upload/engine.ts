/**
 * Sends one file with Uppy, as an S3 multipart upload whatever its size, so that it can pause, go on after a reload,
 * and lose at most one part to a lost connection.
 */
import AwsS3 from "@uppy/aws-s3";
import { Uppy } from "@uppy/core";
import { API } from "../api/api.ts";

/** Where in the store an unfinished upload is; enough to go on with it after a reload. */
export interface Resume {
  uploadId: string;
  key: string;
}

export interface EngineEvents {
  progress: (bytes: number) => void;
  /** The store knows of the upload: from now on it can be resumed. */
  begun: (resume: Resume) => void;
  done: (key: string) => void;
  failed: (error: Error) => void;
}

const MiB = 1024 * 1024;
const PARTS = 200;

/** Parts of 5 MiB, the least S3 takes, or larger ones for large files, to ask for fewer addresses. */
const partSize = ({ size }: { size: number }) => Math.max(5 * MiB, Math.ceil(size / PARTS / MiB) * MiB);

type Meta = { size: number };
type Body = { key: string };

/**
 * Starts to send a file, or goes on where `resume` says.
 *
 * @returns the way to stop it.  What has arrived stays in the store, to be resumed.
 */
export function startUpload(file: Blob, name: string, resume: Resume | null, on: EngineEvents): () => void {
  let stopped = false;
  const uppy = new Uppy<Meta, Body>({ logger: { debug() {}, warn() {}, error() {} } });
  uppy.use(AwsS3<Meta, Body>, { companionEndpoint: API, shouldUseMultipart: true, getChunkSize: partSize });
  const id = uppy.addFile({ name, type: file.type, data: file, meta: { size: file.size } });
  if (resume) uppy.setFileState(id, { s3Multipart: resume });

  const unlessStopped = (tell: () => void) => void (stopped || tell());
  uppy.on("upload-progress", (_, { bytesUploaded }) => unlessStopped(() => on.progress(Number(bytesUploaded) || 0)));
  uppy.on("state-update", (before, after) => {
    const begun = after.files[id]?.s3Multipart;
    if (begun && begun !== before.files[id]?.s3Multipart && begun !== resume) unlessStopped(() => on.begun({ ...begun }));
  });
  uppy.on("upload-success", (_, { body }) => unlessStopped(() => on.done(body?.key ?? "")));
  uppy.on("upload-error", (_, error) => unlessStopped(() => on.failed(error as Error)));
  void uppy.upload().catch(() => {}); // each failure has been told by upload-error

  return () => {
    stopped = true;
    uppy.pauseResume(id);
  };
}
