/** The picture at the head of a row: a frame of the result, or a sign of how the job is. */
import { useEffect, useRef, useState } from "preact/hooks";
import { getDownload } from "../api/api.ts";
import type { Job } from "../api/types.ts";
import { percent } from "../lib/format.ts";
import { isPicture, isSound, playable } from "../lib/playable.ts";
import { nameOf } from "../lib/words.ts";
import { useSeen } from "../lib/use-visible.ts";
import { playing } from "../state/actions.ts";
import { Alert, Clock, Film, Play, Sound, Stopped } from "./icons.tsx";

export function Tile({ job }: { job: Job }) {
  if (job.status === "COMPLETED") return <ResultTile job={job} />;
  if (job.status === "FAILED") return <div class="tile bad"><Alert size={24} /></div>;
  if (job.status === "CANCELLED") return <div class="tile"><Stopped size={24} /></div>;
  if (job.status === "QUEUED") return <div class="tile"><Clock size={24} /></div>;
  const { percent: done } = job.progress;
  return (
    <div class="tile busy">
      {done === null ? <Film size={24} /> : <span class="tile-number">{percent(Math.floor(done))}</span>}
    </div>
  );
}

function ResultTile({ job }: { job: Job }) {
  const element = useRef<HTMLDivElement>(null);
  const seen = useSeen(element);
  const picture = isSound(job) ? <Sound size={26} /> : seen ? <Frame key={job.attempt} job={job} /> : <Film size={24} />;
  return (
    <div class={`tile result${isSound(job) ? " sound" : ""}`} ref={element}>
      {picture}
      {playable(job) && (
        // The row has a button of that name; this one is for the mouse.
        <button type="button" class="tile-play" tabIndex={-1} aria-hidden="true" title={`Play ${nameOf(job)}`}
          onClick={() => (playing.value = job)}>
          <Play size={20} />
        </button>
      )}
    </div>
  );
}

/** The thumbnail the server made; without one, a still of the result itself. */
function Frame({ job }: { job: Job }) {
  const thumbnail = job.outputs.find((output) => output.kind.includes("thumb"))?.kind;
  const [source, setSource] = useState<{ url: string; still: boolean } | null>(null);
  const [failed, setFailed] = useState(false);

  useEffect(() => {
    let gone = false;
    getDownload(job, thumbnail ? { kind: thumbnail } : {})
      .then(({ url, content_type }) => {
        const still = content_type.startsWith("image/") && (thumbnail !== undefined || !isPicture(job));
        if (!gone) setSource({ url, still });
      })
      .catch(() => gone || setFailed(true));
    return () => void (gone = true);
  }, [job.job_id, job.attempt, thumbnail]);

  if (failed || !source) return <Film size={24} />;
  if (source.still) return <img src={source.url} alt="" loading="lazy" onError={() => setFailed(true)} />;
  return <Still url={source.url} picture={isPicture(job)} onError={() => setFailed(true)} />;
}

const WIDTH = 208;

/** Draws one frame and lets go of the media, so that hundreds of rows neither move nor hold decoders. */
function Still({ url, picture, onError }: { url: string; picture: boolean; onError: () => void }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const media = picture ? new Image() : document.createElement("video");
    const draw = (width: number, height: number) => {
      if (!canvas.current || width === 0) return;
      canvas.current.width = WIDTH;
      canvas.current.height = Math.round((WIDTH * height) / width);
      canvas.current.getContext("2d")?.drawImage(media, 0, 0, canvas.current.width, canvas.current.height);
      letGo(media);
    };
    if (media instanceof HTMLImageElement) {
      media.onload = () => draw(media.naturalWidth, media.naturalHeight);
    } else {
      Object.assign(media, { muted: true, preload: "auto", playsInline: true });
      media.onloadedmetadata = () => (media.currentTime = Math.min(1, media.duration / 3 || 0));
      media.onseeked = () => draw(media.videoWidth, media.videoHeight);
    }
    media.onerror = () => onError();
    media.src = url;
    return () => letGo(media);
  }, [url]);
  return <canvas ref={canvas} aria-hidden="true" />;
}

function letGo(media: HTMLImageElement | HTMLVideoElement): void {
  media.onerror = null;
  media.removeAttribute("src");
  if (media instanceof HTMLVideoElement) media.load();
}
