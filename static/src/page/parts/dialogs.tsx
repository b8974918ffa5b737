/** What opens above the page: the player, converting again, and signing in. */
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { getDownload } from "../api/api.ts";
import { keyWanted, signIn } from "../api/session.ts";
import type { Download as DownloadInfo, Job } from "../api/types.ts";
import { bytes } from "../lib/format.ts";
import { isPicture, isSound } from "../lib/playable.ts";
import { nameOf } from "../lib/words.ts";
import { convertAgain, converting, download, playing } from "../state/actions.ts";
import { type Choice, fitting } from "../lib/choice.ts";
import { formatNamed } from "../state/formats.ts";
import { ChoiceEditor, formatLabel } from "./choice-editor.tsx";
import { Field, IconButton } from "./controls.tsx";
import { Close, Download, Sound } from "./icons.tsx";

interface DialogProps {
  title: ComponentChildren;
  kind: string;
  onClose: () => void;
  children: ComponentChildren;
}

/** A modal dialog: the browser keeps the focus inside, closes it by Escape, and gives the focus back. */
function Dialog({ title, kind, onClose, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    dialog.current?.showModal();
    return () => dialog.current?.close();
  }, []);
  return (
    <dialog ref={dialog} class={kind} aria-labelledby={id} onClose={onClose}
      onClick={(event) => event.target === dialog.current && dialog.current?.close()}>
      <div class="dialog-inner">
        <div class="dialog-head">
          <h2 id={id} dir="auto">{title}</h2>
          <IconButton label="Close" onClick={() => dialog.current?.close()}><Close /></IconButton>
        </div>
        {children}
      </div>
    </dialog>
  );
}

export function Dialogs() {
  return (
    <>
      {playing.value && <Player key={playing.value.job_id} job={playing.value} />}
      {converting.value && <AgainDialog key={converting.value.job_id} job={converting.value} />}
      {keyWanted.value && <SignIn />}
    </>
  );
}

function Player({ job }: { job: Job }) {
  const [media, setMedia] = useState<DownloadInfo | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const renewed = useRef(false);
  const resumeAt = useRef(0);

  const fetchAddress = (fresh: boolean) =>
    getDownload(job, { fresh }).then(setMedia, (error: Error) => setProblem(error.message));
  useEffect(() => void fetchAddress(false), []);

  /** The address may have expired while the dialog was open: one new one is tried. */
  const failed = (at: number) => {
    if (renewed.current) {
      return setProblem(`This browser can’t play ${formatLabel(job.output_format)} as it is. Download it to watch it elsewhere.`);
    }
    renewed.current = true;
    resumeAt.current = at;
    return void fetchAddress(true);
  };
  const common = {
    src: media?.url ?? "", controls: true, autoplay: true,
    onError: (event: { currentTarget: HTMLMediaElement }) => failed(event.currentTarget.currentTime),
    onLoadedMetadata: (event: { currentTarget: HTMLMediaElement }) => {
      if (resumeAt.current > 0) event.currentTarget.currentTime = resumeAt.current;
    },
  };
  return (
    <Dialog kind="player" title={media?.filename ?? nameOf(job)} onClose={() => (playing.value = null)}>
      <div class="stage">
        {problem && <p class="stage-problem">{problem}</p>}
        {!problem && media && isPicture(job) && <img src={media.url} alt={`The result: ${media.filename}`} />}
        {!problem && media && isSound(job) && <div class="stage-sound"><Sound size={56} /><audio {...common} /></div>}
        {!problem && media && !isPicture(job) && !isSound(job) && <video {...common} playsInline />}
      </div>
      <div class="dialog-foot">
        <span class="muted">{[formatLabel(job.output_format), media && bytes(media.size)].filter(Boolean).join(" · ")}</span>
        <button type="button" class="button primary" onClick={() => void download(job)}><Download size={18} /> Download</button>
      </div>
    </Dialog>
  );
}

function AgainDialog({ job }: { job: Job }) {
  const choice = useSignal<Choice>({ format: job.output_format, options: job.options });
  const close = () => (converting.value = null);
  const go = () => {
    const { format, options } = choice.value;
    const known = formatNamed(format);
    void convertAgain(job, { format, options: known ? fitting(options, known) : options });
    close();
  };
  return (
    <Dialog kind="again" title={<>Convert “{nameOf(job)}” again</>} onClose={close}>
      <ChoiceEditor choice={choice.value} onChange={(next) => (choice.value = next)} />
      <div class="dialog-foot">
        <span class="muted">The uploaded file is used again.</span>
        <button type="button" class="button primary" onClick={go}>Convert</button>
      </div>
    </Dialog>
  );
}

function SignIn() {
  const text = useSignal("");
  return (
    <Dialog kind="sign-in" title="Access key" onClose={() => (keyWanted.value = false)}>
      <form onSubmit={(event) => {
        event.preventDefault();
        if (text.value.trim()) signIn(text.value.trim());
      }}>
        <Field label="Your access key" hint="It is kept until this tab is closed.">
          {(id, hint) => (
            <input id={id} type="password" autocomplete="current-password" aria-describedby={hint} value={text.value} autofocus
              onInput={(event) => (text.value = event.currentTarget.value)} />
          )}
        </Field>
        <div class="dialog-foot"><span /><button type="submit" class="button primary">Sign in</button></div>
      </form>
    </Dialog>
  );
}
